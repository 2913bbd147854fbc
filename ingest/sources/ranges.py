# SPDX-License-Identifier: BSD-3-Clause
"""A large mbox searched by several processes, each of which reads ranges of it.

The mails stay in their order, and no more ranges are begun than a few ahead. Whether a range was
begun at a true boundary is checked: where the range before it ends differently, as a
Content-Length may have it, the range is read again from there.
"""

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Self

from ingest.sources import mbox_pieces
from ingest.sources.mbox_pieces import Found
from ingest.sources.unpacked import Input, Unpacked

# Bytes of a range: what a process gives back of it at once is held by the one that asks.
RANGE = 8 << 20
# Ranges of a file for which to start processes is worth their time.
_LEAST = 4
# Ranges begun ahead, for each process.
_AHEAD = 2
_END = 1 << 62  # behind the end of any file


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found in a range: the offset of its first mail, -1 if no mail begins in it, and
    that of the next range's first mail."""

    begin: int
    end: int
    found: list[Found]


class Ranges:
    """Processes that search files. A context manager; they are started when first needed."""

    def __init__(self, processes: int, longest: int) -> None:
        """``longest``: bytes of a mail, see ``mbox.Reader``."""
        self._processes, self._longest = processes, longest
        self._pool: ProcessPoolExecutor | None = None
        self.position = 0  # bytes of the present file that were searched

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def suit(self, size: int | None) -> bool:
        """Whether a file of so many bytes is large enough."""
        return size is not None and size >= _LEAST * RANGE

    def search(self, path: str, file: str, size: int) -> Iterator[Found]:
        """What is in the mbox, in order. ``file``: its name for people. Raises ``OSError``."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes, get_context("spawn"), initializer=_leave_interrupts
            )
        stops = [*range(RANGE, size, RANGE), _END]  # the last one is read to where the file ends
        begins = deque(zip([0, *stops], stops, strict=False))
        pending: deque[tuple[int, Future[_Part] | None]] = deque()
        expected = 0
        while begins or pending:
            while begins and len(pending) < _AHEAD * self._processes:
                begin, stop = begins.popleft()
                pending.append((stop, self._begun(path, file, begin, stop)))
            stop, future = pending.popleft()
            part = _of(future)
            if part is None or part.begin != (expected if expected < stop else -1):
                part = _Part(-1, expected, [])
                if expected < stop:
                    part = search(path, file, expected, stop, self._longest, is_boundary=True)
            if part.begin >= 0:
                expected = part.end
            yield from part.found
            self.position = min(stop, size)
        self.position = 0

    def _begun(self, path: str, file: str, begin: int, stop: int) -> Future[_Part] | None:
        try:
            assert self._pool
            return self._pool.submit(search, path, file, begin, stop, self._longest, begin == 0)
        except BrokenProcessPool:
            return None


def search(path: str, file: str, begin: int, stop: int, longest: int, is_boundary: bool) -> _Part:
    """The mails of an mbox that begin from the offset ``begin`` on and before ``stop``.

    ``is_boundary``: a mail is known to begin at ``begin``; else it is looked for.
    """
    source = Input(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        at = begin if is_boundary else begin - 4  # what stands before a separator is looked at
        os.lseek(source.fileno(), at, os.SEEK_SET)
        unpacked = Unpacked(source, is_plain=True)
        piece = unpacked.read(mbox_pieces.PIECE)
        if not is_boundary:
            passed, piece = mbox_pieces.to_boundary(piece, 4, unpacked, stop - begin)
            at += passed
        if not piece or at >= stop:
            return _Part(-1, -1, [])
        found = []
        for each in mbox_pieces.mbox(file, piece, unpacked, longest, at):
            inside = [span for span in each.spans if each.offset + span[0] < stop]
            found.append(replace(each, spans=inside).found())
            if len(inside) < len(each.spans):
                return _Part(at, each.offset + each.spans[len(inside)][0], found)
        return _Part(at, _END, found)
    finally:
        source.close()


def _of(future: Future[_Part] | None) -> _Part | None:
    """The result; None if the process that was to give it was killed."""
    try:
        return future.result() if future else None
    except BrokenProcessPool:
        return None


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that asks; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
