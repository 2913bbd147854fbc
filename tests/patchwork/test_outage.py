# SPDX-License-Identifier: BSD-3-Clause
"""What is remembered of how Patchwork is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import Unavailable
from ingest.ledger import Ledger, open_ledger
from ingest.patchwork import outage
from tests.support.clock import HOUR
from tests.support.ledger_values import NOON


@pytest.fixture
def ledger(quick_path: Path) -> Iterator[Ledger]:
    ledger = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("later", "known"), [(0, 0), (59, 0), (60, 60), (HOUR, HOUR), (-HOUR, -HOUR)]
)
def test_the_last_answer_is_known_to_the_minute_also_if_the_clock_is_set_back(
    ledger: Ledger, later: float, known: float
) -> None:
    assert outage.answered(ledger, NOON) == 0
    outage.note_answer(ledger, NOON)
    outage.note_answer(ledger, NOON + later)
    assert outage.answered(ledger, NOON + later) == NOON + known


@pytest.mark.parametrize(("asked", "pause"), [(None, 60), (300, 300)])
def test_nobody_asks_until_the_pause_is_over_or_it_is_closed(
    ledger: Ledger, asked: float | None, pause: float
) -> None:
    assert outage.broken(ledger, NOON) is None
    outage.trip(ledger, Unavailable("it sleeps", asked), NOON, 60)
    assert outage.broken(ledger, NOON + pause - 1) == (NOON + pause, "it sleeps")
    assert outage.broken(ledger, NOON + pause) is None
    assert outage.broken(ledger, NOON - 1) is None  # the clock was set back
    outage.close(ledger)
    assert outage.broken(ledger, NOON) is None


def happened(ledger: Ledger) -> list[tuple[str, dict[str, object]]]:
    return [(each.event.what, dict(each.event.details)) for each in ledger.happenings.newest(10)]


def test_a_server_is_down_since_the_first_time_for_the_last_reason_until_it_answers(
    ledger: Ledger,
) -> None:
    assert outage.down(ledger, NOON) is None
    outage.note_down(ledger, "it sleeps", NOON)
    outage.note_down(ledger, "it answers 502", NOON + HOUR)
    assert outage.down(ledger, NOON + HOUR) == (NOON, "it answers 502")
    assert outage.down(ledger, NOON + HOUR, "other") is None
    outage.note_answer(ledger, NOON + HOUR + 1)
    assert outage.down(ledger, NOON + HOUR + 1) is None
    assert happened(ledger) == [
        ("Patchwork is down", {"reason": "it sleeps"}),
        ("Patchwork answers again", {}),
    ]


def test_what_happens_to_a_further_server_names_it(ledger: Ledger) -> None:
    outage.note_down(ledger, "it sleeps", NOON, "other")
    outage.note_answer(ledger, NOON, "other")
    assert happened(ledger) == [
        ("Patchwork is down", {"server": "other", "reason": "it sleeps"}),
        ("Patchwork answers again", {"server": "other"}),
    ]
