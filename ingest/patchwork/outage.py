# SPDX-License-Identifier: BSD-3-Clause
"""What all processes remember of how each Patchwork server is: when it last answered and, while
it is down, since when and why, and until when nobody asks it (a circuit breaker). ``server``: the
name of its table [patchwork.NAME], "" for [patchwork].
"""

import json
import math
from typing import TYPE_CHECKING

from ingest.ledger import Event

if TYPE_CHECKING:
    from ingest.errors import Unavailable
    from ingest.ledger import Ledger
    from ingest.patchwork.attempt import Memory

# The keys, and how many seconds the time of the last answer may be out of date. A server is down
# until its next answer, however long it is not asked.
_ANSWERED, _BROKEN, _DOWN = "patchwork answered", "outage", "patchwork down"
_STEP = 60.0


def of_server(what: str, server: str) -> str:
    """What there is for each server, as it is called for this one."""
    return f"{what}.{server}" if server else what


def answered(memory: "Memory", now: float, server: str = "") -> float:
    """The Unix time of the server's last usable answer, 0.0 if there was none."""
    return float(memory.recall(of_server(_ANSWERED, server), now) or 0)


def note_answer(ledger: "Ledger", now: float, server: str = "") -> None:
    """The server has just answered."""
    if not 0 <= now - answered(ledger, now, server) < _STEP:  # below 0 the clock was set back
        ledger.remember(of_server(_ANSWERED, server), str(now), math.inf)
    if down(ledger, now, server):
        ledger.remember(of_server(_DOWN, server), "", 0.0)
        _tell(ledger, now, "Patchwork answers again", server)


def down(memory: "Memory", now: float, server: str = "") -> tuple[float, str] | None:
    """The Unix time since which the server has been down, and why; None if it is not known to
    be."""
    text = memory.recall(of_server(_DOWN, server), now)
    if not text:
        return None
    since, reason = json.loads(text)
    return float(since), str(reason)


def note_down(ledger: "Ledger", reason: str, now: float, server: str = "") -> None:
    """The server was just found to be down."""
    before = down(ledger, now, server)
    since = before[0] if before else now
    ledger.remember(of_server(_DOWN, server), json.dumps([since, reason]), math.inf)
    if before is None:
        _tell(ledger, now, "Patchwork is down", server, reason=reason)


def _tell(ledger: "Ledger", now: float, what: str, server: str, **details: str) -> None:
    named = {"server": server} if server else {}
    ledger.happenings.tell(Event(now, what, {**named, **details}))


def broken(memory: "Memory", now: float, server: str = "") -> tuple[float, str] | None:
    """The Unix time until which the server is not asked, and why; None if it may be asked: also
    if the pause begins later than now, for then the clock was set back."""
    down = memory.recall(of_server(_BROKEN, server), now)
    if down is None:
        return None
    since, until, reason = json.loads(down)
    return (float(until), str(reason)) if since <= now else None


def trip(
    memory: "Memory", error: "Unavailable", now: float, pause: float, server: str = ""
) -> None:
    """Have nobody ask the server for ``pause`` seconds, or for as long as it said."""
    until = now + (error.retry_after or pause)
    memory.remember(of_server(_BROKEN, server), json.dumps([now, until, str(error)]), until)


def close(memory: "Memory", server: str = "") -> None:
    """Have the server asked again by the next mail that is due, down as it may have been."""
    memory.remember(of_server(_BROKEN, server), "", 0.0)
