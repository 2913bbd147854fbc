# SPDX-License-Identifier: BSD-3-Clause
"""A new lock beside a file can be held by those who can replace the file, and by nobody else."""

import os
import stat
from pathlib import Path

import pytest

from ingest import locks
from tests.support.users import as_user, open_folder

LAB, OTHERS, STRANGER = 12001, 12002, 12003

# Mode of the folder, that of the lock, and who can hold it: the folder's owner, a member of its
# group, anybody.
SHARES = [
    (0o755, 0o600, (True, False, False)),
    (0o700, 0o600, (True, False, False)),
    (0o2775, 0o640, (True, True, False)),
    (0o775, 0o640, (True, True, False)),
    (0o1777, 0o644, (True, True, True)),
]


def take(path: Path) -> None:
    held = locks.take(str(path), mode=None, patience=0.0)
    assert held is not None
    os.close(held)


@pytest.mark.parametrize(("folder_mode", "mode", "can"), SHARES)
@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_a_lock_is_for_those_who_can_write_to_its_folder(
    folder_mode: int, mode: int, can: tuple[bool, bool, bool], umask: int
) -> None:
    with open_folder() as top:
        folder = top / "out"
        folder.mkdir()
        assert as_user(0, 0, [], lambda: os.chown(folder, LAB, OTHERS)) == ""
        folder.chmod(folder_mode)
        path = folder / "retests.json.lock"
        before = os.umask(umask)
        try:
            take(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        takers = [(LAB, LAB, []), (STRANGER, STRANGER, [OTHERS]), (STRANGER, STRANGER, [])]
        took = [as_user(*taker, lambda: take(path)) == "" for taker in takers]
        # Into a closed folder nobody else gets at all.
        assert took == list(can)


def test_a_group_that_cannot_be_given_the_lock_is_not_kept_from_it() -> None:
    with open_folder() as top:
        folder = top / "out"
        folder.mkdir()
        os.chown(folder, LAB, OTHERS)
        folder.chmod(0o775)
        path = folder / "retests.json.lock"
        assert as_user(LAB, LAB, [], lambda: take(path)) == ""  # the owner is no member
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert as_user(STRANGER, STRANGER, [OTHERS], lambda: take(path)) == ""


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_mode_that_is_named_is_the_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "lock"
    held = locks.take(str(path), mode=mode, patience=0.0)
    assert held is not None
    os.close(held)
    assert stat.S_IMODE(path.stat().st_mode) == mode
