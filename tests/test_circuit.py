# SPDX-License-Identifier: BSD-3-Clause
"""What is remembered of how Patchwork is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import circuit
from ingest.errors import Unavailable
from ingest.ledger import Ledger, open_ledger
from tests.clock import HOUR
from tests.ledger.values import NOON


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
    assert circuit.answered(ledger, NOON) == 0
    circuit.note_answer(ledger, NOON)
    circuit.note_answer(ledger, NOON + later)
    assert circuit.answered(ledger, NOON + later) == NOON + known


@pytest.mark.parametrize(("asked", "pause"), [(None, 60), (300, 300)])
def test_nobody_asks_until_the_pause_is_over_or_it_is_closed(
    ledger: Ledger, asked: float | None, pause: float
) -> None:
    assert circuit.broken(ledger, NOON) is None
    circuit.trip(ledger, Unavailable("it sleeps", asked), NOON, 60)
    assert circuit.broken(ledger, NOON + pause - 1) == (NOON + pause, "it sleeps")
    assert circuit.broken(ledger, NOON + pause) is None
    circuit.close(ledger)
    assert circuit.broken(ledger, NOON) is None
