# SPDX-License-Identifier: BSD-3-Clause
"""One connection to the SQLite file: how it is made, opened, written and read safely by several
processes, and what its errors mean.

WAL and synchronous=FULL: a commit is on the disk when it returns, and readers never wait.
"""

import os
import resource
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ingest import files, locks
from ingest.errors import NoLedger, NoRoom, StateUnavailable
from ingest.ledger import sqlite_file
from ingest.ledger.rows import storable
from ingest.ledger.schema_steps import Migration
from ingest.ledger.values import Opening
from ingest.ledger.whole import Whole

# STRICT tables came with 3.37, RETURNING with 3.35.
OLDEST_SQLITE = (3, 37, 0)

# The write-ahead log is copied into the file when it is longer than this many bytes, or than a
# third of the longest file that this process may write: a mail's way takes a quarter of a MiB.
_LONGEST_LOG = 16 << 20
_CHECKPOINT_PATIENCE = 500  # milliseconds

# The part of a file that may not grow beyond a limit that is filled with new mails. While a mail is
# changed it takes its room twice, and Postfix's largest mail is a fifth of its largest file.
_FILLED = 4 / 5

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class Database:
    """A connection. Threads may share it: one transaction runs at a time. Processes may not: a
    forked child opens its own."""

    def __init__(
        self,
        path: str,
        migrations: Sequence[Migration],
        *,
        busy_timeout: float,
        mode: int,
        opening: Opening = Opening.WRITE,
    ) -> None:
        """Open the file, make it if it is not there, and bring it to the newest schema, as far as
        ``opening`` allows.

        ``migrations``: see ``schema``; ``busy_timeout``: seconds to wait for another process's
        write; ``mode``: permissions of a new file. Raises ``StateUnavailable``, ``NoLedger``.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise StateUnavailable(
                f"the ledger needs SQLite {needed} or later, but this Python has "
                f"{sqlite3.sqlite_version}"
            )
        self.held = ""  # one writes at a time
        self.path = Path(path).absolute()
        self._log = str(sqlite_file.beside(self.path)[0])
        self._mode = mode
        self._looks = opening is Opening.LOOK
        self._busy_timeout = busy_timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._synchronous = ""
        self._whole = Whole(str(self.path))
        self._unproven = False
        with self._told("opened"):
            if not sqlite_file.is_there(self.path):
                if opening in (Opening.LOOK, Opening.USE, Opening.MOVE):
                    raise NoLedger(f"there is no ledger {self.path} yet")
                sqlite_file.make(self.path, migrations, mode, busy_timeout)
            self._file = files.identity(self.path)
            self._db = sqlite_file.connect(self.path, busy_timeout, read_only=self._looks)
            try:
                self.generation = sqlite_file.prepare(self._db, self.path, migrations, opening)
                if not self._looks:
                    # See _shorten_log.
                    self._db.execute("PRAGMA wal_autocheckpoint=0")
                    self._durably("FULL")
            except BaseException:
                self._db.close()
                raise

    def run(self, statement: str, *values: object) -> sqlite3.Cursor:
        """One statement of a transaction, within ``writing`` or ``reading``."""
        return self._db.execute(statement, tuple(map(storable, values)))

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            self._refuse_after_fork()
            return self.run(query, *values).fetchall()

    def run_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """One statement for each of many rows, within ``writing``."""
        self._db.executemany(statement, rows)

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        """What a query finds, row by row, as of one moment. Raises ``StateUnavailable``."""
        with self.reading():
            found = self._db.cursor()
            found.row_factory = None  # plain tuples
            yield from found.execute(query)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside is as of one moment. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            self._refuse_after_fork()
            if self._whole.is_open or self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[None]:
        """One transaction, or a part of the batch that is open. It is on the disk when this
        ends; without ``durable``, a loss of power may undo it. Raises ``StateUnavailable``."""
        with self._lock:
            if self._whole.is_open:
                with self._whole.part(), self._told("written"):
                    yield
            else:
                with self._transaction("FULL" if durable else "NORMAL"), self._told("written"):
                    yield
                self._shorten_log()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """One transaction for all that is written inside. What fails inside fails the whole.
        Raises ``StateUnavailable``, and what the caller raises inside."""
        with self._lock:
            with self._whole.opened(self._transaction("FULL")):
                yield
            self._shorten_log()

    @contextmanager
    def lease(self, name: str, patience: float = 0.0) -> Iterator[bool]:
        """The lease of this name: True for its one holder at a time among all processes that share
        the file. Waits ``patience`` seconds for it. Raises ``StateUnavailable``."""
        # The kernel ends a file lock with its process, so that a killed worker leaves no lease
        # to be waited out, and no clock is involved.
        path = self.path.with_name(f"{self.path.name}-{name}.lock")
        if self._looks and not path.exists():  # nobody has ever held it
            yield True
            return
        try:
            held = locks.take(str(path), mode=self._mode, patience=patience)
        except OSError as error:
            raise StateUnavailable(f"the lease of {name} cannot be had: {error}") from error
        try:
            yield held is not None
        finally:
            if held is not None:
                os.close(held)

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[None]:
        self._refuse_after_fork()
        self._unproven = False
        try:
            with self._told("written"):
                self._durably(synchronous)
                self._limit()
                self._db.execute("BEGIN IMMEDIATE")
            yield
            with self._told("written"):
                self._db.execute("COMMIT")
                if self._unproven:
                    self._prove()
                self._refuse_if_moved()
        except BaseException:
            self._roll_back()
            raise

    def distrust(self) -> None:
        """What this transaction has read must be on the disk when it ends, though it may write
        nothing: its writer may have been killed between write and fsync, and a log that is
        opened anew after that shows what was written."""
        self._unproven = True

    def _prove(self) -> None:
        with suppress(FileNotFoundError):  # what is in the file itself was synced before
            files.sync(Path(self._log))

    def _refuse_if_moved(self) -> None:
        """What was written into a file that is not the ledger any more is not kept."""
        if files.identity(self.path) != self._file:
            raise StateUnavailable(
                f"the ledger {self.path} was moved or replaced; it is opened anew for the next try"
            )

    def insert(
        self, table: str, columns: Mapping[str, object], then: str = "", *, or_replace: bool = False
    ) -> list[sqlite3.Row]:
        """A row more, within ``writing``; what a RETURNING clause in ``then`` gives."""
        statement = _inserting(table, (*columns,), then, or_replace)
        return self.run(statement, *columns.values()).fetchall()

    def insert_all(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Rows more, all with the same columns, within ``writing``."""
        if rows:
            values = [tuple(map(storable, each.values())) for each in rows]
            self.run_many(_inserting(table, (*rows[0],)), values)

    def make_room(self, size: int) -> None:
        """Of a transaction that keeps so many bytes more: raise ``StateUnavailable`` if this
        process may write no file in which they leave room for what ends a mail, for only that
        makes room again."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit < 0:
            return
        page, pages, free = (
            int(self.run(f"PRAGMA {each}").fetchone()[0])
            for each in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) + size > _FILLED * limit:
            full = sqlite3.OperationalError("there is no room for it")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full

    def _limit(self) -> None:
        """Keep the file below what this process may write: what is in the log and does not fit
        into the file stays there, until the log cannot be written either."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit >= 0:
            page = int(self._db.execute("PRAGMA page_size").fetchone()[0])
            self._db.execute(f"PRAGMA max_page_count={max(limit // page, 1)}").fetchone()

    def _durably(self, synchronous: str) -> None:
        """What the next commits do. At the start of each transaction, because inside of one
        SQLite refuses, and because an interrupt must not leave us with less than we think."""
        if self._synchronous != synchronous:
            self._synchronous = ""
            self._db.execute(f"PRAGMA synchronous={synchronous}")
            self._synchronous = synchronous

    def _refuse_after_fork(self) -> None:
        if self._process != os.getpid():  # SQLite's locks are its process's
            raise RuntimeError("a ledger that was opened before a fork is used after it")

    def _roll_back(self) -> None:
        # A full disk or an I/O error makes SQLite roll back by itself.
        if self._db.in_transaction:
            with self._told("read"):
                self._db.execute("ROLLBACK")

    def _shorten_log(self) -> None:
        """Copy a long write-ahead log into the file and empty it.

        Not left to SQLite: its automatic checkpoint does not hold up writers, and up to 3.51.2
        it can, rarely, corrupt the file if one of them begins the log anew meanwhile (WAL-reset
        bug, sqlite.org/wal.html); nor does it ever make the log's file smaller.
        """
        with suppress(OSError, sqlite3.Error):  # all is durable, and the next commit tries again
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
            longest = _LONGEST_LOG if limit < 0 else min(_LONGEST_LOG, limit // 3)
            if os.stat(self._log).st_size > longest:
                self._db.execute(f"PRAGMA busy_timeout={_CHECKPOINT_PATIENCE}")
                try:
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    milliseconds = round(self._busy_timeout * 1000)
                    self._db.execute(f"PRAGMA busy_timeout={milliseconds}")

    def copy(self, target: Path) -> None:
        """Copy the whole file as it is at one moment, whoever writes meanwhile. Raises
        ``StateUnavailable``."""
        with self._lock, self._told("copied"):
            self._refuse_after_fork()
            sqlite_file.copy(self._db, self.path, target)

    def damage(self) -> str:
        """What SQLite finds damaged, "" if nothing. Raises ``StateUnavailable``."""
        found = [str(row[0]) for row in self.rows("PRAGMA quick_check(3)")]
        return "" if found == ["ok"] else "; ".join(found)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """SQLite's and the system's errors as the one error the rest of the program knows."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", 0)
            raise (NoRoom if code == sqlite3.SQLITE_FULL else StateUnavailable)(
                f"the ledger {self.path} could not be {doing}: {error}; {self._advice(error)}"
            ) from error

    def _advice(self, error: Exception) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return (
                "the file is damaged: put back a copy of it, or move it aside with the files "
                f"{self.path.name}-wal and -shm, and a new one is begun"
            )
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
            return "have [state] ledger say where it is now"
        if code in _LOCKED:
            return f"another process has held it for {self._busy_timeout:g} seconds"
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL) and limit >= 0:
            return (
                f"this process may write no file past {limit} bytes "
                "(Postfix gives an alias pipe its mailbox_size_limit), or the disk is full"
            )
        return files.hindrance(self.path) or "check the disk, and the permissions of its folder"


@lru_cache(maxsize=100)
def _inserting(
    table: str, columns: tuple[str, ...], then: str = "", or_replace: bool = False
) -> str:
    """A statement that is made for each of many rows."""
    places = ", ".join("?" * len(columns))
    return (
        f"INSERT {'OR REPLACE ' if or_replace else ''}INTO {table} ({', '.join(columns)})"
        f" VALUES ({places}) {then}"
    )
