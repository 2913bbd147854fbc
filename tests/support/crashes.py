# SPDX-License-Identifier: BSD-3-Clause
"""The command in a process that kills itself just before a chosen line of the program runs.

``Commands`` starts ``python -m tests.support.crashes``, which has imported everything once and
forks a child for each command: so that hundreds of them take seconds. The program itself knows
nothing of it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.places import ROOT

PACKAGE = ROOT / "ingest"
# Another program's part, played here by ours.
_NOT_OURS = str(PACKAGE / "sandbox")
# The program as it was when it was loaded: whoever edits it meanwhile moves lines.
_SOURCES = {str(each.relative_to(PACKAGE)): each.read_text() for each in PACKAGE.rglob("*.py")}


@dataclass(frozen=True)
class Place:
    """A line of the program: the one line of a file below ``ingest/`` that holds a text."""

    file: str
    text: str

    def line(self) -> int:
        """Its number. Fails if there is not just one such line."""
        lines = _SOURCES[self.file].splitlines()
        found = [number for number, line in enumerate(lines, start=1) if self.text in line]
        assert len(found) == 1, f"{self.file} has {len(found)} lines with {self.text!r}"
        return found[0]


@dataclass(frozen=True)
class Point:
    """Just before a line runs for the first time, or for the first time after another did."""

    before: Place
    after: Place | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or the negative number of the signal that ended it;
    and how many lines of the program it ran, if they were counted."""

    code: int
    lines: int
    output: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Commands:
    """Runs commands, each in a process of its own. To be used as a context manager."""

    def __enter__(self) -> "Commands":
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.crashes"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(
        self,
        *arguments: str,
        mail: Path | None = None,
        environment: Mapping[str, str] | None = None,
        die: Point | int | None = None,
        count_from: Place | None = None,
    ) -> Ended:
        """Run one command. ``mail``: what it finds on standard input; ``die``: where to die, a
        point or the number of a line that it runs; ``count_from``: the line from which on lines
        are numbered, with those of every file."""
        order = {
            "arguments": arguments,
            "mail": str(mail or os.devnull),
            "environment": dict(environment or {}),
            "die": die if isinstance(die, int) else None,
            "point": asdict(die) if isinstance(die, Point) else None,
            "count_from": asdict(count_from) if count_from else None,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))


class _Lines:
    """Counts the program's lines as they run, and dies before one of them."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.count = 0
        self._die = order["die"]
        self._start = _where(order["count_from"])
        self._counting = self._start is None
        point = order["point"]
        self._before = _where(point and point["before"])
        self._after = _where(point and point["after"])

    def trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        return self._line if _is_ours(frame.f_code.co_filename) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any]:
        if event == "line":
            here = (frame.f_code.co_filename, frame.f_lineno)
            if here == self._start:
                self._counting = True
            self.count += self._counting
            if here == self._after:
                self._after = None
            elif self._after is None and here == self._before:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._counting and self.count == self._die:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


@cache
def _is_ours(name: str) -> bool:
    return name.startswith(str(PACKAGE)) and not name.startswith(_NOT_OURS)


def _where(place: Mapping[str, str] | None) -> tuple[str, int] | None:
    return place and (str(PACKAGE / place["file"]), Place(**place).line())  # type: ignore[return-value]


def _run(order: Mapping[str, Any]) -> int:
    from ingest.commands import cli, pipe

    command, *arguments = order["arguments"]
    if command == "pipe":
        return pipe.main(arguments)
    return cli.main([command, *arguments])


def _child(order: Mapping[str, Any], told: int, output: int) -> None:
    os.dup2(os.open(order["mail"], os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(order["environment"])
    lines = _Lines(order)
    watched = any(order[each] for each in ("die", "point", "count_from"))
    code = 99
    try:
        sys.settrace(lines.trace if watched else None)
        if order["point"]:  # may be where a sink is at work; lines are counted in one thread only
            threading.settrace(lines.trace)
        code = _run(order)
    except BaseException:  # noqa: BLE001  told to the test
        traceback.print_exc()
    finally:
        sys.settrace(None)
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(told, str(lines.count).encode())
        os._exit(code)


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        told_by_child, told = os.pipe()
        output = os.memfd_create("output")
        child = os.fork()
        if child == 0:
            _child(order, told, output)
        os.close(told)
        print(json.dumps(asdict(_end_of(child, told_by_child, output))), flush=True)


def _end_of(child: int, told_by_child: int, output: int) -> Ended:
    _, status = os.waitpid(child, 0)
    with os.fdopen(told_by_child) as stream:
        count = int(stream.read() or 0)
    os.lseek(output, 0, os.SEEK_SET)
    with os.fdopen(output, errors="replace") as written:
        text = written.read()
    return Ended(os.waitstatus_to_exitcode(status), count, text)


def forked(
    action: Callable[[], object], *, die: int | None = None, count_from: Place | None = None
) -> Ended:
    """Run a function in a child of this process, which must not have a ledger open; see
    ``Commands.run``."""
    told_by_child, told = os.pipe()
    output = os.memfd_create("output")
    child = os.fork()
    if child == 0:
        os.dup2(output, 1)
        os.dup2(output, 2)
        counted = asdict(count_from) if count_from else None
        lines = _Lines({"die": die, "point": None, "count_from": counted})
        code = 99
        try:
            sys.settrace(lines.trace)
            action()
            code = 0
        except BaseException:  # noqa: BLE001  told to the test
            os.write(2, traceback.format_exc().encode())
        finally:
            sys.settrace(None)
            os.write(told, str(lines.count).encode())
            os._exit(code)
    os.close(told)
    return _end_of(child, told_by_child, output)


def _warm() -> None:
    """Import what the commands import."""
    import ingest.commands.cli
    import ingest.commands.pipe
    import ingest.commands.report
    import ingest.handover.take
    import ingest.ledger.postgres
    import ingest.ledger.sqlite
    import ingest.sinks.json_file
    import ingest.worker  # noqa: F401


if __name__ == "__main__":
    _warm()
    _serve()
