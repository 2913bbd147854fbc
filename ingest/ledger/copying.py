# SPDX-License-Identifier: BSD-3-Clause
"""A ledger as it moves from one kind of database to the other: whole, verified, and marked.

Both sides give and take the same rows: a wide one for each mail, which is SQLite's own, and those
of the tables that are alike in both.
"""

import marshal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Any, Protocol

from ingest.errors import StateUnavailable
from ingest.ledger.moved import MOVED, MOVING
from ingest.value import Value

Columns = tuple[str, ...]
Values = tuple[Any, ...]

# What is held of a mail only while it waits; of one that ended it is what stands here.
OF_THE_QUEUE: Mapping[str, str] = {
    "due": "NULL",
    "waiting": "''",
    "since": "0.0",
    "begun": "0.0",
    "waited": "0.0",
    "missing": "0.0",
    "starts": "0",
}

# Tables that each side keeps in its own way. What was known before its row was dropped goes by
# digest; of what happened to no mail, the text alone; of meta, what is the log's own.
KNOWN, HAPPENINGS, HEAD, META = "known", "happenings", "head", "meta"
MOVED_META = ("generation", "results after")

# Rows between two words about how far it is.
_TOLD_EVERY = 10_000


class Side(Protocol):
    """One of the two ledgers."""

    @property
    def name(self) -> str:
        """Its URL as it may be shown."""

    def columns(self) -> dict[str, Columns]:
        """The columns of each table that moves, "mail" first, in the order in which they go."""

    def is_empty(self) -> bool:
        """Whether no mail and no request was ever kept here."""

    def read(self, table: str, columns: Columns) -> Iterator[Values]:
        """A table's rows, in an order that both sides have."""

    def taking(self) -> AbstractContextManager[Callable[[str, Columns, Iterable[Values]], None]]:
        """What writes rows; all of them or none are kept when the block is left."""

    def refuse(self, why: str) -> None:
        """Take no writes from anybody from now on; "" takes them again."""


class Table(Value):
    """What moved of a table: how many rows, and the digest of all of them."""

    name: str
    rows: int
    digest: str


def copy(source: Side, target: Side, sqlite: Side, told: Callable[[int], None]) -> list[Table]:
    """Copy all that a ledger has into an empty one, compare what is there then with what was read,
    and have the source refuse writes, which say where they belong.

    ``sqlite``: the one of the two that is SQLite's, whose columns go; ``told``: is called with the
    number of rows copied, now and then. Raises ``StateUnavailable``; then the source takes writes
    as before, and the target is empty.
    """
    if not target.is_empty():
        raise StateUnavailable(f"the ledger {target.name} is not empty: nothing was copied into it")
    columns = sqlite.columns()
    source.refuse(f"{MOVING} {target.name}")
    try:
        read = _copied(source, target, columns, told)
        there = [_counted(name, target.read(name, columns[name])) for name in columns]
        for was, now in zip(read, there, strict=True):
            if was != now:
                raise StateUnavailable(
                    f"the copy of the table {was.name} in {target.name} is not what was read: "
                    f"{now.rows} rows instead of {was.rows}, or other ones"
                )
    except BaseException:
        source.refuse("")
        raise
    source.refuse(f"{MOVED} {target.name}")
    return read


def _copied(
    source: Side, target: Side, columns: Mapping[str, Columns], told: Callable[[int], None]
) -> list[Table]:
    done = 0
    read = []
    with target.taking() as take:
        for name, those in columns.items():
            sum = Sum(name)

            def noted(rows: Iterator[Values], sum: "Sum" = sum) -> Iterator[Values]:
                nonlocal done
                for row in rows:
                    sum.add(row)
                    done += 1
                    if done % _TOLD_EVERY == 0:
                        told(done)
                    yield row

            take(name, those, noted(source.read(name, those)))
            read.append(sum.table())
    return read


def _counted(name: str, rows: Iterator[Values]) -> Table:
    sum = Sum(name)
    for row in rows:
        sum.add(row)
    return sum.table()


class Sum:
    """Number and digest of rows, in their order."""

    def __init__(self, name: str) -> None:
        self._name, self._rows, self._hash = name, 0, sha256()

    def add(self, row: Values) -> None:
        """One more row."""
        self._rows += 1
        # In version 2 equal values have equal bytes, however they came about.
        self._hash.update(marshal.dumps(row, 2))

    def table(self) -> Table:
        """What they come to."""
        return Table(self._name, self._rows, self._hash.hexdigest())
