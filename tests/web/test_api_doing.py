# SPDX-License-Identifier: BSD-3-Clause
"""What programs do over HTTP: each is the command of its name, and safe to be tried again."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ingest.ledger import Ledger
from ingest.sandbox import Sandbox
from tests.support.api_site import Answered, ApiSite
from tests.support.http_site import LISTEN
from tests.support.ledger_values import NOON, record
from tests.support.mails import patch


def fill(ledger: Ledger) -> None:
    record(ledger, "a@example.org", NOON, arguments={})
    record(ledger, "b@example.org", NOON + 1, series=7, contexts=("iol-c",))


@pytest.fixture
def site(quick_path: Path, ledger_url: str) -> Iterator[ApiSite]:
    with ApiSite(quick_path, fill, ledger_url=ledger_url) as site:
        yield site


def post(site: ApiSite, path: str, body: Any, key: str = "", by: str = "all") -> Answered:
    fields = {"Idempotency-Key": key} if key else {}
    return site.call("POST", path, body, by=by, fields=fields)


# take and ack


def test_what_is_taken_is_held_until_it_is_acknowledged(site: ApiSite) -> None:
    given = post(site, "/api/take", {"consumer": "arm"}).json
    assert (given["given"], {*given["retests"]}) == (1, {"29430", "7"})
    nothing = post(site, "/api/take", {"consumer": "arm"}).json
    assert nothing == {
        "batch": None,
        "given": 0,
        "retests": {},
        "last_comment_timestamp": None,
    }
    ack = {"batch": given["batch"]}
    assert post(site, "/api/ack", ack).json == {"batch": given["batch"], "is_new": True}
    assert post(site, "/api/ack", ack).json == {"batch": given["batch"], "is_new": False}
    with site.ledger() as ledger:
        assert ledger.batches() == ()
        assert {each.author for each in ledger.results.of([1, 2])} == {"consumer arm"}


def test_a_consumer_may_want_some_labels_and_requests_one_by_one(site: ApiSite) -> None:
    order = {"consumer": "arm", "contexts": ["iol-c"], "requests": True}
    given = post(site, "/api/take", order).json
    assert [(each["number"], each["contexts"]) for each in given["requests"]] == [(2, ["iol-c"])]
    assert "retests" not in given


def test_the_default_consumer_takes_from_the_retest_json(quick_path: Path, ledger_url: str) -> None:
    file = quick_path / "retests.json"
    toml = f'{LISTEN}[retests]\nfile = "{file}"\n'
    with ApiSite(quick_path, fill, toml, ledger_url=ledger_url) as site:
        given = post(site, "/api/take", {}).json
        consumer, _, numbers = given["batch"].partition(":")
        assert consumer.partition("@")[0] == "default"  # and whose, on several machines
        assert numbers.startswith("1-2")
        assert {*json.loads(file.read_text())["retests"]} == {"29430", "7"}
        post(site, "/api/ack", {"batch": given["batch"]})
        assert json.loads(file.read_text())["retests"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("ledger_kind", ["postgresql"])
def test_where_there_is_no_retest_json_the_default_consumer_is_told_so(site: ApiSite) -> None:
    answer = post(site, "/api/take", {})
    assert (answer.status, answer.json["detail"]) == (
        422,
        "there is no retest JSON: set [retests] file, or take by --consumer NAME.",
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/take", {"contexts": ["iol-c"]}, 422),
        ("/api/take", {"consumer": "a b"}, 400),
        ("/api/take", {"consumer": 1}, 400),
        ("/api/take", [], 400),
        ("/api/ack", {"batch": "arm:1-2-abc"}, 404),
        ("/api/ack", {"batch": "no"}, 404),
        ("/api/ack", {}, 400),
    ],
)
def test_what_cannot_be_taken(site: ApiSite, path: str, body: Any, status: int) -> None:
    answer = post(site, path, body)
    assert (answer.status, answer.fields["content-type"]) == (status, "application/problem+json")


# A request by hand


def test_a_request_by_hand_is_in_the_log_like_all_others(site: ApiSite) -> None:
    wish = {
        "series": 7,
        "labels": ["iol-c", "iol-d"],
        "arguments": {"rebase": "main"},
        "author": "Ada",
        "reason": "the machine\nwas down",
    }
    answer = post(site, "/api/requests", wish)
    assert (answer.status, answer.fields["location"]) == (201, "/api/requests/3")
    made = answer.json
    assert made == site.see("/api/requests/3")
    assert (made["requester"], made["series"]) == ("Ada (token all)", 7)
    assert (made["contexts"], made["arguments"]) == (["iol-c", "iol-d"], {"rebase": "main"})
    assert made["reason"] == "the machine was down"
    # As far as the series is known from another request.
    assert (made["submission"], made["project"]) == ("patch 131182", "dpdk")
    mail = site.see("/api/mails/mail-3")
    assert (mail["message_id"], mail["outcome"]) == (None, "done")
    assert mail["source"] == "by hand, token all"
    assert [each["what"] for each in mail["story"]] == ["accepted", "recorded"]
    given = post(site, "/api/take", {"consumer": "arm"}).json
    assert given["retests"]["7"]["contexts"] == ["iol-c", "iol-d"]


def test_without_an_author_the_token_asks(site: ApiSite) -> None:
    made = post(site, "/api/requests", {"series": 7, "labels": ["iol-x"]}, by="ask").json
    assert made["requester"] == "ask (token)"


def test_patchwork_is_asked_about_a_series_that_is_not_known(
    quick_path: Path, ledger_url: str
) -> None:
    """As the command ``ask`` does; a series that it does not have is not asked for."""
    with Sandbox() as patchwork:
        patchwork.file(patch("p@x", "[PATCH] net: fix"))
        [series] = patchwork.store.series.values()
        [first] = patchwork.store.patches_of(series)
        with ApiSite(quick_path, patchwork=patchwork.url, ledger_url=ledger_url) as site:
            wish = {"series": series.id, "labels": ["iol-x"]}
            made = post(site, "/api/requests", wish).json
            assert made["submission"] == f"patch {first.id}"
            answer = post(site, "/api/requests", {"series": 99, "labels": ["iol-x"]})
            assert (answer.status, len(site.see("/api/requests"))) == (422, 1)
            assert answer.json["detail"] == f"{patchwork.url} has no series 99."


def test_while_patchwork_is_asked_other_calls_are_answered(
    quick_path: Path, ledger_url: str
) -> None:
    """Neither a lab nor another call under a key waits for a Patchwork that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with ApiSite(quick_path, fill, patchwork=url, ledger_url=ledger_url) as site:
            wish = {"series": 99, "labels": ["iol-x"]}
            waiting = threads.submit(post, site, "/api/requests", wish, "one")
            asked, _ = silent.accept()
            assert post(site, "/api/take", {"consumer": "arm"}).json["retests"]
            assert post(site, "/api/requests/1/notes", {"text": "x"}, "two").status == 201
            assert not waiting.done()
            silent.close()
            asked.close()
            answer = waiting.result()
            assert (answer.status, answer.fields["retry-after"]) == (503, "60")
            assert url in answer.json["detail"] and len(site.see("/api/requests")) == 2


