# SPDX-License-Identifier: BSD-3-Clause
"""The mails, events and requests that the ledger's tests put in."""

from typing import Any

from ingest.ledger import (
    WORKER_LEASE,
    Arrival,
    Event,
    Ledger,
    Outcome,
    Queued,
    Request,
    Submission,
    Wait,
    Waiting,
)
from ingest.mail.requester import Requester

NOON = 1_700_000_000.0
ENDS = [outcome for outcome in Outcome if outcome is not Outcome.QUEUED]


def arrival(id: str = "a@example.org", *, at: float = NOON, **other: Any) -> Arrival:
    """A mail as a source gives it in."""
    values: dict[str, Any] = {
        "raw": f"Message-ID: <{id}>\n\nRecheck-request: iol-a\n".encode("utf-8", "replace"),
        "identity": f"{id} dev.dpdk.org",
        "message_id": id,
        "list_id": "dev.dpdk.org",
        "source": "test",
        "received": at,
    }
    return Arrival(**{**values, **other})


def request(mail: Queued, series: int = 29430, **other: Any) -> Request:
    """A request as the worker records it."""
    values: dict[str, Any] = {
        "number": 0,
        "mail_id": mail.id,
        "message_id": mail.message_id,
        "series": series,
        "submission": Submission("patch", 131182),
        "project": "dpdk",
        "contexts": ("iol-a", "iol-b"),
        "arguments": {"rebase": "main"},
        "leftovers": (".11",),
        "requester": Requester("Robin Reviewer", "robin@example.org"),
        "subject": "Re: [PATCH] a: fix it",
        "date": NOON - 60,
        "recorded": NOON,
        "received": NOON - 30,
    }
    return Request(**{**values, **other})


def record(ledger: Ledger, name: str, at: float = NOON, **other: Any) -> Request:
    """The request of a new mail of this id, recorded by a worker whose clock says ``at``."""
    ledger.accept(arrival(name))
    mail = claimed(ledger)
    asked = request(mail, **{"recorded": at, **other})
    [new] = ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE, at), [asked])
    return new


def ended(outcome: Outcome, at: float = NOON) -> list[Event]:
    """The story's last step."""
    return [Event(at, outcome.value, {"reason": "so it is"})]


def claimed(ledger: Ledger, now: float = NOON) -> Queued:
    """The mail that the worker takes up."""
    mail = ledger.claim(now, WORKER_LEASE)
    assert mail is not None
    return mail


def finish(ledger: Ledger, mail: Queued, outcome: Outcome, at: float = NOON) -> None:
    """End a mail."""
    ledger.finish(mail, outcome, f"it is {outcome}", ended(outcome, at))


def put_back(ledger: Ledger, mail: Queued, until: float, waiting: Waiting) -> None:
    """Have a mail wait."""
    events = [Event(NOON, "waits", {"until": until})]
    wait = Wait(waiting, since=NOON, tries=mail.wait.tries + 1, begun=NOON, due=until)
    ledger.wait(mail, wait, "it has to wait", events)


def the_outcome(ledger: Ledger, message_id: str) -> Outcome:
    """What became of the one mail of this id."""
    [record] = ledger.find(message_id)
    return record.outcome
