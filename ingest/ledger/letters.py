# SPDX-License-Identifier: BSD-3-Clause
"""The mails of ours that are sent once, in a database."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from ingest.ledger import rows as made
from ingest.ledger.connection import Connection, Row, one_of, pieces
from ingest.ledger.locking import those
from ingest.ledger.progress import Letter

# Letters about no request that stay of each sink.
_MOST = 100


class KeptLetters:
    """``Letters`` in a database."""

    def __init__(self, database: Connection) -> None:
        self._db = database

    def keep(self, letter: Letter) -> bool:
        with self._db.writing():
            kept = self._db.insert("letter", _columns(letter), "ON CONFLICT DO NOTHING RETURNING 1")
            if kept and not letter.request:
                old = (
                    "sink = ? AND request = 0 AND id NOT IN (SELECT id FROM letter"
                    " WHERE sink = ? AND request = 0 ORDER BY at DESC LIMIT ?)"
                )
                self._db.run(
                    f"DELETE FROM letter WHERE {those(self._db, 'letter', old, free=True)}",
                    *(letter.sink, letter.sink, _MOST),
                )
        return bool(kept)

    def due(self, sink: str, now: float, longest: float) -> list[Letter]:
        found = (
            "SELECT * FROM letter WHERE sink = ? AND raw IS NOT NULL AND (due <= ? OR due > ?)"
            " ORDER BY at, id"
        )
        return [_letter(row) for row in self._db.rows(found, sink, now, now + longest)]

    def note(self, letter: Letter) -> None:
        with self._db.writing():
            self._db.insert("letter", _columns(letter), or_replace=True)

    def about(self, sink: str, requests: Iterable[int]) -> frozenset[int]:
        found: set[int] = set()
        for numbers in pieces(list(requests)):
            query = f"SELECT request FROM letter WHERE sink = ? AND {one_of('request', numbers)}"
            found |= {row["request"] for row in self._db.rows(query, sink, *numbers)}
        return frozenset(found)

    def newest(self, sink: str) -> Letter | None:
        found = "SELECT * FROM letter WHERE sink = ? ORDER BY at DESC, id DESC LIMIT 1"
        return next((_letter(row) for row in self._db.rows(found, sink)), None)


def _columns(letter: Letter) -> dict[str, object]:
    packed = made.packed(letter.raw) if letter.raw else None
    return {**asdict(letter), "recipients": json.dumps(letter.recipients), "raw": packed}


def _letter(row: Row) -> Letter:
    recipients = tuple(json.loads(row["recipients"]))
    return Letter(**{**dict(row), "recipients": recipients, "raw": made.unpacked(row["raw"])})
