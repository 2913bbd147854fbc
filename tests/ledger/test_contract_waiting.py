# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with what waits, what is old, cursors, answers and totals."""

from dataclasses import replace

import pytest

from ingest.ledger import Cursor, Event, Keep, Ledger, Outcome, Wait, Waiting, open_ledger
from tests.support.ledger_values import (
    ENDS,
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    put_back,
    request,
    the_outcome,
)

# Waiting, and trying again


def test_a_mail_that_waits_says_what_for_since_when_and_how_often(ledger: Ledger) -> None:
    ledger.accept(arrival())
    events = [Event(NOON + 5, "waits", {"until": NOON + 65})]
    mail = claimed(ledger)
    wait = Wait(Waiting.MISSING, NOON + 5, 3, NOON + 35, NOON + 65, waited=30.0, missing=10.0)
    ledger.wait(mail, wait, "not there", events)
    assert claimed(ledger, NOON + 65).wait == wait
    [record] = ledger.find("a@example.org")
    assert (record.outcome, record.reason, record.due) == (Outcome.QUEUED, "not there", NOON + 65)
    assert record.story[1:] == tuple(events)


def test_the_retry_schedule_survives_a_restart(url: str, ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    ledger.close()
    again = open_ledger(url)
    assert again.next_due() == NOON + 60
    assert claimed(again, NOON + 60).wait.tries == 1
    again.close()


@pytest.mark.parametrize("outcome", [Outcome.UNRESOLVED, Outcome.FAILED])
def test_a_mail_that_was_given_up_can_be_queued_again(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON, Waiting.MISSING)
    finish(ledger, claimed(ledger), outcome)
    assert ledger.retry(["a@example.org"], NOON + 100) == 1
    began = NOON + 100
    assert claimed(ledger, began).wait == Wait(since=began, begun=began, due=began)
    [record] = ledger.find("a@example.org")
    assert record.story[-1] == Event(NOON + 100, "queued again", {})


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.IGNORED, Outcome.REJECTED])
def test_a_mail_that_is_dealt_with_is_not_queued_again(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), outcome)
    assert ledger.retry(None, NOON) == 0
    assert the_outcome(ledger, "a@example.org") is outcome


def test_a_mail_that_waits_can_be_made_due_now(ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 3600, Waiting.DOWN)
    assert ledger.retry(["a@example.org"], NOON + 1) == 1
    assert claimed(ledger, NOON + 1).message_id == "a@example.org"


def test_a_wait_that_begins_in_the_future_is_over(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.accept(arrival(name))
    put_back(ledger, claimed(ledger), NOON + 3600, Waiting.DOWN)
    assert ledger.hasten(NOON) == 0
    assert ledger.next_due() == NOON  # of the other one
    claimed(ledger)
    # The clock was set back by a day since; what came and what waits is due.
    ledger.accept(arrival("c", at=NOON + 10))
    assert ledger.hasten(NOON - 86400) == 3
    assert ledger.next_due() == NOON - 86400
    assert [claimed(ledger, NOON - 86400).wait.tries for _ in range(2)] == [0, 1]
    assert ledger.hasten(NOON - 86400) == 0


def test_only_the_named_mails_are_tried_again(ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        ledger.accept(arrival(name))
        finish(ledger, claimed(ledger), Outcome.UNRESOLVED)
    assert ledger.retry(["a", "c", "a", "unknown"], NOON) == 2
    assert the_outcome(ledger, "b") is Outcome.UNRESOLVED


def test_every_mail_is_called_by_its_number(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    id, _ = ledger.accept(arrival(""))
    ledger.accept(arrival("mail-1"))
    assert [record.id for record in ledger.find(f"mail-{id}")] == [id]
    # Nobody can hide a mail by a Message-ID that looks like its number.
    assert [record.message_id for record in ledger.find("mail-1")] == ["a", "mail-1"]
    for _ in range(3):
        finish(ledger, claimed(ledger), Outcome.FAILED)
    assert ledger.retry([f"mail-{id}"], NOON) == 1
    assert claimed(ledger).id == id
    assert [ledger.find(each) for each in ("mail-0", "mail-", "mail-x", "mail-" + "9" * 99)] == [
        [], [], [], [],
    ]  # fmt: skip


def test_every_mail_that_is_not_dealt_with_can_be_tried_again(ledger: Ledger) -> None:
    for name, outcome in (("a", Outcome.UNRESOLVED), ("b", Outcome.FAILED), ("c", Outcome.DONE)):
        ledger.accept(arrival(name))
        finish(ledger, claimed(ledger), outcome)
    ledger.accept(arrival("d"))
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    assert ledger.retry(None, NOON) == 3
    assert sorted(claimed(ledger).message_id for _ in range(3)) == ["a", "b", "d"]


# Stories that go on


@pytest.mark.parametrize("outcome", [*ENDS, None], ids=lambda each: str(each or "queued"))
def test_a_story_goes_on_and_nothing_else_changes(ledger: Ledger, outcome: Outcome | None) -> None:
    id, _ = ledger.accept(arrival())
    ledger.accept(arrival("another"))
    if outcome:
        finish(ledger, claimed(ledger), outcome)
    [before], [another] = ledger.find("a@example.org"), ledger.find("another")
    told = (Event(NOON + 5, "handed over", {"to": "lab"}), Event(NOON + 6, "skipped", {}))
    ledger.tell(id, told)
    [after] = ledger.find("a@example.org")
    assert after == replace(before, story=before.story + told)
    assert ledger.find("another") == [another]


def test_a_story_without_a_mail_is_told_to_nobody(ledger: Ledger) -> None:
    ledger.accept(arrival())
    before = ledger.totals()
    ledger.tell(99, [Event(NOON, "handed over", {})])
    assert ledger.totals() == before


# Forgetting


def test_old_mails_lose_their_bytes_and_keep_their_outcome(ledger: Ledger) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    asked = ledger.finish(mail, Outcome.DONE, "done", ended(Outcome.DONE), [request(mail)])
    before = ledger.find("a@example.org")
    assert ledger.prune(Keep(raw=NOON + 1), NOON + 2) == 1
    assert ledger.find("a@example.org") == before
    assert ledger.requests() == asked
    assert ledger.prune(Keep(raw=NOON + 1), NOON + 2) == 0


@pytest.mark.parametrize("outcome", ENDS)
def test_a_mail_keeps_its_bytes_until_its_end_is_long_ago(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), outcome, at=NOON)
    assert ledger.prune(Keep(raw=NOON), NOON) == 0
    assert ledger.prune(Keep(raw=NOON + 1), NOON + 1) == 1


def test_a_mail_that_waits_keeps_its_bytes_however_old_it_is(ledger: Ledger) -> None:
    ledger.accept(arrival(raw=b"still needed"))
    put_back(ledger, claimed(ledger), NOON, Waiting.DOWN)
    assert ledger.prune(Keep(raw=NOON + 1e9), NOON + 1e9) == 0
    assert claimed(ledger).raw == b"still needed"


def test_a_copy_of_a_mail_without_its_bytes_is_still_a_copy(ledger: Ledger) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), Outcome.DONE)
    ledger.prune(Keep(raw=NOON + 1), NOON + 1)
    assert ledger.accept(arrival())[1] is False


