# SPDX-License-Identifier: BSD-3-Clause
"""Several mails that a worker takes up at once: in which order, which of them only alone, and how
those are given back that it does not come to. The same for every ledger."""

from pathlib import Path

import pytest

from ingest.errors import LostClaim
from ingest.ledger import WORKER_LEASE, Ledger, Outcome, Queued, Waiting, open_ledger
from tests.support.ledger_values import NOON, arrival, claimed, finish, put_back
from tests.support.ledgers import sqlite

MOST = 8


def taken(ledger: Ledger, now: float = NOON) -> list[Queued]:
    return ledger.claim_several(now, WORKER_LEASE, MOST)


def names(mails: list[Queued]) -> list[str]:
    return [mail.message_id for mail in mails]


def test_mails_come_in_turn_each_once(ledger: Ledger) -> None:
    for number in range(10):
        ledger.accept(arrival(f"flood-{number}", sender="flood@example.org"))
    ledger.accept_all([arrival("a", sender="a@x"), arrival("b", sender="b@x")])
    found: list[str] = []
    while several := taken(ledger):
        assert len(several) <= MOST
        found += names(several)
    assert found == ["flood-0", "a", "b", *(f"flood-{number}" for number in range(1, 10))]


def test_nothing_comes_of_an_empty_ledger(ledger: Ledger) -> None:
    assert taken(ledger) == []


@pytest.mark.parametrize("waiting", [Waiting.MISSING, Waiting.DOWN])
def test_a_mail_that_was_tried_before_comes_alone(ledger: Ledger, waiting: Waiting) -> None:
    for name in ("a", "b"):
        ledger.accept(arrival(name))
    for _ in range(2):
        put_back(ledger, claimed(ledger), NOON, waiting)
    assert [names(taken(ledger)) for _ in range(3)] == [["a"], ["b"], []]


def test_what_a_dead_worker_had_taken_up_together_comes_one_by_one(ledger: Ledger) -> None:
    for number in range(5):
        ledger.accept(arrival(f"{number}"))
    held = taken(ledger)
    assert ledger.recover(NOON, WORKER_LEASE) == len(held)
    alone = [names(taken(ledger)) for _ in held]
    assert alone == [[name] for name in names(held)]


def test_a_mail_that_kills_every_worker_takes_none_with_it(ledger: Ledger) -> None:
    for name in ("a", "b", "poison", "c", "d"):
        ledger.accept(arrival(name))
    now = NOON
    while ledger.next_due() is not None:
        now = max(now, ledger.next_due() or 0.0)
        for mail in taken(ledger, now):
            if mail.message_id == "poison":
                ledger.recover(now, WORKER_LEASE)
                break
            finish(ledger, mail, Outcome.DONE)
    ends = {name: ledger.find(name)[0].outcome for name in ("a", "b", "poison", "c", "d")}
    assert ends.pop("poison") is Outcome.FAILED
    assert set(ends.values()) == {Outcome.DONE}


# What is given back


def test_what_is_given_back_is_as_if_nobody_had_taken_it_up(ledger: Ledger) -> None:
    for number in range(3):
        ledger.accept(arrival(f"{number}"))
    before = [ledger.find(f"{number}") for number in range(3)]
    first = taken(ledger)
    ledger.release(first)
    assert [ledger.find(f"{number}") for number in range(3)] == before
    assert ledger.recover(NOON, WORKER_LEASE) == 0
    assert taken(ledger) == first


def test_to_be_given_back_is_no_death(ledger: Ledger) -> None:
    ledger.accept(arrival())
    for _ in range(100):
        ledger.release(taken(ledger))
    assert claimed(ledger).message_id == "a@example.org"
    ledger.recover(NOON, WORKER_LEASE)
    assert ledger.next_due() == NOON, "after one death a mail is due at once"


def test_what_another_worker_has_taken_up_meanwhile_is_not_given_back(ledger: Ledger) -> None:
    ledger.accept(arrival())
    lost = taken(ledger)
    ledger.recover(NOON, WORKER_LEASE)
    again = ledger.claim(NOON, "worker-2")
    ledger.release(lost)
    assert taken(ledger) == []
    assert again is not None
    finish(ledger, again, Outcome.DONE)


def test_who_gave_a_mail_back_has_lost_it(ledger: Ledger) -> None:
    ledger.accept(arrival())
    [mail] = taken(ledger)
    ledger.release([mail])
    with pytest.raises(LostClaim):
        finish(ledger, mail, Outcome.DONE)


# How many, in a file


def test_an_sqlite_ledger_gives_as_many_as_are_asked_for(quick_path: Path) -> None:
    ledger = open_ledger(sqlite(quick_path))
    for number in range(MOST + 2):
        ledger.accept(arrival(f"{number}"))
    assert [len(taken(ledger)) for _ in range(3)] == [MOST, 2, 0]
    ledger.close()


def test_large_mails_are_not_held_in_memory_together(quick_path: Path) -> None:
    ledger = open_ledger(sqlite(quick_path))
    for number in range(3):
        ledger.accept(arrival(f"{number}", raw=bytes(700_000)))
    assert [len(taken(ledger)) for _ in range(4)] == [1, 1, 1, 0]
    ledger.close()
