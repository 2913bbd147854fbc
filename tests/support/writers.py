# SPDX-License-Identifier: BSD-3-Clause
"""Everybody who writes to a ledger, at random and at the same few things."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

from ingest.errors import LostClaim
from ingest.ledger import (
    Aside,
    Batch,
    Consumer,
    Cursor,
    Envelope,
    Event,
    Feed,
    Filing,
    Keep,
    Ledger,
    Letter,
    Outcome,
    Pause,
    Queued,
    Request,
    Result,
    Seen,
    State,
    Wait,
    Waiting,
)
from tests.support.ledger_values import NOON, arrival, ended, request

MAILS, SERIES, NAMES = 40, 3, ("a", "b")
LABELS = ("iol-a", "iol-b", "iol-c", "iol-d")
SINKS = ("file", "command:lab")


class Writers:
    """One process's part: it does one thing after the other that any process of ours may do."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._name = name
        self._chance = Random(name)
        self._now = NOON
        self.done: dict[str, int] = {}
        self._all: dict[str, Callable[[], object]] = {
            name.removeprefix("_does_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_does_")
        }

    def act(self) -> None:
        """Do something."""
        self._now += 1
        what = self._chance.choice(sorted(self._all))
        with suppress(LostClaim):
            self._all[what]()
        self.done[what] = self.done.get(what, 0) + 1

    # What there is

    def _ids(self) -> list[int]:
        return self._chance.sample(range(1, MAILS), 8)

    def _names(self) -> list[str]:
        return [f"{each}@example.org" for each in self._ids()]

    def _requests(self) -> list[Request]:
        found = self._ledger.requests(limit=10_000)
        return self._chance.sample(found, min(len(found), 8))

    def _label(self) -> str:
        return self._chance.choice(LABELS)

    def _sink(self) -> str:
        return self._chance.choice(SINKS)

    # Mails

    def _does_accept(self) -> None:
        outcomes = (Outcome.QUEUED, Outcome.QUEUED, Outcome.NOTICE)
        mails = [
            arrival(each, outcome=self._chance.choice(outcomes), at=self._now)
            for each in self._names()
        ]
        self._ledger.accept_all(mails)

    def _does_work(self) -> None:
        mail = self._ledger.claim(self._now + 10_000, self._name)
        if mail is not None:
            end = self._chance.choice((self._records, self._ends, self._waits, self._proves))
            end(mail)

    def _records(self, mail: Queued) -> None:
        labels = tuple(self._chance.sample(LABELS, 3))
        asked = [
            request(mail, series, contexts=labels, recorded=self._now)
            for series in self._chance.sample(range(1, SERIES + 1), 2)
        ]
        self._ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), asked)

    def _ends(self, mail: Queued) -> None:
        outcome = self._chance.choice((Outcome.IGNORED, Outcome.FAILED, Outcome.UNRESOLVED))
        self._ledger.finish(mail, outcome, "so it is", ended(outcome))

    def _waits(self, mail: Queued) -> None:
        wait = Wait(Waiting.MISSING, since=NOON, tries=1, begun=NOON, due=self._now)
        self._ledger.wait(mail, wait, "it waits", [Event(NOON, "waits", {})])

    def _proves(self, mail: Queued) -> None:
        self._ledger.prove(mail, "dkim", Event(self._now, "proved", {}))

    def _does_recover(self) -> None:
        self._ledger.recover(self._now, self._name)

    def _does_hasten(self) -> None:
        self._ledger.hasten(self._now)

    def _does_file(self) -> None:
        for each in self._ids()[:2]:
            filing = Filing("patch", self._chance.randint(1, 9), 1, "", "")
            self._ledger.file(each, filing, self._now)

    def _does_retry(self) -> None:
        self._ledger.retry(self._names() if self._chance.random() < 0.7 else None, self._now)

    def _does_judge_again(self) -> None:
        self._ledger.steering.judge_again(0.0, self._now)

    def _does_tell(self) -> None:
        with self._ledger.batch():
            for each in self._ids():
                self._ledger.tell(each, [Event(self._now, "noted", {})])

    def _does_enter(self) -> None:
        name = self._chance.choice(self._names())
        mail = arrival(f"hand {name}", outcome=Outcome.DONE, at=self._now)
        asked = replace(_by_hand(), recorded=self._now)
        self._ledger.enter(mail, asked, [Event(self._now, "recorded", {})])

    def _does_cancel(self) -> None:
        mails = sorted(self._ids()[:3])
        asked = sorted(self._requests()[:2], key=lambda each: each.number)
        with self._ledger.batch():
            self._ledger.steering.hold([*mails, *(each.mail_id for each in asked)])
            for id in mails:
                self._ledger.steering.cancel(id, "not wanted", self._now)
            for each in asked:
                self._ledger.steering.cancel_request(each.number, "no", "me", self._now)

    def _does_prune(self) -> None:
        every = self._chance.random() < 0.3
        self._ledger.prune(Keep(self._now, self._now, self._now if every else 0.0, 400), self._now)

    # Results

    def _does_hand_over(self) -> None:
        self._ledger.results.handed_over(self._requests(), "somebody", self._now)

    def _does_tell_results(self) -> None:
        for each in self._requests()[:3]:
            state = self._chance.choice((State.PENDING, State.SUCCESS, State.ASKED))
            self._ledger.results.tell(Result(each.number, self._label(), state, self._now))

    def _does_follow(self) -> None:
        for each in self._requests()[:2]:
            seen = Seen(
                each.number, self._label(), self._chance.randint(1, 2),
                int(self._now), State.SUCCESS, "lab", "", "",
            )  # fmt: skip
            with self._ledger.batch():
                self._ledger.results.see(seen)
                state = self._chance.choice((State.SUCCESS, State.FAIL))
                result = Result(each.number, seen.label, state, self._now)
                self._ledger.results.tell(result)

    def _does_note_earlier(self) -> None:
        for each in self._requests()[:2]:
            labels = self._chance.sample(LABELS, len(LABELS))
            self._ledger.results.set_earlier(each.number, dict.fromkeys(labels, State.FAIL))

    def _does_set_baselines(self) -> None:
        numbers = [each.number for each in self._requests()]
        self._ledger.results.set_baselines(numbers, int(self._now), "here")

    # Sinks, consumers, feeds

    def _does_deliver(self) -> None:
        sink = self._sink()
        with self._ledger.lease(f"sink {sink}") as held:
            if not held:
                return
            cursor = self._ledger.cursor(sink)
            for each in self._ledger.requests(after=cursor.position, limit=3):
                aside = Aside(sink, each.number, self._now, 1, None, "no")
                with self._ledger.batch():
                    self._ledger.tell(each.mail_id, [Event(self._now, "handed over", {})])
                    self._ledger.set_cursor(Cursor(sink, each.number, self._now))
                    self._ledger.results.handed_over([each], sink, self._now)
                    self._ledger.asides.keep(aside)
            for aside in self._ledger.asides.of(sink)[:3]:
                with self._ledger.batch():
                    asked = self._ledger.results.request(str(aside.request))
                    if asked:
                        self._ledger.results.handed_over([asked], sink, self._now)
                    self._ledger.asides.drop(sink, aside.request)

    def _does_retry_asides(self) -> None:
        self._ledger.asides.retry(self._sink(), self._now)

    def _does_put_asides_off(self) -> None:
        self._ledger.asides.put_off(self._sink(), "no", self._now, self._now + 1)

    def _does_keep_letters(self) -> None:
        for number in (0, *(each.number for each in self._requests()[:2])):
            id = f"{self._name} {self._now} {number}"
            letter = Letter(id, self._sink(), number, self._now, ("a@example.org",), b"raw")
            self._ledger.letters.keep(letter)
            self._ledger.letters.note(replace(letter, sent=self._now, raw=b""))

    def _does_take(self) -> None:
        name = self._chance.choice(NAMES)
        with self._ledger.lease(f"take-{name}") as held:
            if not held:
                return
            consumer = self._ledger.consumer(name)
            requests = self._ledger.requests(after=consumer.position, limit=3)
            last = requests[-1].number if requests else consumer.position
            with self._ledger.batch():
                second = self._ledger.promise()
                self._ledger.set_consumer(Consumer(name, last, self._now, second=second))
                batch = Batch(name, consumer.position, last, second=second)
                self._ledger.set_batch(batch)
                self._ledger.remember(f"key {name}", "batch", self._now + 5)
            with self._ledger.batch():
                self._ledger.set_consumer(Consumer(name, last, self._now))
                self._ledger.drop_batch(batch)
                self._ledger.results.handed_over(requests, name, self._now)

    def _does_drop_consumer(self) -> None:
        self._ledger.drop_consumer(self._chance.choice(NAMES))

    def _does_reruns(self) -> None:
        self._ledger.reruns(self._now - self._chance.choice((1, 100, 1000)), self._now)

    def _does_seal(self) -> None:
        self._ledger.seal()

    def _does_feed(self) -> None:
        with self._ledger.batch():
            self._ledger.accept_all([arrival(each, at=self._now) for each in self._names()])
            self._ledger.set_feed(Feed("inbox", self._chance.choice("ab"), moved=self._now))

    # The rest

    def _does_remember(self) -> None:
        self._ledger.remember(self._chance.choice("abcd"), "text", self._now - 5)

    def _does_steer(self) -> None:
        self._ledger.steering.pause(Pause(self._sink(), self._now))
        self._ledger.steering.resume(self._sink(), self._now)

    def _does_mark(self) -> None:
        for notice in self._ledger.notices.all()[:3]:
            at = self._now + self._chance.choice((0, 200_000))
            self._ledger.notices.mark(notice.mail_id, Event(at, "forwarded", {}), sent=True)

    def _does_time(self) -> None:
        durations = [self._chance.uniform(0, 1000) for _ in range(5)]
        self._ledger.timings.add(self._chance.choice(("recorded", "patchwork 200")), durations)

    def _does_happen(self) -> None:
        self._ledger.happenings.tell(Event(self._now, "down", {}))


def _by_hand() -> Request:
    mail = Queued(1, b"", "", "mail-1", "ask", Envelope(""), NOON, Wait())
    return request(mail)
