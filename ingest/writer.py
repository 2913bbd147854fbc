# SPDX-License-Identifier: BSD-3-Clause
"""One thread that makes mails durable for many: what waits together is committed together.

For sources that serve several senders at once. Called by ``serve``; gives each mail to
``intake.accept``.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ingest import intake
from ingest.errors import StateUnavailable
from ingest.ledger import Envelope, Ledger

# Mails in one commit at most; bounds what one failure defers.
_MOST_TOGETHER = 256


@dataclass(frozen=True, slots=True)
class _Mail:
    raw: bytes
    source: str
    envelope: Envelope
    answer: "asyncio.Future[intake.Receipt]"


class Writer:
    """Accepts mails on behalf of an event loop, in a thread with a ledger of its own."""

    def __init__(self, open_ledger: Callable[[], Ledger], max_size: int) -> None:
        """``open_ledger`` is called in the thread, again after a failure; ``max_size``: bytes of
        a mail, see ``intake.accept``."""
        self._open = open_ledger
        self._max_size = max_size
        self._mails: queue.SimpleQueue[_Mail | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def accept(
        self,
        raw: bytes,
        source: str,
        envelope: Envelope = Envelope(),  # noqa: B008  frozen
    ) -> intake.Receipt:
        """Take in one mail, durable when this returns. Raises ``StateUnavailable`` if it cannot
        be made so; then nothing of it is kept."""
        answer: asyncio.Future[intake.Receipt] = self._loop.create_future()
        self._mails.put(_Mail(raw, source, envelope, answer))
        return await answer

    async def close(self) -> None:
        """Write what was given, and end the thread."""
        self._mails.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        ledger: Ledger | None = None
        while batch := self._next():
            try:
                ledger = ledger or self._open()
                receipts = self._write(ledger, batch)
            except StateUnavailable as error:
                if ledger:
                    ledger.close()
                ledger = None
                self._answer(batch, error)
            else:
                self._answer(batch, receipts)
        if ledger:
            ledger.close()

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

    def _write(self, ledger: Ledger, batch: list[_Mail]) -> list[intake.Receipt]:
        with ledger.batch():
            return [
                intake.accept(
                    mail.raw,
                    mail.source,
                    ledger=ledger,
                    now=time.time(),
                    max_size=self._max_size,
                    envelope=mail.envelope,
                )
                for mail in batch
            ]

    def _answer(self, batch: list[_Mail], outcome: list[intake.Receipt] | StateUnavailable) -> None:
        def tell() -> None:
            for place, mail in enumerate(batch):
                if mail.answer.done():  # whoever asked is gone
                    continue
                if isinstance(outcome, StateUnavailable):
                    mail.answer.set_exception(outcome)
                else:
                    mail.answer.set_result(outcome[place])

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:
            return  # the loop is closed: nobody waits for an answer any more
