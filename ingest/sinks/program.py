# SPDX-License-Identifier: BSD-3-Clause
"""One run of another program, ended by us at the latest, whatever it does with its input, its
output, its signals and its children.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import IO

_PIECE = 1 << 16
# Bytes of each output that are kept: its end, where programs say what is wrong.
_KEPT = 1 << 12
# Bytes read once it has ended: a child that it left behind may go on writing for ever.
_MOST_REST = 1 << 20
# Seconds between two looks whether it has ended, which a pipe in other hands does not tell.
_SHORTEST_NAP, _LONGEST_NAP = 0.002, 0.05
# Seconds that a program has to end after SIGTERM, and again after SIGKILL.
_GRACE = 1.0


class Cut(Enum):
    """Why we ended it."""

    NOT = "it ended by itself"
    TIMED_OUT = "its time was over"
    STOPPED = "we were to stop"


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: its exit code, the negative number of the signal that ended it, or None if
    that cannot be known; the ends of its outputs; whether we ended it; and the beginning of its
    standard output, as far as that was wanted."""

    code: int | None
    out: bytes
    err: bytes
    cut: Cut
    begin: bytes = b""


def run(
    program: Sequence[str],
    content: bytes,
    environment: Mapping[bytes, bytes],
    *,
    seconds: float,
    stop: Callable[[], bool],
    begin: int = 0,
) -> Ended:
    """Run it, with ``content`` on its standard input, in a session of its own and without any
    descriptor of ours.

    After ``seconds``, or when ``stop`` says so, its process group is sent SIGTERM and, a second
    later, SIGKILL. What it leaves running when it ends by itself is left alone, but not listened
    to. ``begin``: so many bytes of its standard output are kept, too. Raises ``OSError`` if it
    cannot be started.
    """
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        bufsize=0,
        start_new_session=True,
    )
    with _Running(process, content, begin) as running:
        cut = running.attend(time.monotonic() + seconds, stop)
        if cut is not Cut.NOT:
            running.signal(signal.SIGTERM)
            running.attend(time.monotonic() + _GRACE)
            # As long as it is not waited for, the number of its group is nobody else's.
            running.signal(signal.SIGKILL)
            running.attend(time.monotonic() + _GRACE)
        running.read_rest()
        out, err, begun = map(bytes, (running.out, running.err, running.begun))
        return Ended(running.code(), out, err, cut, begun)


class _Running:
    """A process and our ends of its pipes, which are closed when the block is left."""

    def __init__(self, process: subprocess.Popen[bytes], content: bytes, begin: int) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.out, self.err, self.begun = bytearray(), bytearray(), bytearray()
        self._begin = begin
        self._process = process
        self._is_told = True
        self._content = memoryview(content)
        self._selector = selectors.DefaultSelector()
        self._outputs = {process.stdout: self.out, process.stderr: self.err}
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
            is_input = pipe is process.stdin
            self._selector.register(
                pipe, selectors.EVENT_WRITE if is_input else selectors.EVENT_READ
            )

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            self._close(key.fileobj)  # type: ignore[arg-type]
        self._selector.close()

    def attend(self, until: float, stop: Callable[[], bool] = lambda: False) -> Cut:
        """Serve its pipes until it has ended, or a moment of ``time.monotonic`` has come."""
        nap = _SHORTEST_NAP
        while not self._has_ended():
            left = until - time.monotonic()
            if left <= 0:
                return Cut.TIMED_OUT
            if stop():
                return Cut.STOPPED
            ready = self._selector.select(min(nap, left))
            for key, _ in ready:
                self._serve(key.fileobj)  # type: ignore[arg-type]
            nap = _SHORTEST_NAP if ready else min(nap * 1.5, _LONGEST_NAP)
        return Cut.NOT

    def signal(self, number: int) -> None:
        """Send a signal to its group; a program that became another user is out of our reach."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def read_rest(self) -> None:
        """Read what it had written when it ended."""
        left = _MOST_REST
        for pipe in self._outputs:
            while left > 0 and not pipe.closed and (piece := self._read(pipe)):
                left -= len(piece)

    def code(self) -> int | None:
        """Its exit code, None if it has none or that cannot be known."""
        if not self._has_ended():
            return None
        code = self._process.wait()
        return code if self._is_told else None

    def _has_ended(self) -> bool:
        # Not by Popen.poll, which would free its number while its group may have to be ended.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self._process.pid, flags) is not None
        except ChildProcessError:  # whoever ignores SIGCHLD cannot know how it ended
            self._is_told = False
            return True

    def _serve(self, pipe: IO[bytes]) -> None:
        if pipe in self._outputs:
            self._read(pipe)
            return
        try:
            written = os.write(pipe.fileno(), self._content[:_PIECE])
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not care for its input
            self._close(pipe)
            return
        self._content = self._content[written:]
        if not self._content:
            self._close(pipe)

    def _read(self, pipe: IO[bytes]) -> bytes:
        try:
            piece = os.read(pipe.fileno(), _PIECE)
        except BlockingIOError:
            return b""
        if not piece:
            self._close(pipe)
        kept = self._outputs[pipe]
        if kept is self.out:
            self.begun += piece[: self._begin - len(self.begun)]
        kept += piece
        del kept[:-_KEPT]
        return piece

    def _close(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()
