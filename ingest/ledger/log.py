# SPDX-License-Identifier: BSD-3-Clause
"""The request log, and the seconds that are promised to its readers."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ingest.ledger import requests as identified
from ingest.ledger import rows as made
from ingest.ledger.connection import Connection
from ingest.ledger.progress import Cursor
from ingest.ledger.request_values import Request
from ingest.ledger.values import Arrival, Event, Outcome, Queued

# The requests of the same Message-ID, server and series; takes these.
NAMESAKES = (
    "SELECT * FROM request WHERE message_id = ? AND series = ? AND server = ? ORDER BY number"
)


class Ending(NamedTuple):
    """How a mail ends. ``at``: a Unix time."""

    id: int
    outcome: Outcome
    reason: str
    at: float
    events: list[Event]


class _Overtaken(Exception):
    """Somebody else has promised, or recorded, what is as late."""


class Log(ABC):
    """What a ``Ledger`` does about requests."""

    _db: Connection

    # Whether a request is kept for good before anybody reads it.
    _durable: bool

    @abstractmethod
    def _accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        """As ``Ledger.accept_all``, within a transaction."""

    @abstractmethod
    def _append(self, mail_id: int, events: Sequence[Event]) -> None:
        """Add to a mail's story, within a transaction."""

    @abstractmethod
    def _hold_head(self) -> float:
        """Nobody else appends to the log or promises anything until this transaction ends. The
        second that was promised last, in whatever way."""

    @abstractmethod
    def _enter(self, request: Request, reason: str) -> list[Request]:
        """The request as it came into the log, with a result to come for each label; none if its
        id is there already. After ``_hold_head``."""

    @abstractmethod
    def _take_back(self, mail: Queued, asked: Sequence[Request]) -> list[list[Request]]:
        """For each of a mail's requests, the earlier ones of the same Message-ID, server and
        series; nobody else adds to these until this transaction ends. Raises ``LostClaim`` if the
        mail is no longer its holder's."""

    @abstractmethod
    def _conclude(self, ending: Ending, new: Sequence[Request]) -> list[Request]:
        """End a mail and enter what is new of its requests, as the last of a transaction; these
        as they came into the log, none of them before the second that was promised last."""

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        steps, asked = list(events), list(requests)
        with self._db.writing(durable=self._durable and bool(asked)):
            earlier = self._take_back(mail, asked)
            new, had = identified.all_news(asked, earlier, mail.identity)
            at = steps[-1].at if steps else mail.received
            if outcome is Outcome.DONE and had and not new:
                outcome = Outcome.IGNORED
                reason = f"mail-{had[0].mail_id}, of its Message-ID, asked for the same before"
                steps[-1:] = [Event(at, outcome.value, {"reason": reason})]
            return self._conclude(Ending(mail.id, outcome, reason, at, steps), new)

    def enter(
        self, arrival: Arrival, request: Request, events: Iterable[Event]
    ) -> tuple[Request | None, bool]:
        with self._db.writing():
            [(mail, is_new)] = self._accept_all([arrival])
            if not is_new:
                kept = "SELECT * FROM request WHERE mail = ? ORDER BY number LIMIT 1"
                rows = self._db.run(kept, mail).fetchall()
                return (made.request(rows[0]) if rows else None), False
            named = replace(
                request,
                mail_id=mail,
                message_id=f"mail-{mail}",
                recorded=max(request.recorded, self._hold_head()),
            )
            id = identified.request_id(named, arrival.identity)
            [new] = self._enter(replace(named, id=id), arrival.reason)
            self._append(mail, list(events))
        return new, True

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

    def reruns(self, since: float, now: float) -> tuple[list[Request], float]:
        # Mostly there is nothing: then nothing is written.
        news = "EXISTS (SELECT 1 FROM request WHERE recorded >= ?) AS news"
        [head] = self._db.rows(f"SELECT second, {news} FROM head", since)
        if not head["news"] and (since > now or since <= head["second"]):
            return [], since
        # The sign keeps SQLite from reading the whole log for the sake of its order.
        found = "SELECT * FROM request WHERE recorded >= ? ORDER BY +number"
        with self._db.writing():
            promised = self._hold_head()
            requests = [made.request(row) for row in self._db.run(found, since).fetchall()]
            if not requests:
                self._keep_promise(max(since, promised))
                return [], since
            last = requests[-1].number
            before = "SELECT second FROM promise WHERE upto >= ? ORDER BY upto LIMIT 1"
            row = self._db.run(before, last).fetchone()
            if row is None:
                second = self._promise(promised, 0.0)
                self._db.insert("promise", {"upto": last, "second": second})
            else:
                second = float(row["second"])
                self._db.distrust()
        return requests, second

    def sealed(self, since: float) -> tuple[list[Request], float]:
        # The sign keeps SQLite from reading the whole log for the sake of its order.
        found = "SELECT * FROM request WHERE recorded >= ? AND recorded < ? ORDER BY +number"
        with self._db.reading():
            [head] = self._db.rows("SELECT second FROM head")
            rows = self._db.rows(found, since, head["second"])
        return list(map(made.request, rows)), head["second"] if rows else since

    def seal(self) -> bool:
        unsealed = "EXISTS (SELECT 1 FROM request WHERE recorded >= head.second) AS unsealed"
        if not self._db.rows(f"SELECT {unsealed} FROM head")[0]["unsealed"]:
            return False
        with self._db.writing():
            promised = self._hold_head()
            again = self._db.run("SELECT 1 FROM request WHERE recorded >= ? LIMIT 1", promised)
            if not again.fetchall():
                return False
            self._promise(promised, 0.0)
        return True

    def promise(self, beyond: float = 0.0) -> float:
        with self._db.writing():
            return self._promise(self._hold_head(), beyond)

    def next_second(self, beyond: float = 0.0) -> float:
        with self._db.reading():
            [head] = self._db.rows("SELECT second FROM head")
            return self._next_second(head["second"], beyond)

    def promise_with(self, cursor: Cursor, second: float) -> bool:
        try:
            with self._db.writing():
                # Of all locks that of the log comes last.
                self._db.insert("cursor", vars(cursor), or_replace=True)
                if self._next_second(self._hold_head(), 0.0) > second:
                    raise _Overtaken
                self._keep_promise(second)
        except _Overtaken:
            return False
        return True

    def _promise(self, promised: float, beyond: float) -> float:
        second = self._next_second(promised, beyond)
        if second:
            self._keep_promise(second)
        return second

    def _next_second(self, promised: float, beyond: float) -> float:
        """The first whole second that may be promised, 0 if there was never a request."""
        newest = self._db.run("SELECT max(recorded) AS newest FROM request").fetchone()["newest"]
        if newest is None and not promised:
            return 0.0
        return math.floor(max(newest or 0.0, promised, beyond)) + 1.0

    def _keep_promise(self, second: float) -> None:
        self._db.run("UPDATE head SET second = ?", second)
