# SPDX-License-Identifier: BSD-3-Clause
"""One connection to PostgreSQL: how it is written and read, what its errors mean, how long it is
waited for, and the leases that end with it.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psycopg

from ingest.errors import LostConnection, LostLease, StateUnavailable
from ingest.ledger import pg_connection, pg_errors
from ingest.ledger.deadline import Deadline
from ingest.ledger.masking import masked
from ingest.ledger.pg_connection import Row
from ingest.ledger.pg_values import as_sent, key_of, sql
from ingest.ledger.whole import Whole

_KEPT = "BEGIN"
# What a failover may undo: nobody was told of it.
_LOOSE = "BEGIN; SET LOCAL synchronous_commit = off"
_LOOK = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

# As that, in what a statement returns that is a transaction by itself; takes ``Session.pace``.
LOOSE = "set_config('synchronous_commit', ?, true)"

# With the values that it takes.
Statement = tuple[str, Sequence[object]]

_SHORTEST_NAP, _LONGEST_NAP = 0.001, 0.05

# What wakes those who wait.
CHANNEL = "recheck_ingest"

# Seconds that the number of standbys is believed.
_BELIEVED = 0.5

# Statements after which the server plans anew, and then each time after as many as before.
_REPLANNED = 50


class Session:
    """A connection. Threads may share it: one transaction runs at a time. Processes may not: a
    forked child opens its own. A connection that is lost is made anew, unless a lease was held on
    it: then all that is done before the lease is left raises ``LostLease``."""

    def __init__(
        self, url: str, keys: Mapping[str, Sequence[str]], *, timeout: float, replicas: int = 0
    ) -> None:
        """Connect.

        ``keys``: what makes a row of each table one; ``timeout``: seconds for an answer of the
        server; ``replicas``: how many synchronous standbys must stream before anything is written.
        Raises ``StateUnavailable``, and ``ConfigError`` for a URL that cannot be read.
        """
        self.held = " FOR UPDATE"
        self.name = masked(url)
        self._url, self._keys, self._timeout, self._replicas = url, keys, timeout, replicas
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._deadline = Deadline(timeout)
        self._leases: dict[str, int] = {}
        self._is_lost = self._warned = False
        self._whole = Whole(self.name)
        self._streaming_until = 0.0
        self._written, self._replanned = 0, _REPLANNED
        self._listening: psycopg.Connection[Row] | None = None
        self._db = self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        with self._told("reached"):
            database = pg_connection.connect(self._url, self._timeout, self._deadline)
        database.add_notice_handler(self._notice)
        return database

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        # A commit whose wait for a standby was ended is told as done, with a warning alone.
        if diagnostic.sqlstate == "01000":
            self._warned = True

    def _ready(self) -> None:
        """Have a connection that works, as far as can be seen."""
        if self._process != os.getpid():
            raise RuntimeError("a ledger that was opened before a fork is used after it")
        self._is_lost = self._is_lost or bool(self._leases and self._db.closed)
        if self._is_lost:
            raise LostLease(
                f"the connection to {self.name} was lost, and with it the lease of "
                f"{', '.join(self._leases)}"
            )
        if self._db.closed and self._whole.is_open:
            # On another one, what comes would be written without what came before.
            raise LostConnection(f"the connection to the ledger {self.name} was lost in a batch")
        if self._db.closed:
            self._db = self._connect()

    # Statements

    def run(
        self, statement: str, *values: object, prepare: bool | None = None
    ) -> psycopg.Cursor[Row]:
        """One statement of a transaction, within ``writing`` or ``reading``. ``prepare``: whether
        the server keeps it for the next time; None: if it comes again."""
        with self._deadline.within(self._db.fileno()):
            return self._db.execute(sql(statement), as_sent(values), prepare=prepare)

    @property
    def pace(self) -> str:
        """Whether what is committed next is waited for: not a loose statement by itself, but all
        that is in a transaction with it."""
        return "on" if self._in_transaction() else "off"

    def run_all(self, *statements: Statement) -> list[psycopg.Cursor[Row]]:
        """Statements of a transaction, which are sent together and waited for once."""
        with self._deadline.within(self._db.fileno()), self._db.pipeline():
            return [self._db.execute(sql(each), as_sent(values)) for each, values in statements]

    def end_with(self, *statements: Statement) -> list[psycopg.Cursor[Row]]:
        """The last statements of a transaction, and its end with them unless it is a batch."""
        if self._whole.is_open:
            return self.run_all(*statements)
        *found, ended = self.run_all(*statements, ("COMMIT", ()))
        self._refuse_not_kept(ended)
        return found

    def rows(self, query: str, *values: object) -> list[Row]:
        """What a query finds. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            if self._in_transaction():
                return self.run(query, *values).fetchall()
            self._ready()
            try:
                return self.run(query, *values).fetchall()
            except psycopg.OperationalError:
                # It may have been lost long ago: nothing was asked since.
                if not self._db.closed or self._leases:
                    raise
                self._ready()
                return self.run(query, *values).fetchall()

    def insert(
        self, table: str, columns: Mapping[str, object], then: str = "", *, or_replace: bool = False
    ) -> list[Row]:
        """A row more, within ``writing``; what a RETURNING clause in ``then`` gives."""
        if or_replace:
            keys = self._keys[table]
            set_ = ", ".join(f"{each} = excluded.{each}" for each in columns if each not in keys)
            then = f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {set_} {then}"
        places = ", ".join("?" * len(columns))
        found = self.run(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) {then}",
            *columns.values(),
        )
        return found.fetchall() if found.description else []

    @property
    def database(self) -> psycopg.Connection[Row]:
        """The connection itself, for what goes in bulk, within ``writing`` or ``reading``."""
        return self._db

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Wait for the server as long as it takes."""
        with self._deadline.lifted():
            self.rows("SELECT set_config('idle_in_transaction_session_timeout', '0', false)")
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside is as of one moment. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            if self._in_transaction():
                yield
                return
            with self._transaction(_LOOK):
                yield

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction, or a part of the batch that is open. It is kept for good when this
        ends, by every synchronous standby, too; without ``durable``, the loss of a server may undo
        it. Raises ``StateUnavailable``."""
        with self._lock, self._told("written"):
            if self._whole.is_open:
                with self._whole.part():
                    yield
            else:
                self._ready_to_write()
                with self._transaction(_KEPT if durable else _LOOSE):
                    yield

    def write(self, statement: str, *values: object) -> list[Row]:
        """A transaction of one statement, or a part of the one that is open: what it gives. It is
        done again if the connection was lost meanwhile, and must bear that. Raises
        ``StateUnavailable``."""
        return self.write_again(statement, *values)[0]

    def write_again(self, statement: str, *values: object) -> tuple[list[Row], bool]:
        """As ``write``, and whether it was done again: then it may have found what it wrote the
        first time."""
        with self._lock, self._told("written"):
            if self._whole.is_open:
                with self._whole.part():
                    return self.run(statement, *values).fetchall(), False
            if self._in_transaction():
                return self.run(statement, *values).fetchall(), False
            self._ready_to_write()
            try:
                return self._write(statement, *values), False
            except psycopg.OperationalError:
                if not self._db.closed or self._leases:
                    raise
                self._ready_to_write()
                return self._write(statement, *values), True

    def _write(self, statement: str, *values: object) -> list[Row]:
        self._written += 1
        if self._written > self._replanned:
            # A plan stays what it was for tables that were small, and reads all of them, until the
            # server's statistics are made anew; that may be a minute and many mails later.
            self.run("DISCARD PLANS")
            self._replanned *= 2
        self._warned = False
        # What is a transaction by itself is done again and again: to accept, to claim.
        found = self.run(statement, *values, prepare=True).fetchall()
        self._refuse_warned()
        return found

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One transaction for all that is written inside. What fails inside fails the whole.
        Raises ``StateUnavailable``, and what the caller raises inside."""
        with self._lock:
            with self._told("written"):
                self._ready_to_write()
            with self._whole.opened(self._transaction(_KEPT)):
                yield

    def distrust(self) -> None:
        """What a transaction has read under a lock is kept for good when it ends: the lock is
        written, too."""

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._warned = False
        with self._told("reached"):
            self._begin(begin)
        try:
            yield
            if self._db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                with self._told("written"):
                    self._refuse_not_kept(self.run("COMMIT"))
        except BaseException:
            self._roll_back()
            raise

    def _begin(self, begin: str) -> None:
        self._ready()
        try:
            self.run(begin)
        except psycopg.OperationalError:
            if not self._db.closed or self._leases:
                raise
            self._ready()
            self.run(begin)

    def _roll_back(self) -> None:
        if not self._db.closed and self._in_transaction():
            with suppress(psycopg.Error):
                self.run("ROLLBACK")

    def _in_transaction(self) -> bool:
        return self._db.info.transaction_status in (
            psycopg.pq.TransactionStatus.INTRANS,
            psycopg.pq.TransactionStatus.INERROR,
        )

    def _refuse_not_kept(self, ended: psycopg.Cursor[Row]) -> None:
        self._refuse_warned()
        if ended.statusmessage != "COMMIT":
            raise StateUnavailable(f"nothing was written to the ledger {self.name}")

    def _refuse_warned(self) -> None:
        if self._warned:
            raise StateUnavailable(
                f"the ledger {self.name} wrote without waiting for its standby: what was written "
                "may be lost, and is written again"
            )

    def _ready_to_write(self) -> None:
        """As ``_ready``; write nothing if too few standbys stream: each commit that waits for them
        in vain occupies a connection."""
        self._ready()
        if not self._replicas or time.monotonic() < self._streaming_until:
            return
        streaming = self.streaming()
        if streaming < self._replicas:
            raise StateUnavailable(
                f"{streaming} of {self._replicas} synchronous standbys stream from the ledger "
                f"{self.name}: nothing is written until they do (see [state] replicas)"
            )
        self._streaming_until = time.monotonic() + _BELIEVED

    def streaming(self) -> int:
        """How many synchronous standbys stream."""
        found = (
            "SELECT count(*) AS streaming FROM pg_stat_replication"
            " WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')"
        )
        return int(self.rows(found)[0]["streaming"])

    # Wake-ups

    def wait_for(self, timeout: float) -> set[str]:
        """What was told since this was called first, as soon as there is something, for so many
        seconds at most. The connection serves nothing else meanwhile."""
        with self._lock, self._told("read"):
            self._ready()
            if self._listening is not self._db:
                self.run(f"LISTEN {CHANNEL}")
                self._listening = self._db
            told = self._db.notifies(timeout=timeout, stop_after=1)
            return {each.payload for each in told}

    # Leases

    @contextmanager
    def lease(self, name: str, patience: float) -> Iterator[bool]:
        """The lease of this name: see ``Ledger``. It ends with the connection."""
        until = time.monotonic() + patience
        nap = _SHORTEST_NAP
        # Never a lock that blocks: the wait would hold the connection.
        while not (held := self._take(name)) and time.monotonic() < until:
            time.sleep(nap)
            nap = min(nap * 1.5, _LONGEST_NAP)
        try:
            yield held
        finally:
            if held:
                self._leave(name)

    def _take(self, name: str) -> bool:
        key = key_of(name)
        with self._lock:
            if name in self._leases:
                return False
            if not self.rows("SELECT pg_try_advisory_lock(?) AS held", key)[0]["held"]:
                return False
            self._leases[name] = key
            return True

    def _leave(self, name: str) -> None:
        with self._lock:
            key = self._leases.pop(name)
            if not self._is_lost:
                with suppress(StateUnavailable):  # it ends with the connection, then
                    self.rows("SELECT pg_advisory_unlock(?)", key)
            if not self._leases:
                self._is_lost = False

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
        self._deadline.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """The driver's errors as those that the rest of the program knows."""
        try:
            yield
        except (psycopg.Error, OSError) as error:
            database = getattr(self, "_db", None)
            said, advice = pg_errors.said(error), pg_errors.advice(error)
            if database is None or not database.closed:
                raise StateUnavailable(
                    f"the ledger {self.name} could not be {doing}: {said}; {advice}"
                ) from error
            self._is_lost = bool(self._leases)
            kind = LostLease if self._is_lost else LostConnection
            raise kind(f"the connection to the ledger {self.name} was lost: {said}") from error
