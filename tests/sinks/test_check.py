# SPDX-License-Identifier: BSD-3-Clause
"""The sink of pending checks, against a Patchwork on loopback that takes them."""

import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ingest.config import sink_tables, tables
from ingest.config.web_tables import HttpSettings
from ingest.errors import SinkUnavailable, TurnedAway
from ingest.ledger import Ledger
from ingest.mail.trust import Trust
from ingest.sandbox import Sandbox
from ingest.sinks.check import Check, description
from tests.support.bad_server import (
    TIMEOUT,
    Answer,
    Hell,
    Seen,
    failing,
    html,
    http,
    redirect,
    refused_url,
    rows,
    says,
    text,
)
from tests.support.clock import DAY, Clock
from tests.support.faults import USELESS, Case
from tests.support.handing_over import Giving, told
from tests.support.lab import knows
from tests.support.places import RECORDED
from tests.support.retest_files import asked
from tests.support.service import Service

ROBIN = "Robin Reviewer <robin@example.org>"
COVER = {"submission": "cover 442", "series": 29431, "project": "dpdk"}
PATCH, FIRST, SECOND = 131182, 131183, 131184


@pytest.fixture
def patchwork(clock: Clock) -> Iterator[Sandbox]:
    """It knows a patch of project ci and a series of two of project dpdk."""
    with Sandbox(
        *(str(RECORDED / f"{name}.mbox") for name in ("patch", "series")),
        tokens={"secret": ("lab", {"ci", "dpdk"}), "ours": ("other", {"ci"})},
        clock=lambda: datetime.fromtimestamp(clock(), UTC),
    ) as sandbox:
        yield sandbox


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


def settings_for(url: str) -> tables.Settings:
    return tables.Settings(patchwork=tables.PatchworkSettings(url=url))


MakeGiving = Callable[..., Giving]


@pytest.fixture
def giving_to(ledger: Ledger, clock: Clock, token: Path) -> MakeGiving:
    def make(url: str, timeout: float = 10.0, public_url: str = "", **table: Any) -> Giving:
        check = sink_tables.CheckSettings(**{"token_file": str(token), **table})
        settings = tables.Settings(
            patchwork=tables.PatchworkSettings(url=url, timeout=timeout, max_answer=1 << 20),
            http=HttpSettings(public_url=public_url),
        )
        return Giving(ledger, clock, Check("lab", check, settings), check)

    return make


@pytest.fixture
def giving(giving_to: MakeGiving, patchwork: Sandbox) -> Giving:
    return giving_to(patchwork.url)


def posted(patchwork: Sandbox) -> list[tuple[int, str, str]]:
    """The patch, the context and the state of each check there is, in order."""
    return [(each.patch, each.context, each.state) for each in patchwork.store.checks.values()]


def posts(requests: list[Any]) -> int:
    return sum(each.method == "POST" for each in requests)


# What is posted.


def test_a_pending_check_with_the_requester_is_on_the_patch(
    giving: Giving, patchwork: Sandbox
) -> None:
    giving.records(asked(1, contexts=("iol-a", "iol-b"), requester=ROBIN))
    giving.works()
    assert posted(patchwork) == [(PATCH, "iol-a", "pending"), (PATCH, "iol-b", "pending")]
    (check, _) = patchwork.store.checks.values()
    assert (
        check.description == "retest requested by a sender claimed to be Robin Reviewer (request 1)"
    )
    assert check.user.username == "lab"
    assert not check.target_url
    assert giving.answer() == f"2 pending checks posted on patch {PATCH}"
    assert giving.cursor.position == 1


def test_the_check_leads_to_where_the_settings_say(
    giving_to: MakeGiving, patchwork: Sandbox
) -> None:
    giving = giving_to(patchwork.url, target_url="https://lab.example.org/queue")
    giving.records(asked(1))
    giving.works()
    (check,) = patchwork.store.checks.values()
    assert check.target_url == "https://lab.example.org/queue"


LEADS = {
    "https://ci.example.org/recheck": "https://ci.example.org/recheck/requests/1",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080/requests/1",
    "http://ci": None,  # Patchwork would refuse the check
    "": None,
}


@pytest.mark.parametrize(("public_url", "leads"), LEADS.items())
def test_by_default_the_check_leads_to_the_page_of_the_request(
    giving_to: MakeGiving, patchwork: Sandbox, public_url: str, leads: str | None
) -> None:
    giving = giving_to(patchwork.url, public_url=public_url)
    giving.records(asked(1))
    giving.works()
    (check,) = patchwork.store.checks.values()
    assert (check.target_url or None) == leads


