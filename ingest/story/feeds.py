# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of where mail comes from: the feeds that are read from somewhere else, and
the signs of life of every source. Frozen values; pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest import signs
from ingest.ledger import Feed, Notice
from ingest.words import named, utc


@dataclass(frozen=True, slots=True)
class FeedState:
    """A source that is read from somewhere else. ``part``: the newest of the feeds that it is made
    of; ``read``: when it was last read; ``failures``: how often that failed since, and
    ``trouble``, why."""

    name: str
    part: str | None
    read: datetime | None
    failures: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """A notice: mail for the operator. ``name``: what the mail is called; ``text``: what it says,
    which nobody has verified."""

    name: str
    received: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a source saw of a list, by its signs of life. ``list``: the list's id, "" for mails
    that name none, None for all lists that are not counted by themselves; ``longest``: the longest
    silence between two mails, in seconds; ``silent``: it has been silent for longer than it ever
    was."""

    source: str
    list: str | None
    mails: int
    first: datetime
    last: datetime
    longest: float
    silent: bool


def seen(sign: signs.Sign, silence: float, now: float) -> Seen:
    """What a sign of life says at ``now``, a Unix time. ``silence``: seconds that are never too
    long."""
    is_feed = sign.source != signs.ARCHIVES
    return Seen(
        source=sign.source,
        list=sign.name,
        mails=sign.count,
        first=utc(sign.first),
        last=utc(sign.last),
        longest=sign.longest,
        silent=is_feed and sign.count > 1 and now - sign.last > max(sign.longest, silence),
    )


def feed(whole: Feed, feeds: Sequence[Feed]) -> FeedState:
    """What the ledger knows of a feed. ``whole``: its entry without a part; ``feeds``: all."""
    parts = [each for each in feeds if each.name == whole.name and each.part]
    newest = max(parts, key=lambda each: each.moved).part if parts else None
    return FeedState(
        whole.name,
        newest,
        utc(whole.moved) if whole.moved else None,
        whole.tries,
        whole.reason or None,
    )


def told(notice: Notice) -> Told:
    """A notice as it is told."""
    return Told(named(notice.message_id, notice.mail_id), utc(notice.received), notice.reason)
