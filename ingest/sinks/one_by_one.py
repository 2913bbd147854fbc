# SPDX-License-Identifier: BSD-3-Clause
"""A sink that hands requests to a receiver one at a time, in the order of the log.

What is begun is noted before, and what came of it in the mail's story and in the cursor at once:
a crash between makes the same request come again, and the request says so. A request that the
receiver turns away is set aside, so that later ones pass, and is tried again.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from ingest.config.sink_tables import ReceiverSettings
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway
from ingest.ledger import Aside, Cursor, Event, Ledger, Request, requests_after
from ingest.policy import rules, scope
from ingest.policy.manners import Manners
from ingest.sinks import Clock, Given, Receiver, Stop, is_paused, lease_name, trouble_of

# However long a receiver asks us to wait, a day later it is asked again.
_LONGEST_PAUSE = 86400.0
# The requests before one among which those of the same requester are counted.
_MOST_COUNTED = 1000
# The kinds of sinks that tell people of a request, and hand it to no lab.
_TELLERS = ("check:", "mail:")

log = logging.getLogger(__name__)


class OneByOne:
    """A ``Sink`` made of a ``Receiver``. ``table``: its settings; ``arguments``: the known ones
    of [requests]; ``ending``: asked by a receiver at work whether to end at once, by default what
    ``deliver`` is told to ask between two requests; ``once_per_mail``: of the requests of one mail,
    which are for several series if it went to several lists, the receiver gets the first only;
    ``max_age``: seconds; a request whose mail was older when it came is passed over, 0 for none;
    ``manners``: how often it gets requests of one requester."""

    def __init__(
        self,
        receiver: Receiver,
        table: ReceiverSettings,
        arguments: Sequence[str],
        ending: Stop | None = None,
        *,
        once_per_mail: bool = False,
        max_age: float = 0.0,
        manners: Manners = Manners(),  # noqa: B008  frozen
    ) -> None:
        self._receiver = receiver
        self._table = table
        self._scope = scope.of_table(table)
        self._arguments = arguments
        self._ending = ending
        self._once_per_mail = once_per_mail
        self._max_age = max_age
        self._manners = manners
        self._longest = max(_LONGEST_PAUSE, *table.retry)

    @property
    def name(self) -> str:
        """Its cursor's name."""
        return self._receiver.name

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """See ``Sink``."""
        cursor = ledger.cursor(self.name)
        if is_paused(cursor.due, now, self._longest):
            return False
        behind = cursor.position < ledger.last_request()
        return behind or bool(ledger.asides.due(self.name, now, self._longest, 1))

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""

        def is_over() -> bool:
            return stop() or (until is not None and clock() >= until)

        with ledger.lease(lease_name(self.name)) as held:
            cursor = ledger.cursor(self.name)
            if not held or is_paused(cursor.due, clock(), self._longest):
                return 0
            count = self._try_again(ledger, cursor, clock, is_over, stop)
            cursor = ledger.cursor(self.name)
            kept = cursor.position
            for request in requests_after(ledger, cursor.position):
                if is_over():
                    break
                mine = self._narrowed(request)
                if mine is None:
                    # What was tried and is no longer wanted leaves no trouble behind.
                    reason = "" if cursor.begun == request.number else cursor.reason
                    cursor = Cursor(self.name, request.number, cursor.moved, reason=reason)
                    continue
                reason = rules.by_age(self._max_age, mine) or self._too_soon(ledger, mine)
                if reason:
                    cursor = self._skip(ledger, cursor, mine, clock(), reason, logging.INFO)
                else:
                    cursor = self._hand_over(ledger, cursor, mine, clock, stop)
                    count += 1
                kept = cursor.position
            if cursor.position > kept:  # what is not for it is passed over in one go
                ledger.set_cursor(replace(cursor, moved=clock()))
            return count

    def _narrowed(self, request: Request) -> Request | None:
        return self._scope.narrow(request, self._arguments)

    def _had(self, ledger: Ledger, request: Request) -> Given | None:
        """Why the receiver does not get a request of a mail that it got before, None if it
        does."""
        copies = ledger.find(request.message_id) if self._once_per_mail else []
        earlier = [
            each.number
            for copy in copies
            for each in copy.requests
            if each.number < request.number and self._narrowed(each)
        ]
        if not earlier:
            return None
        return Given(f"nothing, for the same mail came as request {min(earlier)}")

    def _too_soon(self, ledger: Ledger, request: Request) -> str:
        """Why a request comes too soon after what the receiver had of its series, "" if it does
        not."""
        if not self._manners.series_interval or not request.requester.address:
            return ""
        of_series = ledger.requests_of(request.series, request.number, request.server)
        mine = filter(None, map(self._narrowed, of_series))
        had = (each for each in mine if not rules.by_age(self._max_age, each))
        return self._manners.too_soon(request, had)

    def _check_rate(self, ledger: Ledger, request: Request) -> None:
        """Raises ``NotTaken`` for a requester who asked too often within a day."""
        if not self._manners.per_day:
            return
        before = max(0, request.number - 1 - _MOST_COUNTED)
        requests = ledger.requests(after=before, limit=request.number - 1 - before)
        if reason := self._manners.too_many(request, requests):
            raise NotTaken(reason)

    def _hand_over(
        self, ledger: Ledger, cursor: Cursor, request: Request, clock: Clock, stop: Stop
    ) -> Cursor:
        """One request; the cursor behind it."""
        again = cursor.begun == request.number
        begun = cursor if again else replace(cursor, begun=request.number, reason="")
        if not again:
            ledger.set_cursor(begun)
        try:
            self._check_rate(ledger, request)
            given = self._had(ledger, request) or self._give(request, again, stop)
        except TurnedAway as error:
            return self._set_aside(ledger, cursor, request, clock(), str(error))
        except NotTaken as error:
            return self._skip(ledger, cursor, request, clock(), str(error))
        except SinkUnavailable as error:
            is_old = clock() - request.recorded >= self._table.give_up
            if is_old and cursor.tries + 1 >= len(self._table.retry) and not stop():
                return self._skip(ledger, cursor, request, clock(), f"gave up: {error}")
            self._pause(ledger, replace(begun, tries=cursor.tries), error, clock(), stop)
            raise
        return self._end(ledger, request, self._handed(request, given, clock()), given=given)

    def _try_again(
        self, ledger: Ledger, cursor: Cursor, clock: Clock, is_over: Stop, stop: Stop
    ) -> int:
        """The requests that were set aside and are due; how many were handed over."""
        count = 0
        turned_away: set[str] = set()
        for aside in ledger.asides.due(self.name, clock(), self._longest):
            if is_over():
                break
            if aside.reason in turned_away:  # one has asked for all
                continue
            request = ledger.results.request(str(aside.request))  # it may be dropped meanwhile
            wanted = request and self._narrowed(request)
            if wanted is None:
                ledger.asides.drop(self.name, aside.request)
                continue
            try:
                given = self._had(ledger, wanted) or self._give(wanted, True, stop)
            except TurnedAway as error:
                self._leave_aside(ledger, aside, wanted, clock(), str(error))
                turned_away.add(str(error))
                continue
            except NotTaken as error:
                self._give_up(ledger, aside, wanted, clock(), str(error))
                continue
            except SinkUnavailable as error:
                self._pause(ledger, cursor, error, clock(), stop)
                raise
            with ledger.batch():
                ledger.tell(wanted.mail_id, [self._handed(wanted, given, clock())])
                self._note(ledger, wanted, given, clock())
                ledger.asides.drop(self.name, wanted.number)
                if cursor.begun <= cursor.position and (cursor.tries or cursor.reason):
                    cursor = replace(cursor, tries=0, due=0.0, reason="")
                    ledger.set_cursor(cursor)
            count += 1
        return count

    def _pause(
        self, ledger: Ledger, cursor: Cursor, error: SinkUnavailable, now: float, stop: Stop
    ) -> None:
        """Note that the receiver is not to be had, and when it is tried again."""
        if stop():  # for that it was ended; the next start has it again at once
            ledger.set_cursor(replace(cursor, reason=str(error)))
            return
        tries = cursor.tries + 1
        pause = max(self._after(tries), min(error.retry_after or 0.0, _LONGEST_PAUSE))
        ledger.set_cursor(replace(cursor, tries=tries, due=now + pause, reason=str(error)))

    def _after(self, tries: int) -> float:
        return self._table.retry[min(tries, len(self._table.retry)) - 1]

    def _set_aside(
        self, ledger: Ledger, cursor: Cursor, request: Request, now: float, reason: str
    ) -> Cursor:
        due = now + self._after(1)
        event = Event(
            now, "set aside", {"by": self.name, "reason": f"{self.name}: {reason}", "until": due}
        )
        self._complain("set aside", request, reason, cursor.reason)
        aside = Aside(self.name, request.number, now, 1, due, reason)
        return self._end(ledger, request, event, reason, aside)

    def _leave_aside(
        self, ledger: Ledger, aside: Aside, request: Request, now: float, reason: str
    ) -> None:
        """One that was turned away again, and those that wait for the same reason."""
        tries = aside.tries + 1
        if now - aside.since >= self._table.give_up and tries > len(self._table.retry):
            self._give_up(ledger, aside, request, now, f"gave up: {reason}")
            return
        due = now + self._after(max(tries, 1))
        with ledger.batch():
            ledger.asides.keep(replace(aside, tries=tries, due=due, reason=reason))
            ledger.asides.put_off(self.name, reason, now, due)

    def _give_up(
        self, ledger: Ledger, aside: Aside, request: Request, now: float, reason: str
    ) -> None:
        self._complain("skipped", request, reason, "")
        with ledger.batch():
            ledger.tell(request.mail_id, [self._skipped(reason, now)])
            ledger.asides.keep(replace(aside, due=None, reason=reason))

    def _skip(
        self,
        ledger: Ledger,
        cursor: Cursor,
        request: Request,
        now: float,
        reason: str,
        level: int = logging.ERROR,
    ) -> Cursor:
        """A request that is not tried again unless an operator wants it so."""
        self._complain("skipped", request, reason, cursor.reason, level)
        aside = Aside(self.name, request.number, now, cursor.tries, None, reason)
        kept = reason if level == logging.ERROR else cursor.reason
        return self._end(ledger, request, self._skipped(reason, now), kept, aside)

    def _end(
        self,
        ledger: Ledger,
        request: Request,
        event: Event,
        reason: str = "",
        aside: Aside | None = None,
        *,
        given: Given | None = None,
    ) -> Cursor:
        """All that is known of a request at its end, at once; the cursor behind it."""
        after = Cursor(self.name, request.number, event.at, reason=reason)
        with ledger.batch():
            ledger.tell(request.mail_id, [event])
            ledger.set_cursor(after)
            if given:
                self._note(ledger, request, given, event.at)
            if aside:
                ledger.asides.keep(aside)
        return after

    def _note(self, ledger: Ledger, request: Request, given: Given, now: float) -> None:
        """What is known of its labels now."""
        if not self.name.startswith(_TELLERS):
            ledger.results.handed_over([request], self.name, now)
        for each in given.results:
            ledger.results.tell(replace(each, at=now))

    def _handed(self, request: Request, given: Given, now: float) -> Event:
        log.info("handed <%s> to %s: %s", request.message_id, self.name, given.answer)
        return Event(now, "handed over", {"to": self.name, "answer": given.answer})

    def _skipped(self, reason: str, now: float) -> Event:
        return Event(now, "skipped", {"by": self.name, "reason": f"{self.name}: {reason}"})

    def _complain(
        self, what: str, request: Request, reason: str, before: str, level: int = logging.ERROR
    ) -> None:
        """The same trouble for one request after the other is logged once."""
        level = logging.INFO if reason == before else level
        log.log(level, "%s <%s> by %s: %s", what, request.message_id, self.name, reason)

    def _give(self, request: Request, again: bool, stop: Stop) -> Given:
        try:
            given = self._receiver.give(request, again=again, stop=self._ending or stop)
            return given if isinstance(given, Given) else Given(given)
        except (NotTaken, TurnedAway):
            raise
        except Exception as error:
            raise trouble_of(error, f"request {request.number}") from error
