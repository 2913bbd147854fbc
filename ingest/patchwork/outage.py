# SPDX-License-Identifier: BSD-3-Clause
"""What all processes remember of how Patchwork is: when it last answered and, while it is down,
until when nobody asks it (a circuit breaker).
"""

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.errors import Unavailable
    from ingest.patchwork.attempt import Memory

# The keys, and how many seconds the time of the last answer may be out of date.
_ANSWERED, _BROKEN = "patchwork answered", "outage"
_STEP = 60.0


def answered(memory: "Memory", now: float) -> float:
    """The Unix time of Patchwork's last usable answer, 0.0 if there was none."""
    return float(memory.recall(_ANSWERED, now) or 0)


def note_answer(memory: "Memory", now: float) -> None:
    """Patchwork has just answered."""
    if not 0 <= now - answered(memory, now) < _STEP:  # below 0 the clock was set back
        memory.remember(_ANSWERED, str(now), math.inf)


def broken(memory: "Memory", now: float) -> tuple[float, str] | None:
    """The Unix time until which Patchwork is not asked, and why; None if it may be asked: also
    if the pause begins later than now, for then the clock was set back."""
    down = memory.recall(_BROKEN, now)
    if down is None:
        return None
    since, until, reason = json.loads(down)
    return (float(until), str(reason)) if since <= now else None


def trip(memory: "Memory", error: "Unavailable", now: float, pause: float) -> None:
    """Have nobody ask Patchwork for ``pause`` seconds, or for as long as it said."""
    until = now + (error.retry_after or pause)
    memory.remember(_BROKEN, json.dumps([now, until, str(error)]), until)


def close(memory: "Memory") -> None:
    """Have Patchwork asked again by the next mail that is due, down as it may have been."""
    memory.remember(_BROKEN, "", 0.0)
