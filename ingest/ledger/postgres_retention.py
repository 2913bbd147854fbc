# SPDX-License-Identifier: BSD-3-Clause
"""What the PostgreSQL ledger drops when it is old, and what of it stays."""

from ingest.ledger.locking import in_order, those
from ingest.ledger.retention import OLD_PROMISES, PAST_ALL
from ingest.ledger.session import Session
from ingest.ledger.values import MOST_HAPPENINGS, Keep

# Mails that lose something in one go: others write in between.
_PRUNED_AT_ONCE = 200

# The tables whose rows go with their request's, in the order of ``locking``.
_OF_A_REQUEST = ("seen", "baseline", "result", "aside", "letter", "request_search")


class Retention:
    """What a ``Ledger`` does about what is old."""

    _session: Session

    def prune(self, keep: Keep, now: float) -> int:
        expired = those(self._session, "answer", "expires < ?", free=True)
        self._write(f"DELETE FROM answer WHERE {expired}", now)
        old = "mail IS NULL AND number <= (SELECT max(number) FROM event) - ?"
        happened = those(self._session, "event", old, free=True)
        self._write(f"DELETE FROM event WHERE {happened}", MOST_HAPPENINGS)
        # If nobody waits, the next one begins anew.
        self._write(
            "UPDATE meta SET value = (SELECT max(id) FROM mail)::text WHERE key = 'turns after'"
            " AND value::bigint < (SELECT max(id) FROM mail) AND NOT EXISTS"
            " (SELECT 1 FROM queue WHERE claimed IS NULL AND waiting = '')"
        )
        dropped = self._drop_raw("ended < ?", keep.raw)
        over = self._raw_bytes(keep.raw_bytes) - keep.raw_bytes
        while over > 0 and (gone := self._drop_some_raw("ended IS NOT NULL", most=20)):
            dropped, over = dropped + len(gone), over - sum(gone)
        dropped += self._drop(("ignored", "rejected", "cancelled", "notice"), keep.ignored)
        return dropped + self._drop(("done", "unresolved", "failed"), keep.requests)

    def _write(self, statement: str, *values: object) -> None:
        """A statement that may be lost with a server."""
        with self._session.writing(durable=False):
            self._session.run(statement, *values)

    def _raw_bytes(self, least: int) -> int:
        """The raw bytes of mails that ended, counted only where there may be more than ``least``:
        a table is at least as large as what is in it."""
        kept = (
            "SELECT CASE WHEN pg_total_relation_size('raw') > ? THEN (SELECT"
            " coalesce(sum(stored), 0) FROM raw WHERE ended IS NOT NULL)::bigint ELSE 0 END AS kept"
        )
        return int(self._session.rows(kept, least)[0]["kept"])

    def _drop_raw(self, which: str, *values: object) -> int:
        """Drop the raw bytes of the mails that a condition finds; how many that were."""
        dropped = 0
        while gone := self._drop_some_raw(which, *values, most=_PRUNED_AT_ONCE):
            dropped += len(gone)
        return dropped

    def _drop_some_raw(self, which: str, *values: object, most: int) -> list[int]:
        """Drop the raw bytes of the oldest of these mails; how many bytes that were of each."""
        old = f"SELECT mail FROM raw WHERE {which} ORDER BY ended, mail LIMIT ?"
        with self._session.writing(durable=False):
            gone = self._session.run(
                f"DELETE FROM raw WHERE mail IN ({old} FOR UPDATE SKIP LOCKED) RETURNING stored",
                *values,
                most,
            )
            return [row["stored"] for row in gone.fetchall()]

    def _drop(self, outcomes: tuple[str, ...], before: float) -> int:
        """Drop mails of these outcomes that ended before a time, and their requests if everybody
        who reads the log is past them; how many that were. Their identities stay."""
        dropped = 0
        for outcome in outcomes:
            while gone := self._drop_some(outcome, before):
                dropped += gone
        return dropped

    def _drop_some(self, outcome: str, before: float) -> int:
        # Not locked, and so not dropped now, is what somebody else is at.
        old = (
            "SELECT id FROM mail WHERE outcome = ? AND ended < ?"
            " AND NOT EXISTS (SELECT 1 FROM request WHERE request.mail = mail.id"
            f" AND number > {PAST_ALL})"
            " ORDER BY ended LIMIT ? FOR UPDATE SKIP LOCKED"
        )
        if not self._session.rows(old.partition(" FOR UPDATE")[0], outcome, before, 1):
            return 0
        with self._session.writing(durable=False):
            rows = self._session.run(old, outcome, before, _PRUNED_AT_ONCE).fetchall()
            ids = [row["id"] for row in rows]
            held = in_order("request", "mail = ANY(?)", self._session.held)
            numbers = [row["number"] for row in self._session.run(held, ids)]
            for table in _OF_A_REQUEST:
                gone = those(self._session, table, "request = ANY(?)")
                self._session.run(f"DELETE FROM {table} WHERE {gone}", numbers)
            self._session.run("DELETE FROM request WHERE number = ANY(?)", numbers)
            for table in ("event", "mail_search", "raw"):
                self._session.run(f"DELETE FROM {table} WHERE mail = ANY(?)", ids)
            self._session.run(
                "WITH gone AS (DELETE FROM mail WHERE id = ANY(?) RETURNING digest)"
                " INSERT INTO known SELECT digest FROM gone ON CONFLICT DO NOTHING",
                ids,
            )
            old = those(self._session, "promise", OLD_PROMISES, free=True)
            self._session.run(f"DELETE FROM promise WHERE {old}")
        return len(ids)
