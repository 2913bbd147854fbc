# SPDX-License-Identifier: BSD-3-Clause
"""A timer that is set anew often and hardly ever rings: it keeps one timer of the loop, which it
lets go off early, where setting that anew each time would cost more than a short command does.
"""

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """Calls ``ring`` once its time has come. For the loop's own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Have it ring so long from now, and not before."""
        self._due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            self._wait()

    def hush(self) -> None:
        """Have it not ring until it is set again."""
        self._due = math.inf

    def cancel(self) -> None:
        """Have it never ring, and keep nothing in the loop."""
        self.hush()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due == math.inf:
            return
        if self._loop.time() < self._due:
            self._wait()
        else:
            self._due = math.inf
            self._ring()
