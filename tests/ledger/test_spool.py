# SPDX-License-Identifier: BSD-3-Clause
"""Mails that wait on this machine: durable, each once, the oldest first."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import NoLedger
from ingest.ledger import Arrival, Envelope, Filing, Opening, Outcome
from ingest.ledger import spool as spools
from ingest.ledger.spool import Depth, Spool
from tests.support.ledger_values import NOON, arrival


def opened(folder: Path, opening: Opening = Opening.WRITE) -> Spool:
    path = str(folder / "state" / "spool.sqlite")
    return Spool(path, busy_timeout=5.0, mode=0o660, opening=opening)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = opened(tmp_path)
    yield spool
    spool.close()


FULL = arrival(
    "full@example.org",
    raw=b"Subject: \xff\0\n\nRecheck-request: a\n",
    envelope=Envelope("", ("a@example.org", "b@example.org"), "192.0.2.1"),
    outcome=Outcome.REJECTED,
    reason="larger than\0it may be \udcff",
    sender="robin@example.org",
    filing=Filing("cover", 3, 4, "p@example.org"),
    author="Rob\udce9n",
    subject="a",
    passage="list",
)


@pytest.mark.parametrize("mail", [arrival(), FULL, arrival(envelope=Envelope(None))])
def test_a_mail_comes_out_as_it_went_in(mail: Arrival, spool: Spool) -> None:
    spool.accept_all([mail])
    assert [each.arrival for each in spool.oldest()] == [mail]


def test_a_copy_is_known_until_its_mail_is_dropped(spool: Spool) -> None:
    [(first, new)] = spool.accept_all([arrival()])
    assert new
    assert spool.accept_all([arrival()]) == [(first, False)]
    spool.drop([first])
    assert spool.accept_all([arrival()])[0][1]


def test_the_oldest_come_first_and_those_that_failed_last(spool: Spool) -> None:
    spool.accept_all([arrival(each) for each in "abc"])
    spool.put_off(spool.oldest()[0].id)
    assert [each.arrival.message_id for each in spool.oldest()] == ["b", "c", "a"]


def test_no_more_than_so_many_bytes_are_given_at_once(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_AT_ONCE", 100)
    spool.accept_all([arrival(each, raw=bytes(60)) for each in "abc"])
    assert len(spool.oldest()) == 1
    spool.drop([each.id for each in spool.oldest()])
    spool.accept_all([arrival("d", raw=bytes(10))])
    spool.drop([spool.oldest()[0].id])
    assert [each.arrival.message_id for each in spool.oldest()] == ["c", "d"]


def test_the_depth_is_how_many_wait_and_since_when(spool: Spool, tmp_path: Path) -> None:
    assert spool.depth() == Depth()
    spool.accept_all([arrival("a", at=NOON + 5), arrival("b")])
    looker = opened(tmp_path, Opening.LOOK)
    assert looker.depth() == Depth(2, NOON)
    looker.close()


def test_looking_makes_no_spool(tmp_path: Path) -> None:
    with pytest.raises(NoLedger):
        opened(tmp_path, Opening.LOOK)
    assert not list(tmp_path.iterdir())


def test_the_lease_has_one_holder_and_ends_with_its_process(spool: Spool, tmp_path: Path) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        with opened(tmp_path).lease() as held:
            os.write(told, b"+" if held else b"-")
            signal.pause()
    assert os.read(ready, 1) == b"+"
    with spool.lease() as held:
        assert not held
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with spool.lease() as held:
        assert held
