# SPDX-License-Identifier: BSD-3-Clause
"""What was asked for and never seen to run becomes overdue, and a person is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.config import tables
from ingest.ledger import Attention, Filter, Ledger, Result, State
from ingest.results import overdue
from tests.results.conftest import MakeWatching
from tests.support.clock import DAY, HOUR
from tests.support.handing_over import told
from tests.support.ledger_values import NOON, record


def mark(ledger: Ledger, hours: float, **table: Any) -> int:
    """Look so many hours after the requests came."""
    settings = tables.Settings(results=tables.ResultsSettings(**table))
    return overdue.mark(ledger, settings, NOON + hours * HOUR)


def states(ledger: Ledger, number: int = 1) -> list[str]:
    return [each.state for each in ledger.results.of([number])]


def test_what_nobody_has_seen_run_for_two_days_is_overdue_and_told_once(ledger: Ledger) -> None:
    request = record(ledger, "1@example.org")
    ledger.results.handed_over([replace(request, contexts=("iol-b",))], "command:lab", NOON)
    assert mark(ledger, 47.9) == 0
    assert mark(ledger, 48.1) == 2
    assert mark(ledger, 49) == 0
    [found] = ledger.find("1@example.org")
    assert [event.details for event in found.story if event.what == "result"] == [
        {"request": 1, "label": "iol-a", "state": "overdue"},
        {"request": 1, "label": "iol-b", "state": "overdue", "author": "command:lab"},
    ]


STATES = {state: state in (State.ASKED, State.HANDED_OVER, State.OVERDUE) for state in State}


@pytest.mark.parametrize(("state", "is_late"), STATES.items(), ids=STATES)
def test_what_has_been_seen_to_run_is_not_overdue(
    ledger: Ledger, state: State, is_late: bool
) -> None:
    record(ledger, "1@example.org", contexts=("iol-a",))
    ledger.results.tell(Result(1, "iol-a", state, NOON, "lab"))
    mark(ledger, 49)
    assert states(ledger) == ["overdue" if is_late else state]


LIMITS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "never": ({"overdue": 0.0}, ["asked", "asked"]),
    "one label earlier": ({"overdue_labels": ("iol-a=3600",)}, ["overdue", "asked"]),
    "one label never": (
        {"overdue": HOUR, "overdue_labels": ("iol-b=0",)},
        ["overdue", "asked"],
    ),
    "only one label": ({"overdue": 0.0, "overdue_labels": ("*-b=60",)}, ["asked", "overdue"]),
    "the first pattern": ({"overdue_labels": ("iol-a=0", "iol-*=60")}, ["asked", "overdue"]),
}


@pytest.mark.parametrize(("table", "expected"), LIMITS.values(), ids=LIMITS)
def test_each_label_has_its_own_time(
    ledger: Ledger, table: dict[str, Any], expected: list[str]
) -> None:
    record(ledger, "1@example.org")
    mark(ledger, 2, **table)
    assert states(ledger) == expected


def test_a_request_of_arguments_alone_is_never_overdue(ledger: Ledger) -> None:
    record(ledger, "1@example.org", contexts=())
    assert mark(ledger, 49) == 0


def test_what_an_archive_brings_is_not_overdue(ledger: Ledger) -> None:
    record(ledger, "1@example.org", received=NOON, date=NOON - 8 * DAY)
    record(ledger, "2@example.org", received=NOON, date=NOON - 6 * DAY)
    assert mark(ledger, 49) == 2
    assert states(ledger, 1) == ["asked", "asked"]


def test_many_requests_are_marked_whatever_stands_before_them(ledger: Ledger) -> None:
    for number in range(210):
        record(ledger, f"{number}@example.org", contexts=("iol-a",))
    assert mark(ledger, 49) == 210
    record(ledger, "late@example.org", NOON + 1, contexts=("iol-a",))
    assert mark(ledger, 49) == 1


def test_a_late_check_is_the_result_after_all(watching_with: MakeWatching) -> None:
    watching = watching_with()
    request = watching.asks("iol-a")
    watching.clock += 3 * DAY
    overdue.mark(watching.ledger, watching.settings, watching.clock())
    assert watching.states(request) == {"iol-a": "overdue"}
    watching.posts("success")
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


def test_status_and_whoever_asks_for_attention_are_told(
    ledger: Ledger, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(ledger, "1@example.org")
    late = record(ledger, "2@example.org", contexts=("iol-a",))
    assert "overdue" not in told(quick_path, capsys, "status")
    ledger.results.tell(Result(2, "iol-a", State.OVERDUE, NOON))
    assert ledger.search_requests(Filter(attention=Attention())) == [late]
    assert "overdue    1 label asked for and not seen to run" in told(quick_path, capsys, "status")
    assert json.loads(told(quick_path, capsys, "status", "--json"))["overdue"] == 1
