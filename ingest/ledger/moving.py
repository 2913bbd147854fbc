# SPDX-License-Identifier: BSD-3-Clause
"""Moves a ledger between SQLite and PostgreSQL; both are imported here, when one moves."""

from collections.abc import Callable
from contextlib import closing

from ingest.config.tables import StateSettings
from ingest.errors import UsageError
from ingest.ledger import Opening, open_ledger
from ingest.ledger.copying import Side, Table, copy


def move(
    source: str, target: str, state: StateSettings, told: Callable[[int], None]
) -> list[Table]:
    """Copy all of the ledger at one URL into the one at another, which is made if it is not there,
    and close the first one for writing; see ``copying.copy``. Raises as that and ``open_ledger``
    do, and ``UsageError`` for two ledgers of one kind."""
    kinds = {url.partition(":")[0] for url in (source, target)}
    if kinds != {"sqlite", "postgresql"}:
        raise UsageError(
            "ledger copy moves a ledger from sqlite:PATH to postgresql://HOST/DATABASE or back; "
            "within one kind use ledger backup, or pg_dump"
        )
    with (
        closing(_Opened(source, state, Opening.MOVE)) as old,
        closing(_Opened(target, state, Opening.WRITE)) as new,
    ):
        sqlite = old if source.startswith("sqlite:") else new
        return copy(old.side, new.side, sqlite.side, told)


class _Opened:
    """A ledger as one side of a move."""

    def __init__(self, url: str, state: StateSettings, opening: Opening) -> None:
        self._ledger = open_ledger(
            url,
            busy_timeout=state.busy_timeout,
            mode=state.mode,
            opening=opening,
            timeout=state.timeout,
            replicas=state.replicas,
        )
        self.side: Side = self._ledger.side()
        self.close = self._ledger.close
