# SPDX-License-Identifier: BSD-3-Clause
"""What needs a person, in a mail to the operator: what is new since the last one, and what still
stands in the way. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.ledger import Aside, Record, Run
from ingest.story.results import name
from ingest.story.status import Sink, Status
from ingest.words import ago, counted, harmless, listed, moment, named

# Of each kind so many are told one by one, each in so many characters.
_MOST, _LONGEST = 20, 300
# Seconds for which a sink may be behind before a person is told.
_BEHIND = 3600.0


@dataclass(frozen=True, slots=True)
class News:
    """What is new since the last mail: ``mails`` that became unresolved or failed, ``late`` labels,
    and requests that sinks have set aside or skipped."""

    mails: Sequence[Record] = ()
    late: Sequence[Run] = ()
    asides: Sequence[Aside] = ()


@dataclass(frozen=True, slots=True)
class Digest:
    """The ``subject`` of the mail, and its ``text``."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of thing: so many, named for the subject, and told one by one."""

    count: int
    short: str
    title: str
    lines: tuple[str, ...]


def of(status: Status, news: News, page: str | None) -> Digest | None:
    """The mail, None if there is nothing to say. ``page``: where the pages are, if anywhere."""
    parts = [each for each in _parts(status, news) if each.count]
    if not parts:
        return None
    lines = ["What needs a person:"]
    for part in parts:
        lines += ["", f"{part.title}:", *(f"  {each}" for each in part.lines[:_MOST])]
        if (more := part.count - _MOST) > 0:
            lines.append(f"  … and {more} more")
    lines += ["", f"Ledger {harmless(status.ledger)}, {moment(status.now.timestamp())}."]
    lines.append("recheck-ingest status and recheck-ingest list --attention have all of it.")
    lines += [page] if page else []
    subject = ", ".join(f"{each.count} {each.short}" for each in parts)
    return Digest(f"needs a person: {subject}", "\n".join(lines) + "\n")


def _parts(status: Status, news: News) -> Iterator[_Part]:
    yield _part(
        "unresolved or failed",
        "Mails that became unresolved or failed (recheck-ingest retry queues them again)",
        [f"{named(e.message_id, e.id)} {e.outcome}: {e.reason}" for e in news.mails],
    )
    yield _part(
        "overdue",
        "Labels that were asked for and never seen to run",
        [
            f"{name(e.label)} of request {e.request} for series {e.series}, by {e.requester}"
            for e in news.late
        ],
    )
    yield _part(
        "not handed over",
        "Requests that sinks have set aside or skipped (recheck-ingest retry --sink)",
        [f"request {e.request} by {e.sink}: {e.reason}" for e in news.asides],
    )
    sinks = [each for each in status.sinks if each.configured]
    yield _part(
        "behind",
        "Sinks that are behind",
        [
            f"{each.name} {each.state}" + (f": {each.trouble}" if each.trouble else "")
            for each in sinks
            if each.paused is None and _is_behind(each, status)
        ],
    )
    yield _part(
        "paused",
        "Sinks that an operator has paused (recheck-ingest resume)",
        [
            f"{each.name} since {moment(each.paused.timestamp())}"
            + (f": {each.pause_reason}" if each.pause_reason else "")
            for each in sinks
            if each.paused is not None
        ],
    )
    yield _part("silent", "Feeds that are silent or cannot be read", list(_feeds(status)))
    hindered = [each for each in status.troubles if each.name not in {s.name for s in sinks}]
    yield _part(
        "in trouble",
        "Parts of the service that cannot do their work",
        [f"{e.name} since {moment(e.since.timestamp())}: {e.reason}" for e in hindered],
    )


def _feeds(status: Status) -> Iterator[str]:
    for seen in status.seen:
        if seen.silent:
            of = f"list {seen.list}" if seen.list else "mail of no list"
            since = ago((status.now - seen.last).total_seconds())
            yield f"{seen.source}, {of}: nothing for {since}, longer than ever"
    for feed in status.feeds:
        if feed.failures:
            yield f"{feed.name} failed {counted(feed.failures, 'time')}: {feed.trouble}"
    if status.catch_up and status.catch_up.tries:
        yield f"catching up: {status.catch_up.reason}"
    for server in status.servers:
        if server.down:
            since = moment(server.down.timestamp())
            yield f"Patchwork at {server.url} is down since {since}: {server.reason}"


def _is_behind(sink: Sink, status: Status) -> bool:
    """Whether a sink has not had requests for so long that a person must see why."""
    if not sink.lag:
        return False
    stands = (status.now - sink.moved).total_seconds() if sink.moved else _BEHIND
    return bool(sink.tries) or stands >= _BEHIND


def _part(short: str, title: str, lines: Iterable[str]) -> _Part:
    told = tuple(_line(each) for each in lines)
    return _Part(len(told), short, title, told)


def _line(text: str) -> str:
    kept = harmless(" ".join(listed([text]).split()))
    return kept if len(kept) <= _LONGEST else f"{kept[: _LONGEST - 1]}…"
