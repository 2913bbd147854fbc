# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of the whole: the queue, sinks, consumers and feeds, as frozen values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest import ledger, signs
from ingest.background import Trouble
from ingest.config.tables import Settings
from ingest.ledger import Aside, Cursor, Feed, Pause, Totals
from ingest.ledger.masking import masked
from ingest.ledger.spool import Depth
from ingest.story import feeds as feed_states
from ingest.story import sinks as sink_states
from ingest.story.consumers import BatchState, ConsumerState
from ingest.story.feeds import FeedState, Seen, Told
from ingest.story.sinks import Sinks
from ingest.words import utc


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink and how far it has come. ``trying``: the request that it has begun to hand over;
    ``due``: when one that failed is tried again; ``paused``: since when an operator wants it to
    hand nothing over, and ``pause_reason`` why; ``aside`` and ``skipped``: how many requests are
    set aside and tried again, and how many are left to ``retry --sink``; ``state`` and
    ``trouble`` are for a person."""

    name: str
    configured: bool
    position: int
    lag: int
    moved: datetime | None
    trying: int | None
    tries: int
    due: datetime | None
    reason: str | None
    aside: int
    skipped: int
    state: str
    trouble: str | None
    paused: datetime | None = None
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Taker:
    """A consumer and how far it has come."""

    name: str
    position: int
    lag: int
    moved: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """How far Patchwork's comments are known, and what hinders it."""

    moved: datetime | None
    tries: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps a part of the service from its work, and since when."""

    name: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Server:
    """A Patchwork server. ``name``: that of its table [patchwork.NAME], "" for [patchwork];
    ``answered``: when it last gave a usable answer, to within a minute; ``down``: since when it is
    down, and ``reason``, why; ``cannot``: what it is known to lack."""

    name: str
    url: str
    answered: datetime | None
    down: datetime | None = None
    reason: str | None = None
    cannot: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spooled:
    """The mails that wait on this machine for the ledger, and when the oldest of them came."""

    mails: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Standby:
    """A copy of the database's server that follows it. ``behind``: bytes of the server's log that
    it does not have on its disk yet, and ``lag``: for how many seconds it last did not."""

    name: str
    synchronous: bool
    streaming: bool
    behind: int
    lag: float


@dataclass(frozen=True, slots=True)
class Database:
    """The server that the ledger is in. ``clock_ahead``: by how many seconds this machine's clock
    is ahead of the server's; ``wanted``: how many synchronous standbys must stream before anything
    is written, and ``streaming``: how many do."""

    version: str
    clock_ahead: float
    wanted: int
    streaming: int
    standbys: tuple[Standby, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The ledger at a glance. ``mails``: how many of each outcome; ``waiting``: queued mails by
    what they wait for; ``oldest``: when the oldest queued mail came; ``due``: when the next one
    is tried; ``ledger_size``: its bytes on the disk; ``overdue``: labels that were asked for and
    never seen to run; ``servers``: the Patchwork servers, the first one being ``patchwork``;
    ``worked``: when a worker last looked at the queue, to within a minute; ``other_ledgers``: the
    folders of ledgers on this machine that are not this one;
    ``spooled`` and ``database``: None for a ledger in a file."""

    now: datetime
    ledger: str
    patchwork: str
    patchwork_answered: datetime | None
    mails: Mapping[str, int]
    waiting: Mapping[str, int]
    oldest: datetime | None
    due: datetime | None
    last_received: datetime | None
    requests: int
    overdue: int
    last_request: int
    sinks: tuple[Sink, ...]
    consumers: tuple[Taker, ...]
    held: tuple[BatchState, ...]
    catch_up: CatchingUp | None
    feeds: tuple[FeedState, ...]
    troubles: tuple[Hindrance, ...]
    seen: tuple[Seen, ...]
    notices: tuple[Told, ...]
    ledger_size: int
    servers: tuple[Server, ...] = ()
    worked: datetime | None = None
    other_ledgers: tuple[str, ...] = ()
    spooled: Spooled | None = None
    database: Database | None = None


