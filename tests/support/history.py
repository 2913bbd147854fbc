# SPDX-License-Identifier: BSD-3-Clause
"""What processes that share a ledger were told by it, and whether it kept all of that.

Each process writes a line for what it knows: a mail that was accepted, a request that was recorded
or read, an answer of ``reruns``. What a process does not know it does not write.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ingest.ledger import Ledger, requests_after

# A line: its kind, and what it says.
Line = tuple[str, list[Any]]


class Diary:
    """A file that a process writes what it knows to."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", buffering=1)  # noqa: SIM115  open as long as its process

    def write(self, kind: str, *said: object) -> None:
        """One more line."""
        self._file.write(json.dumps([kind, said]) + "\n")


def read(paths: Iterable[Path]) -> Iterator[Line]:
    """The lines of all diaries. The last one of a process that was killed may be cut."""
    for path in sorted(paths):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                kind, said = json.loads(line)
                yield kind, said


def faults(lines: Iterable[Line], ledger: Ledger) -> list[str]:
    """What the ledger did not keep of what it said, as it is now."""
    log = {each.number: each.id for each in requests_after(ledger, 0)}
    found = [f"the log has no {n + 1}" for n, m in pairwise([0, *log]) if m != n + 1]
    twice = [id for id, times in Counter(log.values()).items() if times > 1]
    found += [f"the log has {id} twice" for id in twice]
    answered, handed = Counter[int](), set[int]()
    for kind, said in lines:
        if kind == "accepted":
            mails = len(ledger.find(said[0]))
            if mails != 1:
                found.append(f"{said[0]} was accepted and is there {mails} times")
        if kind == "read":
            handed.add(said[0])
        if kind in ("recorded", "read") and log.get(said[0]) != said[1]:
            found.append(f"{said[0]} was {kind} as {said[1]} and is {log.get(said[0])}")
        elif kind == "answered":
            answered.update(said)
    # The sinks share a cursor: one goes on where the other one was.
    found += [f"no sink read {n}" for n in range(1, max(handed, default=0)) if n not in handed]
    found += [f"reruns answered {n} {times} times" for n, times in answered.items() if times > 1]
    if answered:
        missing = [number for number in log if number <= max(answered) and number not in answered]
        found += [f"reruns never answered {number}" for number in missing]
    return found


def counted(lines: Iterable[Line]) -> Counter[str]:
    """How many lines there are of each kind."""
    return Counter(kind for kind, _ in lines)
