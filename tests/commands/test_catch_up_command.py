# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest catch-up`` as a person or cron runs it: what it prints, and its exit codes."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import WORKER_LEASE, open_ledger
from ingest.sandbox import Sandbox
from ingest.story.sinks import CATCH_UP
from tests.support.bad_server import Hell, failing, html, refused_url
from tests.support.places import RECORDED
from tests.support.questions import queries

pytestmark = pytest.mark.usefixtures("configured")

MBOXES = [str(RECORDED / f"{name}.mbox") for name in ("patch", "series", "replies")]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Three comments came just now: two requests, and one that quotes one of them."""
    with Sandbox(*MBOXES) as sandbox:
        yield sandbox


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Ended]


@pytest.fixture
def run(
    quick_path: Path,
    box: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.setenv("TZ", "UTC")

    def command(name: str, *arguments: str, url: str = box.url) -> Ended:
        code = cli.main([name, *arguments, "--patchwork", url, "--state", str(quick_path)])
        return Ended(code, *capsys.readouterr())

    return command


def test_it_tells_what_it_saw_and_works_it_off(run: Run, quick_path: Path) -> None:
    ended = run("catch-up")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[0].startswith("3 comment events since 20")
    assert ended.lines[1:4] == [
        "0 known already, 3 fetched",
        "0 cannot hold a request, 3 queued",
        "2 requests recorded",
    ]
    assert ended.lines[4] == "1 mail ignored"
    retests = json.loads((quick_path / "retests.json").read_text())["retests"]
    assert retests.keys() == {"29430", "29431"}


def test_the_second_time_all_is_known(run: Run) -> None:
    run("catch-up")
    assert run("catch-up").lines[1:] == [
        "0 known already, 0 fetched",
        "0 cannot hold a request, 0 queued",
        "0 requests recorded",
    ]


def test_it_tells_programs_in_json(run: Run) -> None:
    told = json.loads(run("catch-up", "--json").out)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", told.pop("since"))
    reasons = told.pop("reasons")
    assert [each["outcome"] for each in reasons] == ["done", "done", "ignored"]
    assert reasons[0]["reason"].startswith("series 29430: ")
    assert [each["mails"] for each in reasons] == [1, 1, 1]
    assert told == {
        "events": 3,
        "known": 0,
        "fetched": 3,
        "deleted": 0,
        "dropped": 0,
        "queued": 3,
        "rejected": 0,
        "given_up": 0,
        "missed": ["recheck-1@example.org", "recheck-2@example.org"],
        "problem": None,
        "problems": [],
        "moved": True,
        "walked": 0,
        "recent": 0,
        "recorded": 2,
        "worker_elsewhere": False,
    }


@pytest.mark.parametrize(
    ("since", "asked"),
    [
        ("2023-09-06", "2023-09-05T00:00:00"),
        ("2023-09-06T09:01:00", "2023-09-05T09:01:00"),
        ("2023-09-06 09:01:00.000001", "2023-09-05T09:01:00"),
        ("2023-09-06T09:01:00Z", "2023-09-05T09:01:00"),
        ("2023-09-06T09:01:00+02:00", "2023-09-05T07:01:00"),
        ("0001-01-01", "1970-01-01T00:00:00"),
        ("0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00"),
        ("9999-12-31T23:59:59-14:00", "5138-11-15T09:46:40"),
    ],
)
def test_since_is_a_time_in_utc_unless_it_says_otherwise(
    since: str, asked: str, run: Run, box: Sandbox
) -> None:
    """Asked for is from a day before on, for the server may be in any zone."""
    assert run("catch-up", "--since", since).code == 0
    assert {query["since"][0] for query in queries(box, "/api/events/")} == {asked}


@pytest.mark.parametrize("since", ["", "yesterday", "1694000000"])
def test_a_since_that_is_no_time_is_a_usage_error(since: str, run: Run, box: Sandbox) -> None:
    ended = run("catch-up", "--since", since)
    assert (ended.code, ended.out) == (64, "")
    assert f"argument --since: {since!r} is neither a date" in ended.err
    assert not box.requests


def test_a_since_after_a_gap_says_that_the_gap_is_still_open(run: Run) -> None:
    since = datetime.now().isoformat()
    assert "the next run begins no later:" in run("catch-up", "--since", since).out


def test_where_another_worker_runs_the_work_is_left_to_it(run: Run, ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    with ledger.lease(WORKER_LEASE):
        lines = run("catch-up").lines
    assert lines[3:] == [
        "0 requests recorded",
        "another worker is running on this ledger; it works off what was queued",
    ]
    assert ledger.totals().mails["queued"] == 3
    ledger.close()


def test_without_patchwork_it_ends_with_69_and_says_why(run: Run) -> None:
    ended = run("catch-up", url=refused_url())
    assert ended.code == 69
    assert "catching up is not complete: Patchwork at http" in ended.err
    assert "Connection refused" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [(404, 69, "there is no Patchwork API at"), (503, 69, "Patchwork answers 503")],
)
def test_a_server_that_is_no_patchwork_is_told_apart_from_an_old_one(
    status: int, code: int, told: str, run: Run, hell: Hell
) -> None:
    hell.will(html(status))
    hell.root = None
    ended = run("catch-up", url=hell.url)
    assert ended.code == code
    assert told in ended.err


def test_at_a_server_without_comment_events_it_says_what_was_read(run: Run, box: Sandbox) -> None:
    ended = run("catch-up", "--since", "2023-09-01", url=f"{box.url}/api/1.2")
    assert ended.code == 0
    assert "this server has no events of comments: those of " in ended.out


def test_a_server_without_comments_ends_it_with_78(run: Run, box: Sandbox) -> None:
    ended = run("catch-up", url=f"{box.url}/api/1.0")
    assert (ended.code, ended.out) == (78, "")
    assert "shows no comments: nothing can be caught up there" in ended.err


def test_while_another_catches_up_it_ends_with_75(run: Run, ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    with ledger.lease(CATCH_UP):
        ended = run("catch-up")
    ledger.close()
    assert ended.code == 75
    assert "another process is catching up on this ledger" in ended.err


def test_status_tells_how_far_it_has_come_and_what_hinders_it(run: Run, hell: Hell) -> None:
    run("catch-up")
    (line,) = [line for line in run("status").lines if line.startswith("caught up")]
    assert line.startswith("caught up  20")
    hell.will(failing(503))
    run("catch-up", url=hell.url)
    (line,) = [line for line in run("status").lines if line.startswith("caught up")]
    assert "Patchwork answers 503" in line
    told = json.loads(run("status", "--json").out)
    assert told["catch_up"]["tries"] == 1
    assert "catch-up" not in [each["name"] for each in (*told["sinks"], *told["consumers"])]


def test_show_names_the_source_and_no_cursor_of_catching_up(run: Run) -> None:
    run("catch-up")
    shown = run("show", "recheck-1@example.org").out
    assert "list ci.dpdk.org, by events" in shown
    assert "in json_file:" in shown and ", not taken out of it since " in shown
    assert "catch-up" not in shown
