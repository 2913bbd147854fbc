# SPDX-License-Identifier: BSD-3-Clause
"""Any sequence of a ledger's operations, crashes of the worker and restarts included, against a
model of it that fits on a page."""

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ingest.ledger import (
    WORKER_LEASE,
    Cursor,
    Event,
    Keep,
    Ledger,
    Outcome,
    Queued,
    Request,
    Wait,
    Waiting,
    open_ledger,
)
from tests.support.ledger_values import NOON, arrival, ended, request
from tests.support.ledgers import LEDGERS

NAMES = [f"{letter}@example.org" for letter in "abcde"]
LISTS = ["dev", "ci"]


@dataclass
class Mail:
    """A mail as the model knows it."""

    id: int
    name: str
    outcome: Outcome
    due: float | None
    waiting: Waiting = Waiting.NOTHING
    tries: int = 0
    claimed: bool = False
    starts: int = 0
    turn: int = 0
    ended: float | None = None
    raw: bool = True
    story: list[str] = field(default_factory=lambda: ["accepted"])


def entry(request: Request) -> tuple[str, int, float]:
    """What the model knows of a request."""
    return request.message_id, request.series, request.recorded


class Machine(RuleBasedStateMachine):
    """The ledger and its model, side by side."""

    make_url: Callable[[Path], str]
    memory: str | None

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=self.memory)
        self.url = type(self).make_url(Path(self.folder.name))
        self.ledger: Ledger = open_ledger(self.url)
        self.now = NOON
        self.mails: dict[str, Mail] = {}
        self.log: list[tuple[str, int, float]] = []
        self.promised = 0.0
        self.answers: list[tuple[int, float]] = []  # of reruns, each with something new
        self.last_turn: int | None = None
        self.cursors: dict[str, Cursor] = {}
        self.in_hand: dict[int, Queued] = {}

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def due(self) -> list[Mail]:
        ready = [
            mail
            for mail in self.mails.values()
            if mail.due is not None and mail.due <= self.now and not mail.claimed
        ]
        fresh = [mail for mail in ready if mail.waiting is Waiting.NOTHING]
        tried = [mail for mail in ready if mail.waiting is not Waiting.NOTHING]
        return [
            *sorted(fresh, key=lambda mail: (mail.turn, mail.id)),
            *sorted(tried, key=lambda mail: (mail.due, mail.id)),
        ]

    def fresh(self) -> list[Mail]:
        """The mails that were never tried and that nobody works on."""
        return [
            mail
            for mail in self.mails.values()
            if mail.due is not None and mail.waiting is Waiting.NOTHING and not mail.claimed
        ]

    def by_id(self, id: int) -> Mail:
        return next(mail for mail in self.mails.values() if mail.id == id)

    @initialize(name=st.sampled_from(NAMES))
    def begin(self, name: str) -> None:
        self.accept(name, "dev", Outcome.QUEUED)

    @rule(
        name=st.sampled_from(NAMES),
        list_id=st.sampled_from(LISTS),
        outcome=st.sampled_from([Outcome.QUEUED, Outcome.QUEUED, Outcome.REJECTED]),
    )
    def accept(self, name: str, list_id: str, outcome: Outcome) -> None:
        identity = f"{name} {list_id}"
        present = min((mail.turn for mail in self.fresh()), default=0)
        turn = max(present, 0 if self.last_turn is None else self.last_turn + 1)
        self.last_turn = turn
        id, new = self.ledger.accept(
            arrival(name, at=self.now, identity=identity, raw=identity.encode(), outcome=outcome)
        )
        assert new == (identity not in self.mails)
        if new:
            queued = outcome is Outcome.QUEUED
            self.mails[identity] = Mail(
                id,
                name,
                outcome,
                due=self.now if queued else None,
                ended=None if queued else self.now,
                turn=turn,
            )
        assert id == self.mails[identity].id

    @rule()
    def claim(self) -> None:
        expected = self.due()
        taken = self.ledger.claim(self.now, WORKER_LEASE)
        assert (taken and taken.id) == (expected[0].id if expected else None)
        if taken:
            self.take(taken, expected[0])

    @rule(most=st.integers(1, 4))
    def claim_several(self, most: int) -> None:
        expected = self.due()
        several = self.ledger.claim_several(self.now, WORKER_LEASE, most)
        assert bool(several) == bool(expected)
        assert len(several) <= most
        taken = expected[: len(several)]
        assert [each.id for each in several] == [each.id for each in taken]
        if len(several) > 1:
            assert not any(mail.starts or mail.waiting for mail in taken)
        for queued, mail in zip(several, taken, strict=True):
            self.take(queued, mail)

    def take(self, taken: Queued, mail: Mail) -> None:
        assert (taken.wait.waiting, taken.wait.tries) == (mail.waiting, mail.tries)
        assert taken.raw.startswith(mail.name.encode())
        mail.claimed = True
        mail.starts += 1
        self.in_hand[taken.id] = taken

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def release(self, data: Any) -> None:
        given = data.draw(st.lists(st.sampled_from(sorted(self.in_hand)), unique=True))
        self.ledger.release([self.in_hand.pop(each) for each in given])
        for each in given:
            mail = self.by_id(each)
            mail.claimed = False
            mail.starts -= 1

    @precondition(lambda self: self.in_hand)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([each for each in Outcome if each is not Outcome.QUEUED]),
        series=st.lists(st.integers(1, 3), max_size=3),
    )
    def finish(self, data: Any, outcome: Outcome, series: list[int]) -> None:
        taken = self.in_hand.pop(data.draw(st.sampled_from(sorted(self.in_hand))))
        asked = [request(taken, each, recorded=self.now) for each in series]
        new = self.ledger.finish(taken, outcome, "", ended(outcome, self.now), asked)
        recorded = max(self.now, self.promised)
        known = {key[:2] for key in self.log}
        fresh = [
            (taken.message_id, each, recorded)
            for each in dict.fromkeys(series)
            if (taken.message_id, each) not in known
        ]
        assert list(map(entry, new)) == fresh
        self.log += fresh
        if outcome is Outcome.DONE and series and not fresh:
            outcome = Outcome.IGNORED  # nothing was recorded
        mail = self.by_id(taken.id)
        mail.outcome, mail.due, mail.ended = outcome, None, self.now
        mail.waiting, mail.claimed, mail.starts = Waiting.NOTHING, False, 0
        mail.story.append(outcome)

    @precondition(lambda self: self.in_hand)
    @rule(
        data=st.data(),
        waiting=st.sampled_from([Waiting.MISSING, Waiting.DOWN]),
        pause=st.sampled_from([0.0, 60.0, 3600.0]),
    )
    def wait(self, data: Any, waiting: Waiting, pause: float) -> None:
        taken = self.in_hand.pop(data.draw(st.sampled_from(sorted(self.in_hand))))
        events = [Event(self.now, "waits", {})]
        tries = taken.wait.tries + 1
        wait = Wait(waiting, self.now, tries, self.now, self.now + pause)
        self.ledger.wait(taken, wait, "", events)
        mail = self.by_id(taken.id)
        mail.waiting, mail.due, mail.tries = waiting, self.now + pause, tries
        mail.claimed, mail.starts = False, 0
        mail.story.append("waits")

    @rule()
    def the_worker_dies_and_another_takes_over(self) -> None:
        left = [mail for mail in self.mails.values() if mail.claimed]
        assert self.ledger.recover(self.now, WORKER_LEASE) == len(left)
        self.in_hand.clear()
        for mail in left:
            assert mail.due is not None
            mail.claimed = False
            if mail.starts >= 3:
                [record] = [each for each in self.ledger.find(mail.name) if each.id == mail.id]
                assert record.due is not None
                assert record.due > self.now
                mail.due, mail.waiting = record.due, Waiting.FAILING

    @precondition(lambda self: not self.in_hand)
    @rule(names=st.none() | st.lists(st.sampled_from(NAMES)))
    def retry(self, names: list[str] | None) -> None:
        again = [
            mail
            for mail in self.mails.values()
            if mail.outcome in (Outcome.QUEUED, Outcome.UNRESOLVED, Outcome.FAILED)
            and mail.raw
            and (names is None or mail.name in names)
        ]
        assert self.ledger.retry(names, self.now) == len(again)
        for mail in again:
            mail.outcome, mail.due, mail.ended = Outcome.QUEUED, self.now, None
            mail.waiting, mail.tries, mail.starts = Waiting.NOTHING, 0, 0
            mail.story.append("queued again")

    @rule(age=st.sampled_from([0.0, 60.0, 3600.0]))
    def prune(self, age: float) -> None:
        before = self.now - age
        if not self.fresh():
            self.last_turn = None
        old = [
            mail
            for mail in self.mails.values()
            if mail.raw and mail.ended is not None and mail.ended < before
        ]
        assert self.ledger.prune(Keep(raw=before), self.now) == len(old)
        for mail in old:
            mail.raw = False

    @rule(since=st.sampled_from([0.0, 0.25, 1.0, 60.0]) | st.none())
    def ask_for_what_came_since(self, since: float | None) -> None:
        moment = self.promised if since is None else self.now - since
        found, promise = self.ledger.reruns(moment, self.now)
        assert list(map(entry, found)) == [each for each in self.log if each[2] >= moment]
        assert promise.is_integer() if found else promise == moment
        assert all(each.recorded < promise for each in found)
        if found:
            last = found[-1].number
            known = [second for upto, second in self.answers if upto >= last]
            assert promise == known[0] if known else promise > self.promised
            self.answers += [] if known else [(last, promise)]
        if found or moment <= self.now:
            self.promised = max(self.promised, promise)

    @precondition(lambda self: self.mails)
    @rule(data=st.data())
    def tell_more_of_a_mail(self, data: Any) -> None:
        mail = self.mails[data.draw(st.sampled_from(sorted(self.mails)))]
        self.ledger.tell(mail.id, [Event(self.now, "handed over", {"to": "lab"})])
        mail.story.append("handed over")

    @rule(name=st.sampled_from(["json", "lab"]))
    def begin_a_cursor(self, name: str) -> None:
        self.cursors.setdefault(name, Cursor(name, len(self.log), self.now))
        self.ledger.begin_cursor(name, self.now)

    @rule(beyond=st.sampled_from([-60.0, 0.5, 60.0]))
    def promise(self, beyond: float) -> None:
        second = self.ledger.promise(self.now + beyond)
        if not self.log and not self.promised:
            assert second == 0.0
            return
        least = max(self.promised, self.now + beyond, *(each[2] for each in self.log), 0.0)
        assert second == math.floor(least) + 1
        self.promised = second

    @rule(name=st.sampled_from(["json", "lab"]), position=st.integers(0, 9))
    def move_a_cursor(self, name: str, position: int) -> None:
        self.cursors[name] = Cursor(name, position, self.now)
        self.ledger.set_cursor(self.cursors[name])

    @rule(seconds=st.sampled_from([0.25, 1.0, 60.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([0.75, 3600.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.now -= seconds

    @rule()
    def the_process_is_restarted(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(self.url)

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        totals = self.ledger.totals()
        outcomes = [mail.outcome for mail in self.mails.values()]
        assert totals.mails == {each.value: outcomes.count(each) for each in Outcome}
        waits = [m.waiting for m in self.mails.values() if m.outcome is Outcome.QUEUED]
        assert totals.waiting == {each.value: waits.count(each) for each in Waiting if each}
        due = [mail.due for mail in self.mails.values() if mail.due is not None]
        assert self.ledger.next_due() == (min(due) if due else None)
        assert list(map(entry, self.ledger.requests())) == self.log
        kept = {each.name: each for each in self.ledger.cursors()}
        assert kept == self.cursors

    @invariant()
    def every_mail_tells_its_story(self) -> None:
        found = {record.id: record for name in NAMES for record in self.ledger.find(name)}
        assert found.keys() == {mail.id for mail in self.mails.values()}
        for mail in self.mails.values():
            record = found[mail.id]
            assert (record.outcome, record.due) == (mail.outcome, mail.due)
            assert [event.what for event in record.story] == mail.story


@pytest.mark.slow
@pytest.mark.parametrize("kind", LEDGERS)
def test_any_sequence_of_operations_agrees_with_the_model(kind: str, quick_path: Path) -> None:
    machine = type(
        "Machine",
        (Machine,),
        {"make_url": staticmethod(LEDGERS[kind]), "memory": str(quick_path)},
    )
    # An answer of a server takes longer than a file's.
    most = 40 if kind == "sqlite" else 20
    run_state_machine_as_test(
        machine, settings=settings(max_examples=most, stateful_step_count=40, deadline=None)
    )
