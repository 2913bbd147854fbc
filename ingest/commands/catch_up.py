# SPDX-License-Identifier: BSD-3-Clause
"""Catching up: what was filed at Patchwork and never came by mail, once or now and then.

It owns from where on is asked, and how far all is known: the feed ``catch-up``, whose parts are
the last event of each kind of comment.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ingest.background import Background
from ingest.commands import replay
from ingest.config.tables import Settings
from ingest.config.values import DAY
from ingest.decision import judge
from ingest.errors import ConfigError, StateUnavailable, Temporary, Unanswered, Unavailable
from ingest.ledger import Feed, Ledger
from ingest.mail import headers
from ingest.patchwork import feed, limits, outage
from ingest.patchwork.lookup import Patchwork
from ingest.patchwork.outage import of_server
from ingest.patchwork.thread import PatchworkThread
from ingest.sources import events
from ingest.sources.walk import Walked, walk
from ingest.story.sinks import CATCH_UP
from ingest.words import counted, moment
from ingest.worker import connect

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """What a run came to. ``since`` is a Unix time; ``missed`` are the Message-IDs of new mails
    that ask for what is wanted here; ``problem`` is why the run is not complete, "" if it is;
    ``moved``: whether later runs begin where this one began; ``walked``: of how many ``recent``
    submissions the comments were read, at a server without events of comments; ``work``: what
    became of the mails that were due then."""

    since: float
    haul: events.Haul = field(default_factory=events.Haul)
    missed: list[str] = field(default_factory=list)
    problem: str = ""
    moved: bool = False
    walked: int = 0
    recent: int = 0
    work: replay.Summary = field(default_factory=replay.Summary)


def run(
    settings: Settings, ledger: Ledger, since: float | None = None, server: str = ""
) -> Summary:
    """Catch up with one server, and make one attempt at each mail that is due if no worker is
    running. Raises as ``catch_up``, and ``ConfigError`` if there is no such server."""
    if settings.server(server) is None:
        raise ConfigError(f"there is no [patchwork.{server}]")
    with contextlib.closing(connect(settings, ledger)) as servers:
        summary = catch_up(settings, ledger, servers.named(server), since=since)
        replay.work_off(settings, ledger, servers, summary.work)
    return summary


def catch_up(
    settings: Settings,
    ledger: Ledger,
    patchwork: Patchwork,
    *,
    since: float | None = None,
    clock: Callable[[], float] = time.time,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Take in what was filed as a comment since a Unix time; by default behind the last event of
    the last complete run, or else since the last mail or a day ago, less [catch_up] overlap.

    What was taken in stays, whatever happens then. ``stop``: asked between two questions whether
    to end. Raises ``ConfigError`` for a server that has no comment events, ``StateUnavailable``
    also if another run is under way.
    """
    name = of_server(CATCH_UP, patchwork.name)
    lease = name.replace(".", "-")  # the name of a file
    with ledger.lease(lease) as held:
        if not held:
            raise StateUnavailable("another process is catching up on this ledger")
        begun = clock()
        whole = state(ledger, patchwork.name)
        known = whole.moved or whole.begun or ledger.totals().last_received or begun - DAY
        # Of a clock that was set back nobody knows what it said when.
        known = min(known, begun)
        if not whole.moved:
            whole = replace(whole, begun=math.floor(known))
            ledger.set_feed(whole)
        start = known - settings.catch_up.overlap
        summary = Summary(since=start if since is None else since)
        try:
            last = _take_in(settings, ledger, patchwork, summary, since is None, clock, stop)
        except ConfigError as error:
            summary.problem = str(error)
            raise
        finally:
            if summary.problem and not stop():
                whole = replace(whole, tries=whole.tries + 1, reason=summary.problem)
                ledger.set_feed(whole)
        if not summary.problem:
            outage.note_answer(ledger, clock(), patchwork.name)
            summary.moved = summary.since <= start
            if summary.moved:
                for kind, id in last.items():
                    part = _part(patchwork, kind)
                    ledger.set_feed(Feed(name, part, position=str(id), moved=begun))
                ledger.set_feed(Feed(name, moved=begun))
    return summary


def state(ledger: Ledger, server: str = "") -> Feed:
    """How far catching up with a server has come. The feed has moved when the last complete run
    began. While there was none, it has begun at the second that the first run had to begin with:
    later runs begin there, too, although what the first one took in is the last mail by then."""
    kept = (each for each in _feeds(ledger, server) if not each.part)
    return next(kept, Feed(of_server(CATCH_UP, server)))


def _feeds(ledger: Ledger, server: str) -> list[Feed]:
    name = of_server(CATCH_UP, server)
    return [each for each in ledger.feeds() if each.name == name]


