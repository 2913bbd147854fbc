# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite file: how it is made, opened, shared by users, and brought up to date."""

import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import StateUnavailable
from ingest.ledger import WORKER_LEASE, Cursor, Keep, Outcome, Wait, Waiting, open_ledger
from ingest.ledger.database import Database
from ingest.ledger.schema import MIGRATIONS
from tests.support.ledger_values import NOON, arrival, claimed, ended, record, request
from tests.support.sqlite_files import is_sound, opened, pragma
from tests.support.syncs import watched
from tests.support.users import as_user, open_folder

FULL, NORMAL = 2, 1


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "state" / "ledger.sqlite"


def database(path: Path) -> Database:
    return Database(str(path), MIGRATIONS, busy_timeout=1, mode=0o660)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Durability


def test_the_file_has_a_write_ahead_log(path: Path) -> None:
    opened(path).close()
    assert pragma(path, "journal_mode") == "wal"


def test_every_connection_syncs_fully(path: Path) -> None:
    for _ in range(2):
        with closing(database(path)) as db:
            assert db.rows("PRAGMA synchronous")[0][0] == FULL


def test_only_what_may_be_lost_is_not_synced(path: Path) -> None:
    with closing(database(path)) as db:
        for durable in (True, False, True):
            with db.writing(durable=durable):
                assert db.rows("PRAGMA synchronous")[0][0] == (FULL if durable else NORMAL)
        with db.writing(durable=False):
            pass
        with db.batch():
            assert db.rows("PRAGMA synchronous")[0][0] == FULL


def test_an_interrupt_leaves_no_weaker_connection(path: Path) -> None:
    with closing(database(path)) as db:
        with pytest.raises(KeyboardInterrupt), db.writing(durable=False):
            raise KeyboardInterrupt
        with db.writing():
            assert db.rows("PRAGMA synchronous")[0][0] == FULL


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watched(monkeypatch)


def test_a_copy_is_acknowledged_only_when_the_first_one_is_on_the_disk(
    path: Path, synced: list[str]
) -> None:
    """The first may have been written by a process that was killed before its fsync."""
    ledger = opened(path)
    ledger.accept(arrival())
    synced.clear()
    ledger.accept(arrival())
    assert synced == ["ledger.sqlite-wal+"]
    synced.clear()
    with ledger.batch():
        for _ in range(5):
            ledger.accept(arrival())
    assert synced == ["ledger.sqlite-wal+"]
    ledger.close()


def test_what_is_handed_out_again_is_on_the_disk(path: Path, synced: list[str]) -> None:
    """Its promise may be of a process that was killed before its fsync."""
    ledger = opened(path)
    ledger.accept(arrival())
    mail = claimed(ledger)
    ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
    found, promise = ledger.reruns(0, NOON)
    synced.clear()
    assert ledger.reruns(0, NOON) == (found, promise)
    assert synced == ["ledger.sqlite-wal+"]
    synced.clear()
    assert ledger.reruns(promise, promise) == ([], promise)
    assert synced == []
    ledger.close()


def test_a_new_ledger_is_on_the_disk_with_its_folders(quick_path: Path, synced: list[str]) -> None:
    opened(quick_path / "a" / "b" / "ledger.sqlite").close()
    assert synced == [
        *(quick_path.name, "a"),
        *(".ledger.sqlite.new+", ".ledger.sqlite.new > ledger.sqlite", "b"),
    ]


@pytest.mark.slow
def test_the_write_ahead_log_stays_short(path: Path) -> None:
    ledger = opened(path)
    log = path.with_name("ledger.sqlite-wal")
    longest = 0
    for number in range(60):
        ledger.accept(arrival(str(number), raw=os.urandom(600_000)))
        longest = max(longest, log.stat().st_size)
    assert longest < 18 << 20
    assert path.stat().st_size > 16 << 20
    ledger.close()


@pytest.mark.slow
def test_a_log_that_a_reader_needs_is_shortened_later(path: Path) -> None:
    ledger = opened(path)
    ledger.accept(arrival())
    log = path.with_name("ledger.sqlite-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM mail").fetchall()
        ledger.accept(arrival("large", raw=os.urandom(18 << 20)))
        assert log.stat().st_size > 17 << 20
        assert claimed(ledger).message_id == "a@example.org"
    ledger.accept(arrival("b"))
    assert log.stat().st_size < 1 << 20
    assert [claimed(ledger).message_id for _ in range(2)] == ["large", "b"]
    ledger.close()


