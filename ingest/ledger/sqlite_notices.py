# SPDX-License-Identifier: BSD-3-Clause
"""The mail for the operator in the SQLite ledger, and what of it was forwarded."""

from collections.abc import Callable

from ingest.ledger.database import Database
from ingest.ledger.parts import MARKS_KEPT
from ingest.ledger.values import Event, Notice

_NOTICES = (
    "SELECT id, message_id, received, reason FROM mail INDEXED BY mail_over"
    " WHERE outcome = 'notice'"
)


class SqliteNotices:
    """``Notices`` in an SQLite file."""

    def __init__(self, database: Database, append: Callable[[int, list[Event]], None]) -> None:
        """``append`` adds to a mail's story within a transaction."""
        self._db = database
        self._append = append

    def all(self) -> tuple[Notice, ...]:
        found = self._db.rows(f"{_NOTICES} ORDER BY ended DESC, id DESC")
        return tuple(Notice(*row) for row in found)

    def pending(self, since: float) -> list[Notice]:
        found = (
            f"{_NOTICES} AND ended >= ? AND id NOT IN (SELECT mail FROM forwarding)"
            " ORDER BY ended, id"
        )
        return [Notice(*row) for row in self._db.rows(found, since)]

    def forwarded(self, since: float) -> int:
        count = "SELECT count(*) FROM forwarding WHERE sent AND at >= ?"
        return int(self._db.rows(count, since)[0][0])

    def mark(self, mail_id: int, event: Event, *, sent: bool) -> None:
        with self._db.writing():
            self._db.run("DELETE FROM forwarding WHERE at < ?", event.at - MARKS_KEPT)
            self._db.run(
                "INSERT OR REPLACE INTO forwarding (mail, at, sent) VALUES (?, ?, ?)",
                *(mail_id, event.at, int(sent)),
            )
            self._append(mail_id, [event])
