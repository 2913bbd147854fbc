# SPDX-License-Identifier: BSD-3-Clause
"""What a person must act on: of the whole, feeds that are silent or cannot be read, servers that
are down, sinks that are behind or paused, notices, parts of the service in trouble; of a mail, what
holds up its requests.

Pure: a ``Status`` or a ``Story`` in, values out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ingest.ledger import State
from ingest.story.feeds import Seen
from ingest.story.overview import Story
from ingest.story.results import name
from ingest.story.status import Sink, Status
from ingest.words import counted

# What became of a request in a sink that a person must know.
_LEFT = ("set aside", "skipped")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing. ``kind``: "feed", "patchwork", "sink", "notice" or "trouble"; ``name``: which one;
    ``since``: since when, None if that is not known; ``text`` tells it to a person."""

    kind: str
    name: str
    since: datetime | None
    text: str


def parts(status: Status) -> tuple[Part, ...]:
    """All that there is."""
    return (*_feeds(status), *_servers(status), *_sinks(status), *_troubles(status),
            *_notices(status))  # fmt: skip


def _feeds(status: Status) -> Iterator[Part]:
    for seen in status.seen:
        if seen.silent:
            text = "no mail since then, which is longer than ever"
            yield Part("feed", _of_list(seen), seen.last, text)
    for feed in status.feeds:
        if feed.trouble:
            yield Part("feed", feed.name, feed.read, f"not read since then: {feed.trouble}")
    if status.catch_up and status.catch_up.reason:
        text = f"not caught up since then: {status.catch_up.reason}"
        yield Part("feed", "catch-up", status.catch_up.moved, text)


def _of_list(seen: Seen) -> str:
    return f"{seen.source}, {'other lists' if seen.list is None else seen.list or 'no list'}"


def _servers(status: Status) -> Iterator[Part]:
    for server in status.servers:
        if server.down:
            yield Part("patchwork", server.url, server.down, f"down: {server.reason}")


def _sinks(status: Status) -> Iterator[Part]:
    for sink in status.sinks:
        if not sink.configured:
            continue
        if sink.paused:
            why = f": {sink.pause_reason}" if sink.pause_reason else ""
            yield Part("sink", sink.name, sink.paused, f"paused, {_behind(sink)}{why}")
        elif sink.trouble and (sink.lag or sink.aside):
            yield Part("sink", sink.name, sink.moved, f"{sink.state}: {sink.trouble}")
        elif sink.skipped:
            text = f"{counted(sink.skipped, 'request')} skipped, see retry --sink"
            yield Part("sink", sink.name, None, text)


def _behind(sink: Sink) -> str:
    return f"{counted(sink.lag, 'request')} behind"


def _troubles(status: Status) -> Iterator[Part]:
    sinks = {each.name for each in status.sinks}
    for each in status.troubles:
        if each.name not in sinks:
            yield Part("trouble", each.name, each.since, each.reason)


def _notices(status: Status) -> Iterator[Part]:
    for each in status.notices:
        yield Part("notice", each.name, each.received, each.text)


def held_up(story: Story) -> Iterator[str]:
    """What a person must know of a mail's requests: sinks that do not take them, and labels that
    are overdue."""
    for request in story.requests:
        for each in request.deliveries:
            if each.trouble or each.state in _LEFT:
                why = f": {each.trouble}" if each.trouble else ""
                yield f"request {request.number} {each.text}{why}"
        for became in request.results:
            if became.state == State.OVERDUE:
                yield f"request {request.number}: {name(became.label)} is overdue"
