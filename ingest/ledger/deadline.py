# SPDX-License-Identifier: BSD-3-Clause
"""A deadline for whatever waits at a socket: when it has passed, the socket is shut down.

Nothing less ends every wait: a commit that waits for a standby is not ended by PostgreSQL's own
time-outs, and to cancel it would make it succeed.
"""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Deadline:
    """So many seconds for each wait, watched by a thread of its own. One waits at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._until: float | None = None
        self._end: Callable[[], None] = _nothing
        self._watches = self._sleeps = self._is_over = False

    @contextmanager
    def within(self, descriptor: int) -> Iterator[None]:
        """Shut the socket down if the block is still at it when its seconds have passed."""
        self._begin(lambda: _shut_down(descriptor))
        try:
            yield
        finally:
            with self._changed:
                self._until = None

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Wait for as long as it takes."""
        seconds, self._seconds = self._seconds, math.inf
        try:
            yield
        finally:
            self._seconds = seconds

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def _begin(self, end: Callable[[], None]) -> None:
        with self._changed:
            self._until, self._end = time.monotonic() + self._seconds, end
            if not self._watches:
                self._watches = True
                threading.Thread(target=self._watch, name="deadline", daemon=True).start()
            elif self._sleeps:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                # A wait that begins while another one's time runs has no less of it: the thread
                # looks at the clock once in that time, however many waits there are.
                now, until = time.monotonic(), self._until
                if until is not None and until <= now:
                    self._until = None
                    self._end()
                self._sleeps = until is None or until == math.inf
                self._changed.wait(None if self._sleeps else max((until or now) - now, 0.0))


def _nothing() -> None:
    """Ends nothing."""


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:
        same.shutdown(socket.SHUT_RDWR)
