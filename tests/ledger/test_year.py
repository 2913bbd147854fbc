# SPDX-License-Identifier: BSD-3-Clause
"""A year of a busy list in the ledger: what stays of it, and that no step takes longer for it.

By default a hundredth of it. ``RECHECK_TEST_YEAR=1 pytest -s tests/ledger/test_year.py`` takes a
year of 1,000,000 ignored mails and 100,000 requests, and prints figures.
"""

import hashlib
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.config.tables import StateSettings
from ingest.ledger import WORKER_LEASE, Arrival, Event, Keep, Ledger, Outcome, open_ledger
from tests.support.clock import DAY
from tests.support.ledger_values import NOON, request

FULL = os.environ.get("RECHECK_TEST_YEAR") == "1"
DAYS = 365
IGNORED_A_DAY, REQUESTS_A_DAY = (2740, 274) if FULL else (27, 3)
STATE = StateSettings()
WORDS = random.Random(7).choices([f"word{number}" for number in range(5000)], k=20_000)


def letter(number: int) -> Arrival:
    """A mail of three kilobytes, as it is on a list."""
    begin = number % 19_000
    name = f"{number}.recheck-{number}@lists.example.org"
    raw = (
        f"From: Robin Reviewer <robin{number % 500}@example.org>\nMessage-ID: <{name}>\n"
        f"List-Id: <dev.dpdk.org>\n\nRecheck-request: iol-a\n{' '.join(WORDS[begin : begin + 350])}"
    )
    digest = hashlib.sha256(raw.encode()).hexdigest()[:24]
    return Arrival(raw.encode(), digest, name, "dev.dpdk.org", "lmtp [192.0.2.1]:25", NOON)