NOT_ASKED = [
    ({"series": 7}, 422),
    ({"series": 7, "labels": ["-x"]}, 400),
    ({"series": 7, "labels": ["a b"]}, 400),
    ({"series": 7, "labels": ["a\n"]}, 422),
    ({"series": 7, "labels": ["x" * 256]}, 400),
    ({"series": 7, "labels": ["x"] * 201}, 400),
    ({"series": 0, "labels": ["x"]}, 400),
    ({"series": 1 << 63, "labels": ["x"]}, 400),
    ({"series": "7", "labels": ["x"]}, 400),
    ({"series": 7, "arguments": {"unknown": "x"}}, 422),
    ({"series": 7, "labels": ["x"], "colour": 1}, 400),
    (b"{", 400),
    (b'{"series": 7, "labels": ["\xff"]}', 400),
    (b"[" * 100_000, 400),
    (b" " * (1 << 18) + b"{}", 413),
]


# What is refused before the ledger is asked.
BEFORE = pytest.mark.parametrize("ledger_kind", ["sqlite"])


@BEFORE
@pytest.mark.parametrize(("wish", "status"), NOT_ASKED, ids=lambda each: str(each)[:40])
def test_what_cannot_be_asked_for_is_not(site: ApiSite, wish: Any, status: int) -> None:
    answer = post(site, "/api/requests", wish)
    assert (answer.status, answer.json["status"]) == (status, status), answer
    assert len(site.see("/api/requests")) == 2


@BEFORE
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(site: ApiSite, kind: str) -> None:
    """A page elsewhere can post forms and plain text without asking."""
    wish = b'{"series": 7, "labels": ["x"]}'
    answer = site.call("POST", "/api/requests", wish, fields={"Content-Type": kind})
    assert answer.status == 415
    assert len(site.see("/api/requests")) == 2


