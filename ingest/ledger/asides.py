# SPDX-License-Identifier: BSD-3-Clause
"""The requests that sinks have set aside, in a database."""

from dataclasses import asdict

from ingest.ledger.connection import Connection
from ingest.ledger.locking import those
from ingest.ledger.progress import Aside


class KeptAsides:
    """``Asides`` in a database."""

    def __init__(self, database: Connection) -> None:
        self._db = database

    def keep(self, aside: Aside) -> None:
        with self._db.writing():
            self._db.insert("aside", asdict(aside), or_replace=True)

    def drop(self, sink: str, request: int) -> None:
        with self._db.writing():
            self._db.run("DELETE FROM aside WHERE sink = ? AND request = ?", sink, request)

    def due(self, sink: str, now: float, longest: float, limit: int = 100) -> list[Aside]:
        found = (
            "SELECT * FROM aside WHERE sink = ? AND due IS NOT NULL AND (due <= ? OR due > ?)"
            " ORDER BY tries, request LIMIT ?"
        )
        return [Aside(**row) for row in self._db.rows(found, sink, now, now + longest, limit)]

    def of(self, sink: str) -> list[Aside]:
        found = "SELECT * FROM aside WHERE sink = ? ORDER BY request"
        return [Aside(**row) for row in self._db.rows(found, sink)]

    def put_off(self, sink: str, reason: str, now: float, until: float) -> None:
        which = "sink = ? AND reason = ? AND due <= ?"
        with self._db.writing():
            self._db.run(
                f"UPDATE aside SET due = ? WHERE {those(self._db, 'aside', which)}",
                *(until, sink, reason, now),
            )

    def retry(self, sink: str, now: float) -> int:
        with self._db.writing():
            return self._db.run(
                "UPDATE aside SET due = ?, since = ?, tries = 0"
                f" WHERE {those(self._db, 'aside', 'sink = ?')}",
                *(now, now, sink),
            ).rowcount
