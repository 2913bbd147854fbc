# SPDX-License-Identifier: BSD-3-Clause
"""Everything at once: many pipes deliver, mostly copies; workers and some pipes are killed; a
consumer takes the file away; others read it. Nothing may be lost, nothing be there twice.

``RECHECK_TEST_STORM=50x40`` makes it 50 pipes at a time with 40 deliveries each.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from ingest.ledger import open_ledger
from ingest.retests import document as retests
from ingest.sandbox import Sandbox
from tests.support.ledgers import in_environment
from tests.support.mails import reply
from tests.support.parts import require
from tests.support.places import RECORDED
from tests.support.retest_files import take

SUBMISSIONS = [
    ("20230905222317.25821-4-jspewock@iol.unh.edu", "ci.dpdk.org"),
    ("20230905200000.1-1-alex@example.org", "dev.dpdk.org"),
    ("20230905200000.1-2-alex@example.org", "dev.dpdk.org"),
]
LANES, DELIVERIES = map(int, os.environ.get("RECHECK_TEST_STORM", "8x8").split("x"))
COPIES = 4  # deliveries of each mail
READS = 50  # of the document before it is taken
DISCUSSION = 5  # one mail in so many asks for nothing


class Storm:
    """A lab under fire. ``stop`` ends what goes on while mails are delivered."""

    def __init__(self, folder: Path, url: str, ledger_url: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.retests = folder / "retests.json"
        self.over = threading.Event()
        self.mails = [self._mail(number) for number in range(LANES * DELIVERIES // COPIES)]
        self.wanted = {f"c-{n}" for n in range(len(self.mails)) if n % DISCUSSION}
        self.got: list[str] = []
        self.reads: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self.killed = 0
        self._chance = Random(1)
        self._command = [sys.executable, "-m", "ingest"]
        self._flags = ["--patchwork", url, "--state", str(self.state)]
        self._flags += ["--retests", str(self.retests)]
        self.ledger_url = ledger_url
        shared = in_environment(ledger_url, self.retests)
        self._environment = {**os.environ, "RECHECK_INGEST_WORKER_RETRY": "1", **shared}

    @staticmethod
    def _mail(number: int) -> bytes:
        to, list_id = SUBMISSIONS[number % len(SUBMISSIONS)]
        line = f"Recheck-request: c-{number}\n" if number % DISCUSSION else "> Recheck-request: x\n"
        return reply(to, f"{number}@example.org", body=line, list_id=list_id)

    def run(self, *command: str, mail: bytes = b"", timeout: float | None = None) -> int:
        """One command; its exit code, that of a kill if it took longer than ``timeout``."""
        try:
            return subprocess.run(
                [*self._command, *command, *self._flags],
                input=mail,
                capture_output=True,
                env=self._environment,
                timeout=timeout,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL

    def deliver(self, mails: list[bytes], chance: Random) -> None:
        """What a mail server does: try again until it is told that all is well. One delivery in
        ten it ends itself, as if it had lost patience."""
        for mail in mails:
            impatient = chance.random() < 0.1
            code = -1
            while code != 0:
                timeout = chance.random() / 2 if impatient else None
                code = self.run("pipe", mail=mail, timeout=timeout)
                impatient = False
                self.codes[code] += 1
                if code:
                    time.sleep(0.05)

    def kill_workers(self) -> None:
        """Start a worker and kill it a second later, again and again."""
        while not self.over.is_set():
            with subprocess.Popen(
                [*self._command, "work", *self._flags],
                stderr=subprocess.DEVNULL,
                env=self._environment,
            ) as worker:
                time.sleep(1)
                worker.kill()
            self.killed += worker.returncode == -signal.SIGKILL

    def read(self) -> None:
        """Read the document, again and again."""
        while not self.over.is_set():
            with suppress(FileNotFoundError):
                text = self.retests.read_text()
                try:
                    retests.load(text)
                    self.reads["valid"] += 1
                except ValueError:
                    self.reads["invalid"] += 1
            time.sleep(0.002)

    def consume(self) -> None:
        """Take the file away, again and again, as a lab does, when others have read it a while."""
        read = 0
        while not self.over.wait(0.05):
            if self.reads.total() >= read + READS:
                self.take()
                read = self.reads.total()

    def take(self) -> None:
        batch = self.folder / "batch.json"
        self.got += take(str(self.retests), str(batch))
        batch.unlink(missing_ok=True)

    def rage(self) -> None:
        """The storm itself."""
        deliveries = self.mails * COPIES
        self._chance.shuffle(deliveries)
        lanes = [deliveries[lane::LANES] for lane in range(LANES)]
        others = [self.kill_workers, self.read, self.consume]
        with ThreadPoolExecutor(LANES + len(others)) as pool:
            running = [pool.submit(other) for other in others]
            delivering = [
                pool.submit(self.deliver, lane, Random(number)) for number, lane in enumerate(lanes)
            ]
            try:
                for each in delivering:
                    each.result()
            finally:
                self.over.set()
            for each in running:
                each.result()

    def clear_up(self) -> None:
        """What an operator does: have the rest worked off."""
        for _ in range(20):
            assert self.run("retry", "--all") == 0
            assert self.run("work", "--once") == 0
            if not self.queued():
                break
        self.take()

    def queued(self) -> int:
        ledger = open_ledger(self.ledger_url)
        queued = ledger.totals().mails["queued"]
        ledger.close()
        return queued


@pytest.fixture
def storm(tmp_path: Path, ledger_url: str) -> Iterator[Storm]:
    require("flock")
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as sandbox:
        yield Storm(tmp_path, sandbox.url, ledger_url)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_storm_loses_nothing_and_doubles_nothing(storm: Storm) -> None:
    began = time.monotonic()
    storm.rage()
    storm.clear_up()
    seconds = time.monotonic() - began

    ledger = open_ledger(storm.ledger_url)
    outcomes = ledger.totals().mails
    asked = [request.contexts for request in ledger.requests(limit=1_000_000)]
    copies = [len(ledger.find(f"{number}@example.org")) for number in range(len(storm.mails))]
    ledger.close()

    times = Counter(storm.got)
    lost = storm.wanted - times.keys()
    double = {context for context, count in times.items() if count > 1}
    print(
        f"\nstorm: {LANES} pipes at a time, {LANES * DELIVERIES} deliveries of"
        f" {len(storm.mails)} mails in {seconds:.0f} s;"
        f" {storm.killed} workers killed; deliveries by exit code {dict(storm.codes)};"
        f" {storm.reads.total()} reads, {storm.reads['valid']} valid;"
        f" {len(times)} requests handed out; lost {len(lost)}, double {len(double)}"
    )
    assert (lost, double) == (set(), set())
    assert times.keys() == storm.wanted, "and nothing that nobody asked for"
    assert sorted(asked) == sorted((context,) for context in storm.wanted)
    assert copies == [1] * len(storm.mails)
    assert outcomes["done"] == len(storm.wanted)
    assert outcomes["ignored"] == len(storm.mails) - len(storm.wanted)
    assert storm.codes.keys() <= {0, 75, -signal.SIGKILL}
    assert storm.reads["invalid"] == 0
    assert storm.reads["valid"], "the document was read meanwhile"
    assert storm.killed
