# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of a mail, and of the whole: frozen values made from the ledger.

Whoever prints, draws a page or answers a program makes it from these. Times are aware and in
UTC; what is not there is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from ingest import links, signs
from ingest.background import Trouble
from ingest.config.tables import Settings
from ingest.ledger import (
    Aside,
    Cursor,
    Envelope,
    Event,
    Feed,
    Filing,
    Record,
    Request,
    Result,
    Totals,
)
from ingest.links import Links
from ingest.story import feeds as feed_states
from ingest.story import results as result_states
from ingest.story import sinks as sink_states
from ingest.story.consumers import BatchState, ConsumerState
from ingest.story.feeds import FeedState, Seen, Told
from ingest.story.results import Became
from ingest.story.sinks import Delivery, Sinks
from ingest.words import instant, named, utc


@dataclass(frozen=True, slots=True)
class Step:
    """One step in a mail's story. ``text``: its particulars for a person."""

    at: datetime
    what: str
    text: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, what became of it in each sink and with each consumer, and its results."""

    id: str
    number: int
    series: int
    submission: str
    project: str | None
    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]
    message_id: str
    requester: str
    passage: str | None
    proof: str | None
    subject: str
    date: datetime
    recorded: datetime
    links: Links
    deliveries: tuple[Delivery, ...]
    results: tuple[Became, ...] = ()


@dataclass(frozen=True, slots=True)
class Transport:
    """What the mail's transport said: the envelope, and the ``peer`` that it came from."""

    sender: str
    recipients: tuple[str, ...]
    peer: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """A mail. ``name``: what it is called, by its Message-ID or its number; ``due``: when it is
    tried next; ``filing``: where Patchwork has filed it; ``archive``: its URL in the list's
    archive; ``others``: the other mails of its Message-ID, by their numbers."""

    id: int
    name: str
    message_id: str | None
    list_id: str | None
    author: str | None
    subject: str | None
    source: str
    envelope: Transport | None
    received: datetime
    size: int
    outcome: str
    reason: str | None
    due: datetime | None
    tries: int
    filing: Filing | None
    archive: str | None
    others: tuple[str, ...]
    story: tuple[Step, ...]
    requests: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink and how far it has come. ``trying``: the request that it has begun to hand over;
    ``due``: when one that failed is tried again; ``aside`` and ``skipped``: how many requests are
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
class Status:
    """The ledger at a glance. ``mails``: how many of each outcome; ``waiting``: queued mails by
    what they wait for; ``oldest``: when the oldest queued mail came; ``due``: when the next one
    is tried; ``ledger_size``: its bytes on the disk; ``overdue``: labels that were asked for and
    never seen to run."""

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


def story_of(
    record: Record,
    cursors: Sequence[Cursor],
    consumers: Sequence[ConsumerState],
    sinks: Sinks,
    settings: Settings,
    now: float,
    results: Sequence[Result] = (),
) -> Story:
    """The whole story of a mail, with what became of its requests at ``now``, a Unix time.
    ``results``: those of its requests, and of others perhaps."""
    known = settings.requests.arguments

    def asked(request: Request) -> Asked:
        pushed = sink_states.deliveries(request, record.story, cursors, sinks, known, now)
        taken = (_taken(each, request.number) for each in consumers)
        became = result_states.of_request(request.number, results)
        there = links.of_request(request, settings)
        return _asked(request, there, (*pushed, *taken), became)

    return Story(
        id=record.id,
        name=named(record.message_id, record.id),
        message_id=record.message_id or None,
        list_id=record.list_id or None,
        author=record.author or None,
        subject=record.subject or None,
        source=record.source,
        envelope=_transport(record.envelope),
        received=utc(record.received),
        size=record.size,
        outcome=record.outcome.value,
        reason=record.reason or None,
        due=None if record.due is None else utc(record.due),
        tries=record.tries,
        filing=record.filing or None,
        archive=links.in_archive(record.message_id, record.list_id, settings),
        others=tuple(f"mail-{each}" for each in record.others),
        story=tuple(map(_step, record.story)),
        requests=tuple(map(asked, record.requests)),
    )


def status(
    totals: Totals,
    consumers: Sequence[ConsumerState],
    sinks: Sinks,
    settings: Settings,
    *,
    answered: float,
    troubles: Iterable[Trouble],
    asides: Mapping[str, Sequence[Aside]],
    seen: Iterable[signs.Sign],
    now: float,
) -> Status:
    """The ledger at a glance at ``now``. ``answered``: the Unix time of Patchwork's last usable
    answer, 0 if there was none; ``troubles``: those that parts of the service have met;
    ``asides``: what sinks have set aside, by their names; ``seen``: the sources' signs of life."""
    last = totals.last_request
    queued = bool(totals.mails.get("queued"))
    wholes = {each.name: each for each in totals.feeds if not each.part}
    catching_up = wholes.pop(sink_states.CATCH_UP, None)
    return Status(
        now=utc(now),
        ledger=settings.state.ledger,
        patchwork=settings.patchwork.url,
        patchwork_answered=_once(answered),
        mails=totals.mails,
        waiting=totals.waiting,
        oldest=utc(totals.oldest) if queued else None,
        due=utc(totals.due) if queued else None,
        last_received=_once(totals.last_received),
        requests=totals.requests,
        overdue=totals.overdue,
        last_request=last,
        sinks=tuple(
            _sink(each, last, sinks, now, asides.get(each.name, ()))
            for each in totals.cursors
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
    )


def jsonable(value: Any) -> Any:
    """A value of this module as JSON has it: times in ISO 8601 with a Z, None as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(each) for each in value]
    return value


def _transport(envelope: Envelope) -> Transport | None:
    if envelope.sender is None:
        return None
    return Transport(envelope.sender, envelope.recipients, envelope.peer or None)


def _step(event: Event) -> Step:
    details = dict(event.details)
    if isinstance(until := details.get("until"), (int, float)):
        details["until"] = utc(until)
    if event.what == "asked":
        text = f"{details.get('question')} → {details.get('answer')}"
    elif event.what == "result":
        text = result_states.step(details)
    elif "reason" in details:
        text = str(details["reason"])
    else:
        text = ", ".join(f"{name} {value}" for name, value in details.items())
    return Step(utc(event.at), event.what, text, details)


def _asked(
    request: Request,
    links: Links,
    deliveries: tuple[Delivery, ...],
    results: tuple[Became, ...],
) -> Asked:
    return Asked(
        id=request.id,
        number=request.number,
        series=request.series,
        submission=str(request.submission),
        project=request.project or None,
        contexts=request.contexts,
        arguments=request.arguments,
        leftovers=request.leftovers,
        message_id=request.message_id,
        requester=str(request.requester),
        passage=request.trust.passage or None,
        proof=request.trust.author or None,
        subject=request.subject,
        date=utc(request.date),
        recorded=utc(request.recorded),
        links=links,
        deliveries=deliveries,
        results=results,
    )


def _taken(consumer: ConsumerState, number: int) -> Delivery:
    """What a consumer has done about a request."""
    name = consumer.name
    for batch in consumer.held:
        if batch.first <= number <= batch.last:
            return Delivery(name, "held", f"held by {name} in batch {batch.id}")
    if consumer.position >= number:
        return Delivery(name, "taken", f"taken, or passed over, by {name}")
    return Delivery(name, "waiting", f"not yet taken by {name}")


def _sink(cursor: Cursor, last: int, sinks: Sinks, now: float, asides: Sequence[Aside]) -> Sink:
    state = sink_states.state_of(cursor, last, sinks, now, asides)
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
