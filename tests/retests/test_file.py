# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON as a file that others read, take, lock, link and damage meanwhile."""

import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingest.errors import SinkUnavailable
from ingest.retests import document as retests
from ingest.retests import file as retest_file
from tests.support.parts import eventually, require
from tests.support.retest_files import NOON, append, asked, contexts, other, take
from tests.support.syncs import watched
from tests.support.users import as_user, open_folder

EMPTY = '{"retests": {}, "last_comment_timestamp": null}'
LAB, OTHERS = 61001, 61100  # a user and a group, by number


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "retests.json"


@pytest.fixture
def quick(quick_path: Path) -> Path:
    return quick_path / "retests.json"


def document(path: Path) -> retests.Document:
    return retests.load(path.read_text())


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# Durability


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watched(monkeypatch)


def test_new_content_is_on_the_disk_before_and_after_it_takes_its_place(
    quick: Path, synced: list[str]
) -> None:
    folder = quick.parent.name
    for number in (1, 2):
        synced.clear()
        append(quick, asked(number))
        assert synced == [
            *(".retests.json.new+", folder),
            *(".retests.json.new > retests.json", folder),
        ]


def test_content_whose_second_cannot_be_kept_is_made_anew(quick: Path) -> None:
    seconds = iter([NOON + 1, NOON + 2])
    kept: list[float] = []

    def keep(second: float) -> bool:
        assert not quick.exists()
        kept.append(second)
        return second > NOON + 1

    retest_file.append(
        str(quick),
        [asked()],
        mode=0o644,
        now=NOON,
        patience=30,
        promise=lambda beyond: next(seconds),
        ready=keep,
    )
    assert kept == [NOON + 1, NOON + 2]
    assert retests.stamped(document(quick)) == NOON + 2


def test_what_a_killed_writer_put_in_place_is_on_the_disk_before_it_is_relied_on(
    quick: Path, synced: list[str]
) -> None:
    append(quick, asked())
    synced.clear()
    assert not retest_file.waits(str(quick), "", patience=30)
    assert synced == [quick.parent.name]


