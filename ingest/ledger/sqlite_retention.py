# SPDX-License-Identifier: BSD-3-Clause
"""What the SQLite ledger drops when it is old, and what of it stays."""

from ingest.ledger import turns
from ingest.ledger.connection import Connection
from ingest.ledger.retention import OLD_PROMISES, PAST_ALL
from ingest.ledger.values import Keep

# Seconds after which an expired answer is worth a write to be rid of.
_STALE_ANSWERS = 86400.0

# Mails that lose something in one go: others write in between.
_PRUNED_AT_ONCE = 200


class Retention:
    """What a ``Ledger`` does about what is old."""

    _db: Connection

    def prune(self, keep: Keep, now: float) -> int:
        # Mostly there is nothing to drop: then nothing is written.
        if self._db.rows("SELECT 1 FROM answer WHERE expires < ? LIMIT 1", now - _STALE_ANSWERS):
            with self._db.writing(durable=False):
                self._db.run("DELETE FROM answer WHERE expires < ?", now)
        turns.forget(self._db)
        dropped = self._drop_raw("ended < ? AND raw IS NOT NULL", keep.raw)
        while self._raw_bytes() > keep.raw_bytes:
            oldest = "ended IS NOT NULL AND raw IS NOT NULL ORDER BY ended LIMIT 20"
            if not (gone := self._drop_raw(oldest, at_once=True)):
                break
            dropped += gone
        dropped += self._drop(("ignored", "rejected", "cancelled", "notice"), keep.ignored)
        return dropped + self._drop(("done", "unresolved", "failed"), keep.requests)

    def _raw_bytes(self) -> int:
        return int(self._db.rows("SELECT number FROM tally WHERE kind = 'raw'")[0][0])

    def _drop_raw(self, which: str, *values: object, at_once: bool = False) -> int:
        """Drop the raw bytes of the mails that a condition finds; how many that were."""
        limit = "" if at_once else f" LIMIT {_PRUNED_AT_ONCE}"
        dropped = 0
        while self._db.rows(f"SELECT 1 FROM mail WHERE {which}" + ("" if at_once else " LIMIT 1"),
                            *values):  # fmt: skip
            with self._db.writing(durable=False):
                dropped += self._db.run(
                    "UPDATE mail SET raw = NULL, stored = 0 WHERE id IN"
                    f" (SELECT id FROM mail WHERE {which}{limit})",
                    *values,
                ).rowcount
            if at_once:
                break
        return dropped

    def _drop(self, outcomes: tuple[str, ...], before: float) -> int:
        """Drop mails of these outcomes that ended before a time, and their requests if everybody
        who reads the log is past them; how many that were. Their identities stay."""
        dropped = 0
        for outcome in outcomes:
            old = (
                "SELECT id FROM mail INDEXED BY mail_over WHERE outcome = ? AND ended < ?"
                " AND NOT EXISTS (SELECT 1 FROM request WHERE request.mail = mail.id"
                f" AND number > {PAST_ALL})"
                f" ORDER BY ended LIMIT {_PRUNED_AT_ONCE}"
            )
            while rows := self._db.rows(old, outcome, before):
                with self._db.writing(durable=False):
                    for row in rows:
                        self._db.run(
                            "INSERT OR IGNORE INTO known SELECT identity FROM mail WHERE id = ?",
                            row["id"],
                        )
                        self._db.run("DELETE FROM request WHERE mail = ?", row["id"])
                        self._db.run("DELETE FROM mail WHERE id = ?", row["id"])
                    self._db.run(f"DELETE FROM promise WHERE {OLD_PROMISES}")
                dropped += len(rows)
        return dropped
