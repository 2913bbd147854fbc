# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's comment events and the comments they name. Each is checked, none trusted.

What ``rest`` does for every question it does for these. Called by ``sources.events`` and, to know
whether there are any, by ``catch_up``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.errors import ConfigError, Refused, Unavailable
from ingest.patchwork.api import PER_PAGE, Api, is_id, stamp
from ingest.patchwork.lookup import PATHS
from ingest.words import printable

# The first version of the API that has comment events, and an address of each comment.
_FIRST = "1.3"
# Of events at one time: a hundred thousand, years of a busy list.
_MOST_PAGES = 1000
# Seconds by which an event may be older than what was asked for: stamps are cut to seconds.
_ROUNDING = 1.0
_VERSION = re.compile(r"/api/(\d+)\.(\d+)$")


@dataclass(frozen=True, slots=True)
class CommentEvent:
    """A mail was filed as a comment. ``date``: the Unix time at which it was; ``msgid``: its
    Message-ID as Patchwork shows it, in angle brackets and cut after 255 characters."""

    date: float
    kind: str  # "patch" or "cover": what the comment is of
    submission: int
    comment: int
    msgid: str
    list_id: str  # of the project

    @property
    def message_id(self) -> str:
        """The Message-ID without angle brackets."""
        return self.msgid.removeprefix("<").removesuffix(">")

    @property
    def name(self) -> str:
        """Which comment it is, on this server."""
        return f"{self.kind} {self.submission}, comment {self.comment}"


@dataclass(frozen=True, slots=True)
class BadEvent:
    """A row that should be the event of a comment, and is not. ``name`` tells it from others."""

    date: float
    name: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A mail as Patchwork keeps it: header fields, several of one name as several pairs, and the
    text that it made of the body."""

    event: CommentEvent
    headers: tuple[tuple[str, str], ...]
    content: str


def require(api: Api) -> None:
    """Make sure that this server has comment events, asked anew where its URL does not say.

    Raises ``ConfigError`` if it has none, ``Unavailable`` or ``Refused``.
    """
    named = _VERSION.search(api.base)
    if named:
        first = tuple(map(int, _FIRST.split(".")))
        known = (int(named[1]), int(named[2])) >= first
    else:
        known = api.has_version(_FIRST)
    if not known:
        raise _none(api, f"it does so from version {_FIRST} of its API on")


def events(api: Api, since: float) -> Iterator[CommentEvent | BadEvent]:
    """The events of comments that were filed at or after a Unix time, oldest first for patches,
    then for cover letters; each once.

    Raises ``ConfigError`` if the server has no such events, ``Unavailable`` or ``Refused``.
    """
    asked = stamp(datetime.fromtimestamp(since, UTC))
    for kind in PATHS:
        category = f"{kind}-comment-created"
        path = f"events/?category={category}&order=date&per_page={PER_PAGE}&since={asked}"
        rows = api.pages(path, _MOST_PAGES)
        seen: set[str] = set()
        repeated = 0
        while (row := _next(api, rows, category)) is not None:
            if row.get("category") != category:
                raise _none(api, f"asked for {category} it answers with other events")
            event = _event(row, kind)
            if event.date < since - _ROUNDING:
                raise Unavailable(
                    f"Patchwork at {api.base} answers with events from before {asked},"
                    " which were not asked for"
                )
            if event.name in seen:  # what is filed meanwhile moves rows to the next page
                repeated += 1
                if repeated > PER_PAGE:
                    raise Unavailable(f"Patchwork's pages of {category} events have no end")
                continue
            repeated = 0
            seen.add(event.name)
            yield event


def comment(api: Api, event: CommentEvent) -> Comment | None:
    """The comment that an event names, None if it is there no more.

    Raises ``Unavailable``, also for an answer that is not this comment, or ``Refused``.
    """
    path = f"{PATHS[event.kind]}/{event.submission}/comments/{event.comment}/"
    row = api.find(path)
    if row is None:
        return None
    headers, content = row.get("headers"), row.get("content")
    same = is_id(row.get("id")) and row.get("id") == event.comment
    if not same or _text(row.get("msgid")) != event.msgid:
        raise Unavailable(f"Patchwork's answer to {path} is another comment")
    if not isinstance(headers, dict) or not isinstance(content, str):
        raise Unavailable(f"Patchwork's answer to {path} lacks headers or content")
    fields = (
        (name, value)
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    )
    return Comment(event, tuple(each for each in fields if isinstance(each[1], str)), content)


def _next(api: Api, rows: Iterator[dict[str, Any]], category: str) -> dict[str, Any] | None:
    try:
        return next(rows, None)
    except Refused as error:
        raise _none(api, f"asked for {category}: {error}") from error


def _none(api: Api, why: str) -> ConfigError:
    return ConfigError(f"Patchwork at {api.base} does not tell of comments: {why}")


def _event(row: dict[str, Any], kind: str) -> CommentEvent | BadEvent:
    date = _date(row.get("date"))
    payload, project = row.get("payload"), row.get("project")
    named = payload if isinstance(payload, dict) else {}
    made, submission = named.get("comment"), named.get(kind)
    list_id = project.get("list_id") if isinstance(project, dict) else None
    if (
        date is not None
        and isinstance(made, dict)
        and isinstance(submission, dict)
        and is_id(made.get("id"))
        and is_id(submission.get("id"))
        and isinstance(list_id, str)
        and (msgid := _text(made.get("msgid")))
    ):
        return CommentEvent(
            date=date,
            kind=kind,
            submission=submission["id"],
            comment=made["id"],
            msgid=msgid,
            list_id=_text(list_id).strip().lower(),
        )
    return BadEvent(float("inf") if date is None else date, f"event {printable(row.get('id'))}")


def _text(value: object) -> str:
    """Text that can be kept, for JSON can name halves of surrogate pairs; "" for anything else."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _date(value: object) -> float | None:
    """A time of Patchwork's, in UTC without saying so, as a Unix time; None if it is none."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() if moment else None
    except (ValueError, OverflowError):
        return None
