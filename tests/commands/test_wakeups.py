# SPDX-License-Identifier: BSD-3-Clause
"""Machines that share a ledger tell each other; a ledger in a file needs no threads for that."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.commands.wakeups import MAIL, REQUESTS, Wakeups
from ingest.config.tables import StateSettings
from tests.support import postgres

Machines = tuple[Wakeups, Wakeups, dict[str, threading.Event]]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """One that tells, and one that listens."""
    state = replace(StateSettings(), dir=str(tmp_path), ledger=postgres.ledger_url(tmp_path))
    heard = {what: threading.Event() for what in (MAIL, REQUESTS)}
    one = Wakeups(state, {})
    other = Wakeups(state, {what: event.set for what, event in heard.items()})
    yield one, other, heard
    for each in (one, other):
        each.stop()
        each.wait(10)


def test_what_one_tells_another_hears(machines: Machines) -> None:
    one, other, heard = machines
    one.start()
    other.start()
    for what in (MAIL, REQUESTS):
        for _ in range(200):  # until the other one listens
            one.send(what)
            if heard[what].wait(0.1):
                break
        assert heard[what].is_set()
    assert one.is_well()
    assert other.is_well()
    assert not one.troubles()


def test_what_nobody_knows_is_no_trouble(machines: Machines) -> None:
    one, other, heard = machines
    one.start()
    other.start()
    one.send("what a newer release tells")
    for _ in range(200):
        one.send(MAIL)
        if heard[MAIL].wait(0.1):
            break
    assert heard[MAIL].is_set()
    assert not other.troubles()


def test_a_ledger_in_a_file_needs_no_wake_ups(tmp_path: Path) -> None:
    before = threading.active_count()
    alone = Wakeups(replace(StateSettings(), ledger=f"sqlite:{tmp_path}/ledger.sqlite"), {})
    alone.start()
    alone.send(MAIL)
    assert threading.active_count() == before
    alone.stop()
    assert alone.is_well()
