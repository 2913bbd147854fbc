# SPDX-License-Identifier: BSD-3-Clause
"""How far the sinks have come, and what became of a request in each, in words for a person.

Pure: values in, text out.
"""

from collections.abc import Iterator, Mapping, Sequence

from ingest import policy
from ingest.config.tables import sink_kinds
from ingest.ledger import Cursor, Event, Request
from ingest.words import ago, listed, times

# The cursor of catching up, see ``catch_up``.
CATCH_UP = "catch-up"

# The configured sinks by the names of their cursors, and the contexts that each is for.
Sinks = Mapping[str, Sequence[str]]


def is_sink(cursor: Cursor) -> bool:
    """Whether it is a sink's cursor, and no consumer's or other."""
    return cursor.name.partition(":")[0] in sink_kinds()


def of_cursor(cursor: Cursor, last: int, sinks: Sinks, now: float) -> tuple[str, str]:
    """A sink's state at ``now``, a Unix time, and its trouble, "" if there is none. ``last``: the
    newest request's number."""
    lag = last - cursor.position
    state = f"at {cursor.position}" + (f", {lag} behind" if lag > 0 else "")
    if cursor.name not in sinks:
        return f"{state}, no longer configured", ""
    if cursor.tries:
        return f"{state}, {_tried(cursor, now)}", cursor.reason
    if cursor.begun > cursor.position:
        return f"{state}, at work on request {cursor.begun}", cursor.reason
    return state, f"it did not take the last one: {cursor.reason}" if cursor.reason else ""


def of_request(
    request: Request,
    story: Sequence[Event],
    cursors: Sequence[Cursor],
    sinks: Sinks,
    known_arguments: Sequence[str],
    now: float,
) -> Iterator[tuple[str, str]]:
    """What became of a request in each configured sink, and what hinders it, "" if nothing does.
    ``story``: its mail's, which tells what was handed over and what was skipped."""
    for cursor in cursors:
        name = cursor.name
        if name not in sinks:
            continue
        if policy.narrowed(request, sinks[name], known_arguments) is None:
            yield f"not for {name}: it is for {listed(sinks[name])}", ""
        elif cursor.position >= request.number:
            yield f"{_came_of_it(name, story)} {name}", ""
        elif cursor.begun == request.number and not cursor.tries:
            yield f"on its way to {name}", cursor.reason
        else:
            is_behind = cursor.position < cursor.begun < request.number
            waits = f": request {cursor.begun} is before it" if is_behind else ""
            tried = f", {_tried(cursor, now)}" if cursor.tries else ""
            yield f"not yet in {name}{waits}{tried}", cursor.reason if tried else ""


def _tried(cursor: Cursor, now: float) -> str:
    due = "now" if cursor.due <= now else f"in {ago(cursor.due - now)}"
    return f"tried {times(cursor.tries)}, next {due}"


def _came_of_it(name: str, story: Sequence[Event]) -> str:
    if name.startswith("json_file:"):  # which tells no story
        return "published to"
    for event in reversed(story):
        if event.what == "handed over" and event.details.get("to") == name:
            return "handed over to"
        if event.what == "skipped" and str(event.details.get("reason")).startswith(f"{name}: "):
            return "skipped by"
    return "recorded before there was"