# Speed


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of every connection, as they come."""
    statements: list[str] = []
    connect = sqlite3.connect

    def watched_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*arguments, **options)
        made.set_trace_callback(statements.append)
        return made

    monkeypatch.setattr(sqlite3, "connect", watched_connect)
    return statements


def assert_searched(path: Path, statements: list[str]) -> None:
    """Each of them finds mails and requests by an index, in the order in which they are wanted."""
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            plan = [step for *_, step in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
            slow = [
                each
                for each in plan
                # Those indices hold the few mails that are worked on, and what is next in order.
                if re.match("SCAN (mail|request)", each)
                and not re.search("mail_(claimed|fresh)", each)
            ]
            assert not slow, statement


def test_what_was_recorded_since_a_time_is_found_without_reading_the_log(
    path: Path, asked: list[str]
) -> None:
    ledger = opened(path)
    ledger.accept(arrival())
    mail = claimed(ledger)
    ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
    asked.clear()
    assert ledger.reruns(NOON, NOON)[0]
    assert not ledger.reruns(NOON + 1, NOON + 1)[0]
    queries = [each for each in asked if each.startswith("SELECT")]
    assert len([each for each in queries if "FROM request" in each]) == 4
    assert_searched(path, queries)
    ledger.close()


def test_what_is_done_for_each_mail_does_not_take_longer_with_a_longer_queue(
    path: Path, asked: list[str]
) -> None:
    ledger = opened(path)
    asked.clear()
    for name in ("a", "b"):
        ledger.accept(arrival(name))
    mail = claimed(ledger)
    ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
    mail = claimed(ledger)
    ledger.recover(NOON, WORKER_LEASE)
    ledger.next_due()
    ledger.totals()
    ledger.find(mail.message_id)
    ledger.requests(1)
    ledger.prune(Keep(raw=NOON), NOON)
    statements = [each for each in asked if each.startswith(("SELECT", "UPDATE", "INSERT"))]
    assert len(statements) > 15
    assert_searched(path, [each for each in statements if "tally" not in each])
    orders = [each for each in statements if "ORDER BY due" in each or "ORDER BY turn" in each]
    assert orders
    with closing(sqlite3.connect(path)) as db:
        for order in orders:
            plan = " ".join(step for *_, step in db.execute(f"EXPLAIN QUERY PLAN {order}"))
            assert "mail_due" in plan or "mail_fresh" in plan
            assert "TEMP B-TREE" not in plan
    ledger.close()


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.QUEUED])
def test_what_is_counted_is_what_is_there(path: Path, outcome: Outcome) -> None:
    ledger = opened(path)
    for name in ("a", "b", "c", "d"):
        ledger.accept(arrival(name))
    mail = claimed(ledger)
    ledger.finish(mail, outcome, "", ended(outcome), [request(mail), request(mail)])
    missing, down = claimed(ledger), claimed(ledger)
    ledger.wait(missing, Wait(Waiting.MISSING, due=NOON + 9), "", [])
    ledger.wait(down, Wait(Waiting.MISSING, due=NOON - 9), "", [])
    claimed(ledger)  # the one that was never tried
    ledger.wait(claimed(ledger), Wait(Waiting.DOWN, due=NOON), "", [])
    with pytest.raises(ZeroDivisionError), ledger.batch():
        ledger.accept(arrival("undone"))
        raise ZeroDivisionError
    totals = ledger.totals()
    assert {name: n for name, n in totals.mails.items() if n} == {"queued": 3, outcome: 1}
    assert totals.waiting == {"missing": 1, "down": 1, "failing": 0}
    assert totals.requests == 1
    ledger.close()


# Permissions


@pytest.fixture
def alias_umask() -> Iterator[None]:
    """The umask of an alias pipe."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("mode", "folder"), [(0o660, 0o2770), (0o600, 0o700), (0o664, 0o2775), (0o640, 0o2750)]
)
@pytest.mark.usefixtures("alias_umask")
def test_permissions_do_not_depend_on_the_umask(path: Path, mode: int, folder: int) -> None:
    ledger = opened(path, mode=mode)
    ledger.accept(arrival())
    with ledger.lease(WORKER_LEASE):
        modes = {each.name: mode_of(each) for each in path.parent.iterdir()}
    ledger.close()
    assert modes == dict.fromkeys(
        ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-worker-1.lock"],
        mode,
    )
    assert mode_of(path.parent) == folder


def test_permissions_of_what_is_there_are_left_alone(path: Path) -> None:
    path.parent.mkdir(mode=0o711)
    path.parent.chmod(0o711)
    opened(path).close()
    path.chmod(0o640)
    opened(path).close()
    assert (mode_of(path.parent), mode_of(path)) == (0o711, 0o640)


ONE, TWO, LAB = 61001, 61002, 61100  # two users, each with a group of its own, and one in common


