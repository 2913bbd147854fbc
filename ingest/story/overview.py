# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of a mail: frozen values made from the ledger.

Whoever prints, draws a page or answers a program makes it from these. Times are aware and in
UTC; what is not there is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from ingest import links
from ingest.config.tables import Settings
from ingest.ledger import (
    Cursor,
    Envelope,
    Event,
    Filing,
    Record,
    Request,
    Result,
)
from ingest.ledger.progress import DEFAULT_CONSUMER
from ingest.links import Links
from ingest.mail.reply import Ready
from ingest.story import consumers as consumer_states
from ingest.story import results as result_states
from ingest.story import sinks as sink_states
from ingest.story.consumers import ConsumerState
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
    """A request, what became of it in each sink and with each consumer, and its results.
    ``reason``: why it was asked for; ``groups``: the labels that each group stood for;
    ``cancelled``: why nobody is handed it any more."""

    id: str
    number: int
    series: int
    revision: int | None  # of the series, where the server has revisions
    server: str | None  # NAME of [patchwork.NAME], None for [patchwork]
    submission: str | None
    project: str | None
    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]
    reason: str | None
    groups: Mapping[str, tuple[str, ...]]
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
    cancelled: str | None = None


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
    archive; ``others``: the other mails of its Message-ID, by their numbers; ``reply``: one
    that asks for what was meant and could not be read, if that was looked for."""

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
    reply: Ready | None = None


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
        pushed = sink_states.deliveries(request, record.story, cursors, sinks, known, now, results)
        takers = [
            each
            for each in (() if request.cancelled else consumers)
            if request.pushed or each.name != DEFAULT_CONSUMER
        ]
        taken = (consumer_states.delivery(each, request.number, record.story) for each in takers)
        return asked_of(request, settings, results, (*pushed, *taken))

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
        story=tuple(map(step_of, record.story)),
        requests=tuple(map(asked, record.requests)),
    )


def asked_of(
    request: Request,
    settings: Settings,
    results: Iterable[Result],
    deliveries: tuple[Delivery, ...] = (),
) -> Asked:
    """What there is to tell of a request. ``results``: its own, and of others perhaps."""
    return Asked(
        id=request.id,
        number=request.number,
        series=request.series,
        revision=request.revision or None,
        server=request.server or None,
        submission=str(request.submission) or None,
        project=request.project or None,
        contexts=request.contexts,
        arguments=request.arguments,
        leftovers=request.leftovers,
        reason=request.reason or None,
        groups=request.groups,
        message_id=request.message_id,
        requester=str(request.requester),
        passage=request.trust.passage or None,
        proof=request.trust.author or None,
        subject=request.subject,
        date=utc(request.date),
        recorded=utc(request.recorded),
        links=links.of_request(request, settings),
        deliveries=deliveries,
        results=result_states.of_request(request.number, results),
        cancelled=request.cancelled or None,
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


def step_of(event: Event) -> Step:
    """A step of a mail's story, as it is told."""
    details = dict(event.details)
    if isinstance(until := details.get("until"), (int, float)):
        details["until"] = utc(until)
    if event.what == "asked":
        text = f"{details.get('question')} → {details.get('answer')}"
    elif event.what == "result":
        text = result_states.step(details)
    elif event.what == "note":
        text = f"{details.get('by')}: {details.get('text')}"
    elif "reason" in details:
        sink = f"{details['sink']}: " if "sink" in details else ""
        text = f"{sink}{details['reason']}"
    else:
        told = {name: value for name, value in details.items() if name != "asked"}
        text = ", ".join(f"{name} {value}" for name, value in told.items())
    return Step(utc(event.at), event.what, text, details)
