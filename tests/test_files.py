# SPDX-License-Identifier: BSD-3-Clause
"""How a text comes into a file: which symbolic links are followed, and what is a failure."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import files
from ingest.errors import SinkUnavailable
from tests.support.users import as_user, open_folder

LAB, OTHER = 12001, 12002
SECRET = "not ours to write"


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder with one of the lab's, which holds a link, and a file that it leads to."""
    with open_folder() as folder:
        (folder / "lab").mkdir()
        (folder / "there").mkdir()
        (folder / "there" / "real").write_text(SECRET)
        os.chmod(folder / "there", 0o777)
        os.chmod(folder / "there" / "real", 0o666)
        os.chmod(folder / "lab", 0o777)
        yield folder


def link(top: Path, owner: int, folder_owner: int, kind: str) -> str:
    """The path of the file by way of a link of this owner."""
    path = top / "lab" / "link"
    path.symlink_to({"file": "../there/real", "folder": str(top / "there")}[kind])
    assert as_user(0, 0, [], lambda: os.lchown(path, owner, owner)) == ""
    os.chown(top / "lab", folder_owner, folder_owner)
    return str(path if kind == "file" else path / "real")


# Who writes, whose link it is, whose folder it is in, and whether it is followed.
CASES = [
    (0, 0, 0, True),
    (0, 0, LAB, True),
    (0, LAB, LAB, False),
    (0, LAB, 0, False),
    (LAB, 0, 0, True),
    (LAB, LAB, 0, True),
    (LAB, OTHER, OTHER, True),
    (LAB, OTHER, 0, False),
]


@pytest.mark.parametrize(("me", "owner", "folder_owner", "follows"), CASES)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_followed_only_if_it_is_no_trap(
    top: Path, me: int, owner: int, folder_owner: int, follows: bool, kind: str
) -> None:
    path = link(top, owner, folder_owner, kind)
    told = as_user(me, me, [], lambda: files.write_out(path, "new"))
    if follows:
        assert told == ""
        assert (top / "there" / "real").read_text() == "new"
    else:
        assert told == (
            f"WrongPath: {path} cannot be written: the symbolic link {top}/lab/link belongs "
            f"to user {owner} and is not followed"
        )
        assert (top / "there" / "real").read_text() == SECRET
        assert os.listdir(top / "there") == ["real"]


def fails(*arguments: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("failing", ["os.replace", "ingest.files.sync"])
def test_a_file_that_did_not_take_its_place_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The folder is synced once before, when the new file is made."""
    monkeypatch.setattr(failing, fails)
    with pytest.raises(SinkUnavailable, match="cannot be written: Input/output error"):
        files.write_out(str(tmp_path / "out"), "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["the rename told of an error", "the folder was not synced"])
def test_a_file_that_took_its_place_all_the_same_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    rename = os.replace

    def renamed(new: Path, file: Path) -> None:
        rename(new, file)
        monkeypatch.setattr(files, "sync", fails)
        if kind == "the rename told of an error":
            fails()

    monkeypatch.setattr(os, "replace", renamed)
    files.write_out(str(tmp_path / "out"), "new")
    assert (tmp_path / "out").read_text() == "new"
    assert "may not outlive a loss of power: [Errno 5]" in caplog.text


def test_links_that_lead_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SinkUnavailable, match="from one symbolic link to the next"):
        files.write_out(str(tmp_path / "a"), "x")


@pytest.mark.parametrize("written", ["x/../file", "./x//file", "l/up/file", "../x/file"])
def test_a_path_is_resolved_as_the_kernel_does(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "up").symlink_to("..")
    (tmp_path / "l").symlink_to("x/y")
    monkeypatch.chdir(tmp_path)
    assert str(files.target(written)) == os.path.realpath(written)
    assert str(files.target(str(tmp_path / written))) == os.path.realpath(tmp_path / written)


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "told"),
    [
        (0o755, 0o666, "{}/s belongs to root and has mode 0755, and this process runs as nobody"),
        (0o770, 0o666, "{}/s belongs to root and has mode 0770, and this process runs as nobody"),
        (0o777, 0o640, "{}/s/l belongs to root and has mode 0640, and this process runs as nobody"),
        (0o777, None, ""),
        (0o777, 0o666, ""),
        (0o755, None, "{}/s belongs to root and has mode 0755, and this process runs as nobody"),
    ],
)
def test_what_keeps_a_user_from_a_file_is_told_by_owner_and_mode(
    folder_mode: int, file_mode: int | None, told: str
) -> None:
    with open_folder() as top:
        folder = top / "s"
        folder.mkdir()
        if file_mode is not None:
            (folder / "l").touch()
            (folder / "l").chmod(file_mode)
        folder.chmod(folder_mode)

        def look() -> None:
            assert files.hindrance(folder / "l") == told.format(top)

        assert as_user(65534, 65534, [], look) == ""
