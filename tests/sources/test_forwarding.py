# SPDX-License-Identifier: BSD-3-Clause
"""Mails from the spool into the ledger: each once, whoever is killed when, and none holds up
another."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load as config
from ingest.config.tables import StateSettings
from ingest.errors import StateUnavailable
from ingest.ledger import Ledger, open_configured, open_ledger
from ingest.ledger.spool import Depth, Spool
from ingest.sources import forwarding
from ingest.sources.forwarding import Forwarder, forward
from tests.support import postgres
from tests.support.hindered import Hindered
from tests.support.ledger_values import NOON, arrival
from tests.support.parts import eventually


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(str(tmp_path / "spool.sqlite"), busy_timeout=5.0, mode=0o660)
    yield spool
    spool.close()


def held(ledger: Ledger, *ids: str) -> list[int]:
    return [len(ledger.find(each)) for each in ids]


def test_mails_are_in_the_ledger_and_not_in_the_spool(spool: Spool, ledger: Ledger) -> None:
    spool.accept_all([arrival(str(each)) for each in range(600)])
    assert forward(spool, ledger) == 600
    assert ledger.totals().mails["queued"] == 600
    assert spool.depth() == Depth()
    assert forward(spool, ledger) == 0


def test_a_mail_that_the_ledger_has_already_is_dropped(spool: Spool, ledger: Ledger) -> None:
    spool.accept_all([arrival("a"), arrival("b")])
    ledger.accept(arrival("a"))  # killed between the two
    assert forward(spool, ledger) == 2
    assert held(ledger, "a", "b") == [1, 1]
    assert spool.depth() == Depth()


def test_a_ledger_that_is_away_costs_nothing_but_delay(spool: Spool, ledger: Ledger) -> None:
    spool.accept_all([arrival("a"), arrival("b")])
    away: Any = Hindered(ledger, StateUnavailable("gone"), "a")
    with pytest.raises(StateUnavailable, match="gone"):
        forward(spool, away)
    assert spool.depth().mails == 2
    assert forward(spool, ledger) == 2


def test_a_mail_that_the_ledger_does_not_take_holds_up_no_other(
    spool: Spool, ledger: Ledger
) -> None:
    spool.accept_all([arrival(each) for each in "abcd"])
    broken: Any = Hindered(ledger, ValueError("odd"), "a", "c")
    with pytest.raises(StateUnavailable, match="odd"):
        forward(spool, broken)
    assert held(ledger, *"abcd") == [0, 1, 0, 1]
    spool.accept_all([arrival("e")])
    with pytest.raises(StateUnavailable):
        forward(spool, broken)
    assert held(ledger, *"abcde") == [0, 1, 0, 1, 1]
    assert spool.depth().mails == 2
    assert forward(spool, ledger) == 2  # a newer release takes them


def test_what_is_stopped_goes_on_later(spool: Spool, ledger: Ledger) -> None:
    spool.accept_all([arrival("a")])
    assert forward(spool, ledger, stop=lambda: True) == 0
    assert spool.depth().mails == 1


@pytest.mark.slow
def test_ten_thousand_mails_are_there_after_a_server_was_away_for_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The minutes are virtual: each pause is a thousandth, and the attempts are as many."""
    cluster = postgres.Cluster()
    try:
        url = cluster.database_for(tmp_path)
        flags = {("state", "dir"): str(tmp_path), ("state", "ledger"): url}
        settings = config.load(flags, environment={})
        cluster.stop()
        attempts = chain(range(300), repeat(0))
        away = threading.Event()

        def opened(state: StateSettings) -> Ledger:
            if next(attempts) == 299:
                away.set()
            return open_configured(state)

        monkeypatch.setattr(forwarding, "open_configured", opened)
        monkeypatch.setattr(forwarding, "_LONGEST_PAUSE", 0.002)
        forwarder = Forwarder(settings, lambda: None)
        forwarder.start()
        with closing(forwarding.spool_of(settings.state)) as spool:
            for first in range(0, 10_000, 500):
                mails = [arrival(str(n), at=NOON + n * 0.06) for n in range(first, first + 500)]
                spool.accept_all(mails)
            assert away.wait(60)
            cluster.start()
            began = time.monotonic()
            eventually(lambda: spool.depth() == Depth(), "all mails are forwarded")
            print(f"10,000 mails are forwarded after {time.monotonic() - began:.1f} s")
        forwarder.stop()
        forwarder.wait(30)
        with closing(open_ledger(url)) as ledger:
            assert ledger.totals().mails["queued"] == 10_000
    finally:
        cluster.remove()
