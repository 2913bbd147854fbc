# SPDX-License-Identifier: BSD-3-Clause
"""The second answer of [mail.NAME], with the results, to whoever had the first one.

Each is made and kept before it is sent, once for a request: a crash in between has the same mail
sent again, by whose Message-ID mail servers and readers know a copy.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ingest import links
from ingest.config.tables import Settings
from ingest.errors import NotTaken
from ingest.ledger import Event, Feed, Ledger, Letter, Request, Result
from ingest.policy import scope
from ingest.results import overdue
from ingest.sinks import Clock, Stop, answer, follow_up_name, lease_name
from ingest.sinks.letters import Outbox
from ingest.sinks.mail import Answer
from ingest.words import counted

# The feed of the ledger that says up to which request all is settled, a part of it for each sink.
FEED = "answers"
# Seconds between two looks at the results, which other processes change, too.
_LOOK = 10.0
# Requests looked at in one go.
_PAGE = 200

log = logging.getLogger(__name__)


def begin(ledger: Ledger, settings: Settings, now: float) -> None:
    """Have each sink whose second answers are new begin with the requests that come from now on."""
    known = {each.part for each in ledger.feeds() if each.name == FEED}
    for name, table in settings.mail.items():
        if table.results and name not in known:
            ledger.set_feed(Feed(FEED, name, str(ledger.last_request()), begun=now, moved=now))


class FollowUp:
    """A ``Sink`` that is whoever asked, once more. ``first``: the sink of the first answers."""

    def __init__(self, name: str, first: Answer, settings: Settings) -> None:
        self.name = follow_up_name(name)
        self._name = name
        self._first = first
        self._settings = settings
        self._table = settings.mail[name]
        self._outbox = Outbox(self.name, self._table, self._end)
        self._looked = 0.0

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """See ``Sink``."""
        return not 0 <= now - self._looked < _LOOK  # below 0 the clock was set back

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""
        self._looked = clock()
        with ledger.lease(lease_name(self.name)) as held:
            paused = any(each.sink == self._first.name for each in ledger.steering.pauses())
            if not held or paused:
                return 0
            self._make(ledger, clock())
            count = self._outbox.send(ledger, clock, until, stop)
        if count:
            log.info("sent results of %s by %s", counted(count, "request"), self._first.name)
        return count

    # --- which requests ---

    def _make(self, ledger: Ledger, now: float) -> None:
        """Make the mails of the requests that are settled now."""
        feed = next(
            (each for each in ledger.feeds() if (each.name, each.part) == (FEED, self._name)), None
        )
        if feed is None:
            begin(ledger, self._settings, now)
            return
        had = ledger.cursor(self._first.name).position
        asides = {each.request: each.due for each in ledger.asides.of(self._first.name)}
        position, is_behind, after = int(feed.position), False, int(feed.position)
        while page := ledger.requests(after=after, limit=_PAGE):
            after = page[-1].number
            those = [each for each in page if each.number <= had]
            made = ledger.letters.about(self.name, (each.number for each in those))
            open_ones = [each for each in those if each.number not in made]
            results: dict[int, list[Result]] = defaultdict(list)
            for result in ledger.results.of(each.number for each in open_ones):
                results[result.request].append(result)
            for request in those:
                is_over = request.number in made or self._is_over(
                    ledger, request, results[request.number], asides, now
                )
                is_behind = is_behind or not is_over
                position = position if is_behind else request.number
        if position > int(feed.position):
            ledger.set_feed(replace(feed, position=str(position), moved=now))

    def _is_over(
        self,
        ledger: Ledger,
        request: Request,
        known: Sequence[Result],
        asides: Mapping[int, float | None],
        now: float,
    ) -> bool:
        """Make the mail of a request if it is time; whether there is nothing more to do for it.
        ``known``: its results."""
        if request.number in asides:  # it had no first answer, and perhaps never has
            return asides[request.number] is None
        mine = self._narrowed(request)
        if mine is None or now - request.recorded > self._settings.results.follow:
            return True
        labels = mine.contexts or ("",)
        results = [each for each in known if each.label in labels]
        if not overdue.is_settled(mine, results, self._settings.results, now):
            return False
        answered = self._answered(ledger, mine)
        if answered.number in asides:  # nor had its mail
            return asides[answered.number] is None
        ledger.letters.keep(self._letter(mine, answered, results, now))
        return True

    def _narrowed(self, request: Request) -> Request | None:
        # Also of one that an operator has cancelled since: that is its result.
        return scope.of_table(self._table).narrow(
            replace(request, cancelled=""), self._settings.requests.arguments
        )

    def _letter(
        self, request: Request, answered: Request, results: list[Result], now: float
    ) -> Letter:
        made = Letter(
            id=answer.results_id(request, self._table, self._name),
            sink=self.name,
            request=request.number,
            at=now,
        )
        try:
            recipients = self._first.recipients(request)
        except NotTaken as error:
            return replace(made, reason=str(error))
        believed = self._first.believes(request)
        shown = request if believed else answer.unquoted(request, self._settings.requests)
        page = links.page(request.number, self._settings)
        raw = answer.compose_results(
            shown,
            results,
            self._table,
            self._name,
            recipients,
            at=now,
            page=page,
            believed=believed,
            answered=answered,
        )
        return replace(made, recipients=tuple(recipients), raw=raw)

    def _answered(self, ledger: Ledger, request: Request) -> Request:
        """The request that had the first answer: of one mail's several, the first."""
        those = [
            each
            for copy in ledger.find(request.message_id)
            for each in copy.requests
            if each.number < request.number and self._narrowed(each)
        ]
        return min(those, key=lambda each: each.number, default=request)

    # --- sending ---

    def _end(self, ledger: Ledger, letter: Letter, said: str, now: float) -> None:
        """Keep what became of a letter, and tell it in its mail's story."""
        told = f"results sent to {', '.join(letter.recipients)}: {said}"
        request = ledger.results.request(str(letter.request))
        event = Event(now, "answered", {"to": self._first.name, "answer": told})
        if letter.reason:
            log.error("%s of request %s: %s", self.name, letter.request, letter.reason)
            reason = f"{self.name}: {letter.reason}"
            event = Event(now, "skipped", {"by": self.name, "reason": reason})
        with ledger.batch():
            ledger.letters.note(letter)
            if request:
                ledger.tell(request.mail_id, [event])
