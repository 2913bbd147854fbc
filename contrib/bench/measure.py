# SPDX-License-Identifier: BSD-3-Clause
"""Running commands with their wall time and peak memory, and comparing them: what a row of the
table is made of.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# The peak memory that wait4(2) reports of a child is at least what was counted for it between fork
# and exec. So children are started by a process of its own that is as small as an interpreter can
# be, and by fork, which leaves out what is backed by files; posix_spawn would count all of it.
_STARTER = """
import os, sys, time
def become(stdin, stdout, stderr, command):
    try:
        os.dup2(os.open(stdin, os.O_RDONLY), 0)
        os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        os.execvp(command[0], command)
    finally:
        os._exit(127)
for line in sys.stdin:
    order = eval(line)
    began = time.perf_counter()
    pid = os.fork() or become(*order)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    cpu = usage.ru_utime + usage.ru_stime
    print(os.waitstatus_to_exitcode(status), wall, cpu, usage.ru_maxrss, flush=True)
"""


class Skipped(Exception):
    """A row cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure: where files may be written, and how much of everything."""

    work: Path
    quick: bool = False  # small sizes: to see that it works
    rounds: int | None = None

    def several(self, usual: int) -> int:
        """Rounds of a row, if nothing else is asked for."""
        return self.rounds or (1 if self.quick else usual)

    def size(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new one below ``work`` until the end of the block."""
        with tempfile.TemporaryDirectory(dir=self.work) as name:
            yield Path(name)


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a command. Times are seconds, ``peak`` is bytes."""

    wall: float
    cpu: float
    peak: float
    output: str


class Starter:
    """Starts commands one by one in the project's folder, a context manager."""

    def __init__(self, plan: Plan) -> None:
        self._folder = plan.work

    def __enter__(self) -> "Starter":
        # What is installed is compiled, whatever the bench itself is run with.
        compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", _STARTER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=compiled,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, *command: str | Path, stdin: Path | None = None) -> Ran:
        """Run a command to its end. Raises ``RuntimeError`` if it fails."""
        assert self._process.stdin and self._process.stdout
        argv = [str(each) for each in command]
        out, err = self._folder / "stdout", self._folder / "stderr"
        order = (str(stdin or os.devnull), str(out), str(err), argv)
        self._process.stdin.write(f"{order!r}\n")
        self._process.stdin.flush()
        code, wall, cpu, peak = self._process.stdout.readline().split()
        if code != "0":
            said = err.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{shlex.join(argv)[:200]} ended with {code}: {said}")
        return Ran(float(wall), float(cpu), int(peak) * 1024, out.read_text(errors="replace"))


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio is to be."""

    bound: float
    least: bool = False  # it may not be below; otherwise it may not be above

    def met(self, ratio: float) -> bool:
        return ratio >= self.bound if self.least else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``unit``: "s", "B", "/s" or "" for plain numbers."""

    name: str
    path: str
    against: str
    unit: str
    ours: float
    baseline: float
    ratio: float
    target: str
    met: bool | None
    rounds: int
    spread: tuple[float, float]  # the lowest and the highest ratio of a round
    note: str = ""


def compared(
    name: str,
    path: str,
    against: str,
    unit: str,
    pairs: Sequence[tuple[float, float]],
    target: Target | None = None,
    *,
    faster: bool = False,
    note: str = "",
) -> Row:
    """The row of several rounds, each ours and the baseline's: medians of both, and of the
    ratios ours to baseline, or with ``faster`` baseline to ours."""
    ratios = [theirs / ours if faster else ours / theirs for ours, theirs in pairs]
    ratio = statistics.median(ratios)
    return Row(
        name,
        path,
        against,
        unit,
        ours=statistics.median(ours for ours, _ in pairs),
        baseline=statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        target=str(target) if target else "",
        met=target.met(ratio) if target else None,
        rounds=len(pairs),
        spread=(min(ratios), max(ratios)),
        note=note,
    )


def alternate(rounds: int, *kinds: Callable[[], Ran]) -> list[tuple[Ran, ...]]:
    """Every kind of run once a round, the order turned from round to round: what else the
    machine does meets all of them alike."""
    done = []
    for number in range(rounds):
        first = number % len(kinds)
        order = [*range(first, len(kinds)), *range(first)]
        ran = {place: kinds[place]() for place in order}
        done.append(tuple(ran[place] for place in range(len(kinds))))
    return done


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