# What stays as it is


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664])
@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_a_new_file_has_the_mode_that_is_set(path: Path, mode: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        append(path, asked(), mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_keeps_its_mode(path: Path, mode: int) -> None:
    path.write_text(EMPTY)
    path.chmod(mode)
    assert append(path, asked())
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_keeps_its_owner_and_group() -> None:
    with open_folder() as folder:
        path = folder / "retests.json"
        path.write_text(EMPTY)
        told = as_user(0, 0, [], lambda: os.chown(path, LAB, OTHERS))
        assert told == ""
        append(path, asked())
        assert (path.stat().st_uid, path.stat().st_gid) == (LAB, OTHERS)


def test_a_file_keeps_its_group_where_its_owner_cannot_be_kept() -> None:
    with open_folder() as folder:
        folder.chmod(0o777)
        path = folder / "retests.json"
        path.write_text(EMPTY)
        path.chmod(0o640)
        os.chown(path, 0, OTHERS)
        assert as_user(LAB, LAB, [OTHERS], lambda: append(path, asked())) == ""
        assert (path.stat().st_uid, path.stat().st_gid) == (LAB, OTHERS)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one_and_what_it_names_is_replaced(path: Path) -> None:
    target = path.parent / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text(EMPTY)
    path.symlink_to("elsewhere/real.json")
    append(path, asked())
    assert os.readlink(path) == "elsewhere/real.json"
    assert contexts(document(target)) == {"c-1"}
    assert [each.name for each in target.parent.iterdir()] == ["real.json"]


def test_garbage_behind_a_symbolic_link_is_set_aside_where_it_is(path: Path) -> None:
    target = path.parent / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text("garbage")
    path.symlink_to(target)
    append(path, asked())
    assert path.is_symlink()
    assert contexts(document(target)) == {"c-1"}
    [aside] = target.parent.glob("real.json.corrupt-*")
    assert aside.read_text() == "garbage"


def test_a_symbolic_link_to_nothing_yet_makes_what_it_names(path: Path) -> None:
    path.symlink_to("real.json")
    append(path, asked())
    assert contexts(document(path.with_name("real.json"))) == {"c-1"}


# What is in the way


def in_place_of_the_file(path: Path) -> None:
    path.mkdir()


def a_full_folder_in_place(path: Path) -> None:
    path.mkdir()
    (path / "full").touch()


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def a_link_to_a_folder_that_is_not_there(path: Path) -> None:
    path.symlink_to("nowhere/real.json")


def in_place_of_the_new_file(path: Path) -> None:
    (path.with_name(".retests.json.new") / "full").mkdir(parents=True)


def a_link_to_nowhere_in_place_of_the_lock(path: Path) -> None:
    Path(f"{path}.lock").symlink_to("nowhere/lock")


@pytest.mark.parametrize(
    "block",
    [
        in_place_of_the_file,
        a_full_folder_in_place,
        a_link_to_itself,
        a_link_to_a_folder_that_is_not_there,
        in_place_of_the_new_file,
        a_link_to_nowhere_in_place_of_the_lock,
    ],
    ids=lambda block: block.__name__,
)
def test_what_is_in_the_way_is_told_and_left_alone_and_all_is_well_without_it(
    path: Path, block: object
) -> None:
    assert callable(block)
    block(path)
    before = sorted(path.parent.rglob("*"))
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match=str(path)):
            append(path, asked())
    lock = Path(f"{path}.lock")
    new = path.with_name(".retests.json.new")
    assert {*before} == {*path.parent.rglob("*")} - ({lock, new} - {*before})
    subprocess.run(["rm", "-r", *path.parent.iterdir()], check=True)
    assert append(path, asked())
    assert {each.name for each in path.parent.iterdir()} == {"retests.json", "retests.json.lock"}


def test_a_folder_that_may_not_be_written_is_told() -> None:
    with open_folder() as folder:
        path = folder / "retests.json"
        path.write_text(EMPTY)
        path.chmod(0o666)
        told = as_user(LAB, LAB, [], lambda: append(path, asked()))
        assert told.startswith("SinkUnavailable")
        assert str(path) in told
        assert path.read_text() == EMPTY


# The lock


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with other("hold", str(path)) as process:
        assert line(process) == "held"
        yield process


def test_a_consumer_that_keeps_the_lock_is_told_and_does_not_hang_us(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(SinkUnavailable, match=r"retests\.json\.lock is held by another program"):
        retest_file.append(
            str(path), [asked()], mode=0o644, now=NOON, patience=0.1, promise=lambda beyond: NOON
        )
    assert not path.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert append(path, asked())


def test_a_lock_that_is_given_back_in_time_is_waited_for(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    threading.Timer(0.2, holder.kill).start()
    assert append(path, asked())


def test_a_lock_file_that_was_removed_is_made_anew(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    """The holder's lock is on a file that nobody finds any more."""
    Path(f"{path}.lock").unlink()
    assert append(path, asked())
    assert Path(f"{path}.lock").exists()


def test_a_lock_file_that_is_removed_while_it_is_waited_for_is_not_held(path: Path) -> None:
    """Others hold the new one then."""
    lock = os.path.realpath(f"{path}.lock")
    waiting = threading.Thread(target=append, args=(path, asked()))

    def is_open() -> bool:
        return any(os.path.realpath(each) == lock for each in Path("/proc/self/fd").iterdir())

    with other("hold", str(path)) as one:
        assert line(one) == "held"
        waiting.start()
        eventually(is_open, "the lock file to be opened")
        os.unlink(lock)
        with other("hold", str(path)) as two:
            assert line(two) == "held"
            one.kill()
            eventually(is_open, "the new lock file to be opened")
            assert not path.exists()
    waiting.join()
    assert path.exists()


def test_the_lock_file_of_another_user_is_shared() -> None:
    with open_folder() as folder:
        folder.chmod(0o777)
        path = folder / "retests.json"
        with other("hold", str(path)) as consumer:
            assert line(consumer) == "held"
            Path(f"{path}.lock").chmod(0o444)
            consumer.kill()
        assert as_user(LAB, LAB, [], lambda: append(path, asked())) == ""


# Several at once


@pytest.mark.slow
def test_eight_writers_lose_nothing_and_readers_always_see_a_document(quick: Path) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(other("read", str(quick))) for _ in range(2)]
        writers = [
            stack.enter_context(other("write", str(quick), f"w{number}", "100"))
            for number in range(8)
        ]
        for writer in writers:
            writer.communicate()
            assert writer.returncode == 0
        seen = []
        for reader in readers:
            reader.kill()
            assert reader.stdout is not None
            seen += reader.stdout.read().split("\n")[:-1]
    assert contexts(document(quick)) == {f"w{w}-{n}" for w in range(8) for n in range(100)}
    assert len(seen) > 100
    assert [told for told in seen if not told.startswith("valid")] == []


@pytest.mark.slow
def test_a_consumer_that_takes_the_file_loses_nothing_and_has_nothing_twice(quick: Path) -> None:
    require("flock")
    got: list[str] = []
    with ExitStack() as stack:
        writers = [
            stack.enter_context(other("write", str(quick), f"w{number}", "60"))
            for number in range(4)
        ]
        batches = 0
        while any(writer.poll() is None for writer in writers) or quick.exists():
            got += take(str(quick), f"{quick}.batch-{batches}")
            batches += 1
        for writer in writers:
            assert writer.wait() == 0
    assert batches > 3
    assert sorted(got) == sorted(f"w{w}-{n}" for w in range(4) for n in range(60))


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_document(quick: Path) -> None:
    told: set[str] = set()
    for round in range(12):
        with other("write", str(quick), f"r{round}", "100000") as writer:
            for _ in range(1 + 5 * round):
                told.add(line(writer))
            writer.send_signal(signal.SIGKILL)
            assert writer.stdout is not None
            told |= set(writer.stdout.read().split("\n")[:-1])
        assert told <= contexts(document(quick))
        left = {each.name for each in quick.parent.iterdir()}
        assert left - {".retests.json.new"} == {"retests.json", "retests.json.lock"}
    append(quick, asked())
    left = {each.name for each in quick.parent.iterdir()}
    assert left == {"retests.json", "retests.json.lock"}, "what a killed writer left is tidied"


def test_a_killed_writer_lets_go_of_the_lock(path: Path) -> None:
    with other("write", str(path), "w", "100000") as writer:
        line(writer)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert eventually(lambda: append(path, asked()), "the lock")
