# SPDX-License-Identifier: BSD-3-Clause
"""A ledger as it moves from one kind of database to the other: whole, verified, and marked.

Both sides give and take the same rows: a wide one for each mail, which is SQLite's own, and those
of the tables that are alike in both.
"""

import marshal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from itertools import islice, repeat
from typing import Any, Protocol

from ingest.errors import StateUnavailable
from ingest.ledger.moved import MOVED, MOVING
from ingest.value import Value

Columns = tuple[str, ...]
Values = tuple[Any, ...]
Piece = Sequence[Values]

# What writes rows of a table.
Take = Callable[[str, Columns, Iterable[Piece]], None]

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

# What is held in memory at once: rows, and about how many bytes of raw mails.
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 1000, 32 << 20


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

    def writing(self) -> AbstractContextManager[None]:
        """All that is written inside is kept when the block is left, or nothing of it."""

    def taking(self) -> AbstractContextManager[Take]:
        """What writes rows, within ``writing``; they can be read when the block is left."""

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
        with target.writing():
            read = _copied(source, target, columns, told)
            for was in read:
                now = _counted(target, was.name, columns[was.name])
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

            def noted(pieces: Iterator[Piece], sum: "Sum" = sum) -> Iterator[Piece]:
                nonlocal done
                for piece in pieces:
                    sum.add(piece)
                    done += len(piece)
                    told(done)
                    yield piece

            take(name, those, noted(_pieces(source, name, those)))
            read.append(sum.table())
    return read


def _counted(side: Side, name: str, columns: Columns) -> Table:
    sum = Sum(name)
    for piece in _pieces(side, name, columns):
        sum.add(piece)
    return sum.table()


def _pieces(side: Side, name: str, columns: Columns) -> Iterator[Piece]:
    """A table's rows, as many as are held at once."""
    rows = side.read(name, columns)
    if "raw" not in columns:
        while piece := list(islice(rows, _ROWS_AT_ONCE)):
            yield piece
        return
    raw = columns.index("raw")
    piece, size = [], 0
    for row in rows:
        piece.append(row)
        size += len(row[raw] or b"")
        if len(piece) == _ROWS_AT_ONCE or size > _BYTES_AT_ONCE:
            yield piece
            piece, size = [], 0
    yield piece


class Sum:
    """Number and digest of rows, in their order."""

    def __init__(self, name: str) -> None:
        self._name, self._rows, self._hash = name, 0, sha256()

    def add(self, rows: Piece) -> None:
        """More rows."""
        self._rows += len(rows)
        # In version 2 equal values have equal bytes, however they came about.
        self._hash.update(b"".join(map(marshal.dumps, rows, repeat(2))))

    def table(self) -> Table:
        """What they come to."""
        return Table(self._name, self._rows, self._hash.hexdigest())
