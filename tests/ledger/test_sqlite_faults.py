# SPDX-License-Identifier: BSD-3-Clause
"""What the SQLite ledger does when the disk is full, torn, read-only or damaged."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import intake
from ingest.errors import NoRoom, StateUnavailable
from ingest.ledger import WORKER_LEASE, Filter, Keep, Ledger, Outcome
from tests.support import ledger_processes
from tests.support.examples import examples
from tests.support.ledger_values import NOON, arrival, claimed, ended, request
from tests.support.sqlite_files import is_sound, opened
from tests.support.users import as_user, open_folder

NOBODY = 65534


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "ledger.sqlite"


# Power and kills


@pytest.fixture(scope="module")
def history() -> Iterator[tuple[Path, list[int]]]:
    """A ledger that was killed after ten mails, and how long its log was after each of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        ledger = opened(path)
        lengths = []
        for number in range(10):
            ledger.accept(arrival(f"{number}", raw=os.urandom(3000 * number)))
            lengths.append(path.with_name("ledger.sqlite-wal").stat().st_size)
        yield path, lengths
        ledger.close()


@examples(60)
@given(data=st.data(), garbage=st.binary(max_size=5000))
def test_whatever_was_cut_from_the_log_every_commit_before_it_is_there(
    history: tuple[Path, list[int]], data: st.DataObject, garbage: bytes
) -> None:
    path, lengths = history
    end = data.draw(st.integers(0, lengths[-1]) | st.sampled_from(lengths))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        log = path.with_name("ledger.sqlite-wal").read_bytes()
        copy.with_name("ledger.sqlite-wal").write_bytes(log[:end] + garbage)
        ledger = opened(copy)
        whole = [number for number, length in enumerate(lengths) if length <= end]
        assert [n for n in range(10) if ledger.find(str(n))] == whole
        assert ledger.accept(arrival("next"))[1]
        ledger.close()
        assert is_sound(copy)


def test_a_process_killed_in_the_middle_of_anything_leaves_a_sound_ledger(path: Path) -> None:
    url = f"sqlite:{path}"
    accepted = 0
    for round in range(1, 7):
        with ledger_processes.other("finish", url, f"{round}-", "100000") as worker:
            assert ledger_processes.line(worker) == "begun"
            for _ in range(7 * round):
                ledger_processes.line(worker)
            worker.send_signal(signal.SIGKILL)
            assert worker.stdout is not None
            told = 7 * round + len(worker.stdout.read().splitlines())
        ledger = opened(path)
        totals = ledger.totals()
        done = totals.mails["done"] - accepted
        assert told <= done <= told + 1, "what was told is there, and at most one more"
        assert totals.requests == totals.mails["done"]
        assert totals.mails["queued"] <= round
        accepted += done
        ledger.close()
    assert is_sound(path)


# Full disks

CHUNK = 50_000


def fill(ledger: Ledger, most: int = 400) -> tuple[list[str], StateUnavailable]:
    """Accept mails until the ledger refuses: those it took, and the error."""
    taken: list[str] = []
    for number in range(most):
        try:
            ledger.accept(arrival(f"{number}", raw=os.urandom(CHUNK)))
        except StateUnavailable as error:
            return taken, error
        taken.append(f"{number}")
    pytest.fail("the disk never was full")


def check_full_disk(path: Path, make_room: Callable[[], None]) -> str:
    """Fill the disk below a ledger, see that it behaves, make room, see that all is well again.
    What the first error said."""
    ledger = opened(path)
    taken, error = fill(ledger)
    assert taken
    with pytest.raises(StateUnavailable):
        ledger.accept(arrival("still full", raw=os.urandom(CHUNK)))
    with pytest.raises(StateUnavailable), ledger.batch():
        for number in range(3):
            with suppress(StateUnavailable):
                ledger.accept(arrival(f"batch {number}", raw=os.urandom(CHUNK if number else 10)))
    assert ledger.totals().mails["queued"] == len(taken), "what is there can be read"
    make_room()
    for number in range(3):
        assert ledger.find(f"batch {number}") == [], "a batch is taken whole or not at all"
    assert ledger.accept(arrival("after", raw=os.urandom(CHUNK)))[1]
    worked_on = []
    while mail := ledger.claim(NOON, WORKER_LEASE):
        assert len(mail.raw) == CHUNK
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
        worked_on.append(mail.message_id)
    assert worked_on == [*taken, "after"]
    ledger.close()
    assert is_sound(path)
    return str(error)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of two megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        mounting = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
        done = subprocess.run(mounting, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_told_loses_nothing_and_passes(disk: Path) -> None:
    def make_room() -> None:
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)

    told = check_full_disk(disk / "ledger.sqlite", make_room)
    assert str(disk / "ledger.sqlite") in told
    assert "full" in told or "I/O error" in told


def test_a_disk_that_is_full_from_the_beginning_makes_no_ledger(disk: Path) -> None:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(StateUnavailable):
        opened(disk / "ledger.sqlite")
    filler.unlink()
    ledger = opened(disk / "ledger.sqlite")
    assert ledger.accept(arrival())[1]
    ledger.close()


