# SPDX-License-Identifier: BSD-3-Clause
"""The content of a file or pipe, whatever it is packed with."""

import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.sources.unpacked import Input, Unpacked, reason

CONTENT = b"".join(b"line %d\n" % number for number in range(20_000))
PACKED = {"plain": bytes, "gzip": gzip.compress, "xz": lzma.compress}


def opened(folder: Path, content: bytes) -> Input:
    file = folder / "file"
    file.write_bytes(content)
    return Input(os.open(file, os.O_RDONLY))


def read(source: Input, size: int = 10_000) -> tuple[Unpacked, bytes]:
    unpacked, pieces = Unpacked(source), []
    while not unpacked.ended:
        pieces.append(unpacked.read(size))
        assert len(pieces[-1]) == size or unpacked.ended
    return unpacked, b"".join(pieces)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_the_content_is_the_same_however_it_is_packed(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    packed = pack(CONTENT)
    with opened(tmp_path, packed) as source:
        unpacked, content = read(source)
        assert source.position == len(packed)
    assert content == CONTENT
    assert (unpacked.fault, unpacked.cut) == ("", False)
    assert unpacked.is_plain is (pack is bytes)


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_pipe_may_give_its_bytes_one_by_one(pack: Callable[[bytes], bytes]) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for each in pack(b"hello\n" * 5):
            os.write(writing, bytes([each]))
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    with Input(reading) as source:
        _, content = read(source)
    thread.join()
    assert content == b"hello\n" * 5


@pytest.mark.parametrize("content", [b"", b"F", b"\x1f", b"\xfd7zX"])
def test_what_is_too_short_to_be_packed_is_content(content: bytes, tmp_path: Path) -> None:
    with opened(tmp_path, content) as source:
        assert read(source)[1] == content


def test_what_is_known_to_be_plain_is_not_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    with opened(tmp_path, packed) as source:
        assert Unpacked(source, is_plain=True).read(1 << 20) == packed


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_data_that_ends_too_early_is_read_as_far_as_it_goes(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    with opened(tmp_path, pack(CONTENT)[:-100]) as source:
        unpacked, content = read(source)
    assert CONTENT.startswith(content)
    assert (unpacked.fault, unpacked.cut) == ("the packed data ends too early", True)


def test_junk_behind_packed_data_is_a_fault_but_nothing_is_missing(tmp_path: Path) -> None:
    with opened(tmp_path, gzip.compress(CONTENT) + b"junk") as source:
        unpacked, content = read(source)
    assert content == CONTENT
    assert (unpacked.fault, unpacked.cut) == ("junk follows the packed data", False)


def test_damaged_data_is_cut_where_the_damage_is(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(CONTENT))
    packed[len(packed) // 2 :] = b"\xff" * (len(packed) - len(packed) // 2)
    with opened(tmp_path, bytes(packed)) as source:
        unpacked, content = read(source)
    assert content[:50_000] == CONTENT[:50_000]
    assert len(content) < len(CONTENT)
    assert unpacked.cut
    assert unpacked.fault


def test_bytes_that_were_looked_at_are_read_after_all(tmp_path: Path) -> None:
    with opened(tmp_path, b"0123456789") as source:
        assert source.peek(4) == source.peek(4) == b"0123"
        assert source.position == 0
        assert source.read(3) == b"012"
        assert source.position == 3
        assert source.readall() == b"3456789"
        assert source.position == 10


def test_closing_gives_the_descriptor_back(tmp_path: Path) -> None:
    source = opened(tmp_path, b"x")
    descriptor = source.fileno()
    source.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_reason_has_no_name_of_a_file() -> None:
    assert reason(FileNotFoundError(2, "No such file or directory", "/x")) == (
        "No such file or directory"
    )
    assert reason(lzma.LZMAError("Corrupt input data")) == "Corrupt input data"