@pytest.mark.usefixtures("alias_umask")
def test_two_users_of_one_group_share_a_ledger() -> None:
    """Whoever comes first makes SQLite's own files, and whoever comes second needs them."""
    with open_folder() as folder:
        state = folder / "state"
        path = state / "ledger.sqlite"
        state.mkdir()
        os.chown(state, 0, LAB)
        state.chmod(0o2770)

        def accept(id: str) -> None:
            ledger = opened(path)
            ledger.accept(arrival(id))
            with ledger.lease(WORKER_LEASE) as held:
                assert held
                mail = claimed(ledger)
                assert mail.message_id == id
                ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
            # Not closed: the log stays, as after a pipe.

        for number, user in enumerate([ONE, TWO, ONE, TWO]):
            assert as_user(user, user, [LAB], lambda n=number: accept(f"m{n}")) == ""  # type: ignore[misc]
        assert as_user(61003, 61003, [], lambda: accept("no member")).startswith("StateUnavail")
        ledger = opened(path)
        assert ledger.totals().mails["done"] == 4
        ledger.close()


def test_a_ledger_that_may_only_be_read_is_read_and_not_written() -> None:
    with open_folder() as folder:
        path = folder / "ledger.sqlite"
        writer = opened(path, mode=0o644)
        writer.accept(arrival())

        def look() -> None:
            ledger = opened(path)
            assert ledger.find("a@example.org")[0].outcome is Outcome.QUEUED
            ledger.accept(arrival("b"))

        told = as_user(ONE, ONE, [], look)
        writer.close()
    assert told.startswith("StateUnavailable")
    assert "readonly" in told
    assert str(path) in told


# Making


def test_processes_never_see_a_half_made_ledger(path: Path) -> None:
    """A process that was killed while it made one leaves what the next one replaces."""
    path.parent.mkdir()
    for leftover in (".ledger.sqlite.new", ".ledger.sqlite.new-wal", ".ledger.sqlite.new-journal"):
        path.with_name(leftover).write_bytes(b"half made")
    ledger = opened(path)
    ledger.accept(arrival())
    ledger.close()
    assert {each.name for each in path.parent.iterdir()} == {"ledger.sqlite"}


def test_an_empty_file_becomes_a_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    ledger = opened(path)
    assert ledger.accept(arrival())[1]
    ledger.close()


def test_the_log_of_a_ledger_that_was_removed_does_not_get_into_the_new_one(path: Path) -> None:
    old = opened(path)
    old.accept(arrival("old"))
    log = path.with_name("ledger.sqlite-wal")
    kept = log.read_bytes()
    assert kept
    old.close()
    path.unlink()
    log.write_bytes(kept)
    ledger = opened(path)
    assert ledger.totals().mails["queued"] == 0
    assert ledger.accept(arrival("new"))[1]
    ledger.close()
    assert is_sound(path)


def test_a_relative_path_means_the_folder_of_the_beginning(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(quick_path)
    ledger = open_ledger("sqlite:ledger.sqlite")
    (quick_path / "elsewhere").mkdir()
    monkeypatch.chdir(quick_path / "elsewhere")
    ledger.accept(arrival(raw=os.urandom(6 << 20)))
    with ledger.lease(WORKER_LEASE) as held:
        assert held
    ledger.close()
    assert list((quick_path / "elsewhere").iterdir()) == []


def test_a_child_process_that_was_forked_may_not_use_its_parents_ledger(path: Path) -> None:
    ledger = opened(path)
    child = os.fork()
    if child == 0:
        code = 0
        for use in (lambda: ledger.accept(arrival()), ledger.totals, ledger.next_due):
            try:
                use()
            except RuntimeError:
                continue
            code = 1
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert ledger.totals().mails["queued"] == 0
    ledger.close()


# Other processes


def test_a_short_lock_is_waited_for(path: Path) -> None:
    ledger = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, other.execute, ("ROLLBACK",)).start()
        assert ledger.accept(arrival())[1]
    ledger.close()


def test_a_lock_beyond_the_patience_is_told_and_passes(path: Path) -> None:
    ledger = opened(path, busy_timeout=0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match=r"another process has held it for 0\.1 seconds"):
            ledger.accept(arrival())
        with pytest.raises(StateUnavailable), ledger.batch():
            pytest.fail("it cannot have begun")
        assert ledger.totals().mails["queued"] == 0, "readers do not wait"
        opened(path, busy_timeout=0.1).close()
    assert ledger.accept(arrival())[1]
    ledger.close()


def test_what_is_pruned_leaves_nothing_that_it_was_found_by(path: Path) -> None:
    ledger = opened(path)
    record(ledger, "a@example.org", NOON)
    ledger.set_cursor(Cursor("webhook:lab", 1))
    ledger.prune(Keep(raw=0.0, requests=NOON + 50), NOON + 100)
    ledger.close()
    with closing(database(path)) as db:
        for table in ("result", "request_search", "mail_search"):
            assert not db.rows(f"SELECT * FROM {table}"), table
