# SPDX-License-Identifier: BSD-3-Clause
"""The order in which rows are locked. Where several processes write at once, each locks what it
changes in this order, so that no two wait for each other.

Tables in the order of ``ORDER``, and the rows of one in the order of its columns there. A mail's
lock covers its requests and all that hangs on them, for whoever ends, cancels or drops a mail has
it first. ``head`` comes last: whoever has it waits for nobody, but for rows of a lease's holder.
What nobody needs at once, as what is old, is passed over if it is locked.
"""

from ingest.ledger.connection import Connection

# The tables of which several rows are changed in one transaction.
ORDER = {
    "queue": "mail",
    "mail": "id",
    "request": "number",
    "seen": "request, label, patch",
    "baseline": "request",
    "result": "request, label",
    "aside": "request, sink",
    "letter": "id",
    "request_search": "request",
    "forwarding": "mail",
    "promise": "upto",
    "answer": "key",
    "event": "number",
    "consumer": "name",
    "batch": "consumer, after, last, generation",
    "head": "one",
}


def in_order(table: str, which: str, lock: str) -> str:
    """What finds a table's rows that fit a condition, and locks them in order."""
    keys = ORDER[table]
    return f"SELECT {keys} FROM {table} WHERE {which} ORDER BY {keys}{lock}"


def those(database: Connection, table: str, which: str, *, free: bool = False) -> str:
    """The condition that a row is one of those that fit another condition, which are locked in
    order. ``free``: what somebody else has locked is passed over."""
    skip = " SKIP LOCKED" if free and database.held else ""
    return f"({ORDER[table]}) IN ({in_order(table, which, database.held + skip)})"
