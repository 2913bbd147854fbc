# SPDX-License-Identifier: BSD-3-Clause
"""The public-inboxes that are followed, each in a thread of its own, until they are stopped."""

from collections.abc import Callable
from pathlib import Path

from ingest.background import Background, Guard, Trouble, wait_all
from ingest.config.tables import Settings
from ingest.config.values import HOUR
from ingest.errors import FeedUnavailable
from ingest.ledger import Ledger
from ingest.sources.git_process import never
from ingest.sources.inbox import Inbox

# The folder for copies of inboxes, in the state folder.
_COPIES = "inbox"
# The longest pause after looks that failed, in seconds, unless looks are rarer than that.
_LONGEST_PAUSE = HOUR


def inbox(
    settings: Settings,
    name: str,
    stop: Callable[[], bool] = never,
    accepted: Callable[[], None] = lambda: None,
) -> Inbox:
    """The inbox of [inbox.NAME]; see ``Inbox``."""
    return Inbox(
        name,
        settings.inbox[name],
        Path(settings.state.dir) / _COPIES,
        max_size=settings.intake.max_size,
        give_up=settings.worker.give_up_missing,
        stop=stop,
        accepted=accepted,
        counted_in=settings.state.dir,
    )


class Inboxes:
    """All inboxes that are set. ``accepted`` is called, from any thread, when mail was queued."""

    def __init__(self, settings: Settings, accepted: Callable[[], None]) -> None:
        self._followed = [_Followed(settings, name, accepted) for name in settings.inbox]

    def start(self) -> None:
        """Begin."""
        for each in self._followed:
            each.thread.start()

    def stop(self) -> None:
        """Have them end, and the git that they may wait for; see ``wait``."""
        for each in self._followed:
            each.thread.stop()

    def wait(self, seconds: float) -> None:
        """Wait until they have ended, or for so long."""
        wait_all((each.thread for each in self._followed), seconds)

    def is_well(self) -> bool:
        """Whether all of them live."""
        return all(each.thread.is_well() for each in self._followed)

    def troubles(self) -> list[Trouble]:
        """What keeps any of them from being read."""
        found = (each.guard.trouble or each.thread.trouble for each in self._followed)
        return [each for each in found if each]


class _Followed:
    """One inbox and its thread."""

    def __init__(self, settings: Settings, name: str, accepted: Callable[[], None]) -> None:
        self._settings, self._name, self._accepted = settings, name, accepted
        self.guard = Guard(f"inbox.{name}")
        self.thread = Background(self.guard.name, settings.state, self._work)

    def _work(self, ledger: Ledger, thread: Background) -> None:
        followed = inbox(self._settings, self._name, thread.is_stopping, self._accepted)
        interval = self._settings.inbox[self._name].interval
        while not thread.is_stopping():
            # Another service on this ledger may follow it already.
            with ledger.lease(followed.name) as held:
                if held:
                    self._follow(ledger, thread, followed, interval)
            thread.rest(interval)

    def _follow(self, ledger: Ledger, thread: Background, followed: Inbox, interval: float) -> None:
        failures = 0
        while not thread.is_stopping():
            try:
                followed.look(ledger)
            except FeedUnavailable as error:
                if thread.is_stopping():
                    return
                self.guard.met(error)
                failures += 1
            else:
                self.guard.over()
                failures = 0
            pause = interval * 2.0 ** min(failures, 20)
            thread.rest(min(pause, max(interval, _LONGEST_PAUSE)) if failures else interval)
