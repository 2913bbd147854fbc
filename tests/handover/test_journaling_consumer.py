# SPDX-License-Identifier: BSD-3-Clause
"""A consumer of the habits of LoongSon's tools/recheck.py: it asks from the time that it kept, cut
to seconds, or 12 hours back; it reads whatever file lies there; and it skips what its journal has
by series and second. By every way of handing over it acts on each request exactly once."""

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from ingest import files
from ingest.commands import flag_values
from ingest.handover import reruns
from ingest.retests import document as retests
from tests.support.clock import HOUR
from tests.support.desk import HOLD, Desk

POLLS = 20
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]


class Killed(BaseException):
    """The end of a process, here of one that hands over."""


class Consumer:
    """The job, its journal and its file. It is killed between any two of its steps, and what it
    has not written down by then it has forgotten."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        self.desk = desk
        self.batch = desk.folder / "batch.json"
        self.acted: Counter[str] = Counter()
        self.wanted: list[str] = []
        self.kills = 0
        self._kept: str | None = None
        self._journal: set[tuple[str, str]] = set()
        self._chance = chance
        self._mortal = True

    def lives_on(self) -> None:
        """From now on nobody kills it."""
        self._mortal = False

    def polls(self, hand_over: "Way") -> None:
        """One run of the job: it acts on the file that lies there, which one that was killed may
        have left, and then on what there is since."""
        try:
            for asks in (False, True):
                self.may_die()
                if asks:
                    hand_over(self)
                    self.may_die()
                self._reads()
                if hand_over is held:
                    self._confirms()
        except Killed:
            self.kills += 1

    def writes(self, text: str) -> None:
        """What hands over writes the file, and may be killed before and behind that."""
        self.may_die()
        files.write_out(str(self.batch), text)
        self.may_die()

    def may_die(self) -> None:
        """A place where it is killed at times."""
        if self._mortal and self._chance.random() < 0.1:
            raise Killed

    def since(self) -> float:
        """From when on it asks."""
        earliest = self.desk.clock() - 12 * HOUR
        return max(flag_values.moment(self._kept), earliest) if self._kept else earliest

    def _reads(self) -> None:
        if not self.batch.exists():
            return
        document = json.loads(self.batch.read_text())
        if not document["retests"]:
            return
        second = document["last_comment_timestamp"].partition(".")[0]
        for series, entry in document["retests"].items():
            if (series, second) in self._journal:
                continue
            self._journal.add((series, second))
            self.acted.update(entry["contexts"])
            self.may_die()
        self._kept = second

    def _confirms(self) -> None:
        self.may_die()
        if self.batch.exists() and (id := json.loads(self.batch.read_text())["batch"]):
            self.desk.acknowledges(id)


Way = Callable[[Consumer], None]


def moved(consumer: Consumer) -> None:
    """The file that a service fills, moved away as the guide has it, though the old one stays."""
    desk, rename = consumer.desk, os.replace

    def replace(new: Path, file: Path) -> None:
        """The service, too, is killed: before, or behind, the moment at which its file is there."""
        consumer.may_die()
        rename(new, file)
        consumer.may_die()

    with patch.object(os, "replace", replace):
        desk.publishes()
    subprocess.run(
        ["flock", f"{desk.retests}.lock", "mv", str(desk.retests), str(consumer.batch)],
        check=False,
        stderr=subprocess.DEVNULL,
    )


def taken(consumer: Consumer) -> None:
    consumer.desk.takes(output=consumer.writes)


def taken_by_name(consumer: Consumer) -> None:
    consumer.desk.takes("lab", output=consumer.writes)


def held(consumer: Consumer) -> None:
    consumer.desk.takes("lab", hold=True, output=consumer.writes)


def held_from_the_file(consumer: Consumer) -> None:
    consumer.desk.takes(hold=True, output=consumer.writes)


def asked(consumer: Consumer) -> None:
    with consumer.desk.opened() as ledger:
        document = reruns.document(
            ledger,
            consumer.since(),
            consumer.wanted,
            consumer.desk.settings,
            now=consumer.desk.clock(),
        )
    consumer.writes(retests.dump(document))


WAYS: dict[str, Way] = {
    "flock mv": moved,
    "take": taken,
    "take --consumer": taken_by_name,
    "take --hold": held,
    "reruns": asked,
}


def comes(consumer: Consumer, chance: random.Random) -> None:
    """Mails come between two polls: none, or several, some of one second, some that a moderator
    has held for days; and the clock is not always right."""
    desk = consumer.desk
    for _ in range(chance.choice([0, 0, 1, 2, 5])):
        desk.clock += chance.choice([0.0, 0.0, 0.3, 1.0, 40.0])
        label = f"l-{len(consumer.wanted)}"
        late = chance.choice([0.0, 0.0, 240 * HOUR, 5000 * HOUR])
        desk.asks(label, series=chance.randint(1, 3), after=-late)
        consumer.wanted.append(label)
    desk.clock += chance.choice([0.0, 0.2, 60.0, HOLD, -2.0])


def ran(folder: Path, way: Way, seed: int) -> Consumer:
    chance = random.Random(seed)
    consumer = Consumer(Desk(folder), chance)
    for _ in range(POLLS):
        comes(consumer, chance)
        consumer.polls(way)
    consumer.lives_on()
    for _ in range(4):  # what was held is given again, and what was newer then
        consumer.desk.clock += HOLD
        consumer.polls(way)
    return consumer


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", WAYS)
def test_everything_is_acted_on_exactly_once(quick_path: Path, way: str, seed: int) -> None:
    consumer = ran(quick_path, WAYS[way], seed)
    assert len(consumer.wanted) > POLLS / 2
    assert consumer.acted == Counter(consumer.wanted)
    assert consumer.kills > 1 or seed != 0, "they are killed often enough"


def test_every_document_carries_a_later_second_whatever_the_way(quick_path: Path) -> None:
    """The ways hand over the same requests, which are new to each."""
    desk = Desk(quick_path)
    consumer = Consumer(desk, random.Random(0))
    consumer.lives_on()
    seconds: list[str] = []
    rounds: list[list[Way]] = [
        [taken_by_name, asked, taken],
        [asked, held, moved],
        [held_from_the_file, taken_by_name, asked],
    ]
    for number, ways in enumerate(rounds):
        desk.asks(f"l-{number}", after=-number * HOUR)
        consumer.wanted.append(f"l-{number}")
        for way in ways:
            way(consumer)
            document = json.loads(consumer.batch.read_text())
            assert document["retests"], way
            seconds.append(document["last_comment_timestamp"])
    assert all(second.endswith(".000000") for second in seconds)
    assert seconds == sorted(set(seconds))
