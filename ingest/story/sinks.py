# SPDX-License-Identifier: BSD-3-Clause
"""How far each sink has come, and what became of a request in each: values, and their words.

Pure: cursors and stories in, values out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingest.config.tables import sink_kinds
from ingest.ledger import Aside, Cursor, Event, Pause, Request, Result, State
from ingest.policy.scope import Scope
from ingest.words import ago, moment, times

# The feed of catching up, see ``catch_up``.
CATCH_UP = "catch-up"


# The configured sinks by the names of their cursors.
Sinks = Mapping[str, Scope]


@dataclass(frozen=True, slots=True)
class SinkState:
    """A sink at one moment. ``cursor``: how far it has come; ``lag``: the requests that it has
    not had; ``state`` and ``trouble``: the same for a person, ``trouble`` "" if there is none."""

    cursor: Cursor
    is_configured: bool
    lag: int
    state: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a request in a sink or with a consumer, ``to``. ``state`` is one word for a
    program; ``text`` and ``trouble`` are for a person, ``trouble`` None if nothing hinders it."""

    to: str
    state: str
    text: str
    trouble: str | None = None


def is_sink(cursor: Cursor) -> bool:
    """Whether it is the cursor of a sink."""
    return cursor.name.partition(":")[0] in sink_kinds()


def behind(position: int, last: int) -> str:
    """A place in the request log: "at 3, 2 behind"."""
    return f"at {position}" + (f", {last - position} behind" if last > position else "")


def state_of(
    cursor: Cursor,
    last: int,
    sinks: Sinks,
    now: float,
    asides: Sequence[Aside] = (),
    pause: Pause | None = None,
) -> SinkState:
    """A sink's state at ``now``, a Unix time. ``last``: the newest request's number; ``asides``:
    what the sink has set aside or skipped; ``pause``: if it is paused."""
    lag = max(last - cursor.position, 0)
    waiting = [each for each in asides if each.due is not None]
    place = behind(cursor.position, last)
    place += f", {len(waiting)} set aside" if waiting else ""
    skipped = len(asides) - len(waiting)
    place += f", {skipped} skipped" if skipped else ""
    if cursor.name not in sinks:
        return SinkState(cursor, False, lag, f"{place}, no longer configured")
    if pause:
        why = f": {pause.reason}" if pause.reason else ""
        return SinkState(cursor, True, lag, f"{place}, paused since {moment(pause.since)}{why}")
    if cursor.tries:
        return SinkState(cursor, True, lag, f"{place}, {_tried(cursor, now)}", cursor.reason)
    if cursor.begun > cursor.position:
        at_work = f"{place}, at work on request {cursor.begun}"
        return SinkState(cursor, True, lag, at_work, cursor.reason)
    refused = f"it did not take the last one: {cursor.reason}" if cursor.reason else ""
    if waiting:
        refused = f"it turns requests away: {waiting[-1].reason}"
    return SinkState(cursor, True, lag, place, refused)


def deliveries(
    request: Request,
    story: Sequence[Event],
    cursors: Sequence[Cursor],
    sinks: Sinks,
    known_arguments: Sequence[str],
    now: float,
    results: Iterable[Result] = (),
) -> Iterator[Delivery]:
    """What became of a request in each configured sink, nothing if it was cancelled. ``story``: its
    mail's, in which it stands what was handed over and what was skipped; ``results``: its own, and
    of others perhaps."""
    waits = any(e.request == request.number and e.state is State.ASKED for e in results)
    for cursor in () if request.cancelled else cursors:
        name = cursor.name
        if name not in sinks:
            continue
        scope = sinks[name]
        if not request.pushed:
            kept = f"kept from {name}: its mail came by replay --no-sinks"
            yield Delivery(name, "kept back", kept)
        elif not scope.narrow(request, known_arguments):
            text = f"not for {name}: it is for {scope.of(request)}"
            yield Delivery(name, "not for it", text)
        elif cursor.position >= request.number:
            yield _over(name, story, request.recorded if waits else None)
        elif cursor.begun == request.number and not cursor.tries:
            yield Delivery(name, "on its way", f"on its way to {name}", cursor.reason or None)
        else:
            is_behind = cursor.position < cursor.begun < request.number
            before = f": request {cursor.begun} is before it" if is_behind else ""
            tried = f", {_tried(cursor, now)}" if cursor.tries else ""
            text = f"not yet in {name}{before}{tried}"
            yield Delivery(name, "waiting", text, cursor.reason if tried else None)


def _tried(cursor: Cursor, now: float) -> str:
    due = "now" if cursor.due <= now else f"in {ago(cursor.due - now)}"
    return f"tried {times(cursor.tries)}, next {due}"


def _over(name: str, story: Sequence[Event], waiting_since: float | None) -> Delivery:
    """What became of a request that a sink has behind it. ``waiting_since``: the Unix time since
    which nobody was seen to take it, None if somebody was."""
    if name.startswith("json_file:"):  # which adds nothing to the story
        if waiting_since is not None:
            since = moment(waiting_since)
            return Delivery(name, "in the file", f"in {name}, not taken out of it since {since}")
        return Delivery(name, "published", f"published to {name}")
    for event in reversed(story):
        if event.what == "handed over" and event.details.get("to") == name:
            return Delivery(name, "handed over", f"handed over to {name}")
        by = event.details.get("by") or str(event.details.get("reason")).partition(": ")[0]
        if event.what in ("skipped", "set aside") and by == name:
            return Delivery(name, event.what, f"{event.what} by {name}")
    return Delivery(name, "before its time", f"recorded before there was {name}")
