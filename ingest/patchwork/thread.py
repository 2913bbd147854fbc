# SPDX-License-Identifier: BSD-3-Clause
"""A thread that asks Patchwork now and then for as long as the service lives."""

import contextlib
from collections.abc import Callable, Iterator

from ingest.background import Background, Trouble
from ingest.config.tables import Settings
from ingest.ledger import Ledger
from ingest.patchwork.lookup import Patchwork
from ingest.patchwork.outage import of_server


class PatchworkThread:
    """The thread; none is started if ``interval`` is 0. ``work``: see ``Background``; ``server``:
    which server it asks, by the name of its table [patchwork.NAME]."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        interval: float,
        work: Callable[[Ledger, Background], None],
        server: str = "",
    ) -> None:
        self.server = server
        self._settings = settings
        self._interval = interval
        self._patchwork: Patchwork | None = None
        self._thread = Background(of_server(name, server), settings.state, work)

    def start(self) -> None:
        """Begin."""
        if self._interval:
            self._thread.start()

    def wake(self) -> None:
        """There may be something to ask for."""
        self._thread.wake()

    def stop(self) -> None:
        """Have it end, and cut off the question that it waits for; see ``wait``."""
        self._thread.stop()
        if self._patchwork:
            self._patchwork.cut()

    def wait(self, timeout: float) -> None:
        """Wait until it has ended. What it is at after ``timeout`` seconds is left as after a
        crash."""
        self._thread.wait(timeout)

    def is_well(self) -> bool:
        """Whether it is alive, if it is to be."""
        return not self._interval or self._thread.is_well()

    def troubles(self) -> list[Trouble]:
        """What keeps it from its work, other than Patchwork."""
        return [self._thread.trouble] if self._thread.trouble else []

    @contextlib.contextmanager
    def _asking(self, ledger: Ledger) -> Iterator[Patchwork]:
        """The connection, which ``stop`` cuts."""
        table = self._settings.server(self.server) or self._settings.patchwork
        with contextlib.closing(Patchwork(table, ledger, name=self.server)) as patchwork:
            self._patchwork = patchwork
            yield patchwork