def worked_off(ledger: Ledger, asks: int, now: float) -> None:
    """Every queued mail ends; of each that is a multiple of ``asks`` a request is recorded."""
    while ledger.next_due() is not None:
        with ledger.batch():
            for _ in range(500):
                mail = ledger.claim(now, WORKER_LEASE)
                if mail is None:
                    break
                number = int(mail.message_id.partition(".")[0])
                if number % asks:
                    reason = "it has no Recheck-request line; this line is close, but not a request"
                    end = Event(now, "ignored", {"reason": reason})
                    ledger.finish(mail, Outcome.IGNORED, reason, [end])
                    continue
                question = "patch <20230905222317.25821-4-alex@example.org> in dpdk"
                steps = [
                    Event(now, "asked", {"question": question, "answer": "patch 131182"}),
                    Event(now, "recorded", {"series": 29430}),
                ]
                asked = request(mail, number, recorded=now, received=now, date=now)
                reason = f"series {number}: iol-a, iol-b, rebase=main"
                ledger.finish(mail, Outcome.DONE, reason, steps, [asked])


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Every connection to a file that is made."""
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembered(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    return made


class Year:
    """A year of mail, taken in day by day by a ledger that is pruned as the worker does."""

    def __init__(self, path: Path, connections: list[sqlite3.Connection]) -> None:
        self.path = path
        self.ledger = open_ledger(f"sqlite:{path}")
        self._connection = connections[-1]
        self.now = NOON
        self.number = 0
        self.asks = (IGNORED_A_DAY + REQUESTS_A_DAY) // REQUESTS_A_DAY

    def day(self) -> None:
        mails = IGNORED_A_DAY + REQUESTS_A_DAY
        arrivals = [letter(self.number + each) for each in range(mails)]
        self.number += mails
        self.ledger.accept_all([_at(each, self.now) for each in arrivals])
        worked_off(self.ledger, self.asks, self.now)
        self.now += DAY
        self.prune()

    def prune(self) -> None:
        keep = Keep(
            raw=self.now - STATE.keep_days * DAY,
            ignored=self.now - STATE.keep_ignored_days * DAY,
            raw_bytes=STATE.keep_raw,
        )
        self.ledger.prune(keep, self.now)

    def work(self) -> dict[str, int]:
        """How many steps SQLite takes for what is done with one mail, and for ``status``."""
        mail = _at(letter(self.number), self.now)
        self.number += 1
        steps = {"accept": self._steps(lambda: self.ledger.accept(mail))}
        steps["accept a copy"] = self._steps(lambda: self.ledger.accept(mail))
        steps["claim and finish"] = self._steps(lambda: worked_off(self.ledger, 1, self.now))
        steps["status"] = self._steps(self.ledger.totals)
        steps["prune"] = self._steps(self.prune)
        return steps

    def seconds(self, rounds: int = 200) -> dict[str, float]:
        """Milliseconds that these take."""

        def accept() -> None:
            self.ledger.accept(_at(letter(self.number), self.now))
            self.number += 1

        def all_of(call: Callable[[], object]) -> float:
            begun = time.perf_counter()
            for _ in range(rounds):
                call()
            return 1000 * (time.perf_counter() - begun) / rounds

        taken = {"accept": all_of(accept)}
        begun = time.perf_counter()
        worked_off(self.ledger, 1, self.now)
        taken["claim and finish"] = 1000 * (time.perf_counter() - begun) / rounds
        taken["status"] = all_of(self.ledger.totals)
        return taken

    def _steps(self, call: Callable[[], object]) -> int:
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        self._connection.set_progress_handler(step, 1)
        call()
        self._connection.set_progress_handler(None, 0)
        return steps

    def sizes(self) -> dict[str, int]:
        """Bytes of the file, of its free pages, and of each table with its indices."""
        with closing(sqlite3.connect(self.path)) as database:
            rows = database.execute(
                "SELECT coalesce(tbl_name, dbstat.name), sum(pgsize) FROM dbstat"
                " LEFT JOIN sqlite_master ON sqlite_master.name = dbstat.name GROUP BY 1"
            ).fetchall()
            page, free = (
                int(database.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_size", "freelist_count")
            )
        return {**dict(rows), "free": page * free, "file": self.path.stat().st_size}


def _at(arrival: Arrival, now: float) -> Arrival:
    values = {name: getattr(arrival, name) for name in ("raw", "identity", "message_id")}
    return Arrival(
        **values, list_id=arrival.list_id, source=arrival.source, received=now,
        sender=f"robin{len(arrival.raw) % 97}@example.org",
    )  # fmt: skip


@pytest.fixture
def year(quick_path: Path, connections: list[sqlite3.Connection]) -> Iterator[Year]:
    made = Year(quick_path / "ledger.sqlite", connections)
    yield made
    made.ledger.close()


@pytest.mark.slow
@pytest.mark.timeout(3600 if FULL else 120)
def test_of_a_year_of_mail_little_stays_and_no_step_takes_longer(year: Year) -> None:
    for _ in range(100):  # the first ignored mails have gone
        year.day()
    early, early_seconds = year.work(), year.seconds()
    early_size = year.sizes()["file"]
    for _ in range(100, DAYS):
        year.day()
    late, late_seconds = year.work(), year.seconds()
    sizes = year.sizes()
    totals = year.ledger.totals()
    # Copies of what went long ago are known.
    assert year.ledger.accept(_at(letter(1), year.now)) == (0, False)
    for name, steps in late.items():
        assert steps <= 1.3 * early[name] + 20, name
    # The mails of 90 days are there, and all requests.
    ignored, requests = totals.mails["ignored"], totals.requests
    assert ignored <= (STATE.keep_ignored_days + 1) * (IGNORED_A_DAY + 1)
    assert requests >= DAYS * REQUESTS_A_DAY
    year.now += (STATE.keep_ignored_days + 1) * DAY
    year.prune()
    assert year.ledger.totals().mails["ignored"] == 0
    rest = year.sizes()
    gone = year.number - year.ledger.totals().mails["done"]
    of_ignored = rest["known"] / gone
    of_request = sum(rest[each] for each in ("mail", "request", "result")) / requests
    if FULL:
        print(f"\n{gone} ignored mails, {requests} requests in {DAYS} days; steps {early} {late}")
        print(f"ms on day 100 {early_seconds}\nms on day 365 {late_seconds}")
        print(f"bytes of the file on day 100 {early_size}, on day 365 {sizes['file']}: {sizes}")
        print(f"bytes later {rest}: {of_ignored:.0f} an ignored mail, {of_request:.0f} a request")
    assert of_ignored < 100
    assert of_request < 3000
    assert rest["file"] <= 1.1 * sizes["file"]
