# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite file's schema: ledgers of every release open, and nothing else is taken for one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import StateUnavailable
from ingest.ledger import Batch, Consumer, Cursor, Feed, Filter
from ingest.ledger.database import Database
from ingest.ledger.schema import MIGRATIONS
from tests.support.ledger_values import NOON, arrival, claimed
from tests.support.places import DATA
from tests.support.sqlite_files import opened, pragma

DUMPS = DATA / "ledger"


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "state" / "ledger.sqlite"


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_ledger_of_every_release_opens_with_all_that_is_in_it(path: Path, version: int) -> None:
    """``tests/data/ledger/v<N>.sql`` is a ledger as the first release with that schema left it."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript((DUMPS / f"v{version}.sql").read_text())
        assert old.execute("PRAGMA user_version").fetchone()[0] == version
    ledger = opened(path)
    outcomes = ["done", "failed", "ignored", "queued", "rejected", "unresolved"]
    records = [ledger.find(f"{outcome}@example.org")[0] for outcome in outcomes]
    assert [record.outcome.value for record in records] == outcomes
    assert [request.series for request in ledger.requests()] == [29430]
    assert ledger.requests()[0].arguments == {"rebase": "main"}
    asked = ledger.requests()
    assert ledger.search_requests(Filter(labels=asked[0].contexts, texts=("PATCH",))) == asked
    assert ledger.search_mails(Filter(texts=("failed@example",))) == [records[1]]
    address = asked[0].requester.mailbox
    for shown, found in ((False, [1, 1]), (True, [0, 0])):
        wanted = Filter(requesters=(address,), shown=shown)
        assert [ledger.count_requests(wanted), ledger.count_mails(wanted)] == found
    wanted = Filter(requesters=(asked[0].requester.name,), texts=("example",), shown=True)
    assert [ledger.count_requests(wanted), ledger.count_mails(wanted)] == [1, 1]
    assert [each.name for each in ledger.cursors()] == ["json_file:/retests.json"]
    assert ledger.cursor("json_file:/retests.json").position == 1
    results = ledger.results.of([1])
    assert [(each.label, each.state, each.author) for each in results] == [
        ("iol-a", "handed over", "json_file:/retests.json"),
        ("iol-b", "handed over", "json_file:/retests.json"),
    ]
    assert ledger.results.open(0.0) == []  # nobody knows any more what became of it
    assert ledger.retry(None, NOON + 1) == 3
    assert claimed(ledger, NOON + 1).raw.startswith(b"Message-ID:")
    assert ledger.accept(arrival("new"))[1]
    ledger.close()
    assert pragma(path, "user_version") == len(MIGRATIONS)


# Of a ledger of schema 2: name, position, moved, tries, due, reason, begun.
MANY_MEANINGS = [
    ("catch-up", 9, NOON + 5, 2, 0.0, "it sleeps", 0),
    ("command:lab", 7, NOON, 1, NOON + 60, "it is down", 8),
    ("reruns", 6, NOON + 1.25, 0, 0.0, "", 0),
    ("take:default", 4, NOON, 0, 0.0, "", 0),
    ("take:default:2-3", 1, NOON, 2, NOON + 90, "", 3),
    ("take:night.1", 5, NOON, 0, 0.0, "", 0),
    ("take:night.1:5-5", 4, NOON, 0, NOON + 30, '["iol-*"]', 5),
]


def test_each_meaning_that_a_cursor_had_gets_a_table_of_its_own(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript((DUMPS / "v2.sql").read_text())
        old.execute("DELETE FROM cursor")
        old.executemany("INSERT INTO cursor VALUES (?, ?, ?, ?, ?, ?, ?)", MANY_MEANINGS)
        old.commit()
    ledger = opened(path)
    assert ledger.cursors() == (Cursor("command:lab", 7, NOON, 1, NOON + 60, "it is down", 8),)
    assert ledger.consumers() == (
        Consumer("default", 4, NOON, told=4),
        Consumer("night.1", 5, NOON, told=5),
    )
    assert ledger.batches() == (
        Batch("default", 1, 3, given=2, due=NOON + 90),
        Batch("night.1", 4, 5, ("iol-*",), due=NOON + 30),
    )
    assert [each.id for each in ledger.batches()] == ["default:2-3", "night.1:5-5"]
    assert ledger.feeds() == (Feed("catch-up", moved=NOON + 5, tries=2, reason="it sleeps"),)
    assert ledger.promise() == NOON + 3, "later than what reruns had promised"
    ledger.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_released_step_of_the_schema_is_never_changed(quick_path: Path, version: int) -> None:
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    with closing(sqlite3.connect(quick_path / "old")) as old:
        old.executescript((DUMPS / f"v{version}.sql").read_text())
        released = old.execute(schema).fetchall()
    made = quick_path / "made"
    Database(str(made), MIGRATIONS[:version], busy_timeout=1, mode=0o600).close()
    with closing(sqlite3.connect(made)) as now:
        assert now.execute(schema).fetchall() == released


STEPS = [("CREATE TABLE one (n)",), ("CREATE TABLE two (n)", "INSERT INTO one VALUES (2)")]


def migrated(path: Path, *steps: tuple[str, ...]) -> None:
    Database(str(path), steps, busy_timeout=0.1, mode=0o600).close()


def test_an_older_schema_is_brought_up_to_date_step_by_step(path: Path) -> None:
    migrated(path, *STEPS[:1])
    migrated(path, *STEPS)
    migrated(path, *STEPS)
    assert pragma(path, "user_version") == 2
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT n FROM one").fetchall() == [(2,)]


def test_a_step_that_fails_leaves_the_older_schema(path: Path) -> None:
    migrated(path, *STEPS[:1])
    with pytest.raises(StateUnavailable, match="no such table: three"):
        migrated(path, STEPS[0], (*STEPS[1], "INSERT INTO three VALUES (1)"))
    assert pragma(path, "user_version") == 1
    migrated(path, *STEPS)


def test_a_schema_step_waits_for_writers_and_gives_up_in_time(path: Path) -> None:
    migrated(path, *STEPS[:1])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="another process has held it"):
            migrated(path, *STEPS)


def test_the_ledger_of_a_newer_release_is_refused_and_left_alone(path: Path) -> None:
    opened(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    with pytest.raises(StateUnavailable, match="schema 99, made by a newer release"):
        opened(path)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmark (url)")
    before = path.read_bytes()
    with pytest.raises(StateUnavailable, match="another program"):
        opened(path)
    assert path.read_bytes() == before


def test_an_sqlite_that_is_too_old_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StateUnavailable, match=r"needs SQLite 3\.37\.0 or later"):
        opened(path)
