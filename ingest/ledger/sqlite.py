# SPDX-License-Identifier: BSD-3-Clause
"""The ledger in one SQLite file, shared by every process on a machine: its states and statements.

How the file is opened, written and locked is ``database``'s knowledge. Opened through
``ledger.open_ledger``.
"""

import math
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace

from ingest import locks
from ingest.errors import StateUnavailable
from ingest.ledger import (
    Arrival,
    Cursor,
    Event,
    Feed,
    Outcome,
    Queued,
    Record,
    Request,
    Totals,
    Wait,
    Waiting,
)
from ingest.ledger import rows as made
from ingest.ledger.asides import SqliteAsides
from ingest.ledger.database import Database
from ingest.ledger.schema import MIGRATIONS

# A mail that was taken up this often and never came to an end is not tried any more: whatever
# kills the worker would do so for ever.
_MOST_STARTS = 20

# Seconds after which an expired answer is worth a write to be rid of.
_STALE_ANSWERS = 86400.0

# The cursor of what ``reruns`` has handed out; when it "moved" is what was promised.
_RERUNS = "reruns"

# Mails whose bytes are dropped in one go: others write in between.
_PRUNED_AT_ONCE = 200


# A mail by its Message-ID, or by its number if it has none; see ``_called``.
_NAMED = "message_id = ? OR (id = ? AND message_id = '')"


