# SPDX-License-Identifier: BSD-3-Clause
"""How long things took, in a database: by bounds, so that what is kept does not grow."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from ingest.ledger.connection import Connection
from ingest.ledger.values import BOUNDS, Timing

# What is noted of each request that no archive held, and, with a status, of questions.
RECORDED, PATCHWORK = "recorded", "patchwork"

# Stands for what is longer than the last bound.
BEYOND = 1e12


class KeptTimings:
    """``Timings`` in a database."""

    def __init__(self, database: Connection) -> None:
        self._db = database

    def add(self, what: str, durations: Iterable[float]) -> None:
        with self._db.writing(durable=False):
            note(self._db, what, durations)

    def all(self) -> Mapping[str, Timing]:
        found: dict[str, Counter[float]] = {}
        seconds = Counter[str]()
        for row in self._db.rows("SELECT * FROM timing"):
            found.setdefault(row["what"], Counter())[row["bound"]] += row["number"]
            seconds[row["what"]] += row["seconds"]
        return {
            what: Timing(tuple(numbers[each] for each in (*BOUNDS, BEYOND)), float(seconds[what]))
            for what, numbers in sorted(found.items())
        }


def note(database: Connection, what: str, durations: Iterable[float]) -> None:
    """As ``Timings.add``, within a transaction."""
    numbers, seconds = Counter[float](), defaultdict[float, float](float)
    for each in durations:
        place = bisect_left(BOUNDS, each)
        bound = BOUNDS[place] if place < len(BOUNDS) else BEYOND
        numbers[bound] += 1
        seconds[bound] += max(each, 0.0)
    for bound in sorted(numbers):  # always in this order, so that no two wait for each other
        database.insert(
            "timing",
            {"what": what, "bound": bound, "number": numbers[bound], "seconds": seconds[bound]},
            "ON CONFLICT (what, bound) DO UPDATE SET number = timing.number + excluded.number,"
            " seconds = timing.seconds + excluded.seconds",
        )
