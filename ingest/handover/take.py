# SPDX-License-Identifier: BSD-3-Clause
"""Handing over to consumers that ask: to each what it has not had, once, or until it is confirmed.

A named consumer is given what is in the request log behind the last request that it had; the
default one all that is in the retest JSON, which may hold other programs' entries, and which a lab
may move away as before. What is given is noted before and confirmed behind: a take that is killed
in between gives the same requests once more, under the same second.
"""

import json
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile

from ingest import files
from ingest.config.tables import Settings
from ingest.errors import UsageError
from ingest.handover import pw_ci
from ingest.handover.from_file import Stock, leased, opened
from ingest.handover.order import NAME
from ingest.handover.order import Order as Order
from ingest.ledger import Batch, Consumer, Event, Ledger, Request, requests_after
from ingest.ledger.progress import DEFAULT_CONSUMER as DEFAULT
from ingest.ledger.progress import default_consumer, is_default
from ingest.policy import selection
from ingest.retests import document as retests
from ingest.sinks import Clock, delivery, is_paused
from ingest.sinks.request_json import shape

# Seconds to wait for another taker of the same consumer, and for the retest JSON's sink.
PATIENCE = 5.0
# Who holds this lease knows every consumer: none is entered meanwhile.
FIRST_TAKES = "first-takes"

# A batch's consumer, its last number and its generation, which older releases gave no batch.
_NUMBER = "([1-9][0-9]{0,17})"
_ID = re.compile(rf"({NAME}(?:@{NAME})?):{_NUMBER}-{_NUMBER}(?:-([0-9a-f]+))?")

# Brings a text to the consumer, who has it when this returns. Raises ``SinkUnavailable``.
Output = Callable[[str], None]

log = logging.getLogger(__name__)


def take(
    ledger: Ledger,
    settings: Settings,
    order: Order,
    output: Output,
    *,
    wait: float = 0.0,
    clock: Clock = time.time,
    nap: Callable[[float], None] = time.sleep,
    patience: float = PATIENCE,
) -> bool:
    """Hand over what the consumer has not had; whether there was anything. If there is nothing
    for ``wait`` seconds, it is given an empty document.

    ``patience``: seconds to wait for another process. Raises ``SinkUnavailable`` if that is over,
    or if it could not be handed over: it is given the next time.
    """
    handing = Handing(ledger, settings, order, output, clock, patience)
    while (nothing := handing.attempt()) is not None and wait > 0:
        pause = min(settings.take.poll, wait)
        nap(pause)
        wait -= pause
    if nothing is not None:
        output(nothing)
    return nothing is None


def acknowledge(
    ledger: Ledger,
    settings: Settings,
    id: str,
    *,
    clock: Clock = time.time,
    patience: float = PATIENCE,
) -> bool:
    """Confirm a batch; False if that was done before. Raises ``UsageError`` if there never was
    such a batch, ``SinkUnavailable`` if it cannot be confirmed now."""
    named = _ID.fullmatch(id)
    if named is None:
        raise UsageError(f"{id!r} is not the id of a batch, which is like {DEFAULT}:3-5-a1b2c3")
    consumer, last, generation = named[1], int(named[3]), named[4]
    with _lease(ledger, consumer, patience):
        held = [each for each in ledger.batches() if each.id == id]
        if not held:
            position = ledger.consumer(consumer).position
            if position < last or generation != ledger.generation():
                raise UsageError(
                    f"this ledger has not given a batch {id}, or not since it was restored"
                )
            return False
        [batch] = held
        if is_default(consumer):
            with (
                opened(ledger, settings, clock, patience) as stock,
                stock.becoming(stock.without(stock.of(batch))) as take_out,
            ):
                take_out()
        ledger.drop_batch(batch)
    return True


def remove(ledger: Ledger, consumer: str, *, patience: float = PATIENCE) -> bool:
    """Forget a named consumer, who would begin with the first request again; whether there was
    one. Raises ``UsageError`` for the default one, ``SinkUnavailable`` if it takes just now."""
    if is_default(consumer):
        raise UsageError(
            f"the consumer {DEFAULT} stands for the retest JSON, which is there without it"
        )
    with _lease(ledger, consumer, patience):
        return ledger.drop_consumer(consumer)


def output_to(path: str, settings: Settings) -> Output:
    """An ``Output``, see ``files.write_out``. Raises ``UsageError`` for the retest JSON."""
    is_file = path != files.STANDARD_OUTPUT
    if is_file and os.path.realpath(path) == os.path.realpath(settings.retests.file):
        raise UsageError(f"{path} is the retest JSON itself, which is emptied")
    return lambda text: files.write_out(path, text)


