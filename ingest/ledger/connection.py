# SPDX-License-Identifier: BSD-3-Clause
"""What a ledger's statements need of a database, SQLite or PostgreSQL.

Where a statement is the same for both, it is written once, against this, with ``?`` for a value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Row(Protocol):
    """A row, by the names of its columns."""

    def keys(self) -> Iterable[str]: ...

    def __getitem__(self, name: str, /) -> Any: ...


class Found(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A connection to the database. Threads may share it: one transaction runs at a time."""

    @property
    def held(self) -> str:
        """At the end of a SELECT: nobody else changes what it found until the transaction ends."""

    def run(self, statement: str, *values: object) -> Found:
        """One statement of a transaction, within ``writing`` or ``reading``."""

    def rows(self, query: str, *values: object) -> Sequence[Any]:
        """What a query finds. Raises ``StateUnavailable``."""

    def insert(
        self, table: str, columns: Mapping[str, object], then: str = "", *, or_replace: bool = False
    ) -> Sequence[Any]:
        """A row more, within ``writing``; what a RETURNING clause in ``then`` gives."""

    def reading(self) -> AbstractContextManager[None]:
        """What is read inside is as of one moment. Raises ``StateUnavailable``."""

    def writing(self, *, durable: bool = True) -> AbstractContextManager[None]:
        """One transaction, or a part of the batch that is open. It is kept for good when this
        ends; without ``durable``, a loss of power may undo it. Raises ``StateUnavailable``."""

    def distrust(self) -> None:
        """What this transaction has read must be kept for good when it ends, though it may write
        nothing."""


def one_of(column: str, values: Sequence[object]) -> str:
    """The condition that a column has one of some values."""
    return f"{column} IN ({', '.join('?' * len(values))})" if values else "false"


def pieces(values: Sequence[Any], most: int = 500) -> Iterator[Sequence[Any]]:
    """Values in pieces that a statement takes."""
    for start in range(0, len(values), most):
        yield values[start : start + most]
