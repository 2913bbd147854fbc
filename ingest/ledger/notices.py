# SPDX-License-Identifier: BSD-3-Clause
"""The mail for the operator, and what of it was forwarded."""

from collections.abc import Callable

from ingest.ledger.connection import Connection, Row
from ingest.ledger.locking import those
from ingest.ledger.parts import MARKS_KEPT
from ingest.ledger.values import Event, Notice


class KeptNotices:
    """``Notices`` in a database."""

    def __init__(
        self,
        database: Connection,
        append: Callable[[int, list[Event]], None],
        mails: str = "mail",
    ) -> None:
        """``append`` adds to a mail's story within a transaction; ``mails``: the table, with how
        notices are found in it fast."""
        self._db = database
        self._append = append
        self._notices = (
            f"SELECT id, message_id, received, reason FROM {mails} WHERE outcome = 'notice'"
        )

    def all(self) -> tuple[Notice, ...]:
        found = self._db.rows(f"{self._notices} ORDER BY ended DESC, id DESC")
        return tuple(map(_notice, found))

    def pending(self, since: float) -> list[Notice]:
        found = (
            f"{self._notices} AND ended >= ? AND id NOT IN (SELECT mail FROM forwarding)"
            " ORDER BY ended, id"
        )
        return list(map(_notice, self._db.rows(found, since)))

    def forwarded(self, since: float) -> int:
        count = "SELECT count(*) AS count FROM forwarding WHERE sent = 1 AND at >= ?"
        return int(self._db.rows(count, since)[0]["count"])

    def mark(self, mail_id: int, event: Event, *, sent: bool) -> None:
        with self._db.writing():
            old = those(self._db, "forwarding", "at < ?", free=True)
            self._db.run(f"DELETE FROM forwarding WHERE {old}", event.at - MARKS_KEPT)
            mark = {"mail": mail_id, "at": event.at, "sent": int(sent)}
            self._db.insert("forwarding", mark, or_replace=True)
            self._append(mail_id, [event])


def _notice(row: Row) -> Notice:
    return Notice(row["id"], row["message_id"], row["received"], row["reason"])
