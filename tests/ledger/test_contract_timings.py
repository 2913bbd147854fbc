# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger keeps of how long things took, and how many results there are."""

import pytest

from ingest.ledger import Ledger, Result, State
from ingest.ledger.timings import RECORDED
from ingest.ledger.values import BOUNDS
from tests.support.ledger_values import NOON, record


def numbers(ledger: Ledger, what: str) -> dict[float | None, int]:
    """How often, by the bound within which it was."""
    found = zip((*BOUNDS, None), ledger.timings.all()[what].numbers, strict=True)
    return {bound: number for bound, number in found if number}


def test_durations_are_kept_apart_by_bounds(ledger: Ledger) -> None:
    assert ledger.timings.all() == {}
    ledger.timings.add("patchwork 200", [0.0, 0.1, 0.10001, 0.3, 86400.0, 86401.0, -5.0])
    ledger.timings.add("patchwork 200", [0.5])
    ledger.timings.add("patchwork 404", [7.0])
    assert numbers(ledger, "patchwork 200") == {0.1: 3, 0.25: 1, 0.5: 2, 86400.0: 1, None: 1}
    assert numbers(ledger, "patchwork 404") == {10.0: 1}
    assert ledger.timings.all()["patchwork 200"].seconds == pytest.approx(172802.00001)


def test_from_reception_to_recording_is_noted_of_each_request(ledger: Ledger) -> None:
    record(ledger, "a@example.org", NOON)  # received 30 seconds before
    record(ledger, "b@example.org", NOON, received=NOON - 1)
    record(ledger, "c@example.org", NOON, received=NOON - 1, rated=False)  # out of an archive
    assert numbers(ledger, RECORDED) == {1.0: 1, 30.0: 1}
    assert ledger.timings.all()[RECORDED].seconds == 31.0


def test_results_are_counted_by_label_and_state(ledger: Ledger) -> None:
    assert ledger.results.counts() == {}
    record(ledger, "a@example.org")
    record(ledger, "b@example.org", contexts=())
    ledger.results.tell(Result(1, "iol-a", State.FAIL, NOON))
    assert ledger.results.counts() == {
        ("iol-a", State.FAIL): 1,
        ("iol-b", State.ASKED): 1,
        ("", State.ASKED): 1,
    }