def test_a_request_for_a_cover_letter_is_on_each_patch_of_the_series(
    giving: Giving, patchwork: Sandbox
) -> None:
    giving.records(asked(1, **COVER))
    giving.works()
    assert posted(patchwork) == [(FIRST, "c-1", "pending"), (SECOND, "c-1", "pending")]
    assert giving.answer() == f"2 pending checks posted on patches {FIRST}, {SECOND}"


def test_or_on_its_last_patch_only(giving_to: MakeGiving, patchwork: Sandbox) -> None:
    giving = giving_to(patchwork.url, cover="last")
    giving.records(asked(1, **COVER))
    giving.works()
    assert posted(patchwork) == [(SECOND, "c-1", "pending")]


def test_a_request_without_contexts_posts_nothing_and_says_so(
    giving_to: MakeGiving, tmp_path: Path
) -> None:
    giving = giving_to(refused_url(), token_file=str(tmp_path / "none"))
    giving.records(asked(1, contexts=(), arguments={"rebase": "main"}))
    giving.works()
    assert giving.answer() == "no context was named, so no check was posted"


@pytest.mark.slow
def test_each_patch_has_no_more_checks_than_all_may_have_together(
    giving: Giving, patchwork: Sandbox
) -> None:
    giving.records(asked(1, **COVER, contexts=tuple(f"c-{n}" for n in range(300))))
    giving.works()
    assert len(posted(patchwork)) == 500
    assert "50 contexts left out: they are too many" in giving.answer()


# Who asked.


@pytest.mark.parametrize(
    ("requester", "name"),
    [
        ("Robin Reviewer <robin@example.org>", "Robin Reviewer"),
        ("robin@example.org", "robin"),
        ("<robin@example.org>", "robin"),
        ("", "somebody"),
        ("\U0001f980 <>", "somebody"),
        ("Jürgen Groß <j@example.org>", "Jürgen Groß"),
        ("नमस्ते <j@example.org>", "नमस्ते"),
        ("O'Brien, Pat <pat@example.org>", "O’Brien, Pat"),
        ("<script>alert(1)</script> <x@example.org>", "script alert 1 script"),
        ("'; rm -rf $HOME; ` <x@example.org>", "’ rm -rf HOME"),
        ("\u202egnp.exe\u200b <x@example.org>", "gnp.exe"),
        ("Robin via dev (by way of dev@example.org)", "Robin via dev"),
        (f"{'x' * 5000} <x@example.org>", "x" * 60),
        ("Z" + "\u0335" * 5000 + " <x@example.org>", "Z" + "\u0335" * 59),
    ],
)
def test_the_requesters_name_is_shown_without_what_is_no_name(requester: str, name: str) -> None:
    told = description(asked(7, requester=requester))
    assert told == f"retest requested by a sender claimed to be {name} (request 7)"


@given(st.text())
def test_whatever_the_name_is_the_description_is_one_short_harmless_line(requester: str) -> None:
    told = description(asked(7, requester=requester))
    assert len(told) <= 132
    assert not set(told) & set("<>\"'`$&;|\\@\r\n\0\u202e")
    assert told == " ".join(told.split())


def test_a_requester_who_was_proved_is_named_without_reserve() -> None:
    proved = asked(7, requester=ROBIN, trust=Trust("list", "dkim"))
    assert description(proved) == "retest requested by Robin Reviewer (request 7)"
    passed = asked(7, requester=ROBIN, trust=Trust("list"))
    assert "claimed to be Robin Reviewer" in description(passed)


# What may pass.

