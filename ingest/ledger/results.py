# SPDX-License-Identifier: BSD-3-Clause
"""What became of each label of each request, in a database."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

from ingest.ledger import rows as made
from ingest.ledger.connection import Connection, Row, one_of, pieces
from ingest.ledger.request_values import Baseline, Request, Result, Run, Seen, State
from ingest.ledger.values import Event

# States in which a result is still to come.
OPEN = "state IN ('asked', 'handed over', 'pending', 'overdue')"


def begin(database: Connection, requests: Iterable[Request]) -> None:
    """The rows of new requests, within their transaction."""
    for request in requests:
        for label in labels(request):
            database.insert(
                "result",
                vars(Result(request.number, label, State.ASKED, request.recorded)),
                "ON CONFLICT DO NOTHING",
            )


def labels(request: Request) -> tuple[str, ...]:
    """What a request has results for: its labels, or "" if it has arguments alone."""
    return request.contexts or ("",)


class KeptResults:
    """``Results`` in a database. ``append``: adds to a mail's story, within a transaction."""

    def __init__(
        self, database: Connection, append: Callable[[int, Sequence[Event]], None]
    ) -> None:
        self._db = database
        self._append = append

    def of(self, requests: Iterable[int]) -> list[Result]:
        found: list[Result] = []
        for numbers in pieces(sorted(requests)):
            query = f"SELECT * FROM result WHERE {one_of('request', numbers)}"
            found += map(_result, self._db.rows(f"{query} ORDER BY request, label", *numbers))
        return found

    def counts(self) -> Mapping[tuple[str, State], int]:
        found = "SELECT label, state, count(*) AS number FROM result GROUP BY label, state"
        return {(row["label"], State(row["state"])): row["number"] for row in self._db.rows(found)}

    def request(self, name: str) -> Request | None:
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else 0
        rows = self._db.rows("SELECT * FROM request WHERE id = ? OR number = ?", name, number)
        return made.request(rows[0]) if rows else None

    def tell(self, result: Result) -> bool:
        with self._db.writing():
            return self._tell(result)

    def _tell(self, result: Result) -> bool:
        told = asdict(result)
        same = ("state", "author", "url", "summary")
        kept = self._db.run(
            "SELECT *, (SELECT mail FROM request WHERE number = result.request) AS mail"
            f" FROM result WHERE request = ? AND label = ?{self._db.held}",
            result.request,
            result.label,
        ).fetchone()
        if kept is None or all(kept[each] == made.storable(str(told[each])) for each in same):
            return False
        self._db.run(
            "UPDATE result SET state = ?, at = ?, author = ?, url = ?, summary = ?"
            " WHERE request = ? AND label = ?",
            *(result.state, result.at, result.author, result.url, result.summary),
            *(result.request, result.label),
        )
        details = {"request": result.request, "label": result.label, "state": result.state.value}
        added = {"author": result.author, "url": result.url, "summary": result.summary}
        details |= {name: text for name, text in added.items() if text}
        self._append(kept["mail"], [Event(result.at, "result", details)])
        return True

    def handed_over(self, requests: Iterable[Request], to: str, now: float) -> None:
        with self._db.writing():
            # Always in this order, so that no two who change several results wait for each other.
            for request in sorted(requests, key=lambda each: each.number):
                for label in sorted(labels(request)):
                    self._db.run(
                        "UPDATE result SET handed = ? WHERE request = ? AND label = ?"
                        " AND handed = 0",
                        *(now, request.number, label),
                    )
                    self._db.run(
                        "UPDATE result SET state = 'handed over', at = ?, author = ?"
                        " WHERE request = ? AND label = ? AND state = 'asked'",
                        *(now, to, request.number, label),
                    )

    def not_handed_over(self, since: float, up_to: int, limit: int = 500) -> list[Request]:
        found = (
            "SELECT * FROM request WHERE recorded >= ? AND number IN (SELECT DISTINCT request"
            " FROM result WHERE state IN ('asked', 'overdue') AND handed = 0 AND request <= ?"
            " ORDER BY request DESC LIMIT ?) ORDER BY number DESC"
        )
        return [made.request(row) for row in self._db.rows(found, since, up_to, limit)]

    def set_earlier(self, request: int, states: Mapping[str, State]) -> None:
        with self._db.writing():
            for label, state in sorted(states.items()):
                self._db.run(
                    "UPDATE result SET earlier = ? WHERE request = ? AND label = ?",
                    *(state, request, label),
                )

    def history(self, since: float, before: float = math.inf) -> list[Run]:
        found = (
            "SELECT request, server, series, revision,"
            " coalesce(nullif(requester, ''), mailbox) AS requester,"
            " label, state, earlier, recorded, handed, at"
            " FROM request JOIN result ON result.request = request.number"
            " WHERE recorded >= ? AND recorded < ? ORDER BY number, label"
        )
        return [
            Run(**{**dict(row), "state": State(row["state"])})
            for row in self._db.rows(found, since, before)
        ]

    def see(self, seen: Seen) -> tuple[list[Seen], list[Seen]]:
        with self._db.writing():
            before = self._seen(seen)
            if any(each.patch == seen.patch and each.id >= seen.id for each in before):
                return before, before
            self._db.insert("seen", asdict(seen), or_replace=True)
            return before, self._seen(seen)

    def _seen(self, seen: Seen) -> list[Seen]:
        rows = self._db.run(
            "SELECT * FROM seen WHERE request = ? AND label = ? ORDER BY patch",
            *(seen.request, seen.label),
        ).fetchall()
        return [Seen(**{**dict(row), "state": State(row["state"])}) for row in rows]

    def open(
        self, since: float, *, before: float = math.inf, after: int = 0, limit: int = 1000
    ) -> list[Request]:
        found = (
            f"SELECT * FROM request WHERE number IN (SELECT request FROM result WHERE {OPEN})"
            " AND recorded >= ? AND recorded < ? AND number > ? AND number >"
            " (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'results after')"
            " ORDER BY number LIMIT ?"
        )
        return [made.request(row) for row in self._db.rows(found, since, before, after, limit)]

    def baselines(self, server: str) -> Mapping[int, int]:
        found = (
            "SELECT baseline.* FROM baseline WHERE server IN (?, '') AND request IN"
            f" (SELECT request FROM result WHERE {OPEN})"
        )
        return {row["request"]: row["newest"] for row in self._db.rows(found, server)}

    def elsewhere(self, server: str) -> Mapping[int, Baseline]:
        found = (
            "SELECT * FROM baseline WHERE server NOT IN (?, '') AND request IN"
            f" (SELECT request FROM result WHERE {OPEN})"
        )
        return {
            row["request"]: Baseline(row["server"], row["newest"])
            for row in self._db.rows(found, server)
        }

    def set_baselines(self, requests: Iterable[int], newest: int, server: str) -> None:
        with self._db.writing():
            for number in sorted(requests):
                kept = {"request": number, "newest": newest, "server": server}
                self._db.insert("baseline", kept, or_replace=True)


def _result(row: Row) -> Result:
    return Result(**{**dict(row), "state": State(row["state"])})
