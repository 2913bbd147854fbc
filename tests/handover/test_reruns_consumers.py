# SPDX-License-Identifier: BSD-3-Clause
"""Consumers that poll ``reruns`` and keep its timestamp, whatever happens to them, to the clock
and to the mail meanwhile: which requests they act upon, and how often."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from pathlib import Path

import pytest

from ingest import files
from ingest.commands import flag_values
from ingest.config.tables import Settings
from ingest.handover import reruns
from ingest.ledger import Ledger, Outcome, Queued, open_ledger
from ingest.retests import document as retests
from tests.support.clock import HOUR, Clock
from tests.support.crashes import Commands, Ended, Place
from tests.support.ledger_values import arrival, claimed, ended, record, request
from tests.support.places import ROOT

CONTEXT = "iol-a"


class Step(Enum):
    """Where a consumer can be killed."""

    BEFORE = "before the call"
    PROMISED = "after the promise, before the output is written"
    WRITTEN = "after the output is written, before it is acted upon"
    ACTED = "after that, before the new timestamp is kept"
    KEPT = "after the new timestamp is kept"


def as_it_is(timestamp: str) -> str:
    return timestamp


def cut(timestamp: str) -> str:
    """As a lab does that compares with ``strptime`` and ``%S``."""
    return timestamp.partition(".")[0]


def cut_as_by_date(timestamp: str) -> str:
    """As ``date -d`` prints it with ``'+%F %T'``."""
    return cut(timestamp).replace("T", " ")


class World:
    """Mails that arrive at random, in a time that is not always right."""

    def __init__(self, ledger: Ledger, clock: Clock, seed: int) -> None:
        self.ledger = ledger
        self.clock = clock
        self.random = random.Random(seed)
        self.recorded: list[str] = []
        self._in_hand: list[tuple[Queued, str, float]] = []
        self._begun = clock()
        self._count = 0

    def happens(self) -> None:
        """Time passes, the clock is set, mails come: nothing much, mostly."""
        chance = self.random
        self.clock += chance.choice([0.0, 0.001, 0.2, 0.7, 1.0, 30.0, 300.0])
        if chance.random() < 0.01:
            self.clock += chance.choice([-0.4, -1.0, -3.0, -2 * HOUR, 3 * HOUR])
        for _ in range(chance.choice([1, 1, 1, 2, 20]) if chance.random() < 0.02 else 0):
            self.clock += chance.choice([0.0, 0.0001, 0.3])
            self._begin()
            if chance.random() < 0.8:
                self._end()
        if chance.random() < 0.01:
            self.ends_all()

    def mail_comes(self) -> None:
        self._begin()
        self._end()

    def ends_all(self) -> None:
        while self._in_hand:
            self._end()

    def _begin(self) -> None:
        """A mail is taken up; what the worker takes down as its time is the time of now."""
        if self.recorded and self.random.random() < 0.1:
            name = self.random.choice(self.recorded)  # a copy, of another list
        else:
            self._count += 1
            name = str(self._count)
        identity = f"{name} {self.random.random()}"
        self.ledger.accept(arrival(name, identity=identity, at=self._begun - 9 * HOUR))
        self._in_hand.append((claimed(self.ledger, self._begun), name, self.clock()))

    def _end(self) -> None:
        """A mail is worked off, any one."""
        mail, name, at = self._in_hand.pop(self.random.randrange(len(self._in_hand)))
        chance = self.random
        asked = request(
            mail,
            int(name),
            contexts=() if int(name) % 5 == 0 else (CONTEXT, "not-here"),
            date=at - chance.choice([0.0, 60.0, 5000 * HOUR, -HOUR]),
            recorded=at,
        )
        for new in self.ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE, at), [asked]):
            self.recorded.append(str(new.series))


class Consumer:
    """A job that polls, is killed at times, and begins anew with the timestamp that it kept."""

    def __init__(
        self, world: World, folder: Path, keep: Callable[[str], str], *, mortal: bool
    ) -> None:
        self._world = world
        self._output = folder / "rerun_requests.json"
        self._keep = keep
        self._mortal = mortal
        self._kept = keep(retests.stamp(world.clock()))
        self.kills: Counter[Step] = Counter()
        self.acted: Counter[str] = Counter()
        self.died_with: Counter[str] = Counter()

    def polls_undisturbed(self) -> None:
        for _ in self._steps():
            pass

    def polls(self) -> None:
        end = None
        if self._mortal and self._world.random.random() < 0.4:
            end = self._world.random.choice(list(Step))
            self.kills[end] += 1
        for step in self._steps():
            if step is end:
                break
            self._world.happens()

    def _steps(self) -> Iterator[Step]:
        yield Step.BEFORE
        world = self._world
        since = flag_values.moment(self._kept)
        document = reruns.document(world.ledger, since, [CONTEXT], Settings(), now=world.clock())
        yield Step.PROMISED
        files.write_out(str(self._output), retests.dump(document))
        yield Step.WRITTEN
        document = json.loads(self._output.read_text())
        given = list(document["retests"])
        self.acted.update(given)
        self.died_with.update(given)
        yield Step.ACTED
        if document["last_comment_timestamp"] is not None:
            self._kept = self._keep(document["last_comment_timestamp"])
        self.died_with.subtract(given)
        yield Step.KEPT


@pytest.mark.slow
def test_in_many_polls_no_consumer_loses_a_request_or_gets_it_again_without_need(
    ledger: Ledger, ledger_kind: str, clock: Clock, quick_path: Path
) -> None:
    polls = {"sqlite": 1000, "postgresql": 250}[ledger_kind]  # there each takes longer
    world = World(ledger, clock, seed=1)
    consumers = [
        Consumer(world, make_folder(quick_path, f"{keep.__name__} {mortal}"), keep, mortal=mortal)
        for keep in (as_it_is, cut, cut_as_by_date)
        for mortal in (False, True)
    ]
    for each in consumers:
        each.polls_undisturbed()
    clock += -HOUR
    world.mail_comes()
    for _ in range(polls):
        for each in consumers:
            each.polls()
    world.ends_all()
    for each in consumers:
        each.polls_undisturbed()

    assert len(world.recorded) == len(set(world.recorded)) > polls
    for each in consumers:
        assert each.acted.keys() >= set(world.recorded)
        # Once more for each time that it died having acted, and not having kept the timestamp.
        assert each.acted == Counter(world.recorded) + each.died_with
    mortals = [each for each in consumers if each.kills]
    assert len(mortals) == 3
    for each in mortals:
        assert min(each.kills[step] for step in Step) > polls / 50
        assert each.died_with.total() > polls / 50
    for each in consumers:
        assert each in mortals or each.died_with.total() == 0


def make_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


class Job:
    """A consumer that runs the real command, and of which each run may be the last."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "rerun_requests.json"
        url = f"sqlite:{folder}/ledger.sqlite"
        self.environment = {**os.environ, "RECHECK_INGEST_STATE_LEDGER": url}
        self.ledger = open_ledger(url)
        self.recorded: list[str] = []
        self._kept = cut(retests.stamp(time.time() - HOUR))
        self.acted: Counter[str] = Counter()
        self.died_with: Counter[str] = Counter()

    def request_comes(self) -> None:
        number = len(self.recorded) + 1
        record(self.ledger, str(number), time.time(), series=number, contexts=(CONTEXT,))
        self.recorded.append(str(number))

    def command(self) -> list[str]:
        """What it runs, when nothing of the last time is there."""
        self._output.unlink(missing_ok=True)
        output = ["--contexts", CONTEXT, "-o", str(self._output), "--multipage"]
        return ["reruns", "--time-since", self._kept, *output]

    def acts(self, *, dies: bool = False) -> None:
        """What it does with the output if there is any, however the command ended."""
        if not self._output.exists():
            return
        document = retests.load(self._output.read_text())
        self.acted.update(list(document["retests"]))
        if dies:
            self.died_with.update(list(document["retests"]))
        elif document["last_comment_timestamp"]:
            self._kept = cut(document["last_comment_timestamp"])

    def has_it_all(self) -> bool:
        """Each request once, and once more for each time that it died having acted upon it."""
        return self.acted == Counter(self.recorded) + self.died_with