# Of the answers that never end, a few; they are cut off by the same hand.
HANGS = ("silence", "a slow status line", "a slow body", "a redirect into silence")
# Of a POST they are Patchwork's own word, and told once.
REFUSALS = (
    "401",
    "403",
    *(f"{status} as JSON" for status in (400, 404, 405, 406)),
    *(f"{status} as JSON" for status in (410, 414, 422, 431, 451)),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        each
        for each in USELESS
        if each.name not in REFUSALS and (not each.waits or each.name in HANGS)
    ],
    ids=lambda case: str(case.name),
)
def test_a_useless_answer_is_tried_again_and_told_meanwhile(
    case: Case, giving_to: MakeGiving, hell: Hell, patchwork: Sandbox
) -> None:
    hell.will(*case.answers)

    timeout = TIMEOUT * (1 if case.requests == 1 else 4)
    giving = giving_to(hell.url, timeout=timeout if case.waits else 10.0)
    giving.records(asked(1))
    giving.works()
    cursor = giving.cursor
    assert (cursor.position, cursor.begun, cursor.tries) == (0, 1, 1)
    assert cursor.due > giving.clock()
    assert "Patchwork" in cursor.reason
    assert giving.answer() == giving.skipped() == ""
    giving_to(patchwork.url).works_when_due()
    assert posted(patchwork) == [(PATCH, "c-1", "pending")]


def test_patchwork_is_obeyed_that_says_when_to_come_again(
    giving_to: MakeGiving, hell: Hell
) -> None:
    hell.will(failing(429, "Retry-After: 700"))
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert giving.cursor.due == giving.clock() + 700


def test_a_token_file_that_cannot_be_read_is_named_and_read_anew(
    giving: Giving, token: Path, patchwork: Sandbox
) -> None:
    token.rename(token.with_name("away"))
    giving.records(asked(1))
    giving.works()
    assert giving.cursor.reason == f"token_file {token} cannot be read: No such file or directory"
    token.with_name("away").rename(token)
    giving.works_when_due()
    assert posted(patchwork) == [(PATCH, "c-1", "pending")]


@pytest.mark.parametrize("content", [b"", b" \n", b"two\nlines", b"\xff\xfe", "tokén".encode()])
def test_what_is_no_token_is_not_sent(
    content: bytes, giving: Giving, token: Path, patchwork: Sandbox
) -> None:
    token.write_bytes(content)
    giving.records(asked(1))
    giving.works()
    assert str(token) in giving.cursor.reason
    assert patchwork.requests == []


def test_it_ends_between_two_checks_when_it_is_to(giving: Giving, patchwork: Sandbox) -> None:
    giving.records(asked(1, contexts=("a", "b", "c")))
    giving.works(stop=lambda: posts(patchwork.requests) == 2)
    assert len(posted(patchwork)) == 2
    assert giving.cursor.position == 0
    giving.works_when_due()
    assert [context for _, context, _ in posted(patchwork)] == ["a", "b", "c"]
    assert giving.answer() == f"1 pending check posted on patch {PATCH}, 2 there already"


@pytest.mark.slow
def test_what_cannot_be_posted_for_a_week_is_given_up(giving_to: MakeGiving) -> None:
    giving = giving_to(refused_url())
    giving.records(asked(1))
    giving.works()
    for _ in range(4):
        giving.clock += 2 * DAY
        giving.works()
    assert "gave up: Patchwork at http://127.0.0.1" in giving.skipped()
    assert giving.cursor.position == 1


# What stays refused.


