# SPDX-License-Identifier: BSD-3-Clause
"""Threads that live as long as the service. Each opens the ledger for itself, survives whatever it
meets, can be woken and stopped, and says whether it is well.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress

from ingest.config.tables import StateSettings
from ingest.errors import Error, StateUnavailable
from ingest.ledger import Ledger, open_configured
from ingest.value import Value

log = logging.getLogger(__name__)

# The name of the thread that works off the queue.
WORKER = "worker"
# Seconds before a thread that met trouble tries again: the first time, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
# Seconds that a trouble is told of after it was last met, should its thread have died with us.
_KEPT = 600.0
# When the worker last looked at the queue, and how many seconds that may be out of date.
_WORKED, _STEP = "worked", 60.0


class Trouble(Value):
    """What keeps a thread from its work. ``since``: Unix time of its first failure in a row."""

    name: str
    since: float
    reason: str


class Guard:
    """What a part of the service meets and outlives: logged once for each kind, kept until the
    part does its work again."""

    def __init__(self, name: str, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.trouble: Trouble | None = None
        self._clock = clock
        self._kinds: set[object] = set()
        self._pause = 0.0

    def met(self, error: Exception) -> float:
        """Note an error; the seconds to wait before the next attempt."""
        expected = isinstance(error, Error)
        reason = str(error) if expected else f"a bug of ours: {type(error).__name__}: {error}"
        since = self.trouble.since if self.trouble else self._clock()
        self.trouble = Trouble(self.name, since, reason)
        kind: object = reason if expected else type(error)
        if kind not in self._kinds:
            self._kinds.add(kind)
            traceback = None if expected else error
            log.error("%s: %s; it is tried again by itself", self.name, reason, exc_info=traceback)
        self._pause = min(2 * self._pause or _FIRST_PAUSE, _LONGEST_PAUSE)
        return self._pause

    def over(self) -> None:
        """Note that the work goes on."""
        if self.trouble:
            log.warning("%s: works again", self.name)
        self.trouble = None
        self._kinds.clear()
        self._pause = 0.0


class Thread:
    """A daemon thread that is waited for by an event, because a signal that interrupts
    ``Thread.join`` makes Python take the thread for ended (bpo-45274, until 3.13)."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ended = threading.Event()
        self._ended.set()

    def start(self) -> None:
        """Begin."""
        self._ended.clear()
        self._thread.start()

    def wait(self, seconds: float | None) -> None:
        """Until it has ended, or for so long."""
        self._ended.wait(seconds)

    def is_alive(self) -> bool:
        """Whether it was started and has not ended."""
        return not self._ended.is_set()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._ended.set()


class Background(Thread):
    """A thread that does ``work`` with a ledger until it is stopped.

    ``work`` gets the ledger and this thread; it returns when ``is_stopping``, and calls ``rest``
    whenever it has done what there was. Whatever it raises is outlived: after a pause it is called
    again with the ledger opened anew. ``patience``: seconds between two signs of life after which
    the thread is no longer well.
    """

    def __init__(
        self,
        name: str,
        state: StateSettings,
        work: Callable[[Ledger, "Background"], None],
        *,
        patience: float = math.inf,
    ) -> None:
        super().__init__(name, self._keep_working)
        self._state = state
        self._do = work
        self._patience = patience
        self._guard = Guard(name)
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._last_sign = time.monotonic()

    @property
    def trouble(self) -> Trouble | None:
        """What keeps it from its work, None if nothing does."""
        return self._guard.trouble

    def wake(self) -> None:
        """End the rest that it may be in."""
        self._wanted.set()

    def stop(self) -> None:
        """Have it end; see ``wait``."""
        self._stopping.set()
        self._wanted.set()

    def is_stopping(self) -> bool:
        """Whether it is to end."""
        return self._stopping.is_set()

    def sign(self) -> None:
        """Say that the work goes on."""
        self._last_sign = time.monotonic()

    def rest(self, seconds: float) -> bool:
        """Say that the work was done, and wait until there is more: to be woken, or for so long.
        Whether it was woken."""
        self.sign()
        if self._guard.trouble:
            self._guard.over()
            self._note(None)
        is_woken = self._wanted.wait(min(seconds, threading.TIMEOUT_MAX))
        self._wanted.clear()
        return is_woken

    def is_well(self) -> bool:
        """Whether it lives, and gave a sign of life lately."""
        return self.is_alive() and time.monotonic() - self._last_sign < self._patience

    def _keep_working(self) -> None:
        while not self._stopping.is_set():
            pause = 0.0
            try:
                with closing(open_configured(self._state)) as ledger:
                    self._do(ledger, self)
            # Nothing may end this thread while the service goes on: whatever it is, it is told,
            # and tried again.
            except Exception as error:  # noqa: BLE001
                pause = self._guard.met(error)
                if not isinstance(error, StateUnavailable):
                    self._note(self._guard.trouble)
            self.sign()
            self._stopping.wait(pause)

    def _note(self, trouble: Trouble | None) -> None:
        """Leave word for other processes, in the ledger's passing notes."""
        with suppress(Exception), closing(open_configured(self._state)) as ledger:
            leave_word(ledger, self._guard.name, trouble, time.time() + _KEPT)


def leave_word(ledger: Ledger, name: str, trouble: Trouble | None, until: float) -> None:
    """Have ``troubles`` tell of a trouble, of whatever process, until a Unix time; None: of no
    trouble any more."""
    text = json.dumps([trouble.since, trouble.reason]) if trouble else ""
    ledger.remember(_key(name), text, until)


def note_work(ledger: Ledger, now: float) -> None:
    """The worker has just looked at the queue, of whatever process it is."""
    if not 0 <= now - worked(ledger, now) < _STEP:  # below 0 the clock was set back
        ledger.remember(_WORKED, str(now), math.inf)


def worked(ledger: Ledger, now: float) -> float:
    """When the worker last looked at the queue, a Unix time, to within a minute; 0 if it never
    did."""
    return float(ledger.recall(_WORKED, now) or 0)


def troubles(ledger: Ledger, names: Iterable[str], now: float) -> list[Trouble]:
    """What threads of these names, of whatever process, have met and not overcome."""
    found = []
    for name in names:
        if text := ledger.recall(_key(name), now):
            since, reason = json.loads(text)
            found.append(Trouble(name, since, reason))
    return found


def wait_all(threads: Iterable[Thread], seconds: float | None) -> None:
    """Wait until all have ended, or for so long."""
    end = None if seconds is None else time.monotonic() + seconds
    for thread in threads:
        thread.wait(None if end is None else max(0.0, end - time.monotonic()))


def _key(name: str) -> str:
    return f"trouble of {name}"
