# SPDX-License-Identifier: BSD-3-Clause
"""The ledger in PostgreSQL, shared by every process on several machines.

How the server is reached, written and waited for is ``session``'s knowledge; the statements are by
what they are about in ``postgres_mails`` and its like. Opened through ``ledger.open_ledger``.
"""

from collections import Counter
from collections.abc import Collection
from contextlib import AbstractContextManager
from hashlib import sha256

from ingest.errors import UsageError
from ingest.ledger import pg_schema, pg_server, pg_steps
from ingest.ledger.asides import KeptAsides
from ingest.ledger.cursors import Cursors
from ingest.ledger.letters import KeptLetters
from ingest.ledger.notices import KeptNotices
from ingest.ledger.pg_copying import PostgresSide
from ingest.ledger.postgres_arrivals import Arrivals
from ingest.ledger.postgres_happenings import Happenings
from ingest.ledger.postgres_log import PostgresLog
from ingest.ledger.postgres_retention import Retention
from ingest.ledger.results import KeptResults
from ingest.ledger.search import Search
from ingest.ledger.session import CHANNEL, Session
from ingest.ledger.steering import KeptSteering
from ingest.ledger.timings import KeptTimings
from ingest.ledger.values import Opening, Outcome, Server, Totals, Waiting

# Characters of an answer's key that an index takes.
_LONGEST_KEY = 500


class PostgresLedger(Arrivals, PostgresLog, Retention, Cursors, Search):
    """A ``Ledger`` in PostgreSQL."""

    def __init__(
        self, url: str, *, timeout: float, replicas: int, opening: Opening = Opening.WRITE
    ) -> None:
        session = Session(url, pg_steps.KEYS, timeout=timeout, replicas=replicas)
        self._db = self._session = session
        try:
            self._generation = pg_schema.prepare(session, opening)
        except BaseException:
            session.close()
            raise
        self.asides = KeptAsides(session)
        self.results = KeptResults(session, self._append)
        self.notices = KeptNotices(session, self._append)
        self.letters = KeptLetters(session)
        self.happenings = Happenings(session)
        self.timings = KeptTimings(session)
        self.steering = KeptSteering(
            session,
            self.happenings,
            hold=self._hold,
            hold_log=self._hold_head,
            end=self._end,
            append=self._append,
            judge=self._judge_again,
        )

    def server(self) -> Server:
        return pg_server.server(self._session)

    def side(self) -> PostgresSide:
        return PostgresSide(self._session)

    def batch(self) -> AbstractContextManager[None]:
        return self._session.batch()

    def generation(self) -> str:
        return self._generation

    def totals(self) -> Totals:
        with self._session.reading():
            counted = "SELECT outcome, count(*) AS number FROM mail GROUP BY outcome"
            mails = Counter({row["outcome"]: row["number"] for row in self._db.rows(counted)})
            counted = "SELECT waiting, count(*) AS number FROM queue GROUP BY waiting"
            waiting = Counter({row["waiting"]: row["number"] for row in self._db.rows(counted)})
            [times] = self._db.rows(
                "SELECT (SELECT min(received) FROM mail WHERE outcome = 'queued') AS oldest,"
                " (SELECT max(received) FROM mail) AS last,"
                " (SELECT count(*) FROM request) AS requests,"
                " (SELECT count(*) FROM result WHERE state = 'overdue') AS overdue"
            )
            return Totals(
                mails={outcome.value: mails[outcome.value] for outcome in Outcome},
                waiting={each.value: waiting[each.value] for each in Waiting if each},
                oldest=times["oldest"] or 0.0,
                last_received=times["last"] or 0.0,
                due=self.next_due() or 0.0,
                requests=times["requests"],
                last_request=self.last_request(),
                cursors=self.cursors(),
                consumers=self.consumers(),
                batches=self.batches(),
                feeds=self.feeds(),
                notices=self.notices.all() if mails[Outcome.NOTICE] else (),
                size=self._size(),
                overdue=times["overdue"],
                pauses=self.steering.pauses(),
            )

    def _size(self) -> int:
        """Bytes of our tables, with their indexes."""
        tables = (
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint AS size FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace ="
            " (SELECT relnamespace FROM pg_class WHERE oid = 'mail'::regclass)"
        )
        return int(self._db.rows(tables)[0]["size"])

    def recall(self, key: str, now: float) -> str | None:
        found = "SELECT text FROM answer WHERE key = ? AND expires > ?"
        rows = self._db.rows(found, _key(key), now)
        return str(rows[0]["text"]) if rows else None

    def remember(self, key: str, answer: str, expires: float) -> None:
        columns: dict[str, object] = {"key": _key(key), "text": answer, "expires": expires}
        with self._db.writing(durable=False):
            self._db.insert("answer", columns, or_replace=True)

    def wake(self, what: str) -> None:
        # Not in the transaction that gives the reason: each that tells takes one lock of the
        # whole server at its end.
        with self._session.writing(durable=False):
            self._session.run("SELECT pg_notify(?, ?)", CHANNEL, what)

    def wait_for(self, timeout: float) -> Collection[str]:
        return self._session.wait_for(timeout)

    def lease(self, name: str, patience: float = 0.0) -> AbstractContextManager[bool]:
        return self._session.lease(name, patience)

    def backup(self, path: str) -> None:
        raise UsageError(
            f"the ledger {self._session.name} is backed up by PostgreSQL's own tools: "
            f"pg_dump --format=custom --file={path} with the same URL, or pg_basebackup"
        )

    def damage(self) -> str:
        failures = (
            "SELECT coalesce(checksum_failures, 0) AS failures FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        found = int(self._db.rows(failures)[0]["failures"])
        return f"PostgreSQL counts {found} pages whose checksum is wrong" if found else ""

    def close(self) -> None:
        self._session.close()


def _key(key: str) -> str:
    """What an answer is kept under."""
    return key if len(key) <= _LONGEST_KEY else sha256(key.encode("utf-8", "replace")).hexdigest()