def test_the_limit_of_an_alias_pipe_is_told_loses_nothing_and_passes(path: Path) -> None:
    """RLIMIT_FSIZE, as local(8) sets it to mailbox_size_limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    opened(path).close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        told = check_full_disk(path, make_room)
    finally:
        make_room()
    assert "no file past 2000000 bytes" in told
    assert "mailbox_size_limit" in told


def test_of_mails_that_come_together_one_that_does_not_fit_holds_up_no_other(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        ledger = opened(path)
        mails = [arrival("a"), arrival("large", raw=os.urandom(3_000_000)), arrival("b")]
        outcomes = intake.apart(ledger.accept_all, mails)
        assert [isinstance(each, NoRoom) for each in outcomes] == [False, True, False]
        assert [each.message_id for each in ledger.search_mails(Filter())] == ["b", "a"]
        ledger.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_mails_that_fill_a_pipes_limit_can_be_ended_by_pipes_and_make_room(path: Path) -> None:
    """What is in the log must fit into the file, or neither can be written any more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, before[1]))
    try:
        ledger = opened(path)
        taken, error = fill(ledger)
        assert "there is no room for it" in str(error)
        for name in taken:
            mail = claimed(ledger)
            assert mail.message_id == name
            ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
        assert ledger.prune(Keep(raw=NOON + 1), NOON) == len(taken)
        assert ledger.accept(arrival("after", raw=os.urandom(CHUNK)))[1]
        ledger.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert is_sound(path)


# Folders and permissions


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null", "/sys/nowhere"])
def test_a_folder_that_cannot_be_made_is_told(folder: str) -> None:
    """Not even by root."""
    with pytest.raises(StateUnavailable, match=folder):
        opened(Path(folder, "ledger.sqlite"))


def test_a_file_in_place_of_the_folder_is_told(quick_path: Path) -> None:
    (quick_path / "state").write_text("not a folder")
    with pytest.raises(StateUnavailable, match="Not a directory"):
        opened(quick_path / "state" / "ledger.sqlite")


def test_a_folder_in_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateUnavailable, match=str(path)):
        opened(path)


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_folder_without_permission_is_told(mode: int) -> None:
    with open_folder() as folder:
        state = folder / "state"
        state.mkdir()
        state.chmod(mode)
        told = as_user(NOBODY, NOBODY, [], lambda: opened(state / "ledger.sqlite").close())
    assert told.startswith("StateUnavailable")
    why = f"{state} belongs to root and has mode {mode:04o}, and this process runs as nobody"
    assert why in told
    assert str(state) in told


# Damage


@pytest.mark.parametrize(
    "content",
    [b"garbage" * 1000, b"From a@example.org\n", bytes(8192), os.urandom(8192)],
    ids=["text", "short", "zeros", "noise"],
)
def test_a_file_that_is_no_database_is_told_with_what_to_do(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateUnavailable, match=r"damaged|another program") as caught:
        opened(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def filled(path: Path, count: int = 60) -> None:
    ledger = opened(path)
    for number in range(count):
        ledger.accept(arrival(f"{number}", raw=os.urandom(2000)))
    ledger.close()


def test_a_file_that_was_cut_is_told_with_what_to_do(path: Path) -> None:
    filled(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StateUnavailable, match=r"damaged.*aside.*ledger\.sqlite-wal"):
        opened(path)


def test_no_damage_raises_anything_else(path: Path) -> None:
    """Every page overwritten in turn."""
    filled(path)
    content = path.read_bytes()
    failures = 0
    for page in range(0, len(content), 4096):
        path.write_bytes(content[:page] + b"\xa5" * 4096 + content[page + 4096 :])
        try:
            ledger = opened(path)
            try:
                ledger.totals()
                ledger.accept(arrival("new"))
                mail = claimed(ledger)
                ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
                ledger.retry(None, NOON)
            finally:
                ledger.close()
        except StateUnavailable:
            failures += 1
        for log in path.parent.glob("ledger.sqlite-*"):
            log.unlink()
    assert failures > 10


def test_a_ledger_that_was_moved_aside_is_begun_anew(path: Path) -> None:
    filled(path)
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StateUnavailable):
        opened(path)
    for each in path.parent.glob("ledger.sqlite*"):
        each.rename(each.with_name(f"old-{each.name}"))
    ledger = opened(path)
    assert ledger.accept(arrival())[1]
    ledger.close()


def test_a_mail_whose_bytes_are_damaged_fails_and_does_not_hold_up_others(path: Path) -> None:
    ledger = opened(path)
    ledger.accept(arrival("damaged"))
    ledger.accept(arrival("good"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE mail SET raw = x'00112233' WHERE message_id = 'damaged'")
        db.commit()
    assert claimed(ledger).message_id == "good"
    [record] = ledger.find("damaged")
    assert record.outcome is Outcome.FAILED
    assert "damaged" in record.reason
    assert record.story[-1].what == "failed"
    ledger.close()
