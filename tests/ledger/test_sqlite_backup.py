# SPDX-License-Identifier: BSD-3-Clause
"""Copies of the SQLite ledger, and what is noticed of one that was put back or moved."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import NoLedger, StateUnavailable
from ingest.ledger import Ledger, Opening, open_ledger
from tests.support.ledger_values import arrival, claimed, record
from tests.support.sqlite_files import is_sound, opened, pragma


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "state" / "ledger.sqlite"


@pytest.fixture
def copy(quick_path: Path) -> Path:
    return quick_path / "copy.sqlite"


def looked_at(path: Path) -> Ledger:
    return open_ledger(f"sqlite:{path}", opening=Opening.LOOK)


def names(ledger: Ledger) -> list[str]:
    return [each.message_id for each in ledger.requests()]


def put_back(copy: Path, path: Path) -> None:
    """As the guide says."""
    aside = path.parent / "aside"
    aside.mkdir(exist_ok=True)
    for each in path.parent.glob("ledger.sqlite*"):
        os.replace(each, aside / each.name)
    shutil.copy2(copy, path)


# Taking one


def test_a_backup_holds_all_that_was_committed_and_is_one_file(path: Path, copy: Path) -> None:
    ledger = opened(path)
    for name in ("a", "b"):
        record(ledger, name)
    assert path.with_name("ledger.sqlite-wal").stat().st_size  # not yet in the file itself
    ledger.backup(str(copy))
    ledger.close()
    assert is_sound(copy)
    assert [each.name for each in copy.parent.glob("*copy*")] == ["copy.sqlite"]
    with closing(looked_at(copy)) as held:
        assert names(held) == ["a", "b"]


def test_a_backup_is_taken_by_who_only_looks(path: Path, copy: Path) -> None:
    ledger = opened(path)
    record(ledger, "a")
    with closing(looked_at(path)) as looking:
        looking.backup(str(copy))
    ledger.close()
    with closing(looked_at(copy)) as held:
        assert names(held) == ["a"]


def test_a_backup_has_the_ledgers_mode_and_replaces_an_older_one(path: Path, copy: Path) -> None:
    ledger = opened(path, mode=0o640)
    copy.write_bytes(b"older")
    before = os.umask(0o077)
    try:
        ledger.backup(str(copy))
    finally:
        os.umask(before)
    ledger.close()
    assert copy.stat().st_mode & 0o777 == 0o640
    assert is_sound(copy)


def test_a_backup_that_cannot_be_written_is_told_and_leaves_nothing(
    path: Path, quick_path: Path
) -> None:
    ledger = opened(path)
    with pytest.raises(StateUnavailable, match="could not be copied"):
        ledger.backup(str(quick_path / "nowhere" / "copy.sqlite"))
    ledger.close()


def test_backups_taken_while_others_write_are_whole(path: Path, copy: Path) -> None:
    """A request and its mail are in it together, or neither is."""
    ledger, stop = opened(path), threading.Event()

    def write() -> None:
        own, number = opened(path), 0
        while not stop.is_set():
            record(own, f"{number}")
            number += 1
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            ledger.backup(str(copy))
            assert is_sound(copy)
            with closing(sqlite3.connect(copy)) as db:
                done = db.execute("SELECT count(*) FROM mail WHERE outcome = 'done'").fetchone()
                assert done == db.execute("SELECT count(*) FROM request").fetchone()
    finally:
        stop.set()
        writer.join()
        ledger.close()


# Putting one back


def test_a_ledger_that_was_put_back_is_another_generation(path: Path, copy: Path) -> None:
    """Numbers that were given before are given again."""
    ledger = opened(path)
    record(ledger, "a")
    before = ledger.generation()
    ledger.backup(str(copy))
    lost = record(ledger, "lost")
    ledger.close()
    put_back(copy, path)
    ledger = opened(path)
    assert names(ledger) == ["a"]
    again = record(ledger, "again")
    assert again.number == lost.number
    assert again.id != lost.id
    assert ledger.generation() not in ("", before)
    ledger.close()


def test_also_if_it_was_written_over_the_old_one(path: Path, copy: Path) -> None:
    ledger = opened(path)
    before = ledger.generation()
    ledger.backup(str(copy))
    ledger.close()
    inode = path.stat().st_ino
    path.write_bytes(copy.read_bytes())
    assert path.stat().st_ino == inode
    with closing(opened(path)) as ledger:
        assert ledger.generation() != before


@pytest.mark.parametrize("openings", [1, 5])
def test_a_ledger_that_stays_keeps_its_generation(path: Path, openings: int) -> None:
    ledger = opened(path)
    before = ledger.generation()
    ledger.close()
    for _ in range(openings):
        with closing(opened(path)) as ledger:
            assert ledger.generation() == before
    with closing(looked_at(path)) as ledger:
        assert ledger.generation() == before


def test_a_mail_into_a_ledger_that_was_moved_away_is_not_acknowledged(
    path: Path, copy: Path
) -> None:
    ledger = opened(path)
    ledger.accept(arrival("a"))
    ledger.backup(str(copy))
    put_back(copy, path)
    with pytest.raises(StateUnavailable, match="was moved or replaced"):
        ledger.accept(arrival("b"))
    ledger.close()
    with closing(opened(path)) as ledger:
        assert ledger.accept(arrival("b"))[1]
        assert [claimed(ledger).message_id for _ in range(2)] == ["a", "b"]


def test_nor_into_one_that_was_removed(path: Path) -> None:
    ledger = opened(path)
    for each in path.parent.glob("ledger.sqlite*"):
        each.unlink()
    with pytest.raises(StateUnavailable):
        ledger.accept(arrival("a"))
    ledger.close()


# Damage


def test_nothing_is_damaged_in_a_sound_ledger(path: Path) -> None:
    ledger = opened(path)
    record(ledger, "a")
    assert ledger.damage() == ""
    ledger.close()


def test_damage_is_found_before_somebody_meets_it(path: Path) -> None:
    ledger = opened(path)
    for number in range(300):
        ledger.accept(arrival(f"{number}@example.org", raw=os.urandom(3000)))
    ledger.close()
    size = int(str(pragma(path, "page_size")))
    with path.open("r+b") as file:  # the pages in the middle hold mails
        for page in range(100, 140):
            file.seek(page * size)
            file.write(os.urandom(size))
    with closing(looked_at(path)) as ledger:
        assert ledger.damage()


# Looking


def test_who_looks_or_uses_makes_no_ledger(path: Path) -> None:
    for opening in (Opening.LOOK, Opening.USE):
        with pytest.raises(NoLedger, match=r"there is no ledger .* yet"):
            open_ledger(f"sqlite:{path}", opening=opening)
    assert not path.parent.exists()


def test_who_looks_sees_what_is_still_in_the_log(path: Path) -> None:
    ledger = opened(path)
    record(ledger, "a")
    with closing(looked_at(path)) as looking:
        record(ledger, "b")
        assert names(looking) == ["a", "b"]
    ledger.close()
