# SPDX-License-Identifier: BSD-3-Clause
"""A large mbox searched by several processes gives what one process gives, in the same order."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sources import ranges
from ingest.sources.mbox import Reader
from ingest.sources.mbox_pieces import Item
from tests.support.places import ROOT

FROM = b"From robin@example.org Wed Sep  6 09:01:00 2023\n"
HEADER = b"From: robin@example.org\nDate: today\nMessage-ID: <%d@example.org>\n"


def mail(number: int, body: bytes) -> bytes:
    return FROM + HEADER % number + b"\n" + body + b"\n"


def archive(chance: random.Random, size: int) -> bytes:
    """Mails of every length, some of which ask for something, and some with a length in the
    header, and a text that looks like a further mail, which only that length denies."""
    mails: list[bytes] = []
    total = 0
    while total < size:
        body = b"x" * chance.choice((10, 500, 3000, 40_000, 150_000)) + b"\n"
        body += chance.choice((b"", b"", b"\nRecheck-request: a\n"))
        if chance.random() < 0.3:
            body += b"\n" + FROM + HEADER % 0 + b"\nRecheck-request: swallowed\n"
            length = b"Content-Length: %d\n\n" % len(body)
            mails.append(mail(len(mails), body).replace(b"\n\n", b"\n" + length, 1))
        else:
            mails.append(mail(len(mails), body))
        total += len(mails[-1])
    return b"".join(mails)


def searched(path: Path, processes: int, longest: int = 100_000) -> tuple[int, list[Item]]:
    reader = Reader(str(path), longest=longest, processes=processes)
    found = list(reader.searched())
    assert reader.position == reader.size
    return sum(number for number, _ in found), [item for _, items in found for item in items]


def children() -> set[int]:
    """The processes that this one has."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges smaller than some mails are, by which this process cuts files."""
    monkeypatch.setattr(ranges, "RANGE", 50_000)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_several_processes_find_what_one_finds(seed: int, small: None, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(random.Random(seed), 3_000_000))
    alone = searched(path, 1)
    assert alone[1]
    assert searched(path, 2) == alone
    assert searched(path, 3) == alone


def test_the_mails_of_all_ranges_are_those_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    for seed in range(20):
        content = archive(random.Random(seed), 400_000)
        path.write_bytes(content)
        whole = ranges.search(str(path), "a", 0, ranges._END, 10**6, is_boundary=True)
        begins = [item.offset for _, items in whole.found for item in items]
        for stop in random.Random(seed).choices(range(5, len(content)), k=5):
            first = ranges.search(str(path), "a", 0, stop, 10**6, is_boundary=True)
            parts = [first]
            if first.end < ranges._END:
                end = first.end
                parts.append(
                    ranges.search(str(path), "a", end, ranges._END, 10**6, is_boundary=True)
                )
            found = [item.offset for part in parts for _, items in part.found for item in items]
            assert found == begins
            looked_for = ranges.search(str(path), "a", stop, ranges._END, 10**6, is_boundary=False)
            assert looked_for.begin == -1 or stop <= looked_for.begin <= first.end


@pytest.mark.slow
def test_a_process_that_is_killed_loses_no_mail(small: None, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(random.Random(7), 3_000_000))
    reader = Reader(str(path), longest=100_000, processes=2)
    number, before = 0, children()
    items: list[Item] = []
    for step, (count, found) in enumerate(reader.searched()):
        number, items = number + count, items + found
        if step == 1:
            for child in children() - before:
                os.kill(child, signal.SIGKILL)
    assert (number, items) == searched(path, 1)


@pytest.mark.slow
def test_who_stops_early_leaves_no_process_behind(small: None, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(random.Random(8), 3_000_000))
    before = children()
    reading: Iterator[object] = Reader(str(path), processes=2).searched()
    next(reading)
    assert len(children() - before) == 1
    del reading
    assert children() == before


def test_a_small_file_starts_no_process(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(random.Random(9), 1_000_000))
    before = children()
    for _ in Reader(str(path), processes=2).searched():
        assert children() == before


_READING = """
import sys, time
from ingest.sources import ranges
from ingest.sources.mbox import Reader
ranges.RANGE = 50_000
for _ in Reader(sys.argv[1], processes=3).searched():
    print("reading", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["all of them, by Ctrl-C", "the first, for good"])
def test_whatever_ends_the_process_that_asks_ends_them_all(stop: str, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(archive(random.Random(10), 3_000_000))
    command = [sys.executable, "-c", _READING, str(path)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "reading\n"
        if stop == "the first, for good":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGINT)
        # They end only when no process has them any more.
        assert process.stdout.read().count("reading") == 0
        assert process.stderr.read().count("Traceback") <= 1
