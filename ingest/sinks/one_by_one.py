# SPDX-License-Identifier: BSD-3-Clause
"""A sink that hands requests to a receiver one at a time, in the order of the log.

What is begun is noted before, and what came of it in the mail's story and in the cursor at once:
a crash between makes the same request come again, and the receiver is told so. Used by
``delivery`` for all sinks but files.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from ingest import policy
from ingest.config.sink_tables import ReceiverSettings
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Cursor, Event, Ledger, Request, requests_after
from ingest.sinks import Clock, Receiver, Stop, is_paused, lease_name, trouble_of

# However long a receiver asks us to wait, a day later it is asked again.
_LONGEST_PAUSE = 86400.0

log = logging.getLogger(__name__)


class OneByOne:
    """A ``Sink`` made of a ``Receiver``. ``table``: its settings; ``arguments``: the known ones
    of [requests]; ``ending``: asked by a receiver at work whether to end at once, by default what
    ``deliver`` is told to ask between two requests; ``once_per_mail``: of the requests of one mail,
    which are for several series if it went to several lists, the receiver gets the first only."""

    def __init__(
        self,
        receiver: Receiver,
        table: ReceiverSettings,
        arguments: Sequence[str],
        ending: Stop | None = None,
        *,
        once_per_mail: bool = False,
    ) -> None:
        self._receiver = receiver
        self._table = table
        self._arguments = arguments
        self._ending = ending
        self._once_per_mail = once_per_mail

    @property
    def name(self) -> str:
        """Its cursor's name."""
        return self._receiver.name

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""
        with ledger.lease(lease_name(self.name)) as held:
            cursor = ledger.cursor(self.name)
            longest = max(_LONGEST_PAUSE, *self._table.retry)
            if not held or is_paused(cursor.due, clock(), longest):
                return 0
            count, kept = 0, cursor.position
            for request in requests_after(ledger, cursor.position):
                if stop() or (until is not None and clock() >= until):
                    break
                mine = self._narrowed(request)
                if mine is None:
                    # What was tried and is no longer wanted leaves no trouble behind.
                    reason = "" if cursor.begun == request.number else cursor.reason
                    cursor = Cursor(self.name, request.number, cursor.moved, reason=reason)
                    continue
                cursor = self._hand_over(ledger, cursor, mine, clock, stop)
                count, kept = count + 1, cursor.position
            if cursor.position > kept:  # what is not for it is passed over in one go
                ledger.set_cursor(replace(cursor, moved=clock()))
            return count

    def _narrowed(self, request: Request) -> Request | None:
        return policy.narrowed(request, self._table.contexts, self._arguments)

    def _had(self, ledger: Ledger, request: Request) -> str:
        """Why the receiver does not get a request of a mail that it got before, "" if it does."""
        copies = ledger.find(request.message_id) if self._once_per_mail else []
        earlier = [
            each.number
            for copy in copies
            for each in copy.requests
            if each.number < request.number and self._narrowed(each)
        ]
        return f"nothing, for the same mail came as request {min(earlier)}" if earlier else ""

    def _hand_over(
        self, ledger: Ledger, cursor: Cursor, request: Request, clock: Clock, stop: Stop
    ) -> Cursor:
        """One request; the cursor behind it."""
        again = cursor.begun == request.number
        begun = cursor if again else replace(cursor, begun=request.number, reason="")
        if not again:
            ledger.set_cursor(begun)
        trouble = ""
        try:
            answer = self._had(ledger, request) or self._give(request, again, stop)
            event = Event(clock(), "handed over", {"to": self.name, "answer": answer})
            log.info("handed <%s> to %s: %s", request.message_id, self.name, answer)
        except NotTaken as error:
            trouble = str(error)
        except SinkUnavailable as error:
            if stop():  # for that it was ended; the next start has it again at once
                ledger.set_cursor(replace(begun, reason=str(error)))
                raise
            tries = cursor.tries + 1
            is_old = clock() - request.recorded >= self._table.give_up
            if not is_old or tries < len(self._table.retry):
                pause = self._table.retry[min(tries, len(self._table.retry)) - 1]
                pause = max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE))
                ledger.set_cursor(
                    replace(begun, tries=tries, due=clock() + pause, reason=str(error))
                )
                raise
            trouble = f"gave up: {error}"
        if trouble:
            event = Event(clock(), "skipped", {"reason": f"{self.name}: {trouble}"})
            # The same trouble for one request after the other is told once.
            level = logging.INFO if trouble == cursor.reason else logging.ERROR
            log.log(level, "skipped <%s> by %s: %s", request.message_id, self.name, trouble)
        after = Cursor(self.name, request.number, event.at, reason=trouble)
        with ledger.batch():
            ledger.tell(request.mail_id, [event])
            ledger.set_cursor(after)
        return after

    def _give(self, request: Request, again: bool, stop: Stop) -> str:
        try:
            return self._receiver.give(request, again=again, stop=self._ending or stop)
        except NotTaken:
            raise
        except Exception as error:
            raise trouble_of(error, f"request {request.number}") from error
