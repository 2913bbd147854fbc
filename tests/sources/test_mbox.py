# SPDX-License-Identifier: BSD-3-Clause
"""Reading archives: every format gives the same mails, and nothing is lost or split wrongly."""

import gzip
import json
import lzma
import mailbox
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import errors
from ingest.sources import mbox_pieces
from ingest.sources.mbox import Reader
from ingest.sources.mbox_pieces import Item
from tests.support.archives import (
    FROM,
    archive_reader,
    mail,
    mboxrd,
    read,
    read_bytes,
)
from tests.support.places import RECORDED

THREE = [mail(1), mail(2, b"From here on\n\n>From there\n"), mail(3, b"")]


# --- formats ---


def as_file(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "name-that-says-nothing"
        path.write_bytes(content)
        return path

    return write


def as_maildir(folder: Path) -> Path:
    path = folder / "Maildir"
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    (path / "cur" / "1693990860.M1P1.host:2,S").write_bytes(THREE[0])
    (path / "new" / "1693990861.M1P1.host").write_bytes(THREE[1])
    (path / "cur" / "1693990862.M1P1.host:2,").write_bytes(THREE[2])
    (path / "tmp" / "1693990863.M1P1.host").write_bytes(mail(4))
    return path


def as_maildir_packed_mail_by_mail(folder: Path) -> Path:
    path = as_maildir(folder)
    for part in ("cur", "new"):
        for file in (path / part).iterdir():
            file.write_bytes(gzip.compress(file.read_bytes()))
    return path


def as_mail_files(folder: Path) -> Path:
    path = folder / "saved"
    path.mkdir()
    for number, name in enumerate(("1.eml", "9.eml", "10.eml")):
        (path / name).write_bytes(THREE[number])
    return path


def as_folder_of_archives(folder: Path) -> Path:
    path = folder / "archives"
    (path / "2023").mkdir(parents=True)
    (path / "2023" / "2023-September.txt.gz").write_bytes(gzip.compress(mboxrd(THREE[:1])))
    (path / "2023" / "2023-October.txt.xz").write_bytes(lzma.compress(mboxrd(THREE[1:2])))
    (path / "2024.mbox").write_bytes(mboxrd(THREE[2:]))
    return path


def as_symbolic_link(folder: Path) -> Path:
    path = folder / "link"
    path.symlink_to(as_file(mboxrd(THREE))(folder))
    return path


FORMATS: dict[str, Callable[[Path], Path]] = {
    "mbox": as_file(mboxrd(THREE)),
    "gzip": as_file(gzip.compress(mboxrd(THREE))),
    "gzip of several members": as_file(b"".join(gzip.compress(mboxrd([raw])) for raw in THREE)),
    "gzip with zero padding": as_file(gzip.compress(mboxrd(THREE)) + bytes(512)),
    "xz": as_file(lzma.compress(mboxrd(THREE))),
    "xz of several streams": as_file(b"".join(lzma.compress(mboxrd([raw])) for raw in THREE)),
    "Maildir": as_maildir,
    "Maildir packed mail by mail": as_maildir_packed_mail_by_mail,
    "folder of single mails": as_mail_files,
    "folder of archives": as_folder_of_archives,
    "symbolic link": as_symbolic_link,
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_mails(name: str, tmp_path: Path) -> None:
    assert read(FORMATS[name](tmp_path)) == THREE


@pytest.mark.parametrize("name", FORMATS)
def test_progress_ends_at_the_size_on_disk(name: str, tmp_path: Path) -> None:
    reader = Reader(str(FORMATS[name](tmp_path)))
    assert reader.position == 0
    positions = [reader.position for _ in reader]
    assert positions == sorted(positions)
    assert reader.position == reader.size


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_single_mail_is_read_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    raw = mail(1, b"\n>From there\n\n" + FROM + b"\n")
    assert read_bytes(tmp_path, pack(raw)) == [raw]


@pytest.mark.parametrize(
    "envelope",
    [FROM, b">" + FROM, FROM + b">From alex Wed Sep  6 09:00:00 2023 remote from there\n"],
)
def test_envelope_lines_are_no_part_of_a_single_mail(tmp_path: Path, envelope: bytes) -> None:
    assert read_bytes(tmp_path, envelope + mail()) == [mail()]


def test_paths_are_read_in_the_order_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(mboxrd([mail(1)]))
    (tmp_path / "b").write_bytes(mboxrd([mail(2)]))
    assert read(tmp_path / "b", tmp_path / "a") == [mail(2), mail(1)]


def test_the_recorded_mails_are_read_as_the_standard_library_reads_them() -> None:
    for name, number in (("patch.mbox", 1), ("replies.mbox", 3), ("series.mbox", 3)):
        path = RECORDED / name
        box = mailbox.mbox(path, create=False)
        assert read(path) == [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118
        assert len(box) == number
        box.close()


# --- mails that are too long ---


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("last", [False, True], ids=["followed", "last"])
def test_of_a_mail_that_is_too_long_the_beginning_is_given(
    pack: Callable[[bytes], bytes], last: bool, tmp_path: Path
) -> None:
    line = b"x" * 79 + b"\n"
    long = mail(2, line * 20_000)
    raws = [mail(1), long, *([] if last else [mail(3), mail(4)])]
    reader = archive_reader(tmp_path, pack(mboxrd(raws)), longest=10_000)
    offset = len(mboxrd(raws[:1]))
    items = list(reader)
    assert [item.raw for item in items] == [mail(1), long[:10_001], *raws[2:]]
    assert items[1].where == f"{tmp_path}/archive:{offset}"
    assert [item.where for item in items[2:]] == [
        f"{tmp_path}/archive:{len(mboxrd(raws[:number]))}" for number in range(2, len(raws))
    ]
    found = [(number, [item.raw for item in each]) for number, each in reader.searched()]
    assert sum(number for number, _ in found) == len(raws)
    assert [raw for _, each in found for raw in each] == [long[:10_001]]
    assert reader.warnings == []


@pytest.mark.parametrize("shift", [*range(-30, 30, 7), -25_000, -28_000])
def test_behind_a_mail_that_is_too_long_a_boundary_is_found_wherever_pieces_meet(
    shift: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox_pieces, "PIECE", 500)
    long = mail(1, b"x" * (30_000 + shift) + b"\n")
    reader = archive_reader(tmp_path, mboxrd([long, mail(2), long, mail(3)]), longest=1000)
    assert [item.raw for item in reader] == [long[:1001], mail(2), long[:1001], mail(3)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_of_a_single_mail_no_more_is_read_than_the_limit_needs(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    raw = mail(1, b"x" * 3_000_000)
    (item,) = archive_reader(tmp_path, pack(raw), longest=10_000)
    assert raw.startswith(item.raw)
    assert 10_000 < len(item.raw) <= 2 * mbox_pieces.PIECE


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("first", [FROM, b""], ids=["mbox", "mail"])
def test_a_bomb_is_not_held(pack: Callable[[bytes], bytes], first: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(pack(first + mail(1) + bytes(100 << 20)))
    ended = run(str(path))
    assert ended.stdout.startswith(b"[1, ")
    assert int(ended.stderr) < 60 << 10  # KiB


# --- damage ---


def many(number: int = 2000) -> list[bytes]:
    return [mail(n, os.urandom(100).hex().encode() + b"\n") for n in range(number)]


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_of_a_truncated_archive_all_that_can_be_read_is_read(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    raws = many()
    packed = pack(mboxrd(raws))
    path = tmp_path / "archive"
    path.write_bytes(packed[: len(packed) // 2])
    reader = Reader(str(path))
    items = list(reader)
    assert len(items) > 500
    assert [item.raw for item in items[:-1]] == raws[: len(items) - 1]
    assert raws[len(items) - 1].startswith(items[-1].raw)
    assert [item.cut for item in items] == [False] * (len(items) - 1) + [True]
    assert reader.warnings == [f"{path}: read in part only: the packed data ends too early"]
    assert reader.position == reader.size


def test_junk_after_a_packed_archive_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(gzip.compress(mboxrd(THREE)) + b"junk, more junk")
    reader = Reader(str(path))
    items = list(reader)
    assert [item.raw for item in items] == THREE
    assert not any(item.cut for item in items)
    assert reader.warnings == [f"{path}: read in part only: junk follows the packed data"]


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_of_a_damaged_archive_all_before_the_damage_is_read(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    raws = many()
    packed = bytearray(pack(mboxrd(raws)))
    middle = len(packed) // 2
    packed[middle : middle + 50] = bytes(50)
    path = tmp_path / "archive"
    path.write_bytes(packed)
    reader = Reader(str(path))
    found = [item.raw for item in reader]
    assert found[:500] == raws[:500]
    assert len(reader.warnings) == 1
    assert reader.warnings[0].startswith(f"{path}: read in part only: ")


def test_a_file_that_shrinks_while_it_is_read_just_ends(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(mboxrd(many(10_000)))
    found = iter(Reader(str(path)))
    next(found)
    os.truncate(path, 100_000)
    assert 0 < sum(1 for _ in found) < 1000


def test_a_file_that_grows_while_it_is_read_is_read_to_its_new_end(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(mboxrd(many(1000)))
    found = iter(Reader(str(path)))
    next(found)
    with path.open("ab") as file:
        file.write(mboxrd([mail(1)] * 500))
    assert sum(1 for _ in found) == 1499


# --- what is no mail ---

NO_MAIL = {
    "a text": b"The quick brown fox\njumps: over\n\nthe lazy dog.\n",
    "a text with a colon": b"Note: this is a text.\nIt goes on.\n",
    "prose that begins like an mbox": b"From here on\nit is text.\n",
    "an unknown way of packing": b"BZh91AY&SY" + bytes(range(256)),
    "zeros": bytes(100_000),
    "blank lines": b"\n" * 200_000,
}


@pytest.mark.parametrize("name", NO_MAIL)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_named_file_that_is_no_mail_is_refused(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(pack(NO_MAIL[name]))
    with pytest.raises(errors.BadInput) as refusal:
        read(path)
    assert str(refusal.value).startswith(f"{path}: neither an mbox nor a mail; name an mbox")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file or directory; check the path"),
    "empty": (lambda path: path.touch(), "is empty; name an mbox, a mail"),
    "empty when unpacked": (lambda path: path.write_bytes(gzip.compress(b"")), "is empty; "),
    "cut at once": (lambda path: path.write_bytes(b"\x1f\x8b"), "the packed data ends too early; "),
    "broken": (lambda path: path.write_bytes(b"\x1f\x8bxxxxxxxxxx"), "Unknown compression method"),
    "empty folder": (lambda path: path.mkdir(), "holds no mail; name an mbox, "),
    "socket": (lambda path: listening(path), "No such device or address; check the path"),
    "loop": (lambda path: path.symlink_to(path), "Too many levels of symbolic links; "),
}


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize("name", REFUSED)
def test_a_path_that_gives_nothing_to_read_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    make, message = REFUSED[name]
    path = tmp_path / "path"
    make(path)
    with pytest.raises(errors.BadInput, match=f"^{re.escape(f'{path}: {message}')}"):
        read(path)


def test_a_missing_path_is_refused_before_any_mail_is_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(mboxrd(THREE))
    with pytest.raises(errors.BadInput, match="No such file"):
        Reader(str(tmp_path / "good"), str(tmp_path / "missing"))


def test_a_path_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(errors.BadInput, match="a path cannot contain NUL"):
        read("nul\0")


def test_what_is_no_mail_in_a_folder_is_left_out_and_reported(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.mbox").write_bytes(mboxrd([mail(1)]))
    (folder / "2.txt").write_bytes(b"A text.\n")
    (folder / "3.mbox").touch()
    (folder / "4.mbox").symlink_to("missing")
    os.mkfifo(folder / "5.pipe")
    (folder / "6.mbox").write_bytes(mboxrd([mail(2)]))
    (folder / ".hidden.mbox").write_bytes(mboxrd([mail(3)]))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "mbox").write_bytes(mboxrd([mail(3)]))
    (folder / "7").symlink_to(".")
    reader = Reader(str(folder))
    assert [item.raw for item in reader] == [mail(1), mail(2)]
    assert sorted(reader.warnings) == [
        f"1 file skipped, No such file or directory: {folder}/4.mbox",
        f"1 file skipped, is empty: {folder}/3.mbox",
        f"1 file skipped, neither an mbox nor a mail: {folder}/2.txt",
        f"1 file skipped, neither file nor folder: {folder}/5.pipe",
    ]


def test_files_left_out_for_one_reason_are_one_line(tmp_path: Path) -> None:
    for number in range(79):
        (tmp_path / f"{number}.py").write_bytes(b"print(1)\n")
    (tmp_path / "mbox").write_bytes(mboxrd([mail(1)]))
    reader = Reader(str(tmp_path))
    assert [item.raw for item in reader] == [mail(1)]
    named = f"{tmp_path}/0.py, {tmp_path}/1.py and 77 more"
    assert reader.warnings == [f"79 files skipped, neither an mbox nor a mail: {named}"]


def test_what_is_left_out_counts_as_done(tmp_path: Path) -> None:
    (tmp_path / "1.iso").write_bytes(bytes(1_000_000))
    (tmp_path / "2.mbox").write_bytes(mboxrd([mail(1)]))
    reader = Reader(str(tmp_path))
    assert reader.size == 1_000_000 + len(mboxrd([mail(1)]))
    assert [reader.position for _ in reader] == [reader.size]


def test_a_folder_without_any_mail_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("A text.\n")
    with pytest.raises(errors.BadInput, match="holds no mail"):
        read(tmp_path)


def test_an_empty_maildir_is_no_error(tmp_path: Path) -> None:
    for part in ("cur", "new", "tmp"):
        (tmp_path / part).mkdir()
    assert read(tmp_path) == []


def test_whatever_lies_in_a_maildir_is_a_mail(tmp_path: Path) -> None:
    for part in ("cur", "new"):
        (tmp_path / part).mkdir()
    (tmp_path / "new" / "1").write_bytes(b"no header at all")
    assert read(tmp_path) == [b"no header at all"]


def test_a_file_name_of_any_bytes_is_shown_in_printable_form(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\x1b[31m"
    with open(path, "wb") as file:
        file.write(mail())
    (item,) = Reader(os.fsdecode(path))
    assert item.where == f"{tmp_path}/\ufffd?[31m"
    assert item.raw == mail()


# --- where, standard input, cost ---


def test_where_names_the_file_and_the_offset_of_the_from_line(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    raws = many(3000)
    content = b"\n" + mboxrd(raws)
    path.write_bytes(content)
    items = list(Reader(str(path)))
    for item in items:
        name, _, offset = item.where.rpartition(":")
        assert name == str(path)
        assert content[int(offset) :].startswith(FROM + item.raw)
    (tmp_path / "mail").write_bytes(mail())
    (single,) = Reader(str(tmp_path / "mail"))
    assert single.where == str(tmp_path / "mail")


def test_an_item_outlives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    raws = many()
    path.write_bytes(mboxrd(raws))
    items = list(Reader(str(path)))
    path.write_bytes(b"")
    path.unlink()
    assert [item.raw for item in items] == raws


def test_no_file_stays_open(tmp_path: Path) -> None:
    def opened() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    path = as_folder_of_archives(tmp_path)
    before = opened()
    read(path)
    stopped = iter(Reader(str(path)))
    next(stopped)
    del stopped
    assert opened() == before


def test_a_reader_can_be_read_twice(tmp_path: Path) -> None:
    reader = Reader(str(as_folder_of_archives(tmp_path)))
    assert [item.raw for item in reader] == [item.raw for item in reader] == THREE
    assert reader.position == reader.size


READ_INPUT = """
import json, sys
from ingest import errors
from ingest.sources.mbox import Reader
reader = Reader(*sys.argv[1:], longest=1 << 20)
count, raws, where = 0, [], ""
try:
    for item in reader:
        count += 1
        if count <= 3:
            raws.append(item.raw.decode())
            where = item.where
except errors.BadInput as error:
    raise SystemExit(str(error))
print(json.dumps([count, raws, where, reader.size, reader.position, reader.warnings]))
print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""


def run(*paths: str, given: bytes | int = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", READ_INPUT, *paths]
    if isinstance(given, int):
        return subprocess.run(command, stdin=given, capture_output=True, timeout=60)
    return subprocess.run(command, input=given, capture_output=True, timeout=60)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_standard_input_may_be_any_of_the_formats(pack: Callable[[bytes], bytes]) -> None:
    given = pack(mboxrd(THREE))
    ended = run("-", given=given)
    offset = len(mboxrd(THREE[:2]))
    texts = [raw.decode() for raw in THREE]
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [
        *(3, texts, f"standard input:{offset}"),
        *(None, len(given), []),
    ]


def test_standard_input_may_be_a_file_and_then_has_a_size(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(mail())
    with path.open("rb") as file:
        ended = run("-", given=file.fileno())
    assert f'"standard input", {len(mail())}, {len(mail())}, []'.encode() in ended.stdout


@pytest.mark.parametrize("given", [b"", b"A text.\n"])
def test_standard_input_without_a_mail_is_refused(given: bytes) -> None:
    ended = run("-", given=given)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"standard input: ")


def test_a_pipe_may_be_named_and_may_give_its_bytes_one_by_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(pipe)], stdin=subprocess.PIPE
    )
    reader = Reader(str(pipe))
    assert writer.stdin is not None
    writer.stdin.write(gzip.compress(mboxrd(THREE)))
    writer.stdin.close()
    assert [item.raw for item in reader] == THREE
    assert writer.wait(30) == 0
    assert reader.size is None


WRITE_SLOWLY = """
import os, sys
pipe = os.open(sys.argv[1], os.O_WRONLY)
for byte in sys.stdin.buffer.read():
    os.write(pipe, bytes([byte]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    used = []
    some = mboxrd(many(1000))
    for name, times in (("small", 2), ("large", 150)):
        path = tmp_path / name
        path.write_bytes(some * times)
        ended = run(str(path))
        assert ended.stdout.startswith(b"[%d, " % (1000 * times))
        used.append(int(ended.stderr))
    small, large = used  # KiB
    assert (tmp_path / "large").stat().st_size > 40 << 20
    assert large < small + (8 << 10)


def test_an_item_is_made_of_what_was_stored() -> None:
    item = Item(b"A: b\n\n>From x\n", True, "archive", 0, cut=False)
    assert item.raw == b"A: b\n\nFrom x\n"
    assert replace(item, quoted=False).raw == item.stored