@pytest.fixture
def job(quick_path: Path) -> Iterator[Job]:
    made = Job(quick_path)
    yield made
    made.ledger.close()


@pytest.mark.slow
def test_a_command_that_is_killed_at_random_moments_loses_nothing(job: Job) -> None:
    chance = random.Random(1)
    codes: Counter[int] = Counter()
    longest = 0.0
    for poll in range(24):
        job.request_comes()
        begun = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "ingest", *job.command()], cwd=ROOT, env=job.environment
        ) as process:
            job.request_comes()
            if poll % 4:
                time.sleep(longest * chance.uniform(0.3, 1.0))
                process.kill()
        if process.returncode == 0:
            longest = max(longest, time.monotonic() - begun)
        codes[process.returncode] += 1
        job.acts(dies=chance.random() < 0.3)
    with subprocess.Popen(
        [sys.executable, "-m", "ingest", *job.command()], cwd=ROOT, env=job.environment
    ) as process:
        pass
    job.acts()
    assert codes.keys() == {0, -signal.SIGKILL}
    assert job.died_with
    assert job.has_it_all()


@pytest.mark.slow
def test_a_command_that_is_killed_anywhere_in_its_code_loses_nothing(job: Job) -> None:
    begin = Place("commands/entries/handing_over.py", "document = reruns.document(")
    with Commands() as commands:

        def poll(die: int | None = None) -> Ended:
            job.request_comes()
            return commands.run(
                *job.command(), environment=job.environment, die=die, count_from=begin
            )

        for line in count(1, 3):
            killed = poll(line).killed
            job.acts(dies=not job.died_with)  # the first time that there is output, and lives then
            if line % 5 == 0:  # what has come is never much, nor are the lines that it takes
                poll()
                job.acts()
            if not killed:
                break
        assert poll().output == ""
        job.acts()
    assert line > 100, "so many lines there are at least"
    assert job.died_with
    assert job.has_it_all()