def _take_in(
    settings: Settings,
    ledger: Ledger,
    patchwork: Patchwork,
    summary: Summary,
    by_id: bool,
    clock: Callable[[], float],
    stop: Callable[[], bool],
) -> dict[str, int]:
    """Take in what is new, and tell what came of it in ``summary``: the id of the newest event of
    each kind. ``by_id``: whether to begin behind those of the last complete run."""

    def note(raw: bytes) -> None:
        if judge(raw, False, settings).wanted:
            summary.missed.append(headers.message_id(headers.read(raw)))

    down = outage.broken(ledger, clock(), patchwork.name)
    if down is not None:
        until, reason = down
        summary.problem = f"Patchwork is asked again at {moment(until)}: {reason}"
        return {}
    last: dict[str, int] = {}
    try:
        if patchwork.tells_of_comments():
            teller: events.Teller = patchwork.dialect
            found = _news(ledger, patchwork, summary, last, by_id)
        elif patchwork.keeps_comments():
            if not limits.are_known(ledger, clock(), patchwork.name):  # status tells of them
                limits.note(ledger, clock(), patchwork.name, patchwork.probe())
            walked = _walked(settings, ledger, patchwork, summary, stop)
            teller, found = walked, walked.events
        else:
            raise ConfigError(
                f"Patchwork at {patchwork.base} shows no comments: nothing can be caught up there"
            )
        events.take_in(
            teller,
            ledger,
            found,
            summary.haul,
            clock=clock,
            max_size=settings.intake.max_size,
            give_up=settings.worker.give_up_missing,
            each=note,
            stop=stop,
            counted_in=settings.state.dir,
            server=patchwork.name,
        )
    except Unavailable as error:
        # Otherwise it is the worker's to find out: what it asks may well be answered.
        if error.retry_after is not None:
            outage.trip(ledger, error, clock(), settings.worker.retry[0], patchwork.name)
        summary.problem = str(error)
    except Unanswered as error:
        summary.problem = str(error)
    failed = summary.haul.problems
    if stop():
        summary.problem = "it was stopped"
    elif failed and not summary.problem:
        lost = counted(len(failed), "comment")
        summary.problem = f"{lost} could not be had: {failed[0]}"
    return last


def _news(
    ledger: Ledger,
    patchwork: Patchwork,
    summary: Summary,
    newest: dict[str, int],
    by_id: bool,
) -> list[feed.Event]:
    """The events that are new. ``newest`` is given the id of the newest one of each kind."""
    found: list[feed.Event] = []
    seen = {each.part: each.position for each in _feeds(ledger, patchwork.name) if each.part}
    for kind in feed.KINDS:
        last = int(seen.get(_part(patchwork, kind), 0)) if by_id else 0
        news = feed.news(patchwork.dialect, kind, last, summary.since)
        if news.was_reset:
            log.warning(
                "Patchwork at %s was reset: its newest event of a %s comment is older than the "
                "last one seen; looking for those since %s",
                patchwork.base,
                kind,
                moment(summary.since),
            )
        newest[kind] = news.last
        found += news.events
    return found


def _walked(
    settings: Settings,
    ledger: Ledger,
    patchwork: Patchwork,
    summary: Summary,
    stop: Callable[[], bool],
) -> Walked:
    """The comments on recent submissions, and in ``summary`` how far that came."""
    name, table = of_server(CATCH_UP, patchwork.name), settings.catch_up
    parts = {kind: f"{patchwork.base} walk {kind}" for kind in feed.KINDS}
    kept = {each.part: each.position for each in _feeds(ledger, patchwork.name)}
    last = {kind: int(kept[part]) for kind, part in parts.items() if kept.get(part)}
    since = summary.since - table.walk_age
    walked = walk(patchwork.dialect, since, table.walk, last, stop)
    for kind, part in parts.items():
        position = str(walked.last.get(kind, ""))
        ledger.set_feed(Feed(name, part, position=position, moved=time.time()))
    summary.walked, summary.recent = walked.read, walked.recent
    summary.haul.problems += walked.problems
    return walked


def _part(patchwork: Patchwork, kind: str) -> str:
    """The feed of one kind of comment of one server."""
    return f"{patchwork.base} {kind}"


def _can_catch_up(patchwork: Patchwork) -> bool:
    """Whether a further server has comments at all: none is asked for catching up by itself. One
    that cannot tell now says so when its comments are asked for."""
    try:
        return patchwork.tells_of_comments() or patchwork.keeps_comments()
    except Temporary:
        return True


class Periodic(PatchworkThread):
    """Catching up in a thread of its own, every [catch_up] interval seconds; none if that is 0.
    It works off nothing: a worker sees what it has taken in."""

    def __init__(self, settings: Settings, server: str = "") -> None:
        super().__init__(CATCH_UP, settings, settings.catch_up.interval, self._work, server)
        self._logged = ""

    def _work(self, ledger: Ledger, thread: Background) -> None:
        while not thread.is_stopping():
            # A restart is no reason to ask before it is time. A time that is farther away than
            # that is one that a clock had which was set back since.
            left = state(ledger, self.server).moved + self._interval - time.time()
            if not 0 < left <= self._interval:
                try:
                    self._catch_up(ledger, thread.is_stopping)
                except (StateUnavailable, ConfigError) as error:
                    self._log(logging.ERROR, str(error))
                left = self._interval
            thread.rest(left)

    def _catch_up(self, ledger: Ledger, stop: Callable[[], bool]) -> None:
        with self._asking(ledger) as patchwork:
            if stop():
                return
            if self.server and not _can_catch_up(patchwork):
                self._log(logging.INFO, f"[patchwork.{self.server}] shows no comments")
                return
            summary = catch_up(self._settings, ledger, patchwork, stop=stop)
        if summary.missed:
            log.warning(
                "the mail feed missed %s since %s: %s",
                counted(len(summary.missed), "request"),
                moment(summary.since),
                ", ".join(f"<{each}>" for each in summary.missed),
            )
        if not stop():
            self._log(logging.WARNING, summary.problem)

    def _log(self, level: int, problem: str) -> None:
        """Log a problem when it is new."""
        if problem and problem != self._logged:
            log.log(level, "catching up is not complete: %s", problem)
        self._logged = problem
