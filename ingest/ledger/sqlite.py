# SPDX-License-Identifier: BSD-3-Clause
"""The ledger in one SQLite file, shared by every process on a machine.

How the file is opened, written and locked is ``database``'s knowledge; the statements are by what
they are about in ``sqlite_mails`` and its like. Opened through ``ledger.open_ledger``.
"""

import time
from collections import Counter
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.ledger import sqlite_file
from ingest.ledger.asides import KeptAsides
from ingest.ledger.cursors import Cursors
from ingest.ledger.database import Database
from ingest.ledger.letters import KeptLetters
from ingest.ledger.notices import KeptNotices
from ingest.ledger.results import KeptResults
from ingest.ledger.schema import MIGRATIONS
from ingest.ledger.search import Search
from ingest.ledger.sqlite_log import SqliteLog
from ingest.ledger.steering import KeptHappenings, KeptSteering
from ingest.ledger.timings import KeptTimings
from ingest.ledger.values import Opening, Outcome, Totals, Waiting

if TYPE_CHECKING:
    from ingest.ledger.copying import Side


class SqliteLedger(SqliteLog, Cursors, Search):
    """A ``Ledger`` in an SQLite file."""

    def __init__(
        self, path: str, *, busy_timeout: float, mode: int, opening: Opening = Opening.WRITE
    ) -> None:
        file = Database(path, MIGRATIONS, busy_timeout=busy_timeout, mode=mode, opening=opening)
        self._db = self._file = file
        self.asides = KeptAsides(file)
        self.results = KeptResults(file, self._append)
        self.notices = KeptNotices(file, self._append, "mail INDEXED BY mail_over")
        self.letters = KeptLetters(file)
        self.happenings = KeptHappenings(file)
        self.timings = KeptTimings(self._db)
        self.steering = KeptSteering(
            file,
            self.happenings,
            hold=self._hold,
            hold_log=self._hold_head,
            end=self._end,
            append=self._append,
            judge=self._judge_again,
        )

    def server(self) -> None:
        return None

    def side(self) -> "Side":
        from ingest.ledger.sqlite_copying import SqliteSide

        return SqliteSide(self._file)

    def batch(self) -> AbstractContextManager[None]:
        return self._file.batch()

    def generation(self) -> str:
        return self._file.generation

    def totals(self) -> Totals:
        with self._db.reading():
            tally = self._db.rows("SELECT kind, waiting, number FROM tally")
            mails, waiting = Counter[str](), Counter[str]()
            for row in tally:
                mails[row["kind"]] += row["number"]
                waiting[row["waiting"]] += row["number"]
            oldest = self._number(
                "SELECT min(received) FROM mail INDEXED BY mail_waits WHERE outcome = 'queued'"
            )
            return Totals(
                mails={outcome.value: mails[outcome.value] for outcome in Outcome},
                waiting={each.value: waiting[each.value] for each in Waiting if each},
                oldest=oldest or 0.0,
                last_received=self._number("SELECT max(received) FROM mail") or 0.0,
                due=self.next_due() or 0.0,
                requests=mails["request"],
                last_request=self.last_request(),
                cursors=self.cursors(),
                consumers=self.consumers(),
                batches=self.batches(),
                feeds=self.feeds(),
                notices=self.notices.all() if mails[Outcome.NOTICE] else (),
                size=sqlite_file.size(self._file.path),
                overdue=int(
                    self._number("SELECT count(*) FROM result WHERE state = 'overdue'") or 0
                ),
                pauses=self.steering.pauses(),
            )

    def recall(self, key: str, now: float) -> str | None:
        rows = self._db.rows("SELECT text FROM answer WHERE key = ? AND expires > ?", key, now)
        return str(rows[0]["text"]) if rows else None

    def remember(self, key: str, answer: str, expires: float) -> None:
        columns: dict[str, object] = {"key": key, "text": answer, "expires": expires}
        with self._db.writing(durable=False):
            self._db.insert("answer", columns, or_replace=True)

    def lease(self, name: str, patience: float = 0.0) -> AbstractContextManager[bool]:
        return self._file.lease(name, patience)

    def wake(self, what: str) -> None:
        pass

    def wait_for(self, timeout: float) -> Collection[str]:
        time.sleep(timeout)
        return ()

    def backup(self, path: str) -> None:
        self._file.copy(Path(path).absolute())

    def damage(self) -> str:
        return self._file.damage()

    def close(self) -> None:
        self._file.close()
