# SPDX-License-Identifier: BSD-3-Clause
"""Whose mail is worked on next among those that were never tried: senders take turns."""

from collections.abc import Iterable

from ingest.ledger.connection import Connection

# What was never tried.
FRESH = " WHERE outcome = 'queued' AND waiting = '' AND claimed = 0"

# Bytes of the mails that one worker takes up together.
_MOST_BYTES = 1 << 20

# A transaction takes at most so many senders' turns along that are of no use any more.
_AT_ONCE = 1000


class Turns:
    """Whose turn it is when, in one transaction: a sender's next turn comes after its last one, and
    not before what is worked on now. So many mails of one sender hold up none of another's."""

    def __init__(self, database: Connection) -> None:
        self._db = database
        self._last: dict[str, int] = {}
        query = f"SELECT min(turn) FROM mail INDEXED BY mail_fresh{FRESH}"
        self._present = int(database.run(query).fetchone()[0] or 0)

    def next(self, sender: str) -> int:
        """The turn of one more mail of a sender."""
        if sender not in self._last:
            row = self._db.run("SELECT last FROM turn WHERE sender = ?", sender).fetchone()
            self._last[sender] = int(row["last"]) if row else -1
        self._last[sender] = max(self._present, self._last[sender] + 1)
        return self._last[sender]

    def keep(self) -> None:
        """Have later transactions know of them."""
        for sender, last in self._last.items():
            self._db.run("INSERT OR REPLACE INTO turn VALUES (?, ?)", sender, last)


def together(fresh: Iterable[tuple[int, int, int]]) -> list[int]:
    """The first ones of these mails, which a worker may take up together: the ids of as many as
    are not too large. A mail that was begun before, by a worker that died, is taken up alone: so
    it cannot have its neighbours given up. ``fresh``: id, starts and size of each, in turn."""
    chosen: list[int] = []
    room = _MOST_BYTES
    for id, starts, size in fresh:
        room -= size
        if chosen and (starts or room < 0):
            break
        chosen.append(id)
        if starts:
            break
    return chosen


def forget(database: Connection) -> None:
    """If nobody waits, the next one begins anew."""
    waits = f"SELECT 1 FROM mail INDEXED BY mail_fresh{FRESH} LIMIT 1"
    if database.rows("SELECT 1 FROM turn LIMIT 1") and not database.rows(waits):
        with database.writing(durable=False):
            database.run(
                "DELETE FROM turn WHERE sender IN (SELECT sender FROM turn LIMIT ?)", _AT_ONCE
            )
