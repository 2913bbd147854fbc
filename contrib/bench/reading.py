# SPDX-License-Identifier: BSD-3-Clause
"""The rows "pages": how fast `recheck-ingest serve` shows each page, by a ledger of 100,000
requests of the last 300 days, against /healthz of the same process.

A row's target is 50 ms at the median; its ratio is that to /healthz.
"""

import http.client
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import ledgers
from measure import Plan, Row, compared, timed
from servers import free_port, served

from ingest.config import load as config
from ingest.ledger import (
    WORKER_LEASE,
    Event,
    Ledger,
    Outcome,
    Result,
    State,
    open_configured,
)
from ingest.mail.requester import Requester

NOWHERE = "http://127.0.0.1:9"  # no Patchwork
_DAY = 86400.0
_DAYS, _PEOPLE, _PER_SERIES = 300, 500, 4
_AT_ONCE = 5000
_ENDS = (State.SUCCESS, State.FAIL, State.WARNING, State.PENDING, State.CANCELLED)
# Seconds that an answer may take at the median.
_TARGET = 0.05

PAGES = {
    "pages front": "/",
    "pages request": "/requests/{middle}",
    "pages mail": "/mails/reply-{middle}@example.org",
    "pages series": "/series/{series}",
    "pages label": "/labels/iol-abi-testing",
    "pages mails": "/mails",
    "pages attention": "/attention",
    "pages figures": "/stats",
    "pages search often": "/search?q=driver7",
    "pages search once": "/search?q=the+{middle}th+thing",
    "pages search never": "/search?q=nothing+like+this",
    "pages try": "/try",
}


def measure(plan: Plan) -> Iterator[Row]:
    """The rows, in seconds."""
    yield from rows(plan, PAGES)


def rows(plan: Plan, paths: Mapping[str, str]) -> Iterator[Row]:
    """A row for each path, by its name."""
    number = plan.size(100_000, 200)
    middle = number // 2
    with plan.folder() as folder:
        fill(folder, number, time.time())
        port = free_port()
        own = ("--state", str(folder), "--patchwork", NOWHERE, "--http", f"127.0.0.1:{port}")
        with served(port, sys.executable, "-m", "ingest", "serve", *own):
            for name, path in paths.items():
                made = path.format(middle=middle, series=middle // _PER_SERIES)
                yield _row(plan, name, made, port, number)


def _row(plan: Plan, name: str, path: str, port: int, number: int) -> Row:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:

        def get(path: str) -> None:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} is answered {answer.status}")

        for each in (path, "/healthz"):  # what is made once only
            get(each)
        pairs = [
            (timed(lambda: get(path)), timed(lambda: get("/healthz")))
            for _ in range(plan.several(25))
        ]
    row = compared(
        name, f"GET {path}", "/healthz", "s", pairs, note=f"{number} requests in the ledger"
    )
    return replace(row, target=f"<= {_TARGET * 1000:.0f} ms", met=row.ours <= _TARGET)


def fill(folder: Path, number: int, now: float) -> None:
    """A ledger with so many requests up to ``now``, a Unix time, most of them with a result."""
    settings = config.load({("state", "dir"): str(folder)}, environment={})
    with closing(open_configured(settings.state)) as ledger:
        for begin in range(0, number, _AT_ONCE):
            numbers = range(begin, min(begin + _AT_ONCE, number))
            times = [now - (number - each) * _DAYS * _DAY / number for each in numbers]
            with ledger.batch():
                for each, at in zip(numbers, times, strict=True):
                    _record(ledger, each, at)
            for each, at in zip(numbers, times, strict=True):
                state = _ENDS[each % len(_ENDS)]
                ledger.results.tell(
                    Result(each + 1, f"bench-{each % 7}", state, at + 600, "lab", "", "12 of 14")
                )


def _record(ledger: Ledger, number: int, at: float) -> None:
    person = number % _PEOPLE
    name, address = f"Person {person}", f"person{person}@example.org"
    subject = f"Re: [PATCH v{number % 9}] driver{number % 300}: do the {number}th thing"
    ledger.accept(
        replace(
            ledgers.arrival(number),
            received=at - 9,
            author=f"{name} <{address}>",
            subject=subject,
        )
    )
    mail = ledger.claim(at, WORKER_LEASE)
    assert mail
    series = number // _PER_SERIES
    asked = replace(
        ledgers.request(number, series, mail),
        requester=Requester(name, address),
        subject=subject,
        date=at - 60,
        received=at - 9,
        recorded=at,
        list_id="dev.dpdk.org",
    )
    event = Event(at, "recorded", {"series": series})
    ledger.finish(mail, Outcome.DONE, "recorded", [event], [asked])
