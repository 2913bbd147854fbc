# SPDX-License-Identifier: BSD-3-Clause
"""A consumer's loop around ``take``, in virtual time: requests arrive at random, and whoever is at
work, the taker, the sink or who confirms a batch, is killed before any line of the program.

Nothing is ever lost. Each request is handed over once, and again only if the taker was killed
between writing its output and moving its cursor, or if the batch was not confirmed.
``RECHECK_TEST_POLLS=1000`` polls as often for each kind of consumer; a tenth of that in PostgreSQL.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from ingest.handover import take
from tests.support.crashes import Place, forked
from tests.support.desk import HOLD, Desk, labels

POLLS = int(os.environ.get("RECHECK_TEST_POLLS", "125"))

TAKING = Place("handover/take.py", "handing = Handing(ledger")
CONFIRMING = Place("handover/take.py", "named = _ID.fullmatch(id)")
PUBLISHING = Place("sinks/json_file.py", "count = 0")


class Loop:
    """A consumer that asks for a file, reads it and removes it, for ever; whoever else is at
    work; and what became of each label."""

    def __init__(
        self, folder: Path, ledger_url: str, consumer: str, *, single: bool, hold: bool
    ) -> None:
        self.desk = Desk(folder, ledger_url)
        # A server needs a moment to see that who held a lease is dead.
        self.desk.patience = 30.0
        self.consumer, self.single, self.hold = consumer, single, hold
        self.chance = Random(f"{consumer} {single} {hold}")
        self.file = folder / "batch.json"
        self.asked: list[str] = []
        self.elsewhere: set[str] = set()
        self.got: Counter[str] = Counter()
        self.repeatable: set[str] = set()
        self.confirmed: set[str] = set()
        self.in_hand: dict[str, list[str]] = {}
        self.deaths: Counter[str] = Counter()
        self.undone = 0  # deaths after the output, before they were confirmed
        self._most: dict[str, int] = {}

    def run(
        self, name: str, action: Callable[[], object], start: Place, deadly: bool = True
    ) -> bool:
        """Do it, half of the times in a process that is killed before one of the lines that it
        would run; whether it was killed."""
        if not deadly or self.chance.random() < 0.5:
            action()
            return False
        most = self._most.get(name, 0)
        # The first time, and now and then, to the end: what there is to do varies.
        die = self.chance.randint(1, most) if most and self.chance.random() < 0.9 else None
        ended = forked(action, die=die, count_from=start)
        assert ended.killed or ended.code == 0, ended.output
        # Of the last run to the end: one that had to wait for something ran many more lines than
        # there are to die before.
        self._most[name] = max(most, ended.lines) if ended.killed else ended.lines
        self.deaths[name] += ended.killed
        return ended.killed

    def arrivals(self) -> None:
        for _ in range(self.chance.choice([0, 0, 1, 3])):
            label = f"c-{len(self.asked)}"
            self.asked.append(label)
            self.desk.asks(label, series=self.chance.randint(1, 3))
        if self.consumer == "default" and self.chance.random() < 0.1:
            label = f"x-{len(self.elsewhere)}"
            self.elsewhere.add(label)
            self.desk.writes("2", label)
        if self.chance.random() < 0.5:
            self.run("sink", self.desk.publishes, PUBLISHING)

    def poll(self, deadly: bool = True) -> bool:
        """One turn of the consumer's loop; whether it got anything."""
        output = take.output_to(str(self.file), self.desk.settings)

        def taken() -> None:
            self.desk.takes(self.consumer, single=self.single, hold=self.hold, output=output)

        killed = self.run("taker", taken, TAKING, deadly)
        if not self.file.exists():
            assert killed
            return True
        text = self.file.read_text()
        self.file.unlink()
        self.reads(text, killed)
        self.confirms(deadly)
        return bool(labels(json.loads(text)))

    def reads(self, text: str, killed: bool) -> None:
        got = labels(json.loads(text))
        self.got.update(got)
        again = {label for label in got if self.got[label] > 1}
        assert not again & self.confirmed, "what was confirmed does not come again"
        if self.hold:
            if id := json.loads(text)["batch"]:
                assert self.in_hand.get(id, got) == got, "a batch comes again as it was"
                self.in_hand[id] = got
            return
        assert again <= self.repeatable
        # A later taker was confirmed past what was given before.
        self.repeatable = set(got) if killed else set()
        self.undone += killed and bool(got)

    def confirms(self, deadly: bool) -> None:
        for id, held in list(self.in_hand.items()):
            if deadly and self.chance.random() < 0.5:
                continue
            action = partial(self.desk.acknowledges, id)
            if not self.run("confirming", action, CONFIRMING, deadly):
                self.confirmed.update(held)
                del self.in_hand[id]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("hold", [False, True], ids=["for good", "held"])
@pytest.mark.parametrize("single", [False, True], ids=["merged", "one by one"])
@pytest.mark.parametrize("consumer", ["default", "lab"])
def test_a_consumer_gets_everything_once_whoever_is_killed_when(
    quick_path: Path, ledger_url: str, consumer: str, single: bool, hold: bool
) -> None:
    loop = Loop(quick_path, ledger_url, consumer, single=single, hold=hold)
    polls = POLLS if ledger_url.startswith("sqlite:") else POLLS // 10
    for _ in range(polls):
        loop.arrivals()
        loop.poll()
        loop.desk.clock += loop.chance.uniform(0, HOLD / 2)
    loop.desk.clock += HOLD  # a batch whose taker was killed comes again only then
    while loop.poll(deadly=False):
        loop.desk.clock += HOLD

    takes_all = not (single or hold)
    wanted = {*loop.asked, *(loop.elsewhere if takes_all else ())}
    lost = wanted - loop.got.keys()
    repeated = {label for label, count in loop.got.items() if count > 1}
    print(
        f"\n{consumer}, {'one by one' if single else 'merged'}, {'held' if hold else 'for good'}:"
        f" {polls} polls, {len(wanted)} requests,"
        f" {loop.deaths['taker']} takers, {loop.deaths['sink']} sinks and"
        f" {loop.deaths['confirming']} who confirm killed; lost {len(lost)},"
        f" given again {len(repeated)}, after {loop.undone} deaths between output and cursor"
    )
    assert not lost
    assert loop.got.keys() == wanted, "and nothing that nobody asked for"
    if consumer == "default":
        assert loop.desk.in_file() == (set() if takes_all else loop.elsewhere)
    if hold:
        assert loop.confirmed == wanted
    else:
        assert bool(repeated) <= bool(loop.undone)
    assert loop.deaths["taker"] > polls // 10
