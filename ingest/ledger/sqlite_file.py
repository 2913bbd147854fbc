# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite file itself: made whole, recognised, brought to the newest schema after a backup."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ingest import files, locks
from ingest.errors import StateUnavailable
from ingest.ledger.moved import refuse_moved
from ingest.ledger.schema_steps import Migration
from ingest.ledger.values import Opening

# Marks the file as ours ("RCKi"), so that another program's is not taken for an old one of ours.
_APPLICATION = 0x52434B69

# Bytes of an older ledger that a pipe may bring up to date: its own files are limited by Postfix.
_LARGEST_FOR_A_PIPE = 8 << 20


def make(path: Path, migrations: Sequence[Migration], mode: int, busy_timeout: float) -> None:
    """The folder and the file, each with its permissions whatever the umask is (an alias
    pipe's is 0077), and durable. The file is made under another name and appears whole: no
    process ever opens a half-made one, whoever is killed when."""
    folder = path.parent
    _make_folder(folder, mode)
    lock = locks.take(str(folder), mode=mode, patience=busy_timeout)
    if lock is None:
        raise StateUnavailable(f"another process is still making the ledger {path}")
    try:
        if is_there(path):
            return
        new = path.with_name(f".{path.name}.new")
        # SQLite would take a log or journal that an older ledger left for this one's.
        for leftover in (new, *beside(new), *beside(path)):
            leftover.unlink(missing_ok=True)
        made = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        locks.give(made, str(folder))
        os.fchmod(made, mode)
        os.close(made)
        with closing(connect(new, busy_timeout)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            _migrate(database, migrations)
            _begin_generation(database, new)
            database.execute(f"PRAGMA application_id={_APPLICATION}")
            database.execute("COMMIT")
        files.sync(new)
        os.rename(new, path)
        os.fsync(lock)
    finally:
        os.close(lock)


def prepare(
    database: sqlite3.Connection, path: Path, migrations: Sequence[Migration], opening: Opening
) -> str:
    """Make sure that a connection's file is a ledger of the newest schema; its generation.

    Raises ``StateUnavailable``.
    """
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if application != _APPLICATION:
        raise StateUnavailable(
            f"{path} is the database of another program: check [state] dir and ledger"
        )
    if version > len(migrations):
        raise StateUnavailable(
            f"the ledger {path} has schema {version}, made by a newer release; "
            f"this one knows {len(migrations)}: install the newer release again"
        )
    is_small = path.stat().st_size <= _LARGEST_FOR_A_PIPE
    if version < len(migrations) and (
        opening is Opening.LOOK or (opening is Opening.PIPE and not is_small)
    ):
        raise StateUnavailable(
            f"the ledger {path} was made by an older release: run recheck-ingest work --once, "
            "which brings it up to date after a backup"
        )
    if moved := _moved(database):
        refuse_moved(moved, str(path), opening)
    if opening is Opening.LOOK:
        return _generation(database)[0]
    if database.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise StateUnavailable(
            f"the ledger {path} cannot be shared by processes where it is; "
            "put [state] dir on a local disk"
        )
    if version < len(migrations):
        _back_up(database, path, version)
        with _transaction(database):
            _migrate(database, migrations)  # from what it is now: another may have done it
    generation, file = _generation(database)
    if file == _file_name(path):
        return generation
    with _transaction(database):  # it was put back from a backup, or is new to this place
        return _begin_generation(database, path)


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, while the connection is nobody's yet."""
    database.execute("PRAGMA synchronous=FULL")
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def _generation(database: sqlite3.Connection) -> tuple[str, str]:
    """The generation and the file that it is of, "" for a ledger that has none yet."""
    if not _has_meta(database):
        return "", ""
    rows = database.execute("SELECT key, value FROM meta").fetchall()
    meta = {row["key"]: row["value"] for row in rows}
    return meta.get("generation", ""), meta.get("file", "")


def _moved(database: sqlite3.Connection) -> str:
    """Where the ledger went, or is going, "" if it stays."""
    if not _has_meta(database):
        return ""
    row = database.execute("SELECT value FROM meta WHERE key = 'moved'").fetchone()
    return str(row["value"]) if row else ""


def _has_meta(database: sqlite3.Connection) -> bool:
    return (
        database.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is not None
    )


def _begin_generation(database: sqlite3.Connection, path: Path) -> str:
    if not _has_meta(database):
        return ""
    generation = os.urandom(3).hex()
    values = [("generation", generation), ("file", _file_name(path))]
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)
    return generation


def _file_name(path: Path) -> str:
    device, inode = files.identity(path)
    return f"{device}:{inode}"


def _back_up(database: sqlite3.Connection, path: Path, version: int) -> None:
    """A copy of the ledger as it was before its schema changes, beside it and with its mode."""
    copy(database, path, path.with_name(f"{path.name}.schema-{version}.backup"))


def copy(database: sqlite3.Connection, path: Path, target: Path) -> None:
    """Copy the ledger at ``path`` as it is at one moment, with its mode and owner. The copy appears
    whole, and a ledger that is made of it begins a generation. Raises ``OSError`` and SQLite's
    errors."""
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as made:
            database.backup(made)
            made.execute("PRAGMA journal_mode=DELETE")  # one file, and nothing beside it
            if _has_meta(made):
                made.execute("DELETE FROM meta WHERE key = 'file'")
        found = path.stat()
        if os.geteuid() == 0:
            os.chown(fresh, found.st_uid, found.st_gid)
        os.chmod(fresh, found.st_mode & 0o777)
        files.sync(fresh)
        os.rename(fresh, target)
        files.sync(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


def connect(path: Path, busy_timeout: float, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that begins no transaction by itself. One that is ``read_only`` leaves
    nothing behind: SQLite makes a log even to read, and leaves one that is not the owner's, if
    nobody has the file open. Then all is in the file itself."""
    mode = "rw"
    if read_only:
        mode = "ro" if beside(path)[0].exists() else "ro&immutable=1"
    database = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    database.row_factory = sqlite3.Row
    return database


def _migrate(database: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Every step that is missing, inside a transaction."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    for migration in migrations[version:]:
        for step in migration:
            if isinstance(step, str):
                database.execute(step)
            else:
                step(database)
        version += 1
        database.execute(f"PRAGMA user_version={version}")


def is_there(path: Path) -> bool:
    """Whether there is a ledger at a path."""
    # An empty file is not a ledger yet, although SQLite opens it as an empty database.
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def beside(path: Path) -> list[Path]:
    """SQLite's own files for a database: its write-ahead log first, that log's index, and what
    it needs while it makes a database one with such a log."""
    return [path.with_name(f"{path.name}-{kind}") for kind in ("wal", "shm", "journal")]


def size(path: Path) -> int:
    """Bytes of a database on the disk, with SQLite's own files."""
    found = 0
    for each in (path, *beside(path)):
        with suppress(FileNotFoundError):
            found += each.stat().st_size
    return found


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