def test_a_token_without_the_right_is_told_once_and_stops_nothing_else(
    giving: Giving, token: Path, patchwork: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    token.write_text("ours")  # it is for project ci only
    for number in (1, 2):
        giving.records(asked(number, **COVER))
    giving.records(asked(3))
    giving.works()
    why = (
        f"the token of {token} belongs to nobody who maintains project dpdk "
        "(You do not have permission to perform this action.)"
    )
    assert giving.set_aside("1@example.org") == f"check:lab: {why}"
    assert giving.set_aside("2@example.org") == f"check:lab: {why}"
    assert giving.answer("3@example.org") == f"1 pending check posted on patch {PATCH}"
    assert posted(patchwork) == [(PATCH, "c-3", "pending")]
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [
        f"set aside <1@example.org> by check:lab: {why}"
    ]


def test_a_token_that_patchwork_does_not_know_is_tried_once(
    giving: Giving, token: Path, patchwork: Sandbox
) -> None:
    """And not for every patch of a series."""
    token.write_text("nobody's")
    giving.records(asked(1, **COVER, contexts=("a", "b", "c")))
    giving.works()
    assert posts(patchwork.requests) == 1
    assert "(Invalid token.)" in giving.set_aside()


def test_a_context_that_patchwork_does_not_take_keeps_out_no_other(
    giving: Giving, patchwork: Sandbox
) -> None:
    giving.records(asked(1, contexts=("a", "grün", "b")))
    giving.works()
    assert [context for _, context, _ in posted(patchwork)] == ["a", "b"]
    assert giving.skipped() == (
        f"check:lab: Patchwork refuses a check for grün of patch {PATCH}: 400 (context: Enter a "
        'valid "slug" consisting of letters, numbers, underscores or hyphens.); '
        f"2 pending checks posted on patch {PATCH}"
    )


def test_a_patch_that_is_gone_keeps_out_no_other(
    giving: Giving, patchwork: Sandbox, giving_to: MakeGiving, hell: Hell
) -> None:
    giving.records(asked(1, submission="patch 1"), asked(2))
    giving.works()
    assert giving.set_aside("1@example.org").startswith(
        "check:lab: Patchwork refuses a check for patch 1: 404 ("
    )
    assert posted(patchwork) == [(PATCH, "c-2", "pending")]


def test_a_series_that_is_gone_or_empty_is_told(giving: Giving) -> None:
    giving.records(asked(1, **{**COVER, "series": 1}))
    giving.works()
    assert giving.set_aside() == "check:lab: series 1 is not known to Patchwork"


@pytest.mark.parametrize("status", [400, 405, 409, 413, 415, 422])
def test_patchworks_own_refusal_is_final(status: int, giving_to: MakeGiving, hell: Hell) -> None:
    hell.will(failing(status))
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert "(Sorry.)" in giving.skipped()
    assert len(hell.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_says_something_of_us_is_tried_again(
    status: int, giving_to: MakeGiving, hell: Hell
) -> None:
    told = iter([failing(status)])
    hell.route(
        lambda seen: (
            rows() if seen.method == "GET" else next(told, None) or says(http(201, seen.body))
        )
    )
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert "(Sorry.)" in giving.set_aside()
    giving.clock += 10
    giving.works()
    assert giving.answer() == f"1 pending check posted on patch {PATCH}"
    assert [each.method for each in hell.seen] == ["POST", "GET", "POST"]


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '"x"',
        "17",
        '{"detail": null}',
        '{"a": {"b": [1]}, "c": [null, "\\u001b[31m"]}',
    ],
)
def test_a_refusal_of_any_shape_is_told_in_printable_words(
    body: str, giving_to: MakeGiving, hell: Hell
) -> None:
    hell.will(says(http(400, body.encode())))
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert giving.skipped().isprintable()
    assert "400" in giving.skipped()


# Not twice.


def test_after_a_crash_what_is_there_is_left_out(giving: Giving, patchwork: Sandbox) -> None:
    giving.records(asked(1, **COVER, contexts=("a", "b")))
    giving.works()
    giving.dies_before_it_is_confirmed()
    giving.clock += 30
    giving.works()
    assert len(posted(patchwork)) == 4
    assert giving.cursor.position == 1


@pytest.mark.slow
def test_a_process_killed_while_it_posts_leaves_no_check_out_and_none_twice(
    hell: Hell, token: Path, tmp_path: Path
) -> None:
    there: list[dict[str, Any]] = []

    def route(seen: Seen) -> Answer | None:
        if seen.method == "POST":
            there.append(json.loads(seen.body))
            if len(there) == 2:
                working.kill()
            return says(http(201, seen.body))
        return rows(*there) if seen.path.endswith("/checks/") else knows()(seen)

    hell.route(route)
    service = Service(tmp_path)
    lab = {"RECHECK_INGEST_CHECK_LAB_TOKEN_FILE": str(token)}
    service.pipe(b"a, iol-b, iol-c", hell.url)
    working = service.start("work", "--once", url=hell.url, **lab)
    working.communicate(timeout=60)
    assert (working.returncode, len(there)) == (-signal.SIGKILL, 2)
    again = service.start("work", "--once", url=hell.url, **lab)
    again.communicate(timeout=60)
    assert [each["context"] for each in there] == ["iol-a", "iol-b", "iol-c"]


def test_a_check_that_came_before_the_time_out_is_not_posted_again(
    giving_to: MakeGiving, hell: Hell
) -> None:
    """The answer to the POST is lost; the question afterwards finds the check."""
    there: list[dict[str, Any]] = []

    def route(seen: Seen) -> Answer:
        if seen.method == "GET":
            return rows(*there)
        there.append(json.loads(seen.body))
        return html(504)

    hell.route(route)
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    giving.works_when_due()
    assert giving.answer() == "0 pending checks posted, 1 there already"
    assert [seen.method for seen in hell.seen] == ["POST", "GET"]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Australia/Canberra"])
