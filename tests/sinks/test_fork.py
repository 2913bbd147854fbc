# SPDX-License-Identifier: BSD-3-Clause
"""The sinks for freedesktop's fork, against a sandbox of it: a pending test result where none
stands, and a copy of the revision."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from ingest.config import tables
from ingest.config.sink_tables import NewRevisionSettings, PendingResultSettings
from ingest.ledger import Ledger
from ingest.sandbox import Sandbox
from ingest.sinks.newrevision import NewRevision
from ingest.sinks.test_result import PendingResult
from tests.support.bad_server import Answer, Hell, Seen, html
from tests.support.clock import Clock
from tests.support.handing_over import Giving
from tests.support.mails import patch
from tests.support.retest_files import asked

TOKENS = {"secret": ("lab", {"dpdk"}), "ours": ("other", {"ci"})}
REQUEST = asked(1, series=1, revision=1, contexts=("igt-a", "igt-b"), requester="Robin <r@x.org>")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(kind="freedesktop", tokens=TOKENS) as fork:
        fork.file(patch("p@x", "[PATCH] net: fix"))
        yield fork


# Makes a sink of this kind for a server, with this login.
Make = Callable[..., Giving]


@pytest.fixture
def make(ledger: Ledger, clock: Clock, tmp_path: Path) -> Make:
    def made(kind: str, url: str, login: str = "lab:secret") -> Giving:
        file = tmp_path / "login"
        file.write_text(login)
        if kind == "newrevision":
            copies = NewRevisionSettings(login_file=str(file))
            settings = tables.Settings(tables.PatchworkSettings(url), newrevision={"x": copies})
            return Giving(ledger, clock, NewRevision("x", copies, settings), copies)
        results = PendingResultSettings(login_file=str(file))
        settings = tables.Settings(tables.PatchworkSettings(url), test_result={"x": results})
        return Giving(ledger, clock, PendingResult("x", results, settings), results)

    return made


def standing(box: Sandbox) -> dict[str, str]:
    rows = requests.get(f"{box.url}/api/1.0/series/1/revisions/1/test-results/", timeout=10).json()
    return {row["test_name"]: row["state"] for row in rows}


def lab_says(box: Sandbox, state: str) -> None:
    login = base64.b64encode(b"lab:secret").decode()
    answer = requests.post(
        f"{box.url}/api/1.0/series/1/revisions/1/test-results/",
        json={"test_name": "igt-a", "state": state},
        headers={"Authorization": f"Basic {login}"},
        timeout=10,
    )
    assert answer.status_code == 201


def test_a_pending_result_is_posted_for_each_label(box: Sandbox, make: Make) -> None:
    giving = make("test_result", box.url)
    giving.records(REQUEST)
    giving.works()
    assert giving.answer() == "2 pending test results posted"
    assert standing(box) == {"igt-a": "pending", "igt-b": "pending"}
    [result, _] = box.fork.results.values()
    assert result.summary == "retest requested by a sender claimed to be Robin (request 1)"


def test_a_result_that_stands_is_left_as_it_is(box: Sandbox, make: Make) -> None:
    lab_says(box, "failure")
    giving = make("test_result", box.url)
    giving.records(REQUEST)
    giving.works()
    assert giving.answer() == "1 pending test result posted, left as they stand: igt-a (failure)"
    assert standing(box) == {"igt-a": "failure", "igt-b": "pending"}


def test_after_a_crash_nothing_is_posted_twice(box: Sandbox, make: Make) -> None:
    giving = make("test_result", box.url)
    giving.records(REQUEST)
    giving.works()
    lab_says(box, "success")
    giving.dies_before_it_is_confirmed()
    giving.works()
    assert standing(box) == {"igt-a": "success", "igt-b": "pending"}


@pytest.mark.parametrize("kind", ["test_result", "newrevision"])
@pytest.mark.parametrize(
    ("login", "told"),
    [
        ("lab:wrong", "does not know the login"),
        ("other:ours", "maintains no such project"),
    ],
)
def test_a_login_that_may_not_write_sets_the_request_aside(
    box: Sandbox, make: Make, kind: str, login: str, told: str
) -> None:
    giving = make(kind, box.url, login)
    giving.records(REQUEST)
    giving.works()
    assert told in giving.set_aside()
    assert standing(box) == {}


@pytest.mark.parametrize("kind", ["test_result", "newrevision"])
def test_a_revision_that_is_not_there_sets_the_request_aside(
    box: Sandbox, make: Make, kind: str
) -> None:
    giving = make(kind, box.url)
    giving.records(asked(1, series=1, revision=9))
    giving.works()
    assert giving.set_aside()


def test_a_request_of_another_kind_of_server_is_skipped(box: Sandbox, make: Make) -> None:
    giving = make("test_result", box.url)
    giving.records(asked(1, series=1))
    giving.works()
    assert "has no revision" in giving.skipped()


def test_while_the_server_is_away_the_request_waits(hell: Hell, make: Make) -> None:
    def route(seen: Seen) -> Answer | None:
        return html(502)

    hell.route(route)
    giving = make("test_result", hell.url)
    giving.records(REQUEST)
    giving.works()
    assert giving.cursor.position == 0
    assert "502" in giving.cursor.reason


def test_a_new_revision_is_a_copy_and_is_made_once(box: Sandbox, make: Make) -> None:
    giving = make("newrevision", box.url)
    giving.records(REQUEST)
    giving.works()
    assert giving.answer() == "asked for a copy of series 1, revision 1"
    assert [each.ids for each in box.fork.series[1].revisions] == [[1], [1]]
    giving.dies_before_it_is_confirmed()
    giving.works()
    assert len(box.fork.series[1].revisions) == 2
