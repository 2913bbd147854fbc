# SPDX-License-Identifier: BSD-3-Clause
"""Whether a pooler such as PgBouncer stands before the server and lends it out by transaction.

Then a lease, which is the connection's, would be given to two.
"""

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import psycopg

from ingest.errors import ConfigError

# Connections tried. The one that was given back last is mostly lent out first.
_TRIES = 3


def refuse_sharing(
    ours: psycopg.Connection[Any], connect: Callable[[], psycopg.Connection[Any]]
) -> None:
    """Raise ``ConfigError`` if our server process is lent to others between our transactions."""
    with ExitStack() as others:
        for _ in range(_TRIES):
            before = _process(ours)
            other = others.enter_context(closing(connect()))
            other.execute("BEGIN")
            theirs = _process(other)
            if theirs == before or _process(ours) != before:
                raise ConfigError(
                    "[state] ledger leads to a pooler that lends its connections by transaction, "
                    "where leases do not hold: use pool_mode = session, or PostgreSQL itself"
                )


def _process(database: psycopg.Connection[Any]) -> int:
    row = database.execute("SELECT pg_backend_pid() AS process").fetchone()
    assert row is not None
    return int(row["process"] if isinstance(row, dict) else row[0])
