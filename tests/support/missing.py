# SPDX-License-Identifier: BSD-3-Clause
"""What a reply costs whose patch is not there, at each kind of server: at the first attempt, and in
a day of attempts until it is given up.

As a program, ``python -m tests.support.missing 5000``, it prints a table for so many patches.
"""

import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest import intake
from ingest.config import tables
from ingest.ledger import Ledger, open_ledger
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import CI, DPDK, Sandbox
from ingest.worker import Worker
from tests.support.clock import DAY, Clock
from tests.support.mails import patch, reply
from tests.support.questions import DEV
from tests.support.sixty import KINDS

BEGIN = datetime(2023, 9, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cost:
    """Questions and seconds of the first attempt, and of all until the mail was given up."""

    first: int
    first_seconds: float
    day: int
    day_seconds: float
    attempts: int
    outcome: str


def filled(kind: str, count: int) -> Sandbox:
    """A sandbox with so many patches, one in five minutes."""
    box = Sandbox(projects=(DPDK, CI), **KINDS[kind])
    for number in range(count):
        sent = (BEGIN + timedelta(minutes=5 * number)).strftime("%d %b %Y %H:%M:%S +0000")
        box.file(patch(f"p-{number}@x.org", f"[PATCH] area{number}: fix the case", date=sent))
    return box


def connected(url: str, ledger: Ledger, clock: Clock) -> Patchwork:
    return Patchwork(tables.PatchworkSettings(url), ledger, clock=clock)


def cost(box: Sandbox, ledger: Ledger) -> Cost:
    """What a reply costs to a patch that is not there, and whose title is no patch's."""
    clock = Clock((BEGIN + timedelta(days=30)).timestamp())
    subject = "Re: [PATCH v2 1/3] net/void: remove what never was"
    sent = (BEGIN + timedelta(days=30)).strftime("%d %b %Y %H:%M:%S +0000")
    id = "20230930235900.17-2-nobody@x.org"
    raw = reply(id, "asks@x.org", subject=subject, list_id=DEV, date=sent, references=(id,))
    with box, closing(connected(box.url, ledger, clock)) as patchwork:
        settings = tables.Settings(tables.PatchworkSettings(box.url))
        patchwork.projects()
        worker = Worker(ledger, patchwork, settings, clock=clock, chance=lambda: 0.5)
        intake.accept(raw, "test", ledger=ledger, now=clock(), max_size=1 << 20)
        box.requests.clear()
        begun, attempts = time.perf_counter(), 0
        first, first_seconds = 0, 0.0
        until = clock() + 2 * DAY
        while (due := ledger.next_due()) is not None and due < until:
            clock.now = max(clock.now, due)
            worker.work_off()
            attempts += 1
            if attempts == 1:
                first, first_seconds = len(box.requests), time.perf_counter() - begun
        [record] = ledger.find("asks@x.org")
        day_seconds = time.perf_counter() - begun
        return Cost(
            first, first_seconds, len(box.requests), day_seconds, attempts, str(record.outcome)
        )


def main(count: int) -> None:
    print("| server | first attempt | ms | until given up | ms | attempts | outcome |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
            it = cost(filled(kind, count), ledger)
            ledger.close()
        times = f"{1000 * it.first_seconds:.0f} | {it.day} | {1000 * it.day_seconds:.0f}"
        print(f"| {kind} | {it.first} | {times} | {it.attempts} | {it.outcome} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
