# SPDX-License-Identifier: BSD-3-Clause
"""One connection to the SQLite file: how it is made, opened, written and read safely by several
processes, and what its errors mean. Called by ``sqlite``, which knows what is in it.

WAL and synchronous=FULL: a commit is on the disk when it returns, and readers never wait.
"""

import os
import resource
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ingest import files, locks
from ingest.errors import StateUnavailable
from ingest.ledger.rows import storable

# STRICT tables came with 3.37, RETURNING with 3.35.
OLDEST_SQLITE = (3, 37, 0)

# Marks the file as ours ("RCKi"), so that another program's is not taken for an old one of ours.
_APPLICATION = 0x52434B69

# The write-ahead log is copied into the file when it is longer than this many bytes.
_LONGEST_LOG = 4 << 20
_CHECKPOINT_PATIENCE = 500  # milliseconds

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class Database:
    """A connection. Threads may share it: one transaction runs at a time. Processes may not: a
    forked child opens its own."""

    def __init__(
        self, path: str, migrations: Sequence[Sequence[str]], *, busy_timeout: float, mode: int
    ) -> None:
        """Open the file, make it if it is not there, and bring it to the newest schema.

        ``migrations``: see ``schema``; ``busy_timeout``: seconds to wait for another process's
        write; ``mode``: permissions of a new file. Raises ``StateUnavailable``.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise StateUnavailable(
                f"the ledger needs SQLite {needed} or later, but this Python has "
                f"{sqlite3.sqlite_version}"
            )
        self.path = Path(path).absolute()
        self._busy_timeout = busy_timeout
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._synchronous = ""
        self._batching = False
        self._broken = False
        self._unproven = False
        with self._told("opened"):
            if not _is_there(self.path):
                self._make(migrations, mode)
            self._db = _connect(self.path, busy_timeout)
            try:
                self._prepare(migrations)
            except BaseException:
                self._db.close()
                raise

    def _make(self, migrations: Sequence[Sequence[str]], mode: int) -> None:
        """The folder and the file, each with its permissions whatever the umask is (an alias
        pipe's is 0077), and durable. The file is made under another name and appears whole: no
        process ever opens a half-made one, whoever is killed when."""
        folder = self.path.parent
        _make_folder(folder, mode)
        lock = locks.take(str(folder), mode=mode, patience=self._busy_timeout)
        if lock is None:
            raise StateUnavailable(f"another process is still making the ledger {self.path}")
        try:
            if _is_there(self.path):
                return
            new = self.path.with_name(f".{self.path.name}.new")
            # SQLite would take a log or journal that an older ledger left for this one's.
            for leftover in (new, *_beside(new), *_beside(self.path)):
                leftover.unlink(missing_ok=True)
            made = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.fchmod(made, mode)
            os.close(made)
            with closing(_connect(new, self._busy_timeout)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("BEGIN IMMEDIATE")
                _migrate(database, migrations)
                database.execute(f"PRAGMA application_id={_APPLICATION}")
                database.execute("COMMIT")
            files.sync(new)
            os.rename(new, self.path)
            os.fsync(lock)
        finally:
            os.close(lock)

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        application, version = self._number("application_id"), self._number("user_version")
        if application != _APPLICATION:
            raise StateUnavailable(
                f"{self.path} is the database of another program: check [state] dir and ledger"
            )
        if version > len(migrations):
            raise StateUnavailable(
                f"the ledger {self.path} has schema {version}, made by a newer release; "
                f"this one knows {len(migrations)}: install the newer release again"
            )
        if self._db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise StateUnavailable(
                f"the ledger {self.path} cannot be shared by processes where it is; "
                "put [state] dir on a local disk"
            )
        # See _shorten_log.
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        self._durably("FULL")
        if version < len(migrations):
            with self._transaction("FULL"):
                _migrate(self._db, migrations)  # from what it is now: another may have done it

    def _number(self, pragma: str) -> int:
        return int(self._db.execute(f"PRAGMA {pragma}").fetchone()[0])

    def run(self, statement: str, *values: object) -> sqlite3.Cursor:
        """One statement of a transaction, within ``writing`` or ``reading``."""
        return self._db.execute(statement, tuple(map(storable, values)))

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            self._refuse_after_fork()
            return self.run(query, *values).fetchall()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read inside is as of one moment. Raises ``StateUnavailable``."""
        with self._lock, self._told("read"):
            self._refuse_after_fork()
            if self._batching:
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
            if self._batching:
                with self._part_of_batch(), self._told("written"):
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
            if self._batching:
                raise RuntimeError("a batch within a batch")
            with self._transaction("FULL"):
                self._batching, self._broken = True, False
                try:
                    yield
                finally:
                    self._batching = False
                if self._broken:
                    raise StateUnavailable(f"nothing was written to the ledger {self.path}")
            self._shorten_log()

    @contextmanager
    def _part_of_batch(self) -> Iterator[None]:
        # SQLite may have rolled back everything for an error that somebody caught: what comes
        # after it would be committed without what came before.
        if self._broken:
            raise StateUnavailable(f"nothing is written to the ledger {self.path} any more")
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[None]:
        self._refuse_after_fork()
        self._unproven = False
        try:
            with self._told("written"):
                self._durably(synchronous)
                self._db.execute("BEGIN IMMEDIATE")
            yield
            with self._told("written"):
                self._db.execute("COMMIT")
                if self._unproven:
                    self._prove()
        except BaseException:
            self._roll_back()
            raise

    def distrust(self) -> None:
        """What this transaction has read must be on the disk when it ends, though it may write
        nothing: its writer may have been killed between write and fsync, and a log that is
        opened anew after that shows what was written."""
        self._unproven = True

    def _prove(self) -> None:
        log = _beside(self.path)[0]
        with suppress(FileNotFoundError):  # what is in the file itself was synced before
            files.sync(log)

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
            if _beside(self.path)[0].stat().st_size > _LONGEST_LOG:
                self._db.execute(f"PRAGMA busy_timeout={_CHECKPOINT_PATIENCE}")
                try:
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    milliseconds = round(self._busy_timeout * 1000)
                    self._db.execute(f"PRAGMA busy_timeout={milliseconds}")

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """SQLite's and the system's errors as the one error the rest of the program knows."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StateUnavailable(
                f"the ledger {self.path} could not be {doing}: {error}; {self._advice(error)}"
            ) from error

    def _advice(self, error: Exception) -> str:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return (
                "the file is damaged: put back a copy of it, or move it aside with the files "
                f"{self.path.name}-wal and -shm, and a new one is begun"
            )
        if code in _LOCKED:
            return f"another process has held it for {self._busy_timeout:g} seconds"
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL) and limit >= 0:
            return (
                f"this process may write no file past {limit} bytes "
                "(Postfix gives an alias pipe its mailbox_size_limit), or the disk is full"
            )
        return "check the disk, and the permissions of its folder"


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
    )
    database.row_factory = sqlite3.Row
    return database


def _migrate(database: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Every step that is missing, inside a transaction."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    for migration in migrations[version:]:
        for statement in migration:
            database.execute(statement)
        version += 1
        database.execute(f"PRAGMA user_version={version}")


def _is_there(path: Path) -> bool:
    # An empty file is none yet: SQLite calls it an empty database.
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _beside(path: Path) -> list[Path]:
    """SQLite's own files for a database: its write-ahead log first, that log's index, and what
    it needs while it makes a database one with such a log."""
    return [path.with_name(f"{path.name}-{kind}") for kind in ("wal", "shm", "journal")]


def _make_folder(folder: Path, mode: int) -> None:
    """A folder and those above it, durable. Whoever may use the ledger may use it, and, with the
    group's bit, what is made in it is the group's, SQLite's own files included."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir()
        except FileExistsError:  # another process makes it, too
            continue
        if each == folder:
            used_by = mode | (mode & 0o444) >> 2
            os.chmod(folder, used_by | (0o2700 if mode & 0o060 else 0o700))
        files.sync(each.parent)
