# SPDX-License-Identifier: BSD-3-Clause
"""How long things took, in a database: by bounds, so that what is kept does not grow."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from ingest.ledger.connection import Connection
from ingest.ledger.values import BOUNDS, Timing

# What is noted of each request that no archive held, and, with a status, of questions.
RECORDED, PATCHWORK = "recorded", "patchwork"

# Stands for what is longer than the last bound.
_BEYOND = 1e12


class KeptTimings:
    """``Timings`` in a database."""

    def __init__(self, database: Connection) -> None:
        self._db = database

    def add(self, what: str, durations: Iterable[float]) -> None:
        with self._db.writing(durable=False):
            note(self._db, what, durations)

    def all(self) -> Mapping[str, Timing]:
        found: dict[str, Counter[float]] = {}
        seconds: Counter[str] = Counter()
        for row in self._db.rows("SELECT * FROM timing"):
            found.setdefault(row["what"], Counter())[row["bound"]] += row["number"]
            seconds[row["what"]] += row["seconds"]
        return {
            what: Timing(tuple(numbers[each] for each in (*BOUNDS, _BEYOND)), float(seconds[what]))
            for what, numbers in sorted(found.items())
        }


def note(database: Connection, what: str, durations: Iterable[float]) -> None:
    """As ``Timings.add``, within a transaction."""
    for each in durations:
        took = max(each, 0.0)
        place = bisect_left(BOUNDS, took)
        columns = {
            "what": what,
            "bound": BOUNDS[place] if place < len(BOUNDS) else _BEYOND,
            "number": 1,
            "seconds": took,
        }
        database.insert(
            "timing",
            columns,
            "ON CONFLICT (what, bound) DO UPDATE SET number = timing.number + 1,"
            " seconds = timing.seconds + excluded.seconds",
        )
