# SPDX-License-Identifier: BSD-3-Clause
"""A large mbox searched by this process and forks of it, each of which takes ranges of the file.

The mails stay in their order, and little is found ahead. Whether a range was begun at a true
boundary is checked: where the range before it ends differently, as a Content-Length may have it,
the range is read again from there.
"""

import marshal
import os
import select
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, replace

from ingest.sources import mbox_pieces
from ingest.sources.mbox_boundaries import LOOKED_AHEAD
from ingest.sources.mbox_pieces import Found, Item
from ingest.sources.unpacked import Input, Unpacked

# Bytes of a range: what is found in it is held at once.
RANGE = 4 << 20
# Ranges of a file for which forks are worth their time.
_LEAST = 8
# Ranges of a file at most: their numbers, of so many bytes each, all stand in a pipe, which holds
# no more than a page for a user who has many of them (pipe(7)).
_MOST, _NUMBER = 1_000, 4
# Ranges that are found before it is their turn.
_AHEAD = 8
_END = 1 << 62  # behind the end of any file


@dataclass(frozen=True, slots=True)
class _Part:
    """What was found in a range: the offset of its first mail, -1 if no mail begins in it, and
    that of the next range's first mail."""

    begin: int
    end: int
    found: list[Found]


class Ranges:
    """How a file is searched, and how far that is."""

    def __init__(self, processes: int, longest: int) -> None:
        """``longest``: bytes of a mail, see ``mbox.Reader``."""
        self._processes, self._longest = processes, longest
        self.position = 0  # bytes of the present file that were searched

    def suit(self, size: int | None) -> bool:
        """Whether a file of so many bytes is large enough."""
        return self._processes > 1 and size is not None and size >= _LEAST * RANGE

    def search(self, path: str, file: str, size: int) -> Iterator[Found]:
        """What is in the mbox, in order. ``file``: its name for people. Raises ``OSError``."""
        step = max(RANGE, size // _MOST + 1)
        stops = [*range(step, size, step), _END]  # the last one is read to where the file ends

        def find(number: int) -> _Part:
            return search(path, file, number * step, stops[number], self._longest, number == 0)

        expected = 0
        with closing(_in_order(find, len(stops), self._processes - 1)) as parts:
            for stop, part in zip(stops, parts, strict=True):
                if part.begin != (expected if expected < stop else -1):
                    part = _Part(-1, expected, [])
                    if expected < stop:
                        part = search(path, file, expected, stop, self._longest, is_boundary=True)
                if part.begin >= 0:
                    expected = part.end
                yield from part.found
                self.position = min(stop, size)
        self.position = 0


def _in_order(find: Callable[[int], _Part], count: int, others: int) -> Generator[_Part]:
    """What is found for each number below ``count``, by this process and so many forks. Each takes
    the next number when it has time."""
    numbers, into = os.pipe()
    os.write(into, b"".join(each.to_bytes(_NUMBER) for each in range(count)))
    os.close(into)
    forks: dict[int, int] = {}  # by what each answers through
    try:
        for _ in range(others):
            answers, pid = _fork(find, numbers, forks)
            forks[answers] = pid
        found: dict[int, _Part] = {}
        are_left = True
        for wanted in range(count):
            while wanted not in found:
                take = are_left and len(found) < _AHEAD
                ready, _, _ = select.select(forks, [], [], 0 if take or not forks else None)
                for answers in ready:
                    if answer := _answer(answers):
                        found.update([answer])
                    else:
                        _end(answers, forks.pop(answers))
                if not ready and take:
                    number = os.read(numbers, _NUMBER)
                    if are_left := bool(number):
                        found[int.from_bytes(number)] = find(int.from_bytes(number))
                elif not forks and not take:  # the one that took this number was killed
                    found[wanted] = find(wanted)
            yield found.pop(wanted)
    finally:
        os.close(numbers)
        for answers, pid in forks.items():
            os.kill(pid, signal.SIGKILL)
            _end(answers, pid)


def _fork(find: Callable[[int], _Part], numbers: int, earlier: Iterable[int]) -> tuple[int, int]:
    """A process that finds what others leave to it: what it answers through, and its id. One that
    cannot go on, as its file is gone, just ends: whoever waits for its answer finds out why.
    ``earlier``: what earlier ones answer through."""
    answers, into = os.pipe()
    with warnings.catch_warnings():
        # Python warns of locks that other threads of ours hold now. The fork takes none.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # is for the process that asks
            for each in (answers, *earlier):  # else none would see that nobody reads any more
                os.close(each)
            with open(into, "wb") as file:
                while number := os.read(numbers, _NUMBER):
                    part = find(int.from_bytes(number))
                    found = [(mails, list(map(astuple, items))) for mails, items in part.found]
                    answer = marshal.dumps((int.from_bytes(number), part.begin, part.end, found))
                    file.write(len(answer).to_bytes(8) + answer)
                    file.flush()
        finally:
            os._exit(0)
    os.close(into)
    return answers, pid


def _answer(answers: int) -> tuple[int, _Part] | None:
    """The next number for which a fork has an answer, and that; None if it has ended."""
    size = int.from_bytes(_read(answers, 8))
    answer = _read(answers, size)
    if not size or len(answer) < size:
        return None
    # What a fork of ours wrote, and nobody else can.
    number, begin, end, found = marshal.loads(answer)  # nosec B302
    return number, _Part(
        begin, end, [(mails, [Item(*each) for each in items]) for mails, items in found]
    )


def _read(answers: int, size: int) -> bytes:
    """So many bytes, fewer only at the end."""
    pieces = []
    while size and (piece := os.read(answers, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _end(answers: int, pid: int) -> None:
    os.close(answers)
    os.waitpid(pid, 0)


def search(path: str, file: str, begin: int, stop: int, longest: int, is_boundary: bool) -> _Part:
    """The mails of an mbox that begin from the offset ``begin`` on and before ``stop``.

    ``is_boundary``: a mail is known to begin at ``begin``; else it is looked for.
    """
    source = Input(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        at = begin if is_boundary else begin - 4  # what stands before a separator is looked at
        os.lseek(source.fileno(), at, os.SEEK_SET)
        unpacked = Unpacked(source, is_plain=True)
        piece = unpacked.read(4 * LOOKED_AHEAD)
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
