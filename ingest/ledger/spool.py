# SPDX-License-Identifier: BSD-3-Clause
"""Mails that wait on this machine for a ledger that is on another one."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

from ingest.ledger import rows
from ingest.ledger.database import Database
from ingest.ledger.schema_steps import Migration
from ingest.ledger.values import Arrival, Envelope, Filing, Opening, Outcome
from ingest.value import Value

_MIGRATIONS: tuple[Migration, ...] = (
    (
        """CREATE TABLE spooled (
            id INTEGER PRIMARY KEY,
            identity TEXT NOT NULL UNIQUE,
            received REAL NOT NULL,
            tries INTEGER NOT NULL,
            size INTEGER NOT NULL,
            arrival TEXT NOT NULL,
            raw BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX spooled_tries ON spooled (tries, id)",
    ),
)
# Bytes of mails that are given at once, one mail at least.
_AT_ONCE = 16 << 20
# The numbers of a JSON list.
_GIVEN = "(SELECT value FROM json_each(?))"


class Depth(Value):
    """How many mails wait, and when the oldest one came, a Unix time; 0 if none waits."""

    mails: int = 0
    oldest: float = 0.0


class Spooled(Value):
    """A mail that waits. ``id``: its number in the spool."""

    id: int
    arrival: Arrival


class Spool:
    """A file that holds arrivals until the ledger has them; several processes share it. What is
    accepted is on the disk. Each method raises ``StateUnavailable``."""

    def __init__(
        self, path: str, *, busy_timeout: float, mode: int, opening: Opening = Opening.WRITE
    ) -> None:
        """``path``, ``busy_timeout``, ``mode``, ``opening``: as of an SQLite ledger. Raises
        ``NoLedger`` if there is no such file and none is to be made."""
        self._file = Database(
            path, _MIGRATIONS, busy_timeout=busy_timeout, mode=mode, opening=opening
        )

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        """Keep mails, all or none. For each its number here, and whether it is new here."""
        with self._file.writing():
            return [self._accept(arrival) for arrival in arrivals]

    def _accept(self, arrival: Arrival) -> tuple[int, bool]:
        told = asdict(arrival)
        raw = told.pop("raw")
        columns = {
            "identity": arrival.identity,
            "received": arrival.received,
            "tries": 0,
            "size": len(raw),
            "arrival": json.dumps(told),
            "raw": rows.packed(raw),
        }
        added = self._file.insert("spooled", columns, "ON CONFLICT DO NOTHING RETURNING id")
        if added:
            return int(added[0]["id"]), True
        self._file.distrust()  # the first copy must be as durable as this answer
        known = self._file.run("SELECT id FROM spooled WHERE identity = ?", arrival.identity)
        return int(known.fetchone()["id"]), False

    def oldest(self, limit: int = 1000) -> list[Spooled]:
        """The mails that are to be forwarded next: those that failed least, the oldest first."""
        query = "SELECT id, size FROM spooled ORDER BY tries, id LIMIT ?"
        ids: list[int] = []
        size = 0
        for row in self._file.rows(query, limit):
            size += row["size"]
            if ids and size > _AT_ONCE:
                break
            ids.append(row["id"])
        query = f"SELECT id, arrival, raw FROM spooled WHERE id IN {_GIVEN} ORDER BY tries, id"
        found = self._file.rows(query, json.dumps(ids))
        return [Spooled(row["id"], _arrival(row["arrival"], row["raw"])) for row in found]

    def drop(self, ids: Sequence[int]) -> None:
        """Forget mails: the ledger has them. Should the loss of power undo that, the ledger says
        that it has them already."""
        with self._file.writing(durable=False):
            self._file.run(f"DELETE FROM spooled WHERE id IN {_GIVEN}", json.dumps(ids))

    def put_off(self, id: int) -> None:
        """Have a mail that the ledger does not take wait behind the others."""
        with self._file.writing():
            self._file.run("UPDATE spooled SET tries = tries + 1 WHERE id = ?", id)

    def depth(self) -> Depth:
        """How many mails wait, and since when."""
        [row] = self._file.rows("SELECT count(*), coalesce(min(received), 0) FROM spooled")
        return Depth(*row)

    def lease(self) -> AbstractContextManager[bool]:
        """The lease of whoever forwards: True for its one holder at a time. It ends with the
        process."""
        return self._file.lease("forwarder")

    def close(self) -> None:
        """Give back what is held."""
        self._file.close()


def _arrival(text: str, raw: bytes) -> Arrival:
    told = json.loads(text)
    told["envelope"] = Envelope(
        told["envelope"]["sender"],
        tuple(told["envelope"]["recipients"]),
        told["envelope"]["peer"],
    )
    told["filing"] = Filing(**told["filing"])
    told["outcome"] = Outcome(told["outcome"])
    return Arrival(raw=rows.unpacked(raw), **told)
