# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's checks as results: what is asked, from where on, and how far all is known.

A request is noted with the newest check that there is, so that none of the first run counts, also
after a restart; or, where a lab may have answered already, with the newest one before its comment.
Only ids are compared: dates of checks are in the server's local time.
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from ingest.config.tables import Settings
from ingest.config.values import DAY
from ingest.errors import StateUnavailable, Temporary
from ingest.ledger import Feed, Ledger, Request
from ingest.patchwork import limits
from ingest.patchwork.dialect import Check, CheckEvent, CheckPage, Dialect
from ingest.patchwork.feed import Walk
from ingest.results import beginning, counting, moves
from ingest.results.beginning import Beginning
from ingest.results.counting import Watched
from ingest.results.turns import Turn, turn
from ingest.story.results import FEED
from ingest.words import counted

# Pages of events that are walked at most; beyond, the patches themselves are asked for.
_MOST_PAGES = 50
# In the place of a patch, for results of a revision.
_NO_PATCH = 0
# Patches of a series of which is asked what their checks said before a request.
_MOST_EARLIER = 10
# Seconds after which it is too late to begin with the newest check: the answer may have come.
_LATE = 60.0

log = logging.getLogger(__name__)

# A request, and the newest check when it was noted.
Begun = tuple[Request, int]


