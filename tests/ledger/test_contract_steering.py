# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does when an operator steers it."""

import pytest

from ingest.errors import LostClaim
from ingest.ledger import (
    WORKER_LEASE,
    Aside,
    Event,
    Keep,
    Ledger,
    Outcome,
    Pause,
    Result,
    State,
    Waiting,
    open_ledger,
)
from ingest.ledger.values import MOST_HAPPENINGS
from tests.support.ledger_values import (
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    put_back,
    record,
    request,
    the_outcome,
)

WHY = "the wrong series"


def cancelled(ledger: Ledger, message_id: str) -> list[dict[str, object]]:
    """The particulars of each cancelling in a mail's story."""
    [found] = ledger.find(message_id)
    return [dict(event.details) for event in found.story if event.what == "cancelled"]


def test_a_pause_is_there_for_another_opener_and_in_the_totals(url: str, ledger: Ledger) -> None:
    those = [Pause("webhook:lab", NOON, "moving house"), Pause("check:pw", NOON + 1)]
    assert all(ledger.steering.pause(each) for each in those)
    other = open_ledger(url)
    assert other.steering.pauses() == (those[1], those[0])
    assert other.totals().pauses == (those[1], those[0])
    other.close()


def test_who_is_paused_stays_so_since_the_first_time(ledger: Ledger) -> None:
    assert ledger.steering.pause(Pause("webhook:lab", NOON, "first"))
    assert not ledger.steering.pause(Pause("webhook:lab", NOON + 5, "second"))
    assert ledger.steering.pauses() == (Pause("webhook:lab", NOON, "first"),)


def test_who_is_resumed_is_not_paused_any_more(ledger: Ledger) -> None:
    ledger.steering.pause(Pause("webhook:lab", NOON))
    assert ledger.steering.resume("webhook:lab", NOON + 1)
    assert not ledger.steering.resume("webhook:lab", NOON + 2)
    assert ledger.steering.pauses() == ()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_mail_is_cancelled_if_it_is_not_dealt_with(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival("a@example.org"))
    mail = claimed(ledger)
    if outcome is Outcome.QUEUED:
        put_back(ledger, mail, NOON + 60, Waiting.MISSING)
    else:
        finish(ledger, mail, outcome)
    can = outcome in (Outcome.QUEUED, Outcome.UNRESOLVED, Outcome.FAILED)
    assert ledger.steering.cancel(mail.id, WHY, NOON + 9) is can
    assert the_outcome(ledger, "a@example.org") is (Outcome.CANCELLED if can else outcome)
    assert ({"reason": WHY} in cancelled(ledger, "a@example.org")) is can
    assert ledger.claim(NOON + 999, WORKER_LEASE) is None


def test_a_worker_that_is_at_a_cancelled_mail_cannot_end_it(ledger: Ledger) -> None:
    ledger.accept(arrival("a@example.org"))
    mail = claimed(ledger)
    assert ledger.steering.cancel(mail.id, WHY, NOON)
    with pytest.raises(LostClaim):
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
    assert ledger.last_request() == 0
    assert the_outcome(ledger, "a@example.org") is Outcome.CANCELLED


def test_nobody_cancels_a_mail_that_is_not_there(ledger: Ledger) -> None:
    assert not ledger.steering.cancel(7, WHY, NOON)


def test_a_cancelled_request_stays_in_the_log_and_says_why(url: str, ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    assert ledger.steering.cancel_request(1, WHY, "operator", NOON + 5)
    other = open_ledger(url)
    assert [each.cancelled for each in other.requests()] == [WHY]
    assert the_outcome(other, "a@example.org") is Outcome.CANCELLED
    assert cancelled(other, "a@example.org") == [{"request": 1, "reason": WHY}]
    other.close()


def test_the_results_of_a_cancelled_request_that_are_to_come_are_cancelled(ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    ran = Result(1, "iol-a", State.FAIL, NOON + 1, "lab", "https://lab.example.org/1", "3 failed")
    ledger.results.tell(ran)
    ledger.steering.cancel_request(1, WHY, "operator", NOON + 5)
    assert ledger.results.of([1]) == [
        ran,
        Result(1, "iol-b", State.CANCELLED, NOON + 5, "operator", "", WHY),
    ]
    assert ledger.results.open(0.0) == []


def test_a_mail_with_another_request_stays_done(ledger: Ledger) -> None:
    ledger.accept(arrival("a@example.org"))
    mail = claimed(ledger)
    ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail, 1), request(mail, 2)])
    assert ledger.steering.cancel_request(1, WHY, "operator", NOON)
    assert the_outcome(ledger, "a@example.org") is Outcome.DONE
    assert ledger.steering.cancel_request(2, WHY, "operator", NOON)
    assert the_outcome(ledger, "a@example.org") is Outcome.CANCELLED


