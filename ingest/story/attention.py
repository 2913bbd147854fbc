# SPDX-License-Identifier: BSD-3-Clause
"""What a person must act on besides single mails: feeds that are silent or cannot be read, servers
that are down, sinks that are behind or paused, notices, parts of the service in trouble.

Pure: a ``Status`` in, values out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ingest.story.feeds import Seen
from ingest.story.status import Sink, Status
from ingest.words import counted


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
