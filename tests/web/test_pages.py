# SPDX-License-Identifier: BSD-3-Clause
"""The pages over a real listener: what is shown, who may see it, and with which header fields."""

import contextlib
import http.client
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ingest.ledger import Result, State, open_ledger
from ingest.mail.requester import Requester
from ingest.web import rendering
from tests.support import markup
from tests.support.http_site import LISTEN, Site
from tests.support.ledger_values import NOON, record
from tests.support.loop_thread import PATIENCE

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m‮gpj"


@pytest.fixture
def site(quick_path: Path) -> Iterator[Site]:
    """A listener on a ledger with thirty requests, the newest one hostile in all that it says."""
    with contextlib.closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger:
        for number in range(1, 30):
            record(ledger, f"m{number}@example.org", at=NOON + number)
        hostile = record(
            ledger,
            f"{HOSTILE}@example.org",
            at=NOON + 100,
            contexts=(HOSTILE,),
            leftovers=(HOSTILE,),
            arguments={HOSTILE: HOSTILE},
            subject=HOSTILE,
            project=HOSTILE,
            requester=Requester(HOSTILE, f"{HOSTILE}@example.org"),
        )
        worst = "javascript:alert(1)"
        ledger.results.tell(
            Result(hostile.number, HOSTILE, State.FAIL, NOON + 200, HOSTILE, worst, HOSTILE)
        )
    with Site(quick_path, LISTEN) as site:
        yield site


def fetch(
    site: Site, path: str, fields: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, Mapping[str, str], str]:
    """Status, header fields with small names, and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(method, path, headers=dict(fields or {}))
        answer = connection.getresponse()
        got = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, got, answer.read().decode()


def test_the_front_page_has_the_newest_requests_and_older_ones_behind_them(site: Site) -> None:
    status, _, text = fetch(site, "/")
    assert status == 200
    assert re.findall(r"Request </span>(\d+)<", text) == [str(n) for n in range(30, 5, -1)]
    assert 'href="/?page=2"' in text
    _, _, older = fetch(site, "/?page=2")
    assert re.findall(r"Request </span>(\d+)<", older) == ["5", "4", "3", "2", "1"]
    assert 'href="/?page=1"' in older
    assert "page=3" not in older


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "9" * 30, "2&page=1"])
def test_a_page_that_is_none_is_answered(site: Site, page: str) -> None:
    assert fetch(site, f"/?page={page}")[0] == 200


def test_nothing_that_a_mail_or_a_lab_says_is_markup(site: Site) -> None:
    page = markup.safe(fetch(site, "/")[2])
    assert page.text.count("<script>alert(1)</script>") == 5
    assert not re.search(r"\x1b|‮", page.text)


def test_addresses_are_not_on_the_front_page(site: Site) -> None:
    assert "robin@" not in fetch(site, "/")[2]


def test_every_answer_forbids_scripts_frames_and_guessing(site: Site) -> None:
    for path in ("/", "/static/pages.css", "/static/none"):
        _, fields, _ = fetch(site, path)
        for name, value in rendering.HEADERS.items():
            if name != "Cache-Control":
                assert fields[name.lower()] == value, path
    policy = rendering.HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")


def test_no_page_sets_a_cookie(site: Site) -> None:
    assert "set-cookie" not in fetch(site, "/")[1]


def test_the_style_is_named_by_its_content_and_kept(site: Site) -> None:
    path = re.findall(r'rel="stylesheet" href="(.*?)"', fetch(site, "/")[2])[0]
    status, fields, text = fetch(site, path)
    assert (status, fields["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in fields["cache-control"]
    assert "prefers-color-scheme: dark" in text


def test_a_name_that_is_not_ours_is_answered_nothing(site: Site) -> None:
    status, _, text = fetch(site, "/", {"Host": "rebound.example.net"})
    assert status == 421
    assert "public_url" in text
    assert "Request" not in text


def test_a_proxied_request_needs_a_token_which_a_browser_asks_for(site: Site) -> None:
    status, fields, text = fetch(site, "/", {"X-Forwarded-For": "192.0.2.1"})
    assert status == 401
    assert fields["www-authenticate"].startswith("Basic ")
    assert "m29@example.org" not in text


def test_a_ledger_that_cannot_be_read_is_told_without_a_traceback(quick_path: Path) -> None:
    with Site(quick_path, LISTEN) as site:
        Path(quick_path, "ledger.sqlite").write_bytes(b"not a database" * 100)
        status, _, text = fetch(site, "/")
    assert status == 503
    assert "try again later" in text


def test_before_the_first_request_the_page_says_how_to_make_one(quick_path: Path) -> None:
    with Site(quick_path, LISTEN) as site:
        status, _, text = fetch(site, "/")
    assert status == 200
    assert "Recheck-request: </code>" in text
