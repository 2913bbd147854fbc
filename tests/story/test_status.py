# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of the whole, as values that any printer or page can show."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.background import Trouble
from ingest.config import tables
from ingest.ledger import (
    Aside,
    Cursor,
    Envelope,
    Feed,
    Ledger,
    Outcome,
    Record,
    Waiting,
)
from ingest.policy.scope import Scope
from ingest.signs import Sign
from ingest.story import status as statuses
from ingest.story.consumers import BatchState, ConsumerState
from ingest.story.overview import jsonable
from ingest.words import utc
from tests.support.ledger_values import NOON, arrival, claimed, ended, finish, put_back, request

SETTINGS = tables.Settings()
FILE, HOOK = "json_file:/r.json", "webhook:lab"
SINKS = {FILE: Scope(), HOOK: Scope(("other-*",))}
AT_NOON = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
BATCH = BatchState("night:1-1", "night", 1, 1, (), 2, AT_NOON + timedelta(minutes=5))
CONSUMERS = [
    ConsumerState("arm", 1, NOON),
    ConsumerState("night", 0, 0.0, (BATCH,)),
    ConsumerState("slow", 0, 0),
]


def recorded(ledger: Ledger) -> Record:
    """A mail whose request is in the log."""
    ledger.accept(arrival(envelope=Envelope("list@example.org", ("us@example.org",), "")))
    mail = claimed(ledger)
    asked = [request(mail)]
    ledger.finish(mail, Outcome.DONE, "series 29430: iol-a", ended(Outcome.DONE), asked)
    [record] = ledger.find("a@example.org")
    return record


def server(answered: float = 0.0, **other: Any) -> statuses.Server:
    return statuses.Server(
        "", "https://pw.example.org", utc(answered) if answered else None, **other
    )


def status(
    ledger: Ledger, *troubles: Trouble, answered: float = 0.0, seen: Iterable[Sign] = ()
) -> statuses.Status:
    return statuses.status(
        ledger.totals(),
        CONSUMERS,
        SINKS,
        SETTINGS,
        servers=[server(answered)],
        worked=NOON,
        troubles=troubles,
        asides={FILE: [Aside(FILE, 1, NOON, 1, NOON, "x"), Aside(FILE, 1, NOON, 1, None, "y")]},
        seen=seen,
        now=NOON + 10,
    )


# A source, how many mails, seconds since the last one and of the longest silence before.
SILENCES = [
    ("pipe", 2, 22000, 0, True),
    ("pipe", 2, 22000, 22001, False),
    ("pipe", 2, 21000, 0, False),  # within [signs] silence
    ("pipe", 1, 10**6, 0, False),  # nothing is known of its rhythm yet
    ("replay", 2, 10**6, 0, False),
]


@pytest.mark.parametrize(("source", "mails", "since", "longest", "silent"), SILENCES)
def test_a_list_is_silent_if_it_never_was_for_so_long(
    source: str, mails: int, since: int, longest: int, silent: bool, ledger: Ledger
) -> None:
    last = int(NOON + 10 - since) * 1000
    sign = Sign(source, "dev.example.org", (mails, last, last, longest * 1000))
    (seen,) = status(ledger, seen=[sign]).seen
    assert (seen.silent, seen.mails, seen.list) == (silent, mails, "dev.example.org")


def test_the_status_of_an_empty_ledger_has_nothing_where_there_is_nothing(ledger: Ledger) -> None:
    made = status(ledger)
    assert set(made.mails.values()) == {0}
    assert (made.oldest, made.due, made.last_received, made.patchwork_answered) == (None,) * 4
    assert (made.catch_up, made.sinks, made.troubles, made.requests) == (None, (), (), 0)


def test_the_status_has_queue_sinks_consumers_and_troubles(ledger: Ledger) -> None:
    recorded(ledger)
    for name in ("b", "c"):
        ledger.accept(arrival(name))
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    finish(ledger, claimed(ledger), Outcome.UNRESOLVED)
    ledger.set_cursor(Cursor(FILE, 1, NOON))
    ledger.set_cursor(Cursor("webhook:old", 0, NOON))
    ledger.set_feed(Feed("catch-up", moved=NOON, tries=2, reason="it sleeps"))
    made = jsonable(status(ledger, Trouble("worker", NOON, "the disk is full"), answered=NOON))
    json.dumps(made)
    assert made["now"] == "2023-11-14T22:13:30Z"
    assert {name: n for name, n in made["mails"].items() if n} == {
        "queued": 1,
        "done": 1,
        "unresolved": 1,
    }
    assert made["waiting"] == {"missing": 0, "down": 1, "failing": 0}
    assert (made["oldest"], made["due"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")
    assert made["patchwork_answered"] == made["last_received"] == "2023-11-14T22:13:20Z"
    assert (made["requests"], made["last_request"]) == (1, 1)
    assert [(each["name"], each["configured"], each["lag"]) for each in made["sinks"]] == [
        (FILE, True, 0),
        ("webhook:old", False, 1),
    ]
    assert [(each["name"], each["state"], each["moved"]) for each in made["consumers"]] == [
        ("arm", "at 1", "2023-11-14T22:13:20Z"),
        ("night", "at 0, 1 behind", None),
        ("slow", "at 0, 1 behind", None),
    ]
    assert [(each["id"], each["given"], each["due"]) for each in made["held"]] == [
        ("night:1-1", 2, "2023-11-14T22:18:20Z")
    ]
    assert made["catch_up"] == {
        "moved": "2023-11-14T22:13:20Z",
        "tries": 2,
        "reason": "it sleeps",
    }
    assert made["servers"] == [
        {
            "name": "",
            "url": "https://pw.example.org",
            "answered": "2023-11-14T22:13:20Z",
            "down": None,
            "reason": None,
            "cannot": [],
        }
    ]
    assert (made["worked"], made["other_ledgers"]) == ("2023-11-14T22:13:20Z", [])
    assert made["troubles"] == [
        {"name": "worker", "since": "2023-11-14T22:13:20Z", "reason": "the disk is full"}
    ]
