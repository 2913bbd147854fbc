# SPDX-License-Identifier: BSD-3-Clause
"""A PostgreSQL that takes writes, and a standby of it that takes over when the first is lost."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.support.postgres import Cluster, send

_STREAMING = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
_SYNCHRONOUS = f"{_STREAMING} AND sync_state = 'sync'"


class Pair:
    """The two servers. ``synchronous``: the standby has what is committed."""

    def __init__(self, *, synchronous: bool = True, on_disk: bool = False) -> None:
        self._is_synchronous = synchronous
        self.primary = Cluster(on_disk=on_disk)
        self.standby = Cluster(standby_of=self.primary, on_disk=on_disk)
        self.hosts = f"{self.primary.folder},{self.standby.folder}"
        self._wait_for_standby()

    def ledger(self, folder: Path) -> str:
        """The URL of an empty ledger that names both, whichever takes writes."""
        of_one = self.primary.database_for(folder)
        return of_one.replace(str(self.primary.folder), self.hosts)

    def take_over(self, lose: Callable[[Cluster], None] = Cluster.kill) -> None:
        """Lose the primary, in some way, and have the standby take writes."""
        lose(self.primary)
        self.standby.promote()
        # It has no standby of its own yet.
        self.standby.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.standby.execute("SELECT pg_reload_conf()")
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Have the one that was lost be the standby."""
        self.standby.follow(self.primary)
        self._wait_for_standby()

    def stop_sending(self) -> Callable[[], None]:
        """Have the standby be sent nothing; what has it be sent all again."""
        senders = self.primary.processes("walsender")
        send(signal.SIGSTOP, senders)
        return lambda: send(signal.SIGCONT, senders)

    def remove(self) -> None:
        """Stop both, and remove all that they have."""
        for each in (self.primary, self.standby):
            each.remove()

    def _wait_for_standby(self) -> None:
        self._wait_for(_STREAMING)
        if self._is_synchronous:
            self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.primary.execute("SELECT pg_reload_conf()")
            self._wait_for(_SYNCHRONOUS)

    def _wait_for(self, query: str) -> None:
        with psycopg.connect(self.primary.url("postgres"), autocommit=True) as connection:
            while connection.execute(query).fetchone() != (1,):
                time.sleep(0.01)