def test_what_sinks_have_set_aside_of_a_cancelled_request_is_forgotten(ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    record(ledger, "b@example.org", series=2)
    for number in (1, 2):
        ledger.asides.keep(Aside("webhook:lab", number, NOON, 1, NOON, "401"))
    ledger.steering.cancel_request(1, WHY, "operator", NOON)
    assert [each.request for each in ledger.asides.of("webhook:lab")] == [2]


def test_a_request_is_cancelled_once(ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    assert ledger.steering.cancel_request(1, WHY, "operator", NOON)
    assert not ledger.steering.cancel_request(1, "another", "operator", NOON)
    assert not ledger.steering.cancel_request(2, WHY, "operator", NOON)
    assert ledger.requests()[0].cancelled == WHY


def test_what_reruns_has_handed_out_is_not_cancelled(ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    ledger.reruns(NOON, NOON + 1)
    record(ledger, "b@example.org", series=2)
    assert not ledger.steering.cancel_request(1, WHY, "operator", NOON)
    assert ledger.steering.cancel_request(2, WHY, "operator", NOON)


def test_what_came_to_nothing_is_judged_again_from_a_time_on(ledger: Ledger) -> None:
    for name, at in (("old", NOON - 9), ("a", NOON), ("b", NOON + 1), ("c", NOON + 2)):
        ledger.accept(arrival(name, at=at))
    outcomes = {"old": Outcome.IGNORED, "a": Outcome.IGNORED, "b": Outcome.REJECTED}
    for _ in range(4):
        mail = claimed(ledger, NOON + 9)
        finish(ledger, mail, outcomes.get(mail.message_id, Outcome.FAILED), NOON + 9)
    assert ledger.steering.judge_again(NOON, NOON + 20) == 2
    assert [the_outcome(ledger, each).value for each in ("old", "a", "b", "c")] == [
        "ignored",
        "queued",
        "queued",
        "failed",
    ]
    assert claimed(ledger, NOON + 20).message_id in ("a", "b")


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.NOTICE])
def test_what_was_cut_when_it_came_is_not_judged(ledger: Ledger, outcome: Outcome) -> None:
    ledger.accept(arrival("a", outcome=outcome))
    assert ledger.steering.judge_again(0.0, NOON) == 0


def test_what_has_lost_its_bytes_is_not_judged(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    finish(ledger, claimed(ledger), Outcome.IGNORED)
    ledger.prune(Keep(raw=NOON + 1), NOON)
    assert ledger.steering.judge_again(0.0, NOON) == 0


def test_all_that_happens_is_told_in_order_to_another_opener(url: str, ledger: Ledger) -> None:
    record(ledger, "a@example.org")
    ledger.steering.pause(Pause("webhook:lab", NOON + 1, "why"))
    ledger.tell(1, [Event(NOON + 2, "skipped", {"reason": "so"})])
    ledger.happenings.tell(Event(NOON + 3, "patchwork down", {"reason": "502"}))
    other = open_ledger(url)
    told = other.happenings.newest(10)
    assert [(each.mail_id, each.message_id, each.event.what) for each in told] == [
        (1, "a@example.org", "accepted"),
        (1, "a@example.org", "done"),
        (0, "", "paused"),
        (1, "a@example.org", "skipped"),
        (0, "", "patchwork down"),
    ]
    assert told[2].event == Event(NOON + 1, "paused", {"sink": "webhook:lab", "reason": "why"})
    other.close()


def test_who_follows_gets_each_event_once(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    first = ledger.happenings.after(0)
    assert [each.event.what for each in first] == ["accepted"]
    ledger.tell(1, [Event(NOON, "one", {}), Event(NOON, "two", {})])
    second = ledger.happenings.after(first[-1].number)
    assert [each.event.what for each in second] == ["one", "two"]
    assert ledger.happenings.after(second[-1].number) == []


def test_the_last_ones_are_as_many_as_asked_for(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    ledger.tell(1, [Event(NOON, name, {}) for name in ("one", "two", "three")])
    assert [each.event.what for each in ledger.happenings.newest(2)] == ["two", "three"]


def test_what_is_told_in_vain_is_no_event(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    number = ledger.happenings.newest(1)[0].number
    ledger.accept(arrival("a"))
    ledger.tell(99, [Event(NOON, "one", {})])
    assert ledger.happenings.after(number) == []


@pytest.mark.slow
def test_only_the_newest_events_are_kept_and_a_story_keeps_its_own(ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    with ledger.batch():
        for number in range(MOST_HAPPENINGS):
            ledger.happenings.tell(Event(NOON, str(number), {}))
    told = ledger.happenings.newest(2 * MOST_HAPPENINGS)
    assert (len(told), told[0].event.what) == (MOST_HAPPENINGS, "0")
    [found] = ledger.find("a")
    assert [each.what for each in found.story] == ["accepted"]


def test_mails_that_are_held_are_cancelled_in_one_batch(ledger: Ledger) -> None:
    asked = record(ledger, "a@example.org")
    other, _ = ledger.accept(arrival("b@example.org"))
    with ledger.batch():
        ledger.steering.hold([other, asked.mail_id, other])
        assert ledger.steering.cancel(other, "no", NOON)
        assert ledger.steering.cancel_request(asked.number, "no", "me", NOON)
    assert the_outcome(ledger, "a@example.org") == the_outcome(ledger, "b@example.org")
    assert the_outcome(ledger, "a@example.org") is Outcome.CANCELLED


def test_who_begins_behind_what_is_settled_hears_what_happens_from_then_on(ledger: Ledger) -> None:
    assert ledger.happenings.settled() == 0
    ledger.happenings.tell(Event(NOON, "before", {}))
    number = ledger.happenings.settled()
    assert [each.number for each in ledger.happenings.newest(1)] == [number]
    ledger.happenings.tell(Event(NOON, "after", {}))
    assert [each.event.what for each in ledger.happenings.after(number)] == ["after"]