def test_nor_where_the_server_dates_checks_in_another_zone(
    zone: str, giving_to: MakeGiving, hell: Hell, clock: Clock
) -> None:
    """A proxy loses the answer to the POST, and passes on the question that follows."""
    with Sandbox(
        str(RECORDED / "patch.mbox"),
        tokens={"secret": ("lab", {"ci"})},
        time_zone=zone,
        clock=lambda: datetime.fromtimestamp(clock(), UTC),
    ) as patchwork:

        def route(seen: Seen) -> Answer | None:
            if seen.path == "/api/":
                return None
            headers = {"Authorization": "Token secret", "Content-Type": "application/json"}
            answer = requests.request(
                seen.method,
                patchwork.url + seen.target,
                data=seen.body,
                headers=headers,
                timeout=10,
            )
            return html(504) if seen.method == "POST" else text(answer.content)

        hell.route(route)
        giving = giving_to(hell.url)
        giving.records(asked(1))
        giving.works()
        giving.works_when_due()
        assert giving.answer() == "0 pending checks posted, 1 there already"
        assert posts(patchwork.requests) == 1


@pytest.mark.parametrize(
    "change",
    [{"context": "c-2"}, {"state": "success"}, {"description": "retest requested"}],
    ids=["another context", "another state", "of another request"],
)
def test_a_check_that_differs_is_not_ours(
    change: dict[str, str], giving_to: MakeGiving, hell: Hell
) -> None:
    check = {"context": "c-1", "state": "pending", "description": description(asked(1))}

    def route(seen: Seen) -> Answer:
        if seen.method == "GET":
            return rows({**check, **change})
        return html(504) if len(hell.seen) == 1 else says(http(201, seen.body))

    hell.route(route)
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    giving.works_when_due()
    assert [seen.method for seen in hell.seen] == ["POST", "GET", "POST"]
    assert giving.answer() == f"1 pending check posted on patch {PATCH}"


def test_the_same_asked_twice_is_posted_twice(giving: Giving, patchwork: Sandbox) -> None:
    for number in (1, 2):
        giving.records(asked(number, contexts=("a",), requester=ROBIN))
        giving.works()
        giving.dies_before_it_is_confirmed()
        giving.works()
    assert [context for _, context, _ in posted(patchwork)] == ["a", "a"]


def test_all_pages_are_looked_at(giving: Giving, patchwork: Sandbox) -> None:
    store = patchwork.store
    for number in range(250):
        store.add_check(
            store.patches[PATCH], store.users["secret"], "success", "", f"x-{number}", None
        )
    giving.records(asked(1))
    giving.works()
    giving.dies_before_it_is_confirmed()
    giving.works()
    assert [context for _, context, _ in posted(patchwork)].count("c-1") == 1


@pytest.mark.parametrize(
    "answer",
    [
        text("null"),
        text('{"detail": "hello"}'),
        rows(None),
        rows({}),
        rows({"context": 7}),
        rows({"context": ""}),
        rows({"context": "a\u001b[31m"}),
        rows({"context": "x" * 256}),
    ],
)
def test_what_is_no_list_of_checks_is_not_taken_for_one(
    answer: Answer, giving_to: MakeGiving, hell: Hell
) -> None:
    hell.will(html(500))
    hell.route(lambda seen: answer if seen.path.count("/") > 2 and seen.method == "GET" else None)
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    giving.works_when_due()
    assert giving.cursor.tries == 2
    assert "Patchwork's answer to patches/131182/checks/" in giving.cursor.reason


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        "{}",
        '{"id": 29431}',
        '{"id": 1, "patches": [{"id": 5}]}',
        '{"id": 29431, "patches": {"id": 5}}',
        '{"id": 29431, "patches": [{"id": 5}, null]}',
        '{"id": 29431, "patches": [{"id": "5"}]}',
        '{"id": 29431, "patches": [{"id": 5}, {}]}',
    ],
)
def test_what_is_no_series_is_tried_again(content: str, giving_to: MakeGiving, hell: Hell) -> None:
    hell.will(text(content))
    giving = giving_to(hell.url)
    giving.records(asked(1, **COVER))
    giving.works()
    assert giving.cursor.tries == 1
    assert "series/29431/ is no" in giving.cursor.reason


# Where the token goes.


