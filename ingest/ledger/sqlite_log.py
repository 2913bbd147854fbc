# SPDX-License-Identifier: BSD-3-Clause
"""The request log of the SQLite ledger, and the seconds that are promised to its readers."""

import math
from collections.abc import Iterable
from dataclasses import replace

from ingest.ledger import requests as identified
from ingest.ledger import rows as made
from ingest.ledger import sqlite_results
from ingest.ledger.request_values import Request
from ingest.ledger.sqlite_mails import Mails
from ingest.ledger.values import Event, Outcome, Queued


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
            promised = self._promised()
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
            texts = request.requester, request.subject, request.message_id, reason
            words, shown = made.request_search(*texts), made.request_shown(*texts)
            self._db.insert("request_search", {"request": row["number"], **words, **shown})
            # Who asks may be another one than From says: the mail is found by both.
            self._db.run(
                "UPDATE mail_search SET author = author || char(10) || ?,"
                " shown_author = coalesce(shown_author, author) || char(10) || ? WHERE mail = ?",
                words["requester"],
                shown["shown_requester"] or words["requester"],
                request.mail_id,
            )
        return list(map(made.request, rows))

    def _namesakes(self, request: Request) -> list[Request]:
        """The requests of the same Message-ID, server and series."""
        found = (
            "SELECT * FROM request WHERE message_id = ? AND series = ? AND server = ?"
            " ORDER BY number"
        )
        rows = self._db.run(found, request.message_id, request.series, request.server).fetchall()
        return [made.request(row) for row in rows]

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        found = "SELECT * FROM request WHERE number > ? ORDER BY number LIMIT ?"
        return [made.request(row) for row in self._db.rows(found, after, limit)]

    def requests_of(self, series: int, up_to: int, server: str = "") -> list[Request]:
        found = (
            "SELECT * FROM request WHERE series = ? AND number <= ? AND server = ? ORDER BY number"
        )
        return [made.request(row) for row in self._db.rows(found, series, up_to, server)]

    def recorded(
        self,
        since: float,
        until: float,
        most: int,
        *,
        who: str = "",
        series: int = 0,
        server: str = "",
        proved: bool = False,
    ) -> list[float]:
        found = "SELECT recorded FROM request WHERE recorded > ? AND recorded <= ? AND rated = 1"
        values: list[object] = [since, until]
        for column, value in (("who", made.storable(who)), ("series", series)):
            if value:
                found += f" AND {column} = ?"
                values.append(value)
        if series:
            found += " AND server = ?"
            values.append(server)
        if proved:
            found += " AND proof <> ''"
        rows = self._db.rows(f"{found} ORDER BY recorded DESC LIMIT ?", *values, most)
        return [row["recorded"] for row in rows]

    def last_request(self) -> int:
        # Also when the newest ones were dropped since.
        return int(self._number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'request'") or 0)

    def reruns(self, since: float, now: float) -> tuple[list[Request], float]:
        # Mostly there is nothing: then nothing is written.
        news = self._db.rows("SELECT 1 FROM request WHERE recorded >= ? LIMIT 1", since)
        if not news and (since > now or since <= self._promised()):
            return [], since
        # The sign keeps SQLite from reading the whole log for the sake of its order.
        found = "SELECT * FROM request WHERE recorded >= ? ORDER BY +number"
        with self._db.writing():
            requests = [made.request(row) for row in self._db.run(found, since).fetchall()]
            if not requests:
                self._keep_promise(max(since, self._promised()))
                return [], since
            last = requests[-1].number
            before = "SELECT second FROM promise WHERE upto >= ? ORDER BY upto LIMIT 1"
            row = self._db.run(before, last).fetchone()
            if row is None:
                second = self._promise(0.0)
                self._db.insert("promise", {"upto": last, "second": second})
            else:
                second = float(row["second"])
                self._db.distrust()
        return requests, second

    def promise(self, beyond: float = 0.0) -> float:
        with self._db.writing():
            return self._promise(beyond)

    def _promise(self, beyond: float) -> float:
        newest = self._db.run("SELECT max(recorded) FROM request").fetchone()[0]
        promised = self._promised()
        if newest is None and not promised:
            return 0.0
        second = math.floor(max(newest or 0.0, promised, beyond)) + 1.0
        self._keep_promise(second)
        return second

    def _promised(self) -> float:
        """What was promised last, by whatever way."""
        return float(self._db.rows("SELECT second FROM head")[0]["second"])

    def _keep_promise(self, second: float) -> None:
        self._db.run("UPDATE head SET second = ?", second)
