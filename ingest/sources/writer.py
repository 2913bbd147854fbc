# SPDX-License-Identifier: BSD-3-Clause
"""One thread that makes mails durable for many: what waits together is committed together.

For sources that serve several senders at once.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest import intake, signs
from ingest.errors import StateUnavailable
from ingest.ledger import Arrival, Envelope, Ledger

log = logging.getLogger(__name__)

# Mails in one commit at most; bounds what one failure defers.
_MOST_TOGETHER = 256
# Larger mails are read in the writer's thread, so that the loop goes on meanwhile.
_READ_HERE = 1 << 18
# The mails by which it is told how many come a second, and the least seconds that they take.
_LATELY, _SHORTEST = 32, 1e-6
# Seconds after a mail in which more may come.
_MOMENTS = 0.5
# Seconds between two times that mails are counted: many may come in them.
_COUNTED_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class _Mail:
    mail: Arrival | intake.Delivered  # as it came, if it is large
    answer: "asyncio.Future[intake.Receipt]"


class Writer:
    """Accepts mails on behalf of an event loop, in a thread with a ledger of its own."""

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        max_size: int,
        counted_in: str = "",
        kept: Callable[[], None] = lambda: None,
    ) -> None:
        """``open_ledger`` is called in the thread, again after a failure; ``max_size``: bytes of
        a mail, and ``counted_in``: see ``intake.accept``. ``kept`` is called in the thread when
        there is mail to work on."""
        self._open = open_ledger
        self._max_size = max_size
        self._counted_in = counted_in
        self._kept = kept
        self._is_writing = False
        self._ledger: Ledger | None = None
        self._last = self._counted = float("-inf")
        self._lately = deque([self._last], _LATELY)
        self._uncounted: list[tuple[bytes, str]] = []
        self._mails: queue.SimpleQueue[_Mail | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def accept(
        self,
        raw: bytes,
        source: str,
        envelope: Envelope = Envelope(),  # noqa: B008  frozen
        passage: str = "",
    ) -> intake.Receipt:
        """Take in one mail, durable when this returns. Raises ``StateUnavailable`` if it cannot
        be made so, or what a bug of ours raises; then nothing of it is kept."""
        self._last = time.monotonic()
        self._lately.append(self._last)
        mail = intake.Delivered(raw, source, time.time(), envelope, passage=passage)
        # Threads that take turns at the interpreter's lock cost more than what is done here.
        is_small = len(raw) <= _READ_HERE
        read = intake.arrival(mail, self._max_size) if is_small else mail
        receipt = intake.Receipt.DROPPED
        if read:
            answer: asyncio.Future[intake.Receipt] = self._loop.create_future()
            self._mails.put(_Mail(read, answer))
            receipt = await answer
        self._count(raw, source)
        return receipt

    def _count(self, raw: bytes, source: str) -> None:
        """Count a mail, perhaps in a moment together with others."""
        if not self._counted_in:
            return
        self._uncounted.append((raw, source))
        left = self._counted + _COUNTED_EVERY - self._last
        if left <= 0:
            self._count_all()
        elif len(self._uncounted) == 1:
            self._loop.call_later(left, self._count_all)

    def _count_all(self) -> None:
        mails, self._uncounted = self._uncounted, []
        self._counted = time.monotonic()
        signs.note(self._counted_in, mails, time.time())

    def is_busy(self) -> bool:
        """Whether mail has come within the last moments."""
        return time.monotonic() - self._last < _MOMENTS

    def rate(self) -> float:
        """Mails a second that come just now."""
        lately = self._lately
        return len(lately) / max(time.monotonic() - lately[0], _SHORTEST)

    def is_behind(self) -> bool:
        """Whether mail is being written, or waits for that."""
        return self._is_writing or not self._mails.empty()

    def is_well(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    async def close(self) -> None:
        """Write what was given, and end the thread."""
        self._mails.put(None)
        await asyncio.to_thread(self._thread.join)
        self._count_all()

    def _run(self) -> None:
        while batch := self._next():
            self._is_writing = True
            outcomes = self._keep(batch)
            self._is_writing = False
            if not all(isinstance(each, Exception) for each in outcomes):
                self._kept()  # first, for whoever works on it has the longer way
            self._answer(batch, outcomes)
        self._close_ledger()

    def _keep(self, batch: list[_Mail]) -> list[intake.Receipt | Exception]:
        """What became of each mail."""
        try:
            self._ledger = ledger = self._ledger or self._open()
            outcomes = intake.apart(lambda those: self._write(ledger, those), batch)
        except Exception as error:  # noqa: BLE001  each of those who wait is told
            outcomes = [error] * len(batch)
        if any(isinstance(each, Exception) for each in outcomes):
            self._close_ledger()
        for each, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, StateUnavailable):
                log.error("a mail from %s could not be stored", each.mail.source, exc_info=outcome)
        return outcomes

    def _close_ledger(self) -> None:
        """It is opened anew for the next mail: what is wrong may be mended until then."""
        if self._ledger:
            self._ledger.close()
        self._ledger = None

    def _next(self) -> list[_Mail]:
        """All that waits now, at least one mail; nothing when the writer is closed."""
        first = self._mails.get()
        batch = [] if first is None else [first]
        while first is not None and len(batch) < _MOST_TOGETHER:
            try:
                more = self._mails.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._mails.put(None)
                break
            batch.append(more)
        return batch

    def _write(self, ledger: Ledger, batch: Sequence[_Mail]) -> list[intake.Receipt]:
        mails = [each.mail for each in batch]
        arrivals = [
            intake.arrival(each, self._max_size) if isinstance(each, intake.Delivered) else each
            for each in mails
        ]
        return intake.keep(arrivals, ledger)

    def _answer(self, batch: list[_Mail], outcomes: list[intake.Receipt | Exception]) -> None:
        def tell() -> None:
            for mail, outcome in zip(batch, outcomes, strict=True):
                if mail.answer.done():  # whoever asked is gone
                    continue
                if isinstance(outcome, Exception):
                    mail.answer.set_exception(outcome)
                else:
                    mail.answer.set_result(outcome)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:
            return  # the loop is closed: nobody waits for an answer any more