class SqliteLedger:
    """A ``Ledger`` in an SQLite file."""

    def __init__(self, path: str, *, busy_timeout: float, mode: int) -> None:
        self._mode = mode
        self._db = Database(path, MIGRATIONS, busy_timeout=busy_timeout, mode=mode)
        self._asides = SqliteAsides(self._db)

    @property
    def asides(self) -> SqliteAsides:
        return self._asides

    def batch(self) -> AbstractContextManager[None]:
        return self._db.batch()

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        ended = None if arrival.outcome is Outcome.QUEUED else arrival.received
        with self._db.writing():
            known = self._db.run(
                "SELECT id FROM mail WHERE identity = ?", arrival.identity
            ).fetchone()
            if known:
                self._db.distrust()
                return int(known["id"]), False
            new = self._insert(
                "mail",
                {
                    "identity": arrival.identity,
                    "message_id": arrival.message_id,
                    "list_id": arrival.list_id,
                    "source": arrival.source,
                    "envelope": made.envelope_text(arrival.envelope),
                    "received": arrival.received,
                    "raw": made.packed(arrival.raw),
                    "size": len(arrival.raw),
                    "outcome": arrival.outcome,
                    "reason": arrival.reason,
                    "due": arrival.received if ended is None else None,
                    "since": arrival.received,
                    "begun": arrival.received,
                    "ended": ended,
                    "story": made.story_text(
                        [Event(arrival.received, "accepted", {"source": arrival.source})]
                    ),
                },
                "RETURNING id",
            )
            return int(new[0]["id"]), True

    def claim(self, now: float) -> Queued | None:
        due = (
            "SELECT id FROM mail INDEXED BY mail_due"
            " WHERE outcome = 'queued' AND claimed = 0 AND due <= ? ORDER BY due, id LIMIT 1"
        )
        while self._db.rows(due, now):  # an idle worker only reads
            # The mark that the mail is being worked on may be lost with the power.
            with self._db.writing(durable=False):
                row = self._db.run(
                    f"UPDATE mail SET starts = starts + 1, claimed = 1 WHERE id = ({due})"
                    " RETURNING *",
                    now,
                ).fetchone()
            if row is None:
                return None
            try:
                return made.queued(row)
            except ValueError as error:
                with self._db.writing():
                    self._give_up(row["id"], str(error), now)
        return None

    def recover(self, now: float) -> int:
        if not self._db.rows("SELECT 1 FROM mail WHERE claimed = 1 LIMIT 1"):
            return 0
        with self._db.writing():
            left = self._db.run("SELECT id, starts FROM mail WHERE claimed = 1").fetchall()
            for row in left:
                if row["starts"] >= _MOST_STARTS:
                    reason = f"the worker died {row['starts']} times while working on it"
                    self._give_up(row["id"], reason, now)
                    continue
                # At once after one death: that was hardly this mail's fault.
                pause = 0.0 if row["starts"] < 3 else min(2.0 ** row["starts"], 600.0)
                self._db.run(
                    "UPDATE mail SET claimed = 0, due = max(due, ?) WHERE id = ?",
                    now + pause if pause else 0.0,
                    row["id"],
                )
            return len(left)

    def _give_up(self, id: int, reason: str, now: float) -> None:
        event = Event(now, Outcome.FAILED.value, {"reason": reason})
        self._end(id, Outcome.FAILED, reason, now, [event])

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        told = list(events)
        new: list[Request] = []
        # If the power takes it away, the mail is queued as before. Whoever hands a request on has
        # a cursor that is kept, and with it all that was written before.
        with self._db.writing(durable=False):
            promised = self.cursor(_RERUNS).moved
            for request in requests:
                # The second of two requests of one mail for one series is not new.
                new += map(
                    made.request,
                    self._insert(
                        "request",
                        made.request_columns(
                            replace(request, recorded=max(request.recorded, promised))
                        ),
                        "ON CONFLICT (message_id, series) DO NOTHING RETURNING *",
                    ),
                )
            self._end(mail.id, outcome, reason, told[-1].at if told else mail.received, told)
        return new

    def _end(self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]) -> None:
        self._db.run(
            "UPDATE mail SET outcome = ?, reason = ?, due = NULL, claimed = 0, starts = 0,"
            " waiting = '', ended = ?, story = story || ? WHERE id = ?",
            outcome,
            reason,
            at,
            made.story_text(events),
            id,
        )

    def wait(self, mail: Queued, wait: Wait, reason: str, events: Iterable[Event]) -> None:
        columns = asdict(wait)
        with self._db.writing(durable=False):
            self._db.run(
                f"UPDATE mail SET {', '.join(f'{each} = ?' for each in columns)}, reason = ?,"
                " claimed = 0, starts = 0, story = story || ? WHERE id = ?",
                *columns.values(),
                reason,
                made.story_text(events),
                mail.id,
            )

    def hasten(self, now: float) -> int:
        later = "outcome = 'queued' AND begun > ?"
        if not self._db.rows(f"SELECT 1 FROM mail WHERE {later} LIMIT 1", now):
            return 0
        with self._db.writing(durable=False):
            return self._db.run(
                f"UPDATE mail SET begun = ?, due = ? WHERE {later}", now, now, now
            ).rowcount

    def next_due(self) -> float | None:
        return self._number(
            "SELECT min(due) FROM mail INDEXED BY mail_due WHERE outcome = 'queued'"
        )

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        found = "SELECT * FROM request WHERE number > ? ORDER BY number LIMIT ?"
        return [made.request(row) for row in self._db.rows(found, after, limit)]

    def requests_of(self, series: int, up_to: int) -> list[Request]:
        found = "SELECT * FROM request WHERE series = ? AND number <= ? ORDER BY number"
        return [made.request(row) for row in self._db.rows(found, series, up_to)]

    def reruns(self, since: float, now: float) -> tuple[list[Request], float]:
        # Mostly there is nothing: then nothing is written.
        news = self._db.rows("SELECT 1 FROM request WHERE recorded >= ? LIMIT 1", since)
        if not news and (since > now or since <= self.cursor(_RERUNS).moved):
            return [], since
        # The sign keeps SQLite from reading the whole log for the sake of its order.
        found = "SELECT * FROM request WHERE recorded >= ? ORDER BY +number"
        with self._db.writing():
            requests = [made.request(row) for row in self._db.run(found, since).fetchall()]
            promise, last = since, 0
            if requests:
                promise = math.floor(max(request.recorded for request in requests)) + 1.0
                last = requests[-1].number
            promised = self.cursor(_RERUNS)
            if promise > promised.moved or last > promised.position:
                last, later = max(last, promised.position), max(promise, promised.moved)
                self._keep(Cursor(_RERUNS, last, later))
            else:
                self._db.distrust()
        return requests, promise

    def last_request(self) -> int:
        return int(self._number("SELECT max(number) FROM request") or 0)

    def cursor(self, name: str) -> Cursor:
        rows = self._db.rows("SELECT * FROM cursor WHERE name = ?", name)
        return made.cursor(rows[0]) if rows else Cursor(name)

    def cursors(self) -> tuple[Cursor, ...]:
        return tuple(map(made.cursor, self._db.rows("SELECT * FROM cursor ORDER BY name")))

    def set_cursor(self, cursor: Cursor) -> None:
        with self._db.writing():
            self._keep(cursor)

    def _keep(self, cursor: Cursor) -> None:
        self._insert("cursor", asdict(cursor), or_replace=True)

    def drop_cursor(self, name: str) -> None:
        with self._db.writing():
            self._db.run("DELETE FROM cursor WHERE name = ?", name)

    def feeds(self) -> tuple[Feed, ...]:
        return tuple(map(made.feed, self._db.rows("SELECT * FROM feed ORDER BY name, part")))

    def set_feed(self, feed: Feed) -> None:
        with self._db.writing():
            self._insert("feed", asdict(feed), or_replace=True)

    def tell(self, mail_id: int, events: Iterable[Event]) -> None:
        with self._db.writing():
            self._db.run(
                "UPDATE mail SET story = story || ? WHERE id = ?",
                made.story_text(events),
                mail_id,
            )

    def find(self, name: str) -> list[Record]:
        with self._db.reading():
            return [
                made.record(
                    row,
                    map(
                        made.request,
                        self._db.rows(
                            "SELECT * FROM request WHERE mail = ? ORDER BY number", row["id"]
                        ),
                    ),
                )
                for row in self._db.rows(
                    f"SELECT * FROM mail WHERE {_NAMED} ORDER BY id", *_called(name)
                )
            ]

    def totals(self) -> Totals:
        with self._db.reading():
            tally = self._db.rows("SELECT kind, waiting, number FROM tally")
            mails, waiting = Counter[str](), Counter[str]()
            for row in tally:
                mails[row["kind"]] += row["number"]
                waiting[row["waiting"]] += row["number"]
            oldest = self._number(
                "SELECT min(received) FROM mail INDEXED BY mail_waits WHERE outcome = 'queued'"
            )
            return Totals(
                mails={outcome.value: mails[outcome.value] for outcome in Outcome},
                waiting={each.value: waiting[each.value] for each in Waiting if each},
                oldest=oldest or 0.0,
                last_received=self._number("SELECT max(received) FROM mail") or 0.0,
                due=self.next_due() or 0.0,
                requests=mails["request"],
                last_request=self.last_request(),
                cursors=self.cursors(),
                feeds=self.feeds(),
            )

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        again = (
            "UPDATE mail SET outcome = 'queued', waiting = '', due = ?, since = ?, begun = ?,"
            " waited = 0, missing = 0, tries = 0, starts = 0, ended = NULL, story = story || ?"
            " WHERE outcome IN ('queued', 'unresolved', 'failed') AND raw IS NOT NULL"
        )
        values = (now, now, now, made.story_text([Event(now, "queued again", {})]))
        with self._db.writing():
            if names is None:
                return self._db.run(again, *values).rowcount
            return sum(
                self._db.run(f"{again} AND ({_NAMED})", *values, *_called(each)).rowcount
                for each in dict.fromkeys(names)
            )

    def prune(self, before: float, now: float) -> int:
        # Mostly there is nothing to drop: then nothing is written.
        expired = "SELECT 1 FROM answer WHERE expires < ? LIMIT 1"
        if self._db.rows(expired, now - _STALE_ANSWERS):
            with self._db.writing(durable=False):
                self._db.run("DELETE FROM answer WHERE expires < ?", now)
        dropped = 0
        old = "SELECT id FROM mail WHERE ended < ? AND raw IS NOT NULL LIMIT ?"
        while self._db.rows(old, before, 1):
            with self._db.writing(durable=False):
                dropped += self._db.run(
                    f"UPDATE mail SET raw = NULL WHERE id IN ({old})", before, _PRUNED_AT_ONCE
                ).rowcount
        return dropped

    def recall(self, key: str, now: float) -> str | None:
        rows = self._db.rows("SELECT text FROM answer WHERE key = ? AND expires > ?", key, now)
        return str(rows[0]["text"]) if rows else None

    def remember(self, key: str, answer: str, expires: float) -> None:
        columns: dict[str, object] = {"key": key, "text": answer, "expires": expires}
        with self._db.writing(durable=False):
            self._insert("answer", columns, or_replace=True)

    @contextmanager
    def lease(self, name: str = "worker", patience: float = 0.0) -> Iterator[bool]:
        # The kernel ends a file lock with its process, so that a killed worker leaves no lease
        # to be waited out, and no clock is involved.
        path = self._db.path.with_name(f"{self._db.path.name}-{name}.lock")
        try:
            held = locks.take(str(path), mode=self._mode, patience=patience)
        except OSError as error:
            raise StateUnavailable(f"the lease of {name} cannot be had: {error}") from error
        try:
            yield held is not None
        finally:
            if held is not None:
                os.close(held)

    def close(self) -> None:
        self._db.close()

    def _insert(
        self, table: str, columns: Mapping[str, object], then: str = "", *, or_replace: bool = False
    ) -> list[sqlite3.Row]:
        places = ", ".join("?" * len(columns))
        return self._db.run(
            f"INSERT {'OR REPLACE ' if or_replace else ''}INTO {table} ({', '.join(columns)})"
            f" VALUES ({places}) {then}",
            *columns.values(),
        ).fetchall()

    def _number(self, query: str) -> float | None:
        value: float | None = self._db.rows(query)[0][0]
        return value


def _called(name: str) -> tuple[str, int]:
    """The values that ``_NAMED`` takes for a name; no mail has the number 0."""
    number = re.fullmatch(r"mail-([1-9][0-9]{0,17})", name)
    return name, int(number[1]) if number else 0