class Watch:
    """The checks of one server, looked at now and then. ``server``: its name, see ``Request``."""

    def __init__(
        self,
        dialect: Dialect,
        ledger: Ledger,
        settings: Settings,
        clock: Callable[[], float],
        server: str = "",
    ) -> None:
        self._server = server
        self._dialect = dialect
        self._ledger = ledger
        self._settings = settings.results
        self._clock = clock
        self._gone = 0

    def open(self) -> list[Request]:
        """The requests whose results are looked for there. One of arguments alone has no label
        that a check could have."""
        since = self._clock() - self._settings.follow
        found: list[Request] = []
        while page := self._ledger.results.open(since, after=found[-1].number if found else 0):
            found += page
        return [each for each in found if each.contexts and each.server == self._server]

    def is_due(self) -> bool:
        """Whether it is time to ask for new checks. A time that is farther away than the interval
        is one that a clock had which was set back since."""
        left = self._feed().moved + self._settings.interval - self._clock()
        return not 0 < left <= self._settings.interval

    def begin(self) -> list[Begun]:
        """Note where the checks of requests that are new begin, and of which that was. Asks
        nothing if none is. Raises as ``Dialect`` does."""
        requests = self.open()
        gone = self._follow_moves(requests)
        known = self._ledger.results.baselines(self._dialect.base)
        new = [each for each in requests if each.number not in known and each.number not in gone]
        self._tell_of_gone(sum(each.number in gone for each in requests))
        if not new:
            return []
        first = self._dialect.check_events()
        begins = self._begins(new, first)
        is_first = len(new) == len(requests)  # nobody waits for what came before
        last = begins.position if is_first else min(self._position(), begins.position)
        with self._ledger.batch():
            for number, newest in sorted(begins.newest.items()):
                self._ledger.results.set_baselines([number], newest, self._dialect.base)
            if is_first or last < self._position():
                self._keep(last)
        return [(each, begins.newest[each.number]) for each in new]

    def note_earlier(self, begun: Iterable[Begun]) -> None:
        """Keep what the checks of their labels said before requests, as far as Patchwork tells.
        That has time: it is for figures only, and a check is told by its id."""
        for request, newest in begun:
            self._note_earlier(request, newest)

    def _follow_moves(self, requests: list[Request]) -> set[int]:
        """Go on with the requests that were begun at another address of this server; the numbers
        of those that were begun at another server."""
        begun = self._ledger.results.elsewhere(self._dialect.base)
        of_base: dict[str, list[Request]] = {}
        for each in requests:
            if each.number in begun:
                of_base.setdefault(begun[each.number].server, []).append(each)
        gone: set[int] = set()
        for base, those in of_base.items():
            if not moves.has_come_from(self._dialect, self._ledger, base, those, self._clock()):
                gone.update(each.number for each in those)
                continue
            before, here = self._feed(base), self._feed().position
            with self._ledger.batch():
                for each in those:
                    newest = begun[each.number].newest
                    self._ledger.results.set_baselines([each.number], newest, self._dialect.base)
                if before.position and (not here or int(before.position) < int(here)):
                    self._ledger.set_feed(replace(before, part=self._part))
            log.info(
                "the Patchwork at %s is the one that was at %s: %s followed there",
                self._dialect.base,
                base,
                counted(len(those), "open request"),
            )
        limits.note_gone(self._ledger, self._clock(), self._server, len(gone))
        return gone

    def _note_earlier(self, request: Request, newest: int) -> None:
        half = _MOST_EARLIER // 2
        try:
            patches = self._patches(request)
            there = self._checks((*patches[:half], *patches[half:][-half:]))
            checks = self._checks_for(request) if request.revision else there
            said = counting.earlier(request, checks, newest)
        except StateUnavailable:
            raise
        except Temporary as error:
            log.info("what checks said before request %d is unknown: %s", request.number, error)
            return
        if said:
            self._ledger.results.set_earlier(request.number, said)

    def _tell_of_gone(self, number: int) -> None:
        """Log once that requests were begun at another address."""
        if number and number != self._gone:
            log.warning(
                "%s for another Patchwork than the one at %s, where no check is looked for as a "
                "result",
                counted(number, "open request"),
                self._dialect.base,
            )
        self._gone = number

    def _begins(self, new: list[Request], first: CheckPage) -> Beginning:
        if not first.events:
            newest = {
                each.number: max((c.id for _, c in self._checks_for(each)), default=0)
                for each in new
            }
            return Beginning(newest, 0)
        doubtful = [each for each in new if self._may_be_answered(each, first)]
        filed = beginning.filed(self._dialect, doubtful)
        return beginning.of(self._dialect, new, filed, first)

    def _may_be_answered(self, request: Request, first: CheckPage) -> bool:
        """Whether a lab may have answered a request that is noted only now: it is late, or checks
        of its labels came since the last look."""
        last = self._position()
        if self._clock() - request.recorded > _LATE or (
            first.following and first.events[-1].id > last
        ):
            return True
        return any(
            counting.meant(request, each.context) and each.patch in self._patches(request)
            for each in first.events
            if each.id > last
        )

    def poll(self) -> int:
        """Take in the checks that are new, if a result is to come; how many results that
        changed. Raises as ``Dialect`` does."""
        known = self._ledger.results.baselines(self._dialect.base)
        watched = [
            Watched(each, self._patches(each), known[each.number])
            for each in self.open()
            if each.number in known
        ]
        if not watched:
            return 0
        last = self._position()
        first = self._dialect.check_events()
        newest = max((each.id for each in first.events), default=0)
        if first.events and newest < last:
            log.warning(
                "Patchwork at %s was reset: its newest event of a check is older than the last "
                "one seen; results are looked for among what comes from now on",
                self._dialect.base,
            )
            self._ledger.results.set_baselines(
                [each.request.number for each in watched],
                max(e.check for e in first.events),
                self._dialect.base,
            )
            self._keep(newest)
            return 0
        changed = self._walk(watched, last, first)
        self._keep(newest)
        return changed

    def _walk(self, watched: list[Watched], last: int, first: CheckPage) -> int:
        if not first.events:  # a server without events, or without checks
            return self._ask_places(watched, self._settings.patches)
        pages = 0

        def read(page: str) -> CheckPage:
            nonlocal pages
            pages += 1
            return self._dialect.check_events(page) if page else first

        events = list(Walk(last).events(read, _MOST_PAGES))
        if pages == _MOST_PAGES:
            return self._ask_places(watched)
        return self._take(watched, events)

    def _take(self, watched: list[Watched], events: Iterable[CheckEvent]) -> int:
        """Events; how many results they changed. A check is asked for by itself, several of one
        patch together: a request for a cover letter has many checks put on it at once."""
        wanted = [
            (event, each.request, label)
            for event in sorted(events, key=lambda event: event.check)
            for each in watched
            for label in each.labels(event.patch, event.check, event.context)
        ]
        of_patch: dict[int, set[int]] = {}
        for event, _, _ in wanted:
            of_patch.setdefault(event.patch, set()).add(event.check)
        found: dict[tuple[int, int], Check | None] = {}
        for patch, ids in of_patch.items():
            if len(ids) == 1:
                [id] = ids
                found[patch, id] = self._dialect.check(patch, id)
            else:
                found |= {(patch, each.id): each for each in self._dialect.checks_of(patch)}
        return sum(
            self._apply(request, label, event.patch, check)
            for event, request, label in wanted
            if (check := found.get((event.patch, event.check)))
        )

    def _ask_places(self, watched: list[Watched], most: int = 0) -> int:
        """Ask for all that labs say of what is watched. ``most``: of how many patches or revisions
        at one time, 0 for all; the others have their turn the next times."""
        of_place: dict[tuple[int, int], list[Watched]] = {}
        for each in sorted(watched, key=lambda each: each.request.number):
            series, revision = each.request.series, each.request.revision
            places = [(series, revision)] if revision else [(patch, 0) for patch in each.patches]
            for place in places:
                of_place.setdefault(place, []).append(each)
        turns = [(those[0].request.number, *place) for place, those in of_place.items()]
        return sum(
            self._apply(each.request, label, _NO_PATCH if revision else id, check)
            for _, id, revision in self._turn(turns, most)
            for check in self._said_at(id, revision)
            for each in of_place[id, revision]
            for label in each.labels(_NO_PATCH if revision else id, check.id, check.context)
        )

    def _turn(self, turns: Sequence[Turn], most: int) -> list[Turn]:
        key = f"{self._part} round"
        kept = self._ledger.recall(key, self._clock())
        last, end = map(tuple, json.loads(kept)) if kept else ((), ())
        mine, now = turn(turns, most, (last, end) if last else None)
        if now:
            # Noted before, so that one that cannot be asked for keeps no other one waiting.
            self._ledger.remember(key, json.dumps(now), math.inf)
            log.info("asking for the checks of %d of %d patches", len(mine), len(turns))
        return mine

    def _said_at(self, id: int, revision: int) -> Iterable[Check]:
        if revision:
            return self._dialect.results_of(id, revision) or ()
        return self._dialect.checks_of(id)

    def _checks_for(self, request: Request) -> Iterator[tuple[int, Check]]:
        """What labs say that may be the result of a request, and of which patch."""
        if request.revision:
            results = self._dialect.results_of(request.series, request.revision) or ()
            return ((_NO_PATCH, each) for each in results)
        return self._checks(self._patches(request))

    def _checks(self, patches: Sequence[int]) -> Iterator[tuple[int, Check]]:
        for patch in patches:
            for check in self._dialect.checks_of(patch):
                yield patch, check

    def _apply(self, request: Request, label: str, patch: int, check: Check) -> bool:
        seen = counting.seen(request, label, patch, check)
        if seen is None:
            return False
        with self._ledger.batch():
            before, after = self._ledger.results.see(seen)
            made = counting.result(after, before, self._clock())
            return made is not None and self._ledger.results.tell(made)

    def _patches(self, request: Request) -> tuple[int, ...]:
        """The patches on which the results of a request are looked for. On a server where these
        are of a revision, they are of none."""
        if request.revision:
            return (_NO_PATCH,)
        if request.submission.kind == "patch" and not request.is_by_hand:
            return (request.submission.id,)
        key = f"{self._dialect.base} results of series {request.series}"
        kept = self._ledger.recall(key, self._clock())
        if kept is not None:
            return tuple(json.loads(kept))
        patches = self._dialect.patches_of(request.series) or []
        if patches:
            self._ledger.remember(key, json.dumps(patches), self._clock() + DAY)
        return tuple(patches)

    def _position(self) -> int:
        return int(self._feed().position or 0)

    def _feed(self, base: str = "") -> Feed:
        part = self._part_of(base) if base else self._part
        mine = (each for each in self._ledger.feeds() if each.name == FEED)
        kept = next((each for each in mine if each.part == part), None)
        return kept or Feed(FEED, part)

    def _keep(self, position: int) -> None:
        now = self._clock()
        self._ledger.set_feed(Feed(FEED, self._part, str(position), moved=now))

    @property
    def _part(self) -> str:
        """Which feed it is."""
        return self._part_of(self._dialect.base)

    def _part_of(self, base: str) -> str:
        # Two tables may name one server, for other lists each.
        return f"{base} for {self._server}" if self._server else base