def test_the_token_is_in_the_header_of_the_post_only(giving_to: MakeGiving, hell: Hell) -> None:
    hell.route(
        lambda seen: (
            text('{"id": 29431, "patches": [{"id": 5}]}')
            if seen.method == "GET"
            else says(http(201, seen.body))
        )
    )
    giving = giving_to(hell.url)
    giving.records(asked(1, **COVER))
    giving.works()
    assert [(seen.method, seen.headers.get("authorization")) for seen in hell.seen] == [
        ("GET", None),
        ("POST", "Token secret"),
    ]


def test_what_a_netrc_says_does_not_replace_it(
    giving_to: MakeGiving, hell: Hell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    hell.route(lambda seen: says(http(201, seen.body)))
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert hell.seen[0].headers["authorization"] == "Token secret"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", ["another host", "another port"])
def test_no_redirect_takes_it_elsewhere(
    elsewhere: str, status: int, giving_to: MakeGiving, hell: Hell
) -> None:
    with Hell() as other:
        other.will(says(http(201, b'{"context": "c-1"}')))
        to = other.url if elsewhere == "another port" else other.url.replace("127.", "localhost.")
        hell.will(redirect(lambda line: to, status))
        giving = giving_to(hell.url)
        giving.records(asked(1))
        giving.works()
        assert giving.cursor.tries == 1
        assert "Patchwork" in giving.cursor.reason
        assert other.seen == []


def test_a_redirect_on_the_same_server_is_followed_with_all_that_was_sent(
    giving_to: MakeGiving, hell: Hell
) -> None:
    def route(seen: Seen) -> Answer:
        if seen.path == "/patchwork/api/patches/131182/checks/":
            return says(http(201, seen.body))
        return redirect(lambda line: f"/patchwork{line.seen.target}", 301)

    hell.route(route)
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert giving.answer() == f"1 pending check posted on patch {PATCH}"
    first, second = hell.seen
    assert (first.method, first.body) == (second.method, second.body)
    assert second.headers["authorization"] == "Token secret"


def test_where_it_says_that_it_is_done_it_is_not_posted_again(
    giving_to: MakeGiving, hell: Hell
) -> None:
    hell.route(lambda seen: rows() if seen.method == "GET" else redirect(lambda line: "/done", 303))
    giving = giving_to(hell.url)
    giving.records(asked(1))
    giving.works()
    assert len(hell.seen) == 1
    assert giving.cursor.tries == 1


# What is told meanwhile.


def test_status_and_show_tell_of_a_patchwork_that_is_down_and_of_a_refusal(
    giving_to: MakeGiving,
    patchwork: Sandbox,
    token: Path,
    quick_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_CHECK_LAB_TOKEN_FILE", str(token))
    down = giving_to(refused_url())
    down.records(asked(1))
    down.works()
    status = told(quick_path, capsys, "status")
    assert "check:lab at 0, 1 behind" in status
    assert "Connection refused" in status
    assert "not yet in check:lab" in told(quick_path, capsys, "show", "1@example.org")
    token.write_text("nobody's")
    giving_to(patchwork.url).works_when_due()
    why = f"the token of {token} belongs to nobody who maintains project ci (Invalid token.)"
    status = told(quick_path, capsys, "status")
    assert "check:lab at 1" in status
    assert why in status
    assert "check:lab at 1, 1 set aside" in status
    assert f"set aside check:lab: {why}" in told(quick_path, capsys, "show", "1@example.org")
    token.write_text("secret")
    well = giving_to(patchwork.url)
    well.clock += 10
    well.records(asked(2))
    well.works()
    status = told(quick_path, capsys, "status")
    assert "check:lab at 2" in status
    assert why not in status
    assert f"handed over to check:lab, answer 1 pending check posted on patch {PATCH}" in told(
        quick_path, capsys, "show", "2@example.org"
    )


def test_the_receiver_says_by_its_errors_what_is_tried_again(
    patchwork: Sandbox, token: Path
) -> None:
    table = sink_tables.CheckSettings(token_file=str(token))
    down = Check("lab", table, settings_for(refused_url()))
    with pytest.raises(SinkUnavailable):
        down.give(asked(1), again=False, stop=lambda: False)
    token.write_text("nobody's")
    refused = Check("lab", table, settings_for(patchwork.url))
    with pytest.raises(TurnedAway):
        refused.give(asked(1), again=False, stop=lambda: False)
