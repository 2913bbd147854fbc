# SPDX-License-Identifier: BSD-3-Clause
"""A large mbox searched by this process and others, each of which reads ranges of it.

The mails stay in their order, and no more ranges are begun than a few ahead. Whether a range was
begun at a true boundary is checked: where the range before it ends differently, as a
Content-Length may have it, the range is read again from there.
"""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Self

from ingest.sources import mbox_pieces
from ingest.sources.mbox_pieces import Found
from ingest.sources.unpacked import Input, Unpacked

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

# Bytes of a range: what a process gives back of it at once is held by the one that asks.
RANGE = 4 << 20
# Ranges of a file for which to start processes is worth their time.
_LEAST = 8
# Ranges begun ahead, for each process.
_AHEAD = 4
_END = 1 << 62  # behind the end of any file


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found in a range: the offset of its first mail, -1 if no mail begins in it, and
    that of the next range's first mail."""

    begin: int
    end: int
    found: list[Found]


@dataclass(slots=True)
class _Range:
    """A range, and what was found in it, by this process (``part``) or another (``future``)."""

    begin: int
    stop: int
    part: _Part | None = None
    future: Future[_Part] | None = None

    @property
    def is_done(self) -> bool:
        return self.part is not None or (self.future is not None and self.future.done())

    def found(self) -> _Part | None:
        """What was found, waited for; None if the process that was to find it was killed."""
        try:
            return self.future.result() if self.future else self.part
        except BrokenExecutor:
            return None


class Ranges:
    """Processes that search files. A context manager; the others are started when needed."""

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
        return self._processes > 1 and size is not None and size >= _LEAST * RANGE

    def search(self, path: str, file: str, size: int) -> Iterator[Found]:
        """What is in the mbox, in order. ``file``: its name for people. Raises ``OSError``."""
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes - 1, get_context("spawn"), initializer=_leave_interrupts
            )
        stops = [*range(RANGE, size, RANGE), _END]  # the last one is read to where the file ends
        ranges = map(_Range, [0, *stops], stops)
        ahead: deque[_Range] = deque(islice(ranges, _AHEAD * self._processes))
        expected = 0
        while ahead:
            self._advance(ahead, path, file)
            first = ahead.popleft()
            ahead.extend(islice(ranges, 1))
            stop, part = first.stop, first.found()
            if part is None or part.begin != (expected if expected < stop else -1):
                part = _Part(-1, expected, [])
                if expected < stop:
                    part = search(path, file, expected, stop, self._longest, is_boundary=True)
            if part.begin >= 0:
                expected = part.end
            yield from part.found
            self.position = min(stop, size)
        self.position = 0

    def _advance(self, ahead: Iterable[_Range], path: str, file: str) -> None:
        """Have these ranges searched, here and by the others, until the first one is."""
        first, *_ = ahead
        while not first.is_done:
            free = [each for each in ahead if each.part is None and each.future is None]
            if not free:
                return
            given = sum(each.future is not None and not each.future.done() for each in ahead)
            # One more than there are processes, so that none waits for the next one.
            for each in free[1 : 1 + self._processes - given]:
                with suppress(BrokenExecutor):
                    each.future = self._submitted(each, path, file)
            mine = free[0]
            mine.part = search(path, file, mine.begin, mine.stop, self._longest, mine.begin == 0)

    def _submitted(self, each: _Range, path: str, file: str) -> Future[_Part]:
        assert self._pool
        return self._pool.submit(search, path, file, each.begin, each.stop, self._longest, False)


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


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that asks; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