def test_a_mail_without_its_bytes_cannot_be_tried_again(ledger: Ledger) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), Outcome.UNRESOLVED)
    ledger.prune(Keep(raw=NOON + 1), NOON + 1)
    assert ledger.retry(None, NOON) == 0
    assert the_outcome(ledger, "a@example.org") is Outcome.UNRESOLVED


def test_many_old_mails_lose_their_bytes_at_once(ledger: Ledger) -> None:
    for number in range(450):
        ledger.accept(arrival(f"{number}", outcome=Outcome.REJECTED))
    assert ledger.prune(Keep(raw=NOON + 1), NOON + 1) == 450


# Answers


def test_an_answer_is_remembered_until_it_expires(ledger: Ledger) -> None:
    ledger.remember("key", "old", NOON + 5)
    ledger.remember("key", "answer", NOON + 10)
    assert ledger.recall("key", NOON + 9.9) == "answer"
    assert ledger.recall("key", NOON + 10) is None
    assert ledger.recall("another", NOON) is None


def test_an_answer_may_never_expire(ledger: Ledger) -> None:
    ledger.remember("key", "answer", float("inf"))
    ledger.prune(Keep(raw=NOON), NOON + 1e9)
    assert ledger.recall("key", NOON + 1e9) == "answer"


# At a glance


def test_totals_of_a_new_ledger(ledger: Ledger) -> None:
    totals = ledger.totals()
    assert totals.mails == dict.fromkeys(map(str, Outcome), 0)
    assert totals.waiting == {"missing": 0, "down": 0, "failing": 0}
    assert (totals.oldest, totals.last_received, totals.due) == (0, 0, 0)
    assert (totals.requests, totals.last_request, totals.cursors) == (0, 0, ())


def test_totals_count_mails_by_outcome_and_what_they_wait_for(ledger: Ledger) -> None:
    for number, outcome in enumerate([*ENDS, Outcome.DONE]):
        ledger.accept(arrival(f"{number}", at=NOON - 100 + number))
        finish(ledger, claimed(ledger), outcome)
    for number, waiting in enumerate([Waiting.DOWN, Waiting.DOWN, Waiting.MISSING]):
        ledger.accept(arrival(f"w{number}", at=NOON - 50 + number))
        put_back(ledger, claimed(ledger), NOON + 60 + number, waiting)
    ledger.accept(arrival("new", at=NOON))
    ledger.set_cursor(Cursor("sink", 4))
    totals = ledger.totals()
    counts = {outcome.value: 1 for outcome in ENDS} | {"done": 2, "queued": 4}
    assert totals.mails == counts
    assert totals.waiting == {"down": 2, "missing": 1, "failing": 0}
    assert (totals.oldest, totals.last_received, totals.due) == (NOON - 50, NOON, NOON)
    assert totals.cursors == (Cursor("sink", 4),)
    assert totals.size > 0


def test_a_mail_that_never_came_is_not_found(ledger: Ledger) -> None:
    ledger.accept(arrival())
    assert ledger.find("b@example.org") == []
