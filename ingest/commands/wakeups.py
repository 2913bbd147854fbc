# SPDX-License-Identifier: BSD-3-Clause
"""Wake-ups between the machines that share a ledger. Without them each machine would notice new
mail and new requests only at its next look, up to a second later."""

import time
from collections.abc import Callable, Mapping

from ingest.background import Background, Trouble
from ingest.config.tables import StateSettings
from ingest.ledger import Ledger

# What the other machines are told: there is mail to work on, there are requests to hand over.
MAIL, REQUESTS = "mail", "requests"

# Seconds between two wake-ups that are sent; and the longest wait for a wake-up in one call.
APART, _AT_ONCE = 0.02, 1.0


class Wakeups:
    """Two threads, one that sends wake-ups and one that listens. A ledger that is not shared needs
    neither. ``woken``: the function to call for each kind of wake-up."""

    def __init__(self, state: StateSettings, woken: Mapping[str, Callable[[], None]]) -> None:
        self._woken = woken
        self._wanted: set[str] = set()
        self._sender = Background("wake-ups sent", state, self._send)
        self._listener = Background("wake-ups", state, self._listen)
        self._threads = [self._sender, self._listener] if state.is_shared else []

    def send(self, what: str) -> None:
        """Wake the other machines soon."""
        self._wanted.add(what)
        self._sender.wake()

    def start(self) -> None:
        """Begin."""
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Have them end; see ``wait``."""
        for each in self._threads:
            each.stop()

    def wait(self, seconds: float) -> None:
        """Until they have ended, or for so long."""
        for each in self._threads:
            each.wait(seconds)

    def is_well(self) -> bool:
        """Whether they live."""
        return all(each.is_well() for each in self._threads)

    def troubles(self) -> list[Trouble]:
        """What keeps them from their work."""
        return [each.trouble for each in self._threads if each.trouble]

    def _send(self, ledger: Ledger, thread: Background) -> None:
        while not thread.is_stopping():
            thread.rest(0 if self._wanted else _AT_ONCE)
            if self._wanted:
                ledger.wake(self._wanted.pop())
                time.sleep(APART)  # not a rest, which the next mail would end

    def _listen(self, ledger: Ledger, thread: Background) -> None:
        while not thread.is_stopping():
            for what in ledger.wait_for(_AT_ONCE):
                self._woken.get(what, lambda: None)()
            thread.rest(0)
