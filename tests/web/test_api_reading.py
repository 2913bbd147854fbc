# SPDX-License-Identifier: BSD-3-Clause
"""What the API shows: the same as ``list`` and ``show --json``, page by page."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from ingest import look
from ingest.config.tables import PatchworkSettings, Settings
from ingest.ledger import Keep, Ledger, Outcome, Request
from ingest.ledger.masking import sqlite_path
from ingest.mail.requester import Requester
from ingest.sinks.request_json import shape
from ingest.story.overview import jsonable
from tests.support import postgres
from tests.support.api_site import ApiSite
from tests.support.http_service import NOWHERE
from tests.support.ledger_values import (
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    record,
    request,
)

ODD = "a/b?c#d%25 e@example.org"


def fill(ledger: Ledger) -> None:
    for number in range(1, 8):
        record(ledger, f"m{number}@example.org", NOON + number, series=number % 2 + 1)
    record(ledger, ODD, NOON + 8, contexts=("iol-c",), arguments={}, project="ci")
    for name, outcome in (("failed", Outcome.FAILED), ("ignored", Outcome.IGNORED)):
        ledger.accept(arrival(f"{name}@example.org", author="Eve <eve@example.org>"))
        finish(ledger, claimed(ledger), outcome)
    ledger.seal()


@pytest.fixture(scope="module")
def site(
    ledger_at: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSite]:
    folder = tmp_path_factory.mktemp("api")
    with ApiSite(folder, fill, ledger_url=ledger_at(folder)) as site:
        yield site


def numbers(site: ApiSite, path: str) -> list[int]:
    return [each["number"] for each in site.see(path)]


FILTERED = [
    ("/api/requests", [8, 7, 6, 5, 4, 3, 2, 1]),
    ("/api/requests?series=1", [6, 4, 2]),
    ("/api/requests?series=1&series=2&label=iol-a&label=iol-c", [7, 6, 5, 4, 3, 2, 1]),
    ("/api/requests?label=iol-c", [8]),
    ("/api/requests?project=ci", [8]),
    ("/api/requests?requester=ROBIN&search=m3%40", [3]),
    ("/api/requests?since=2023-11-14T22:13:26Z", [8, 7, 6]),
    ("/api/requests?before=2023-11-14T22:13:22", [1]),
    ("/api/requests?since=1d", []),
    ("/api/requests?state=asked&project=ci", [8]),
    ("/api/requests?state=success&state=done&project=ci", [8]),
    ("/api/requests?state=fail", []),
    ("/api/requests?active_only&project=ci", [8]),
    ("/api/requests?attention=true", []),
    ("/api/requests?list=dev.dpdk.org&per_page=2", [8, 7]),
    ("/api/requests?page=3&per_page=3", [2, 1]),
    ("/api/requests?page=99", []),
    ("/api/series/1", [6, 4, 2]),
    ("/api/series/none", []),
    ("/api/labels/iol-c", [8]),
    ("/api/requesters/reviewer?per_page=1", [8]),
]


@pytest.mark.parametrize(("path", "found"), FILTERED)
def test_requests_are_found_by_filters(site: ApiSite, path: str, found: list[int]) -> None:
    assert numbers(site, path) == found


MAILS = [
    ("/api/mails?state=failed&state=ignored", ["ignored@example.org", "failed@example.org"]),
    ("/api/mails?search=eve", ["ignored@example.org", "failed@example.org"]),
    ("/api/failures", ["failed@example.org"]),
    ("/api/attention", ["failed@example.org"]),
    ("/api/mails?label=iol-c", [ODD]),
    ("/api/mails?attention&series=1", []),
]


@pytest.mark.parametrize(("path", "found"), MAILS)
def test_mails_are_found_by_filters(site: ApiSite, path: str, found: list[str]) -> None:
    assert [each["message_id"] for each in site.see(path)] == found


def recorded(site: ApiSite) -> list[Request]:
    with site.ledger() as ledger:
        return list(ledger.requests())


def test_a_request_has_the_fields_of_the_webhook_and_what_is_absent_is_null(site: ApiSite) -> None:
    asked = recorded(site)[0]
    found = site.see("/api/requests/1")
    pushed = shape(asked, Settings(patchwork=PatchworkSettings(url=NOWHERE)))
    assert {*found} >= {*pushed, "results"}
    for name in {*pushed} - {"date", "recorded"}:
        assert found[name] == (pushed[name] or None if pushed[name] == "" else pushed[name]), name
    assert found["recorded"] == pushed["recorded"]  # of a whole second
    assert found == site.see(f"/api/requests/{asked.id}")
    assert found == site.see("/api/requests?search=m1%40")[0]
    assert [each["label"] for each in found["results"]] == ["iol-a", "iol-b"]


def test_a_mail_is_that_of_show_json(site: ApiSite) -> None:
    with site.ledger() as ledger:
        records = ledger.find("m1@example.org")
        [story] = look.stories(ledger, records, site.settings(site._toml), time.time())
    assert site.see("/api/mails/m1@example.org") == jsonable(story)


@pytest.mark.parametrize("name", [ODD, f"<{ODD}>", "mail-8"])
def test_a_message_id_may_hold_anything(site: ApiSite, name: str) -> None:
    assert site.see(f"/api/mails/{quote(name, safe='')}")["message_id"] == ODD


def test_the_raw_mail_is_an_attachment_and_no_page(site: ApiSite) -> None:
    answer = site.call("GET", f"/api/mails/{quote(ODD, safe='')}/raw", by="raw")
    assert answer.status == 200
    assert answer.body.startswith(b"Message-ID: <a/b?c#d%25 e@example.org>\n")
    assert answer.fields["content-type"] == "message/rfc822"
    assert answer.fields["content-disposition"] == 'attachment; filename="mail-8.eml"'
    assert answer.fields["x-content-type-options"] == "nosniff"


MISSING = [
    "/api/requests/0",
    "/api/requests/99",
    "/api/requests/",
    "/api/requests/recheck-no",
    "/api/mails/",
    "/api/mails/nobody@example.org",
    "/api/mails/nobody@example.org/raw",
    "/api/mails/mail-99",
    "/api/",
    "/api/nothing",
]


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_404_and_a_problem(site: ApiSite, path: str) -> None:
    answer = site.call("GET", path)
    assert answer.status == 404
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json["status"] == 404 and answer.json["title"] == "Not Found"


def test_dropped_bytes_are_gone(quick_path: Path) -> None:
    def dropped(ledger: Ledger) -> None:
        fill(ledger)
        ledger.prune(Keep(raw=NOON + 9e9), NOON + 9e9)

    with ApiSite(quick_path, dropped) as site:
        answer = site.call("GET", "/api/mails/mail-1/raw")
        assert (answer.status, answer.json["detail"]) == (
            410,
            "The bytes of mail-1 were dropped, see [state] keep_days.",
        )


BAD = [
    ("page=0", "page"),
    ("page=x", "page"),
    ("per_page=251", "per_page"),
    ("page=1&page=2", "page"),
    ("series=x", "series"),
    ("series=0", "series"),
    ("series=99999999999999999999", "series"),
    ("state=sick", "sick"),
    ("since=yesterday", "yesterday"),
    ("before=99999999999d", "length of time"),
    ("active_only=perhaps", "active_only"),
    ("colour=red", "colour"),
    ("&".join(["label=a"] * 51), "label"),
    (f"search={'x' * 501}", "search"),
]


@pytest.mark.parametrize(("query", "told"), BAD, ids=lambda text: text[:20])
def test_a_query_that_is_not_as_described_is_400_and_says_what(
    site: ApiSite, query: str, told: str
) -> None:
    answer = site.call("GET", f"/api/requests?{query}")
    assert answer.status == 400
    assert told in answer.json["detail"]


HOSTILE = [
    "requests?search=%00",
    "requests?search=%ff%fe",
    "requests?search=%ed%a0%80",
    "requests?label=%00&requester=%00&list=%00&project=%00",
    "requests?search=%25_'%22;--",
    "mails?search=%5Cx00%1b%5B31m",
    "requests/%00",
    "requests/..%2F..%2Fetc%2Fpasswd",
    "requests/99999999999999999999",
    "series/%00",
    "series/-1",
    "series/1e3",
    "labels/%0a",
    "labels/%F0%9F%92%A9",
    "requesters/%25",
    "mails/%00",
    "mails/mail-0",
    "mails/mail-99999999999999999999",
    "mails/%3Cscript%3E",
    f"mails/{'x' * 5000}",
    "retests?since=-1d",
    "retests?since=0001-01-01&contexts=,,,",
    "retests?since=9999-12-31T23:59:59-23:59",
    "retests?contexts=%00",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_odd_parameters_find_nothing_or_are_refused(site: ApiSite, path: str) -> None:
    answer = site.call("GET", f"/api/{path}")
    assert answer.status in (200, 400, 404), answer
    assert answer.fields["content-type"] in ("application/json", "application/problem+json")
    if answer.status == 200:
        assert answer.json == [] or path.startswith("retests"), answer


def test_what_a_mail_says_is_text_and_never_a_page(quick_path: Path) -> None:
    evil = "<script>alert(1)</script>\x1b[31m\u202e\x00\udcff"

    def odd(ledger: Ledger) -> None:
        ledger.accept(arrival(evil, subject=evil, author=evil, list_id=evil))
        mail = claimed(ledger)
        asked = request(mail, subject=evil, leftovers=(evil,), requester=Requester(evil))
        ledger.finish(mail, Outcome.DONE, evil, ended(Outcome.DONE), [asked])

    with ApiSite(quick_path, odd) as site:
        for path in ("requests", "requests/1", "mails", "mails/mail-1", "metadata"):
            answer = site.call("GET", f"/api/{path}")
            assert (answer.status, answer.fields["content-type"]) == (200, "application/json")
            assert answer.fields["x-content-type-options"] == "nosniff"
        [mail] = site.see("/api/mails")
        kept = "<script>alert(1)</script>\x1b[31m\u202e\\x00\\udcff"
        assert (mail["subject"], mail["message_id"]) == (kept, kept)
        assert site.see(f"/api/mails/{quote(kept, safe='')}") == mail
        raw = site.call("GET", "/api/mails/mail-1/raw")
        assert raw.fields["content-disposition"].startswith("attachment")


def pages(site: ApiSite, path: str) -> Iterator[list[int]]:
    """Every page, by the links to the next one."""
    while path:
        answer = site.call("GET", path)
        yield [each["number"] for each in answer.json]
        found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.fields["link"])
        links = {name: url for url, name in found}
        parts = urlsplit(links.get("next", ""))
        path = f"{parts.path}?{parts.query}" if parts.path else ""


@pytest.mark.parametrize("per_page", [1, 2, 3, 7, 8, 9, 250])
def test_the_links_to_the_next_page_lead_through_everything_once(
    site: ApiSite, per_page: int
) -> None:
    found = list(pages(site, f"/api/requests?per_page={per_page}&list=dev.dpdk.org"))
    assert [each for page in found for each in page] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert all(len(page) == per_page for page in found[:-1])


def test_links_lead_to_the_first_previous_next_and_last_page(site: ApiSite) -> None:
    def link(page: int) -> str:
        asked = site.call("GET", f"/api/requests?label=iol-a&per_page=3&page={page}")
        return asked.fields["link"].replace(f"http://127.0.0.1:{site.port}/api/requests", "")

    query = "label=iol-a&per_page=3&page="
    first, last = f'<?{query}1>; rel="first"', f'<?{query}3>; rel="last"'
    before, behind = f'<?{query}1>; rel="prev"', f'<?{query}3>; rel="next"'
    assert link(2) == ", ".join([first, before, behind, last])
    assert "prev" not in link(1)
    assert "next" not in link(3)
    assert f'<?{query}3>; rel="prev"' in link(9)


def kept(site: ApiSite) -> object:
    """What the ledger holds, the file itself and what was written to it last if it is one."""
    if not sqlite_path(site.ledger_url):
        return postgres.held(site.ledger_url)
    files = (site.folder / f"ledger.sqlite{end}" for end in ("", "-wal"))
    return [each.read_bytes() for each in files if each.exists()]


def test_links_name_what_was_asked_whatever_it_is(site: ApiSite) -> None:
    answer = site.call("GET", "/api/labels/%0d%0aX-Evil:%20%F0%9F%92%A9?per_page=1")
    assert (
        f"<http://127.0.0.1:{site.port}/api/labels/%0D%0AX-Evil%3A%20%F0%9F%92%A9?per_page=1"
        in (answer.fields["link"])
    )
    assert "x-evil" not in {name.lower() for name in answer.fields}


def test_retests_are_the_document_of_get_reruns_and_writing_nothing(site: ApiSite) -> None:
    path = "/api/retests?since=2023-11-14T22:13:26Z"
    before = kept(site)
    found = site.see(path)
    assert found == {
        "retests": {
            "1": {"contexts": ["iol-a", "iol-b"], "arguments": {"rebase": "main"}},
            "2": {"contexts": ["iol-a", "iol-b"], "arguments": {"rebase": "main"}},
            "29430": {"contexts": ["iol-c"], "arguments": {}},
        },
        "last_comment_timestamp": "2023-11-14T22:13:29.000000",
    }
    assert site.see(path) == found
    narrow = site.see(f"{path}&contexts=iol-c,iol-d")
    alone = {"contexts": [], "arguments": {"rebase": "main"}}
    only = {"29430": {"contexts": ["iol-c"], "arguments": {}}}
    assert narrow["retests"] == {"1": alone, "2": alone} | only
    again = site.see(f"/api/retests?since={found['last_comment_timestamp']}")
    assert again == {"retests": {}, "last_comment_timestamp": None}
    assert kept(site) == before


def test_metadata_names_what_there_is_to_choose_from(site: ApiSite) -> None:
    found = site.see("/api/metadata")
    assert (found["labels"], found["projects"]) == (["iol-a", "iol-b", "iol-c"], ["ci", "dpdk"])
    assert "failed" in found["states"]["mail"] and "overdue" in found["states"]["label"]
    assert all(found["filters"].values())
    request = site.see("/api/requests/1")
    assert {*found["fields"]["request"]} == {*request}
    assert {*found["fields"]["result"]} == {*request["results"][0]}
    assert {*found["fields"]["mail"]} == {*site.see("/api/mails/mail-1")}


def test_another_method_is_405_and_says_which_there_are(site: ApiSite) -> None:
    answer = site.call("DELETE", "/api/requests/1")
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")
    assert site.call("PUT", "/api/requests").fields["allow"] == "GET, POST, HEAD"
    head = site.call("HEAD", "/api/requests/1")
    assert (head.status, head.body) == (200, b"")


def test_a_ledger_that_cannot_be_read_is_503(quick_path: Path) -> None:
    with ApiSite(quick_path) as site:
        for file in quick_path.glob("ledger.sqlite*"):
            file.unlink()
        (quick_path / "ledger.sqlite").mkdir()
        answer = site.call("GET", "/api/requests")
        assert (answer.status, answer.fields["retry-after"]) == (503, "10")
        assert "log" in answer.json["detail"]
