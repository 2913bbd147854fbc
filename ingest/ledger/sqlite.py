# SPDX-License-Identifier: BSD-3-Clause
"""The ledger in one SQLite file, shared by every process on a machine.

WAL and synchronous=FULL: a commit is on the disk when it returns, and readers never wait.
Opened through ``ledger.open_ledger``.
"""

import fcntl
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.errors import StateUnavailable
from ingest.ledger import (
    Arrival,
    Cursor,
    Envelope,
    Event,
    Outcome,
    Queued,
    Record,
    Request,
    Totals,
    Waiting,
)
from ingest.ledger.schema import MIGRATIONS

# A mail that was taken up this often and never came to an end is not tried any more: whatever
# kills the worker would do so for ever.
_MOST_STARTS = 20

# Seconds after which an expired answer is worth a write to be rid of.
_STALE_ANSWERS = 86400.0


class SqliteLedger:
    """A ``Ledger`` in an SQLite file."""

    def __init__(self, path: str, *, busy_timeout: float, mode: int) -> None:
        self.path = Path(path)
        self._batching = False
        with self._told("opened"):
            self._make(mode)
            self._db = sqlite3.connect(
                path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()

    def _make(self, mode: int) -> None:
        """The folder and an empty file with the wanted permissions, whatever the umask is (an
        alias pipe's is 0077), both of them durable."""
        if self.path.exists():
            return
        self.path.parent.mkdir(mode=0o770, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, mode)
        os.fchmod(descriptor, mode)
        os.close(descriptor)
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _migrate(self) -> None:
        newest = len(MIGRATIONS)
        if self._version() == newest:
            return
        with self._writing("migrated"):
            version = self._version()
            if version > newest:
                raise StateUnavailable(
                    f"the ledger {self.path} has schema {version}, made by a newer release; "
                    f"this one knows {newest}: install the newer release again"
                )
            for migration in MIGRATIONS[version:]:
                for statement in migration:
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={newest}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """SQLite's and the system's errors as the one error the rest of the program knows."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StateUnavailable(
                f"the ledger {self.path} could not be {doing}: {error}; "
                "check the disk and the permissions of its folder"
            ) from error

    @contextmanager
    def _writing(self, doing: str = "written") -> Iterator[None]:
        """One transaction, or a part of the batch that is open."""
        with self._told(doing):
            if self._batching:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            try:
                self._db.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        # A full disk or an I/O error makes SQLite roll back by itself.
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @contextmanager
    def batch(self) -> Iterator[None]:
        with self._writing():
            self._batching = True
            try:
                yield
            finally:
                self._batching = False

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        ended = None if arrival.outcome is Outcome.QUEUED else arrival.received
        event = Event(arrival.received, "accepted", {"source": arrival.source})
        with self._writing():
            found = self._db.execute(
                "SELECT id FROM mail WHERE identity = ?", (arrival.identity,)
            ).fetchone()
            if found:
                return int(found["id"]), False
            made = self._db.execute(
                "INSERT INTO mail (identity, message_id, list_id, source, envelope, received,"
                " raw, size, outcome, reason, due, since, ended, story)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    arrival.identity,
                    arrival.message_id,
                    arrival.list_id,
                    arrival.source,
                    _envelope_text(arrival.envelope),
                    arrival.received,
                    zlib.compress(arrival.raw, 1),
                    len(arrival.raw),
                    arrival.outcome,
                    arrival.reason,
                    arrival.received if ended is None else None,
                    arrival.received,
                    ended,
                    _story_text([event]),
                ),
            )
            return int(made.lastrowid or 0), True

    def claim(self, now: float) -> Queued | None:
        # An idle worker only reads.
        due = "SELECT 1 FROM mail WHERE outcome = 'queued' AND due <= ? LIMIT 1"
        if not self._rows(due, now):
            return None
        # The mark that the mail is being worked on may be lost with the power: no fsync for it.
        with self._told("written"):
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                with self._writing():
                    row = self._db.execute(
                        "UPDATE mail SET starts = starts + 1, claimed = 1 WHERE id ="
                        " (SELECT id FROM mail WHERE outcome = 'queued' AND due <= ?"
                        "  ORDER BY due, id LIMIT 1)"
                        " RETURNING *",
                        (now,),
                    ).fetchone()
            finally:
                self._db.execute("PRAGMA synchronous=FULL")
        if row is None:
            return None
        return Queued(
            id=row["id"],
            raw=zlib.decompress(row["raw"]) if row["raw"] else b"",
            message_id=row["message_id"],
            source=row["source"],
            envelope=_envelope(row["envelope"]),
            received=row["received"],
            waiting=Waiting(row["waiting"]),
            since=row["since"],
            tries=row["tries"],
        )

    def recover(self, now: float) -> int:
        if not self._rows("SELECT 1 FROM mail WHERE claimed = 1 LIMIT 1"):
            return 0
        with self._writing():
            left = self._db.execute("SELECT id, starts FROM mail WHERE claimed = 1").fetchall()
            for row in left:
                if row["starts"] >= _MOST_STARTS:
                    reason = f"the worker died {row['starts']} times while working on it"
                    self._end(row["id"], Outcome.FAILED, reason, now, [])
                    continue
                # At once after one death: that was hardly this mail's fault.
                pause = 0.0 if row["starts"] < 3 else min(2.0 ** row["starts"], 600.0)
                self._db.execute(
                    "UPDATE mail SET claimed = 0, due = max(due, ?) WHERE id = ?",
                    (now + pause if pause else 0.0, row["id"]),
                )
            return len(left)

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        told = list(events)
        with self._writing():
            new = [made for request in requests if (made := self._append(request))]
            self._end(mail.id, outcome, reason, told[-1].at if told else mail.received, told)
        return new

    def _end(self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]) -> None:
        self._db.execute(
            "UPDATE mail SET outcome = ?, reason = ?, due = NULL, claimed = 0, starts = 0,"
            " waiting = '', ended = ?, story = story || ? WHERE id = ?",
            (outcome, reason, at, _story_text(events), id),
        )

    def _append(self, request: Request) -> Request | None:
        made = self._db.execute(
            "INSERT INTO request (mail, message_id, series, submission, project, contexts,"
            " arguments, leftovers, requester, subject, date, recorded)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (message_id, series) DO NOTHING RETURNING *",
            (
                request.mail_id,
                request.message_id,
                request.series,
                request.submission,
                request.project,
                json.dumps(request.contexts),
                json.dumps(dict(request.arguments)),
                json.dumps(request.leftovers),
                request.requester,
                request.subject,
                request.date,
                request.recorded,
            ),
        ).fetchone()
        return _request(made) if made else None

    def wait(
        self,
        mail: Queued,
        waiting: Waiting,
        due: float,
        since: float,
        tries: int,
        reason: str,
        events: Iterable[Event],
    ) -> None:
        with self._writing():
            self._db.execute(
                "UPDATE mail SET waiting = ?, due = ?, since = ?, tries = ?, reason = ?,"
                " claimed = 0, starts = 0, story = story || ? WHERE id = ?",
                (waiting, due, since, tries, reason, _story_text(events), mail.id),
            )

    def next_due(self) -> float | None:
        return self._number("SELECT min(due) FROM mail WHERE outcome = 'queued'")

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        return [
            _request(row)
            for row in self._rows(
                "SELECT * FROM request WHERE number > ? ORDER BY number LIMIT ?", after, limit
            )
        ]

    def requests_of(self, series: int, up_to: int) -> list[Request]:
        return [
            _request(row)
            for row in self._rows(
                "SELECT * FROM request WHERE series = ? AND number <= ? ORDER BY number",
                series,
                up_to,
            )
        ]

    def last_request(self) -> int:
        return int(self._number("SELECT max(number) FROM request") or 0)

    def cursor(self, name: str) -> Cursor:
        rows = self._rows("SELECT * FROM cursor WHERE name = ?", name)
        return Cursor(**rows[0]) if rows else Cursor(name)

    def set_cursor(self, cursor: Cursor) -> None:
        with self._writing():
            self._db.execute(
                "INSERT OR REPLACE INTO cursor (name, position, moved, tries, due, reason)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    cursor.name,
                    cursor.position,
                    cursor.moved,
                    cursor.tries,
                    cursor.due,
                    cursor.reason,
                ),
            )

    def find(self, message_id: str) -> list[Record]:
        return [
            Record(
                id=row["id"],
                message_id=row["message_id"],
                list_id=row["list_id"],
                source=row["source"],
                envelope=_envelope(row["envelope"]),
                received=row["received"],
                size=row["size"],
                outcome=Outcome(row["outcome"]),
                reason=row["reason"],
                due=row["due"],
                tries=row["tries"],
                story=_story(row["story"]),
                requests=tuple(
                    _request(each)
                    for each in self._rows(
                        "SELECT * FROM request WHERE mail = ? ORDER BY number", row["id"]
                    )
                ),
            )
            for row in self._rows("SELECT * FROM mail WHERE message_id = ? ORDER BY id", message_id)
        ]

    def totals(self) -> Totals:
        mails = {
            str(row["outcome"]): int(row["n"])
            for row in self._rows("SELECT outcome, count(*) AS n FROM mail GROUP BY outcome")
        }
        waiting = {
            str(row["waiting"]): int(row["n"])
            for row in self._rows(
                "SELECT waiting, count(*) AS n FROM mail WHERE outcome = 'queued' GROUP BY waiting"
            )
        }
        return Totals(
            mails={outcome.value: mails.get(outcome, 0) for outcome in Outcome},
            waiting={each.value: waiting.get(each, 0) for each in Waiting if each},
            oldest=self._number("SELECT min(received) FROM mail WHERE outcome = 'queued'") or 0.0,
            last_received=self._number("SELECT max(received) FROM mail") or 0.0,
            due=self.next_due() or 0.0,
            requests=int(self._number("SELECT count(*) FROM request") or 0),
            cursors=tuple(
                Cursor(**row) for row in self._rows("SELECT * FROM cursor ORDER BY name")
            ),
        )

    def retry(self, message_ids: Iterable[str] | None, now: float) -> int:
        again = (
            "UPDATE mail SET outcome = 'queued', waiting = '', due = ?, since = ?, tries = 0,"
            " starts = 0, ended = NULL, story = story || ?"
            " WHERE outcome IN ('queued', 'unresolved', 'failed') AND raw IS NOT NULL"
        )
        values = (now, now, _story_text([Event(now, "queued again", {})]))
        with self._writing():
            if message_ids is None:
                return self._db.execute(again, values).rowcount
            return sum(
                self._db.execute(f"{again} AND message_id = ?", (*values, each)).rowcount
                for each in message_ids
            )

    def prune(self, before: float, now: float) -> int:
        # Mostly there is nothing to drop: then nothing is written.
        stale = self._rows("SELECT 1 FROM mail WHERE ended < ? AND raw IS NOT NULL LIMIT 1", before)
        expired = self._rows("SELECT 1 FROM answer WHERE expires < ? LIMIT 1", now - _STALE_ANSWERS)
        if not stale and not expired:
            return 0
        with self._writing():
            self._db.execute("DELETE FROM answer WHERE expires < ?", (now,))
            return self._db.execute(
                "UPDATE mail SET raw = NULL WHERE ended < ? AND raw IS NOT NULL", (before,)
            ).rowcount

    def recall(self, key: str, now: float) -> str | None:
        rows = self._rows("SELECT text FROM answer WHERE key = ? AND expires > ?", key, now)
        return str(rows[0]["text"]) if rows else None

    def remember(self, key: str, answer: str, expires: float) -> None:
        with self._writing():
            self._db.execute(
                "INSERT OR REPLACE INTO answer (key, text, expires) VALUES (?, ?, ?)",
                (key, answer, expires),
            )

    @contextmanager
    def lease(self) -> Iterator[bool]:
        # The kernel ends a file lock with its process, so that a killed worker leaves no lease
        # to be waited out, and no clock is involved.
        with self._told("locked"):
            descriptor = os.open(self.path.with_name("worker.lock"), os.O_RDWR | os.O_CREAT, 0o660)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._db.close()

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._told("read"):
            return self._db.execute(query, values).fetchall()

    def _number(self, query: str) -> float | None:
        value: float | None = self._rows(query)[0][0]
        return value


def _request(row: sqlite3.Row) -> Request:
    return Request(
        number=row["number"],
        mail_id=row["mail"],
        message_id=row["message_id"],
        series=row["series"],
        submission=row["submission"],
        project=row["project"],
        contexts=tuple(json.loads(row["contexts"])),
        arguments=json.loads(row["arguments"]),
        leftovers=tuple(json.loads(row["leftovers"])),
        requester=row["requester"],
        subject=row["subject"],
        date=row["date"],
        recorded=row["recorded"],
    )


def _envelope_text(envelope: Envelope) -> str:
    return json.dumps([envelope.sender, list(envelope.recipients), envelope.peer])


def _envelope(text: str) -> Envelope:
    sender, recipients, peer = json.loads(text)
    return Envelope(sender, tuple(recipients), peer)


def _story_text(events: Iterable[Event]) -> str:
    """Events one a line, so that a step is appended without reading the story."""
    return "".join(
        json.dumps([event.at, event.what, dict(event.details)]) + "\n" for event in events
    )


def _story(text: str) -> tuple[Event, ...]:
    entries: list[Any] = [json.loads(line) for line in text.splitlines()]
    return tuple(Event(*entry) for entry in entries)
