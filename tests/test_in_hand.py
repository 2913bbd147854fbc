# SPDX-License-Identifier: BSD-3-Clause
"""How many mails a worker takes up at once, and what is written of them when one goes wrong."""

from functools import partial

import pytest

from ingest.errors import StateUnavailable
from ingest.in_hand import Came, InHand, Write
from ingest.ledger import WORKER_LEASE, Ledger, Outcome, Queued
from tests.support.ledger_values import NOON, arrival, finish, the_outcome


class Hand(InHand):
    """What is in hand, and what was told of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.told: list[tuple[str, Outcome]] = []
        super().__init__(ledger, WORKER_LEASE, tell=self.hear, failing=self.fail)

    def hear(self, queued: Queued, came: Came) -> None:
        self.told.append((queued.message_id, came.outcome))

    def fail(self, queued: Queued, error: Exception) -> Write:
        return lambda: self.end(queued, Outcome.FAILED)

    def end(self, queued: Queued, outcome: Outcome = Outcome.DONE) -> Came:
        finish(self.ledger, queued, outcome)
        return Came(outcome, "so it is", outcome.value)

    def all(self) -> list[Queued]:
        """Every mail in hand, begun."""
        assert self.take(NOON)
        return list(iter(self.next, None))


@pytest.fixture
def hand(ledger: Ledger) -> Hand:
    return Hand(ledger)


def arrive(ledger: Ledger, number: int) -> list[str]:
    names = [f"{each}@example.org" for each in range(number)]
    ledger.accept_all([arrival(name) for name in names])
    return names


def test_after_a_question_one_mail_is_taken_up_and_then_more_each_time(
    hand: Hand, ledger: Ledger
) -> None:
    arrive(ledger, 100)
    sizes = [len(hand.all())]
    hand.before_question()
    sizes += [len(hand.all()) for _ in range(7)]
    assert sizes == [32, 1, 2, 4, 8, 16, 32, 5]


def test_after_some_were_given_back_fewer_are_taken_up(hand: Hand, ledger: Ledger) -> None:
    arrive(ledger, 100)
    assert hand.take(NOON)
    assert hand.next()
    hand.settle()
    assert [len(hand.all()) for _ in range(3)] == [1, 2, 4]


def test_one_decision_that_cannot_be_written_leaves_the_others_alone(
    hand: Hand, ledger: Ledger
) -> None:
    names = arrive(ledger, 3)
    for mail in hand.all():
        if mail.message_id == names[1]:
            hand.decide(mail, lambda: [].pop())
        else:
            hand.decide(mail, partial(hand.end, mail))
    hand.settle()
    assert hand.told == list(zip(names, [Outcome.DONE, Outcome.FAILED, Outcome.DONE], strict=True))
    assert [the_outcome(ledger, name) for name in names] == [each for _, each in hand.told]


def test_what_cannot_be_written_because_of_the_ledger_stays_in_hand(
    hand: Hand, ledger: Ledger
) -> None:
    names = arrive(ledger, 3)
    is_full = True

    def write(mail: Queued) -> Came:
        if is_full and mail.message_id == names[1]:
            raise StateUnavailable("the disk is full")
        return hand.end(mail)

    assert hand.take(NOON)
    for _ in range(2):
        mail = hand.next()
        assert mail is not None
        hand.decide(mail, partial(write, mail))
    with pytest.raises(StateUnavailable):
        hand.settle()
    assert hand.told == []
    assert [the_outcome(ledger, name) for name in names] == [Outcome.QUEUED] * 3
    assert hand.has_more
    is_full = False
    hand.settle()
    outcomes = [the_outcome(ledger, name) for name in names]
    assert outcomes == [Outcome.DONE, Outcome.DONE, Outcome.QUEUED]
    assert not hand.has_more