@dataclass(frozen=True, slots=True)
class Handing:
    """One order."""

    ledger: Ledger
    settings: Settings
    order: Order
    output: Output
    clock: Clock
    patience: float

    @property
    def consumer(self) -> str:
        """Its name in the ledger."""
        if self.order.consumer != DEFAULT:
            return self.order.consumer
        return default_consumer(delivery.host_of(self.settings.state))

    def attempt(self) -> str | None:
        """Hand over what there is; None, or the text that says that there is nothing."""
        while True:
            self._enter()
            with _lease(self.ledger, self.consumer, self.patience):
                if not self._is_entered():  # an operator has removed it meanwhile
                    continue
                if self.order.hold:
                    return self._batch()
                if is_default(self.consumer):
                    return self._from_file()
                return self._from_log()

    def _enter(self) -> None:
        """Have the consumer be known before it is handed anything, to whoever holds all off."""
        if self._is_entered():
            return
        whose = "somebody who cancels, or another consumer's first take,"
        with leased(self.ledger, FIRST_TAKES, whose, self.patience):
            if not self._is_entered():
                self.ledger.set_consumer(Consumer(self.consumer))

    def _is_entered(self) -> bool:
        # What the default one is handed is in the retest JSON, and so had already.
        known = (each.name for each in self.ledger.consumers())
        return is_default(self.consumer) or self.consumer in known

    def _from_log(self) -> str | None:
        due, _ = self.due_and_held()
        fresh = self.fresh(self.ledger.last_request())
        requests = [each for batch in (*due, fresh) for each in self.logged(batch)]
        if requests:
            self.output(self.text(requests, self._promised(fresh)))
        with _undisturbed():
            self._confirm(fresh.last, due, requests)
        if requests or fresh.last == self.ledger.last_request():
            return None if requests else self.text([], 0.0)
        return self._from_log()

    def _from_file(self) -> str | None:
        with self._opened() as stock:
            due, batches_held = self.due_and_held()
            fresh = self.fresh(stock.last)
            # After a take that was killed, what is newer is left for the next one.
            newer = replace(fresh, after=fresh.last, last=stock.last)
            held = [each for batch in (*batches_held, newer) for each in stock.of(batch)]
            if self.order.single:
                requests = stock.other_than(held)
                kept, found = stock.without(requests), bool(requests)
            else:
                given = stock.without(held)
                kept, found = stock.only(held), bool(given["retests"])
                requests = stock.other_than(held)
            with stock.becoming(kept) as place:
                second = self._promised(fresh, stock.second) if found else 0.0
                text = (
                    self.text(requests, second)
                    if self.order.single
                    else retests.dump(retests.merge(given, [], second))
                )
                if found:
                    self.output(text)
                with _undisturbed():
                    place()
                    self._confirm(fresh.last, due, requests)
        if found or fresh.last == stock.last:
            return None if found else text
        return self._from_file()

    def _batch(self) -> str | None:
        if is_default(self.consumer):
            with self._opened() as stock:
                last = stock.last
                batch, requests = self._next(last, stock.of)
        else:
            last = self.ledger.last_request()
            batch, requests = self._next(last, self.logged)
        if requests:
            self._hold(batch, requests)
            return None
        self._confirm(batch.last)
        return self.text([], 0.0) if batch.last == last else self._batch()

    def _next(
        self, last: int, requests_of: Callable[[Batch], list[Request]]
    ) -> tuple[Batch, list[Request]]:
        """The batch that is to be given, the oldest that is due or one of what is new, and what is
        in it."""
        due, held = self.due_and_held()
        for batch in (*self._of_key(held), *due):
            if requests := requests_of(batch):
                return batch, requests
            log.info("batch %s is not in the retest JSON any more", batch.id)
            self.ledger.drop_batch(batch)
        fresh = self.fresh(last)
        return fresh, requests_of(fresh)

    def _of_key(self, held: Sequence[Batch]) -> list[Batch]:
        """The batch that was given under the order's key, and is held."""
        key = self._key
        id = self.ledger.recall(key, self.clock()) if key else None
        return [each for each in held if each.id == id]

    @property
    def _key(self) -> str:
        return f"taken {self.order.consumer} {self.order.key}" if self.order.key else ""

    def _opened(self) -> AbstractContextManager[Stock]:
        return opened(self.ledger, self.settings, self.clock, self.patience)

    def due_and_held(self) -> tuple[list[Batch], list[Batch]]:
        """The batches that are to be given again, and those that may be confirmed yet."""
        now, hold = self.clock(), self.settings.take.hold
        due: list[Batch] = []
        held: list[Batch] = []
        for batch in self.ledger.batches():
            if batch.consumer == self.consumer:
                (held if is_paused(batch.due, now, hold) else due).append(batch)
        return due, held

    def fresh(self, last: int) -> Batch:
        """What the consumer has not had. If it was killed while it was given something, that is
        what it is given first, under the same second."""
        consumer = self._consumer()
        order, generation = self.order, self.ledger.generation()
        server = order.server
        if server is None and not order.single:  # series of two servers may have one number
            server = self.settings.retests.patchwork
        fresh = Batch(
            self.consumer,
            consumer.position,
            last,
            order.contexts,
            generation,
            server=server,
        )
        if consumer.position < consumer.begun <= last:
            return replace(fresh, last=consumer.begun, second=consumer.second)
        return fresh

    def logged(self, batch: Batch) -> list[Request]:
        """The requests of a batch, from the log."""
        known = self.settings.requests.arguments
        behind = requests_after(self.ledger, batch.after)
        those = takewhile(lambda request: request.number <= batch.last, behind)
        return [
            mine
            for each in those
            if (mine := selection.narrowed(each, batch.contexts, known, batch.server))
        ]

    def _promised(self, fresh: Batch, beyond: float = 0.0) -> float:
        """The second under which something new is handed over, noted before it is."""
        if self.order.single:  # it carries none
            return 0.0
        if fresh.second:
            return fresh.second
        with self.ledger.batch():
            second = self.ledger.promise(beyond)
            if fresh.last > fresh.after:
                begun = replace(self._consumer(), begun=fresh.last, second=second)
                self.ledger.set_consumer(begun)
        return second

    def _confirm(
        self, last: int, due: Sequence[Batch] = (), requests: Sequence[Request] = ()
    ) -> None:
        """Move the consumer on, forget the batches that it was given with the rest, and note that
        these requests were handed over."""
        if last <= self._consumer().position and not due and not requests:
            return
        with self.ledger.batch():
            self._move(last)
            for batch in due:
                self.ledger.drop_batch(batch)
            self._note(requests)

    def _note(self, requests: Sequence[Request]) -> None:
        consumer, now = self.consumer, self.clock()
        self.ledger.results.handed_over(requests, f"consumer {consumer}", now)
        for each in requests:
            taken = Event(now, "taken", {"by": consumer, "request": each.number})
            self.ledger.tell(each.mail_id, [taken])

    def _is_noted(self, request: Request) -> bool:
        taken = {"by": self.consumer, "request": request.number}
        return any(
            step.what == "taken" and step.details == taken
            for mail in self.ledger.find(f"mail-{request.mail_id}")
            for step in mail.story
        )

    def _move(self, last: int) -> None:
        consumer = self._consumer()
        position = max(consumer.position, last)
        moved = replace(consumer, position=position, moved=self.clock(), begun=0, second=0.0)
        self.ledger.set_consumer(moved)

    def _consumer(self) -> Consumer:
        return self.ledger.consumer(self.consumer)

    def _hold(self, batch: Batch, requests: Sequence[Request]) -> None:
        """Give a batch. It is noted first: the consumer may confirm it as soon as it has it."""
        now = self.clock()
        with self.ledger.batch():
            second = batch.second or self.ledger.promise()
            given = replace(
                batch, given=batch.given + 1, due=now + self.settings.take.hold, second=second
            )
            self._move(batch.last)
            self.ledger.set_batch(given)
            if self._key:
                self.ledger.remember(self._key, given.id, given.due)
        handed_over = False
        try:
            self.output(self.text(requests, second, given))
            handed_over = True
            # It is noted once, however often it is given, and also if we were killed before.
            if given.given == 1 or not self._is_noted(requests[-1]):
                with self.ledger.batch():
                    self._note(requests)
        finally:
            if not handed_over:  # no need to wait for the end of its time
                self.ledger.set_batch(replace(given, given=batch.given, due=now))

    def text(self, requests: Sequence[Request], second: float, batch: Batch | None = None) -> str:
        """What a consumer is given, or, without requests, is told."""
        head = {"batch": batch and batch.id, "given": batch.given if batch else 0}
        held = head if self.order.hold else {}
        if not self.order.single:
            revisions = self.settings.retests.revisions
            document = retests.merge(retests.empty(), requests, second, revisions=revisions)
            return retests.dump({**held, **document})
        if self.order.pw_ci:
            return json.dumps({**held, **pw_ci.document(requests, self.settings)}, indent=4)
        shapes = [shape(request, self.settings) for request in requests]
        return json.dumps({**held, "requests": shapes} if held else shapes, indent=4)


def _lease(ledger: Ledger, consumer: str, patience: float) -> AbstractContextManager[None]:
    return leased(ledger, f"take-{consumer}", f"another take of {consumer}", patience)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What was handed over is noted before a signal ends us: else it would be given again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
