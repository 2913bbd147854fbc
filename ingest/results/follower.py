# SPDX-License-Identifier: BSD-3-Clause
"""The thread of ``serve`` that follows requests: it notes where the checks of a new one begin, and
asks Patchwork for new checks every [results] interval seconds.
"""

import logging
import time

from ingest.background import Background
from ingest.config.tables import Settings
from ingest.errors import NoApi, StateUnavailable, Temporary, Unavailable
from ingest.ledger import Ledger
from ingest.patchwork import limits, outage
from ingest.patchwork.lookup import Patchwork
from ingest.patchwork.thread import PatchworkThread
from ingest.results import revisions
from ingest.results.watch import Begun, Watch
from ingest.story.results import FEED
from ingest.words import counted

# Seconds between two looks at the request log, which other processes write, too; and at most
# after a question that failed.
_POLL, _AFTER_TROUBLE = 5.0, 60.0
# Seconds without a new request after which there is time for what has time; and how many requests
# have to wait for that.
_QUIET, _MOST_WAITING = 0.5, 100

log = logging.getLogger(__name__)


class Follower(PatchworkThread):
    """What became of requests, by Patchwork's checks; nothing if [results] interval is 0."""

    def __init__(self, settings: Settings, server: str = "") -> None:
        super().__init__(FEED, settings, settings.results.interval, self._work, server)
        self._logged = ""
        self._begun: list[Begun] = []

    def _work(self, ledger: Ledger, thread: Background) -> None:
        with self._asking(ledger) as patchwork:
            asks_again = 0.0
            while not thread.is_stopping():
                if time.monotonic() >= asks_again:
                    is_well = self._look(patchwork, ledger, thread)
                    pause = 0.0 if is_well else min(self._interval, _AFTER_TROUBLE)
                    asks_again = time.monotonic() + pause
                is_woken = thread.rest(_QUIET if self._begun else _POLL)
                if len(self._begun) > (_MOST_WAITING if is_woken else 0):
                    begun, self._begun = self._begun, []
                    self._watch(patchwork, ledger).note_earlier(begun)

    def _watch(self, patchwork: Patchwork, ledger: Ledger) -> Watch:
        return Watch(patchwork.dialect, ledger, self._settings, time.time, self.server)

    def _look(self, patchwork: Patchwork, ledger: Ledger, thread: Background) -> bool:
        """One look; whether Patchwork answered, as far as it was asked."""
        watch = self._watch(patchwork, ledger)
        if outage.broken(ledger, time.time(), self.server) is not None:
            return False
        try:
            self._begun += watch.begin()
            if watch.is_due():
                self._note_limits(patchwork, watch, ledger)
                if changed := watch.poll():
                    log.info("%s from Patchwork's checks", counted(changed, "new result"))
                revisions.note(patchwork.dialect, ledger, watch.open(), time.time())
        except StateUnavailable:
            raise
        except Temporary as error:
            if isinstance(error, NoApi) and patchwork.is_other_kind():
                return True
            if isinstance(error, Unavailable) and error.retry_after is not None:
                outage.trip(ledger, error, time.time(), _AFTER_TROUBLE, self.server)
            if not thread.is_stopping():
                self._log(str(error))
            return False
        self._logged = ""
        return True

    def _note_limits(self, patchwork: Patchwork, watch: Watch, ledger: Ledger) -> None:
        """Have status know what the server lacks, asked once a day, if anything is asked."""
        now = time.time()
        if not limits.are_known(ledger, now, self.server) and watch.open():
            limits.note(ledger, now, self.server, patchwork.probe())

    def _log(self, problem: str) -> None:
        """Log a problem when it is new."""
        if problem != self._logged:
            log.warning("results cannot be looked for now: %s; it is tried again", problem)
        self._logged = problem