def status(
    totals: Totals,
    consumers: Sequence[ConsumerState],
    sinks: Sinks,
    settings: Settings,
    *,
    servers: Sequence[Server],
    worked: float,
    troubles: Iterable[Trouble],
    asides: Mapping[str, Sequence[Aside]],
    seen: Iterable[signs.Sign],
    depth: Depth | None = None,
    database: ledger.Server | None = None,
    now: float,
) -> Status:
    """The ledger at a glance at ``now``. ``servers``: at least that of [patchwork], which is the
    first; ``worked``: when a worker last looked at the queue, 0 if never; ``troubles``: those that
    parts of the service have met; ``asides``: what sinks have set aside, by their names; ``seen``:
    the sources' signs of life; ``depth``: of this machine's spool, if there is one; ``database``:
    the server that the ledger is in, if it is in one."""
    last = totals.last_request
    queued = bool(totals.mails.get("queued"))
    pauses = {each.sink: each for each in totals.pauses}
    begun = {each.name for each in totals.cursors}
    unbegun = [Cursor(name) for name in pauses if name not in begun]
    wholes = {each.name: each for each in totals.feeds if not each.part}
    catching_up = wholes.pop(sink_states.CATCH_UP, None)
    return Status(
        now=utc(now),
        ledger=masked(settings.state.ledger),
        patchwork=settings.patchwork.url,
        patchwork_answered=servers[0].answered,
        mails=totals.mails,
        waiting=totals.waiting,
        oldest=utc(totals.oldest) if queued else None,
        due=utc(totals.due) if queued else None,
        last_received=_once(totals.last_received),
        requests=totals.requests,
        overdue=totals.overdue,
        last_request=last,
        sinks=tuple(
            _sink(each, last, sinks, now, asides.get(each.name, ()), pauses.get(each.name))
            for each in (*totals.cursors, *unbegun)
            if sink_states.is_sink(each)
        ),
        consumers=tuple(_taker(each, last) for each in consumers),
        held=tuple(batch for each in consumers for batch in each.held),
        catch_up=_catching_up(catching_up) if catching_up else None,
        feeds=tuple(feed_states.feed(each, totals.feeds) for each in wholes.values()),
        troubles=tuple(Hindrance(each.name, utc(each.since), each.reason) for each in troubles),
        notices=tuple(map(feed_states.told, totals.notices)),
        seen=tuple(feed_states.seen(each, settings.signs.silence, now) for each in seen),
        ledger_size=totals.size,
        servers=tuple(servers),
        worked=_once(worked),
        spooled=None if depth is None else Spooled(depth.mails, _once(depth.oldest)),
        database=_database(database, settings.state.replicas) if database else None,
    )


def _database(server: ledger.Server, wanted: int) -> Database:
    return Database(
        version=server.version,
        clock_ahead=round(server.clock_ahead, 3),
        wanted=wanted,
        streaming=server.streaming,
        standbys=tuple(
            Standby(each.name, each.synchronous, each.streaming, each.behind, each.lag)
            for each in server.standbys
        ),
    )


def _sink(
    cursor: Cursor,
    last: int,
    sinks: Sinks,
    now: float,
    asides: Sequence[Aside],
    pause: Pause | None,
) -> Sink:
    state = sink_states.state_of(cursor, last, sinks, now, asides, pause)
    waiting = sum(each.due is not None for each in asides)
    return Sink(
        name=cursor.name,
        configured=state.is_configured,
        position=cursor.position,
        lag=state.lag,
        moved=_once(cursor.moved),
        trying=cursor.begun if cursor.begun > cursor.position else None,
        tries=cursor.tries,
        due=utc(cursor.due) if cursor.tries else None,
        reason=cursor.reason or None,
        paused=utc(pause.since) if pause else None,
        pause_reason=(pause.reason or None) if pause else None,
        aside=waiting,
        skipped=len(asides) - waiting,
        state=state.state,
        trouble=state.trouble or None,
    )


def _taker(consumer: ConsumerState, last: int) -> Taker:
    return Taker(
        name=consumer.name,
        position=consumer.position,
        lag=max(last - consumer.position, 0),
        moved=_once(consumer.moved),
        state=sink_states.behind(consumer.position, last),
    )


def _catching_up(feed: Feed) -> CatchingUp:
    return CatchingUp(_once(feed.moved), feed.tries, feed.reason or None)


def _once(at: float) -> datetime | None:
    """A time of the ledger, which writes 0 for never."""
    return utc(at) if at else None
