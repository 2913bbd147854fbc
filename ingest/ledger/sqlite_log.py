# SPDX-License-Identifier: BSD-3-Clause
"""The request log of the SQLite ledger, and what ``reruns`` has promised of it."""

import math
from collections.abc import Iterable
from dataclasses import asdict, replace

from ingest.ledger import requests as identified
from ingest.ledger import rows as made
from ingest.ledger import sqlite_results
from ingest.ledger.sqlite_mails import Mails
from ingest.ledger.values import Cursor, Event, Feed, Outcome, Queued, Request

# The cursor of what ``reruns`` has handed out; when it "moved" is what was promised.
_RERUNS = "reruns"


class Log(Mails):
    """What a ``Ledger`` does about requests."""

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        steps = list(events)
        new: list[Request] = []
        # If the power takes it away, the mail is queued as before. Whoever hands a request on has
        # a cursor that is kept, and with it all that was written before.
        with self._db.writing(durable=False):
            self._check_claim(mail)
            promised = self.cursor(_RERUNS).moved
            earlier: list[Request] = []
            for request in requests:
                namesakes = self._namesakes(request)
                fresh = identified.news(request, namesakes, mail.identity)
                if fresh is None:
                    earlier += namesakes
                    continue
                fresh = replace(fresh, recorded=max(fresh.recorded, promised))
                new += self._enter(fresh, reason)
            sqlite_results.begin(self._db, new)
            at = steps[-1].at if steps else mail.received
            if outcome is Outcome.DONE and earlier and not new:
                outcome = Outcome.IGNORED
                reason = f"mail-{earlier[0].mail_id}, of its Message-ID, asked for the same before"
                steps[-1:] = [Event(at, outcome.value, {"reason": reason})]
            self._end(mail.id, outcome, reason, at, steps)
        return new

    def _enter(self, request: Request, reason: str) -> list[Request]:
        """The request as it came into the log, none if its id is there already."""
        columns = made.request_columns(request)
        rows = self._db.insert("request", columns, "ON CONFLICT (id) DO NOTHING RETURNING *")
        for row in rows:
            words = made.request_search(request, reason)
            self._db.insert("request_search", {"request": row["number"], **words})
            # Who asks may be another one than From says: the mail is found by both.
            self._db.run(
                "UPDATE mail_search SET author = author || char(10) || ? WHERE mail = ?",
                words["requester"],
                request.mail_id,
            )
        return list(map(made.request, rows))

    def _namesakes(self, request: Request) -> list[Request]:
        """The requests of the same Message-ID and series."""
        found = "SELECT * FROM request WHERE message_id = ? AND series = ? ORDER BY number"
        rows = self._db.run(found, request.message_id, request.series).fetchall()
        return [made.request(row) for row in rows]

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        found = "SELECT * FROM request WHERE number > ? ORDER BY number LIMIT ?"
        return [made.request(row) for row in self._db.rows(found, after, limit)]

    def requests_of(self, series: int, up_to: int) -> list[Request]:
        found = "SELECT * FROM request WHERE series = ? AND number <= ? ORDER BY number"
        return [made.request(row) for row in self._db.rows(found, series, up_to)]

    def recorded(
        self, since: float, until: float, most: int, *, who: str = "", series: int = 0
    ) -> list[float]:
        found = "SELECT recorded FROM request WHERE recorded > ? AND recorded <= ?"
        values: list[object] = [since, until]
        for column, value in (("who", made.storable(who)), ("series", series)):
            if value:
                found += f" AND {column} = ?"
                values.append(value)
        rows = self._db.rows(f"{found} ORDER BY recorded DESC LIMIT ?", *values, most)
        return [row["recorded"] for row in rows]

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
        self._db.insert("cursor", asdict(cursor), or_replace=True)

    def drop_cursor(self, name: str) -> None:
        with self._db.writing():
            self._db.run("DELETE FROM cursor WHERE name = ?", name)

    def feeds(self) -> tuple[Feed, ...]:
        return tuple(map(made.feed, self._db.rows("SELECT * FROM feed ORDER BY name, part")))

    def set_feed(self, feed: Feed) -> None:
        with self._db.writing():
            self._db.insert("feed", asdict(feed), or_replace=True)
