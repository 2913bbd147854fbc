# SPDX-License-Identifier: BSD-3-Clause
"""Machines that share a ledger tell each other; a ledger in a file needs no threads for that."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ingest.commands.wakeups import APART, MAIL, REQUESTS, Wakeups
from ingest.config.tables import StateSettings
from ingest.ledger.session import CHANNEL
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


def test_a_stream_of_mails_is_told_in_moments_and_not_mail_by_mail(tmp_path: Path) -> None:
    """Each NOTIFY takes a lock of the whole server. However slow this machine is, there is no
    more than one of them in a moment."""
    url = postgres.ledger_url(tmp_path)
    one = Wakeups(replace(StateSettings(), dir=str(tmp_path), ledger=url), {})
    with psycopg.connect(url, autocommit=True) as listening:
        listening.execute(f"LISTEN {CHANNEL}")
        one.start()
        one.send(MAIL)
        assert list(listening.notifies(timeout=30, stop_after=1))
        begun = time.monotonic()
        for _ in range(200):
            one.send(MAIL)
            time.sleep(0.002)
        one.stop()
        one.wait(10)
        moments = (time.monotonic() - begun) / APART
        told = len(list(listening.notifies(timeout=0.5)))
    assert 0 < told <= moments + 1


def test_a_ledger_in_a_file_needs_no_wake_ups(tmp_path: Path) -> None:
    before = threading.active_count()
    alone = Wakeups(replace(StateSettings(), ledger=f"sqlite:{tmp_path}/ledger.sqlite"), {})
    alone.start()
    alone.send(MAIL)
    assert threading.active_count() == before
    alone.stop()
    assert alone.is_well()
