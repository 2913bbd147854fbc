# SPDX-License-Identifier: BSD-3-Clause
"""The thread that asks the ledger rests when something else matters more."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.ledger import Ledger, open_ledger
from ingest.web.ledger_thread import LedgerThread


def work(ledger: Ledger) -> int:
    """A question that takes some of a processor."""
    return sum(number * number for number in range(300_000))


class Asked:
    """A thread that is asked twice, and how long it slept between; ``busy``: for how many looks
    something else matters more."""

    def __init__(self, folder: Path, busy: int) -> None:
        self.slept: list[float] = []
        self._looks: Iterator[bool] = iter([True] * busy)
        thread = LedgerThread(
            lambda: open_ledger(f"sqlite:{folder}/ledger.sqlite"),
            lambda: next(self._looks, False),
            self.slept.append,
        )

        async def ask() -> list[int]:
            return [await thread.ask(work) for _ in range(2)]

        first, second = asyncio.run(ask())
        assert first == second
        thread.close()


def test_it_goes_on_at_once_when_nothing_else_does(tmp_path: Path) -> None:
    assert Asked(tmp_path, busy=0).slept == []


def test_it_rests_for_longer_than_it_worked(tmp_path: Path) -> None:
    slept = Asked(tmp_path, busy=1000).slept
    assert 0.02 < sum(slept) <= 1.0
    assert max(slept) <= 0.02


@pytest.mark.parametrize("busy", [1, 2])
def test_it_goes_on_as_soon_as_the_other_is_done(tmp_path: Path, busy: int) -> None:
    assert len(Asked(tmp_path, busy).slept) == busy
