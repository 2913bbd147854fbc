# SPDX-License-Identifier: BSD-3-Clause
"""How the whole is doing, in a few words that anybody may read: no paths, names or reasons.

Pure: a ``Status`` in, sentences out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ingest.story.status import Status
from ingest.words import ago, counted

# Seconds by which two clocks may be apart.
_CLOSE = 2.0


@dataclass(frozen=True, slots=True)
class Sign:
    """One sentence of how something is doing. ``of``: what it is about; ``well``: nobody needs to
    look after it."""

    of: str
    well: bool
    text: str


def signs(status: Status) -> tuple[Sign, ...]:
    """Whether mail comes, Patchwork answers, anything waits, and sinks are behind; and what else
    keeps a part of the service from its work, if anything does."""
    return (
        _mail(status),
        _patchwork(status),
        _waiting(status),
        _sinks(status),
        *_others(status),
    )


def clocks_apart(ahead: float) -> str:
    """That our clock is ahead of the database server's by so many seconds, "" if that is close."""
    if abs(ahead) <= _CLOSE:
        return ""
    where = "ahead of" if ahead > 0 else "behind"
    return f"this machine's clock is {abs(ahead):.0f} seconds {where} the database server's"


def _mail(status: Status) -> Sign:
    times = [each.last for each in status.seen]
    times += [status.last_received] if status.last_received else []
    if not times:
        return Sign("mail", False, "no mail has come yet")
    last = f"last mail {ago((status.now - max(times)).total_seconds())} ago"
    silent = sorted({each.list or "" for each in status.seen if each.silent} - {""})
    failing = [each for each in status.feeds if each.failures]
    if failing:
        return Sign("mail", False, f"{counted(len(failing), 'feed')} cannot be read; {last}")
    if silent:
        return Sign("mail", False, f"nothing from {', '.join(silent)} for unusually long; {last}")
    return Sign("mail", True, last)


def _patchwork(status: Status) -> Sign:
    waiting = status.waiting.get("down", 0)
    down = [each for each in status.servers if each.down]
    if waiting or down:
        several = len(status.servers) > 1
        told = f"{len(down)} of {len(status.servers)} servers give" if several else "gives"
        wait = f", and {counted(waiting, 'mail')} must wait for that" if waiting else ""
        return Sign("Patchwork", False, f"{told} no answer{wait}")
    if status.patchwork_answered is None:
        return Sign("Patchwork", True, "not asked yet")
    since = ago((status.now - status.patchwork_answered).total_seconds())
    return Sign("Patchwork", True, f"answered {since} ago")


def _waiting(status: Status) -> Sign:
    queued = status.mails.get("queued", 0)
    if not queued or status.oldest is None:
        return Sign("queue", True, "nothing waits")
    since = ago((status.now - status.oldest).total_seconds())
    late = status.due is not None and (status.now - status.due).total_seconds() > _LATE
    told = f"{counted(queued, 'mail')} waiting, the oldest for {since}"
    return Sign("queue", not late, f"{told}; nobody works on them" if late else told)


# Seconds after which a mail that is due should have been worked on.
_LATE = 300.0


def _sinks(status: Status) -> Sign:
    sinks = [each for each in status.sinks if each.configured]
    paused = sum(each.paused is not None for each in sinks)
    behind = [each for each in sinks if each.lag and (each.tries or each.trouble)]
    left = sum(each.aside + each.skipped for each in sinks)
    if behind:
        return Sign("sinks", False, f"{counted(len(behind), 'sink')} behind")
    if paused:
        return Sign("sinks", False, f"{counted(paused, 'sink')} paused")
    if left:
        return Sign("sinks", False, f"{counted(left, 'request')} not handed over")
    return Sign("sinks", True, "all sinks up to date" if sinks else "no sink yet")


def _others(status: Status) -> Iterator[Sign]:
    base = status.database
    if base and base.streaming < base.wanted:
        said = f"{base.streaming} of {base.wanted} synchronous standbys stream"
        yield Sign("database", False, f"{said}: nothing is written until all do")
    if base and (apart := clocks_apart(base.clock_ahead)):
        yield Sign("clock", False, apart)
    if status.overdue:
        yield Sign("results", False, f"{counted(status.overdue, 'label')} overdue")
    if status.catch_up and status.catch_up.tries:
        yield Sign("catching up", False, "Patchwork's comments cannot be read")
    named = {each.name for each in status.sinks}
    stuck = [each for each in status.troubles if each.name not in named]
    if stuck:
        yield Sign("service", False, f"{counted(len(stuck), 'part')} of the service in trouble")
