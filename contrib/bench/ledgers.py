# SPDX-License-Identifier: BSD-3-Clause
"""Ledgers with much in them, filled without the sources and Patchwork."""

from collections.abc import Callable
from pathlib import Path

from ingest import worker
from ingest.config import load as config
from ingest.ledger import (
    WORKER_LEASE,
    Arrival,
    Event,
    Ledger,
    Outcome,
    Queued,
    Request,
    Submission,
    open_configured,
)
from ingest.mail.requester import Requester

_AT_ONCE = 20_000  # mails of one commit
BEGAN = 1_700_000_000.0  # when the first mail came, Unix time
_CONTEXTS = tuple(f"iol-{name}-testing" for name in ("unit-amd64", "abi", "intel-Functional"))


def arrival(number: int) -> Arrival:
    """A short mail of its own."""
    name = f"reply-{number}@example.org"
    raw = f"Message-ID: <{name}>\nSubject: Re: [PATCH] one\n\nRecheck-request: bench\n".encode()
    return Arrival(raw, f"{name} dev.dpdk.org", name, "dev.dpdk.org", "bench", BEGAN + number)


def request(number: int, series: int, mail: Queued | None = None) -> Request:
    """What a mail asks for; the number makes its Message-ID and one of its contexts."""
    return Request(
        number=0,
        mail_id=mail.id if mail else 1,
        message_id=f"reply-{number}@example.org",
        series=series,
        submission=Submission("patch", series + 100_000),
        project="dpdk",
        contexts=(*_CONTEXTS, f"bench-{number % 7}"),
        arguments={"rebase": "main"} if number % 5 == 0 else {},
        leftovers=(),
        requester=Requester("Robin Reviewer", "robin@example.org"),
        subject="Re: [PATCH] one",
        date=BEGAN + number,
        recorded=BEGAN + number,
    )


def queue(ledger: Ledger, first: int, last: int) -> None:
    """Queue the mails of these numbers, the last one not included."""
    for begin in range(first, last, _AT_ONCE):
        with ledger.batch():
            for number in range(begin, min(last, begin + _AT_ONCE)):
                ledger.accept(arrival(number))


def finish(ledger: Ledger, number: int, series: int) -> None:
    """Claim the next mail and end it with a request."""
    mail = ledger.claim(BEGAN * 2, WORKER_LEASE)
    assert mail
    event = Event(BEGAN + number, "recorded", {"series": series})
    ledger.finish(mail, Outcome.DONE, "recorded", [event], [request(number, series, mail)])


def record(ledger: Ledger, first: int, last: int, series: int) -> None:
    """The requests of these numbers, the last one not included, for so many series."""
    for begin in range(first, last, _AT_ONCE):
        with ledger.batch():
            for number in range(begin, min(last, begin + _AT_ONCE)):
                ledger.accept(arrival(number))
                finish(ledger, number, number % series)


def opened(folder: Path) -> tuple[Ledger, Callable[[], object]]:
    """A new ledger in a folder, and what publishes its requests to ``retests.json`` there: the
    worker's round with nothing in the queue."""
    settings = config.load({("state", "dir"): str(folder)}, environment={})
    ledger = open_configured(settings.state)
    working = worker.Worker(ledger, worker.connect(settings, ledger), settings)
    return ledger, working.work_off
