# SPDX-License-Identifier: BSD-3-Clause
"""Mails from this machine's spool into the ledger, each once, whoever is killed when."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from ingest import intake
from ingest.background import Guard, Thread, Trouble
from ingest.config.tables import Settings, StateSettings
from ingest.errors import NoLedger, StateUnavailable
from ingest.ledger import Ledger, Opening, open_configured
from ingest.ledger.spool import Depth, Spool

# Seconds between two looks into the spool, and the longest pause after trouble.
POLL, _LONGEST_PAUSE = 0.2, 2.0

log = logging.getLogger(__name__)


def spool_of(state: StateSettings, opening: Opening = Opening.WRITE) -> Spool:
    """The spool of these settings. Raises as ``Spool``."""
    return Spool(state.spool, busy_timeout=state.busy_timeout, mode=state.mode, opening=opening)


def depth(state: StateSettings) -> Depth | None:
    """What waits in the spool, None if the ledger needs none. Raises ``StateUnavailable``."""
    if not state.is_shared:
        return None
    try:
        with closing(spool_of(state, Opening.LOOK)) as spool:
            return spool.depth()
    except NoLedger:
        return Depth()


def forward(spool: Spool, ledger: Ledger, *, stop: Callable[[], bool] = lambda: False) -> int:
    """Give the ledger what waits, the oldest first; how many mails that were. A mail that the
    ledger has already is only dropped here, so that nothing comes twice if we are killed between
    the two. Only the holder of the spool's lease calls it. Raises ``StateUnavailable``."""
    count = 0
    while not stop() and (waiting := spool.oldest()):
        outcomes = intake.apart(
            lambda those: ledger.accept_all([each.arrival for each in those]), waiting
        )
        taken = []
        for each, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Exception):  # tried again behind the others
                log.error("<%s> stays in the spool: %s", each.arrival.message_id, outcome)
                spool.put_off(each.id)
            else:
                taken.append(each.id)
        spool.drop(taken)
        count += len(taken)
        if not taken:
            raise StateUnavailable(f"the spool's mails are not taken: {outcomes[-1]}")
    return count


class Forwarder(Thread):
    """A thread that forwards what comes into the spool, until it is stopped. It keeps the spool's
    lease while the ledger is away: no pipe is to wait for that. ``forwarded`` is called when the
    ledger has more to work on."""

    def __init__(self, settings: Settings, forwarded: Callable[[], None]) -> None:
        super().__init__("spool", self._keep_forwarding)
        self._state, self._forwarded = settings.state, forwarded
        self._guard = Guard("spool")
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have it end; see ``wait``."""
        self._stopping.set()

    def is_well(self) -> bool:
        """Whether it lives, if there is a spool."""
        return not self._state.is_shared or self.is_alive()

    def troubles(self) -> list[Trouble]:
        """What keeps it from its work."""
        return [self._guard.trouble] if self._guard.trouble else []

    def _keep_forwarding(self) -> None:
        while self._state.is_shared and not self._stopping.is_set():
            try:
                with closing(spool_of(self._state)) as spool, spool.lease() as held:
                    while held and not self._stopping.is_set():
                        self._stopping.wait(self._look(spool))
            # Nothing may end this thread while the service goes on.
            except Exception as error:  # noqa: BLE001
                self._guard.met(error)
            self._stopping.wait(_LONGEST_PAUSE)

    def _look(self, spool: Spool) -> float:
        """Forward what is there; the seconds until the next look."""
        if not spool.depth().mails:
            return POLL
        try:
            with closing(open_configured(self._state)) as ledger:
                while spool.depth().mails and not self._stopping.is_set():
                    forward(spool, ledger, stop=self._stopping.is_set)
                    self._forwarded()
                    self._stopping.wait(POLL)
        except Exception as error:  # noqa: BLE001
            return min(self._guard.met(error), _LONGEST_PAUSE)
        self._guard.over()
        return POLL
