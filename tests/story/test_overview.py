# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of a mail, as values that any printer or page can show."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.config import tables
from ingest.ledger import (
    Cursor,
    Envelope,
    Event,
    Ledger,
    Outcome,
    Record,
    Result,
    State,
    Waiting,
)
from ingest.policy.scope import Scope
from ingest.story import overview as story
from ingest.story.consumers import BatchState, ConsumerState
from ingest.story.overview import jsonable
from tests.support.ledger_values import (
    NOON,
    arrival,
    claimed,
    ended,
    put_back,
    request,
)
from tests.support.places import DATA

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


RESULT = Result(1, "iol-a", State.SUCCESS, NOON, "lab", "https://lab.example.org/1")


def told(record: Record, *cursors: Cursor) -> story.Story:
    results = [replace(RESULT, request=number) for number in (1, 2)]
    return story.story_of(record, cursors, CONSUMERS, SINKS, SETTINGS, NOON, results)


def test_the_story_of_a_mail_has_all_that_there_is_to_tell(ledger: Ledger) -> None:
    record = recorded(ledger)
    made = told(record, Cursor(FILE, 1), Cursor(HOOK, 1), Cursor("catch-up", 1))
    [asked] = record.requests
    golden = json.loads((DATA / "golden" / "story.json").read_text())
    golden["requests"][0]["id"] = asked.id
    assert jsonable(made) == golden


def test_what_is_not_there_is_none(ledger: Ledger) -> None:
    ledger.accept(arrival("", list_id=""))
    [record] = ledger.find("mail-1")
    made = told(record)
    assert made.name == f"mail-{record.id}"
    assert (made.message_id, made.list_id, made.envelope, made.reason) == (None,) * 4
    assert made.due == AT_NOON


def test_a_wait_is_told_with_the_time_until_which_it_lasts(ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.MISSING)
    [record] = ledger.find("a@example.org")
    made = told(record)
    assert made.due == AT_NOON + timedelta(minutes=1)
    step = jsonable(made.story[-1])
    assert step["details"]["until"] == "2023-11-14T22:14:20Z"


STEPS = {
    "a question": (
        Event(NOON, "asked", {"question": "patch <a>", "answer": "unknown"}),
        "patch <a> → unknown",
    ),
    "a reason": (Event(NOON, "waits", {"reason": "it sleeps", "until": NOON}), "it sleeps"),
    "other particulars": (Event(NOON, "recorded", {"series": 7, "again": 1}), "series 7, again 1"),
    "none": (Event(NOON, "queued again", {}), ""),
    "a result": (
        Event(NOON, "result", {"request": 1, "label": "iol-a", "state": "fail", "author": "lab"}),
        "iol-a fail, by lab",
    ),
    "a result of arguments": (
        Event(NOON, "result", {"label": "", "state": "fail", "url": "u", "summary": "3 of 9"}),
        "arguments fail: 3 of 9 (u)",
    ),
}


@pytest.mark.parametrize(("event", "text"), STEPS.values(), ids=STEPS)
def test_a_step_is_told_in_words(event: Event, text: str, ledger: Ledger) -> None:
    record = replace(recorded(ledger), story=(event,))
    assert [(step.what, step.text) for step in told(record).story] == [(event.what, text)]


def test_a_date_that_no_calendar_has_is_told_as_the_nearest(ledger: Ledger) -> None:
    record = recorded(ledger)
    odd = replace(record.requests[0], date=1e15)
    [asked] = told(replace(record, requests=(odd,))).requests
    assert jsonable(asked)["date"] == "9999-12-31T23:59:59Z"
