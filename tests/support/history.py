# SPDX-License-Identifier: BSD-3-Clause
"""What processes that share a ledger were told by it, and whether it kept all of that.

Each process writes a line for what it knows: mails that were accepted, a request that was recorded
or read, an answer of ``reruns``, a lease that it holds. What a process does not know it does not
write.
"""

import json
from collections import Counter
from collections.abc import Iterable
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


class Diaries:
    """The diaries of a folder, of which only what is new is read each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._lines: dict[Path, list[Line]] = {}
        self._counted = Counter[str]()

    def counted(self) -> Counter[str]:
        """How much they say of each kind: of mails, each one, of all else, each line."""
        for path in self._folder.glob("*.diary"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                # The last line of a process that is at it, or was killed, may be cut.
                whole, end, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole + end)
            for line in whole.splitlines():
                kind, said = json.loads(line)
                self._lines.setdefault(path, []).append((kind, said))
                self._counted[kind] += len(said) if kind == "accepted" else 1
        return self._counted

    def lines(self) -> list[Line]:
        """All that they say, one after the other."""
        self.counted()
        return [line for path in sorted(self._lines) for line in self._lines[path]]


def faults(lines: Iterable[Line], ledger: Ledger) -> list[str]:
    """What the ledger did not keep of what it said, as it is now."""
    lines = list(lines)
    log = {each.number: each.id for each in requests_after(ledger, 0)}
    found = [f"the log has no {n + 1}" for n, m in pairwise([0, *log]) if m != n + 1]
    twice = [id for id, times in Counter(log.values()).items() if times > 1]
    found += [f"the log has {id} twice" for id in twice]
    mails = Counter(name for (name,) in ledger.side().read("mail", ("message_id",)))
    found += [f"{name} is there {times} times" for name, times in mails.items() if times > 1]
    answered, handed = Counter[int](), set[int]()
    for kind, said in lines:
        if kind == "accepted":
            found += [f"{name} was accepted and is lost" for name in said if not mails[name]]
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
    return found + _interleaved(lines)


def _interleaved(lines: Iterable[Line]) -> list[str]:
    """Where two holders of one lease wrote by turns. Numbers are in the order of commits, so that
    those of each holder's term are before or behind all of any other's."""
    terms: dict[str, list[list[int]]] = {}
    term: list[int] = []
    for kind, said in lines:
        if kind == "held":
            term = []
            terms.setdefault(said[0], []).append(term)
        elif kind == "recorded":
            term.append(said[0])
    found = []
    for name, each in terms.items():
        spans = sorted((min(numbers), max(numbers)) for numbers in each if numbers)
        overlapping = [(a, b) for a, b in pairwise(spans) if b[0] <= a[1]]
        found += [f"two held {name}: one wrote {a}, one {b}" for a, b in overlapping]
    return found