def test_labels_that_are_not_wanted_here_are_told(quick_path: Path, ledger_url: str) -> None:
    narrow = '[http]\nlisten = ["127.0.0.1:0"]\n[requests]\ncontexts = ["iol-*"]\n'
    with ApiSite(quick_path, fill, narrow, ledger_url=ledger_url) as site:
        wish = {"series": 7, "labels": ["iol-c", "other"]}
        assert post(site, "/api/requests", wish).json["leftovers"] == ["other"]
        answer = post(site, "/api/requests", {"series": 7, "labels": ["other"]})
        assert (answer.status, answer.json["detail"]) == (
            422,
            "no wanted context among other.",
        )


# Results and remarks


def test_a_result_is_that_of_the_token(site: ApiSite) -> None:
    told = {"label": "iol-a", "state": "success", "url": "https://lab.example.org/1"}
    made = post(site, "/api/requests/1/results", told, by="result").json
    [one, other] = made["results"]
    assert (one["state"], one["by"], one["url"]) == ("success", "result", told["url"])
    assert (one["summary"], other["state"]) == (None, "asked")
    assert site.see("/api/mails/mail-1")["story"][-1]["what"] == "result"


@pytest.mark.parametrize(
    ("path", "told", "status"),
    [
        ("/api/requests/9/results", {"label": "iol-a", "state": "success"}, 404),
        ("/api/requests/1/results", {"label": "iol-z", "state": "success"}, 422),
        ("/api/requests/1/results", {"label": "iol-a", "state": "asked"}, 400),
        ("/api/requests/1/results", {"label": "iol-a", "state": "fail", "url": "x"}, 422),
        ("/api/requests/1/results", {"state": "fail"}, 400),
        ("/api/requests/9/notes", {"text": "x"}, 404),
        ("/api/requests/1/notes", {"text": ""}, 400),
        ("/api/requests/1/notes", {"text": " \n\x1b"}, 422),
        ("/api/requests/1/notes", {"text": "x" * 2001}, 400),
    ],
)
def test_what_cannot_be_said_of_a_request(site: ApiSite, path: str, told: Any, status: int) -> None:
    assert post(site, path, told).status == status


def test_a_remark_stands_in_the_story_with_its_author(site: ApiSite) -> None:
    made = post(site, "/api/requests/1/notes", {"text": "again\x1b[31m tomorrow"})
    assert made.status == 201
    assert made.json["author"] == "all (token)"
    post(site, "/api/requests/1/notes", {"text": "it was ours", "author": "Ada"}, by="note")
    said = [each["text"] for each in site.see(made.fields["location"])["story"]]
    assert said[-2:] == ["all (token): again [31m tomorrow", "Ada (token note): it was ours"]


# Trying again

DOING = [
    ("/api/requests", {"series": 7, "labels": ["iol-x"]}),
    ("/api/requests/1/notes", {"text": "once"}),
    ("/api/requests/1/results", {"label": "iol-a", "state": "fail"}),
    ("/api/take", {"consumer": "arm"}),
]


@pytest.mark.parametrize(("path", "body"), DOING, ids=lambda each: str(each)[:24])
def test_a_key_makes_one_of_many(site: ApiSite, path: str, body: Any) -> None:
    first = post(site, path, body, "one")
    story = site.see("/api/mails/mail-1")["story"]
    requests = len(site.see("/api/requests"))
    for _ in range(3):
        again = post(site, path, body, "one")
        assert (again.status, again.json) == (first.status, first.json)
        assert again.fields.get("location") == first.fields.get("location")
    assert site.see("/api/mails/mail-1")["story"] == story
    assert len(site.see("/api/requests")) == requests


def test_a_key_is_its_tokens_and_for_one_thing(site: ApiSite) -> None:
    wish = {"series": 7, "labels": ["iol-x"]}
    assert post(site, "/api/requests", wish, "one").json["number"] == 3
    assert post(site, "/api/requests", wish, "one", by="ask").json["number"] == 4
    assert post(site, "/api/requests", wish, "two").json["number"] == 5
    other = post(site, "/api/requests", {"series": 8, "labels": ["iol-x"]}, "one")
    assert (other.status, other.json["title"]) == (409, "Conflict")
    assert post(site, "/api/requests/1/notes", {"text": "x"}, "one").status == 409


@BEFORE
@pytest.mark.parametrize("key", ["a b", "x" * 201, "\xe9"])
def test_a_key_is_of_ascii_and_short(site: ApiSite, key: str) -> None:
    answer = post(site, "/api/requests", {"series": 7, "labels": ["iol-x"]}, key)
    assert answer.status == 400


def test_what_failed_may_be_tried_again_under_its_key(site: ApiSite) -> None:
    assert post(site, "/api/requests", {"series": 7}, "one").status == 422
    assert post(site, "/api/requests", {"series": 7, "labels": ["x"]}, "one").status == 201
