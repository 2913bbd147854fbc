# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does for whoever hands over requests: it promises a second that the document
carries, which is a time to ask for next, and keeps that promise."""

from itertools import pairwise

import pytest

from ingest.ledger import Cursor, Ledger, Outcome, Request, open_ledger
from tests.support import ledger_processes
from tests.support.ledger_values import NOON, arrival, claimed, ended, record, request

HOUR = 3600.0


def names(requests: list[Request]) -> list[str]:
    return [each.message_id for each in requests]


# What is found


def test_requests_are_found_by_when_they_were_recorded(ledger: Ledger) -> None:
    for number in range(4):
        record(ledger, f"{number}", NOON + number)
    assert names(ledger.reruns(NOON + 2, NOON)[0]) == ["2", "3"]
    assert names(ledger.reruns(NOON + 2.000001, NOON)[0]) == ["3"]
    assert names(ledger.reruns(0, NOON)[0]) == ["0", "1", "2", "3"]


def test_they_come_as_they_are_in_the_log_and_in_its_order(ledger: Ledger) -> None:
    """Not in that of the clock, which may have been set back."""
    for name, at in (("a", NOON + 5), ("b", NOON), ("c", NOON + 9)):
        record(ledger, name, at)
    assert ledger.reruns(NOON, NOON)[0] == ledger.requests()


def test_the_date_of_a_mail_does_not_matter(ledger: Ledger) -> None:
    record(ledger, "late", NOON, date=NOON - 100 * HOUR)
    assert names(ledger.reruns(NOON, NOON)[0]) == ["late"]


# What is promised


@pytest.mark.parametrize("at", [NOON, NOON + 0.000001, NOON + 0.5, NOON + 0.999999])
def test_the_promise_is_the_next_whole_second(ledger: Ledger, at: float) -> None:
    record(ledger, "a", at)
    assert ledger.reruns(0, at)[1] == NOON + 1


def test_the_promise_is_later_than_all_that_was_handed_out(ledger: Ledger) -> None:
    for name, at in (("a", NOON), ("b", NOON + HOUR), ("c", NOON + 1)):
        record(ledger, name, at)
    assert ledger.reruns(0, NOON)[1] == NOON + HOUR + 1


def test_without_requests_the_promise_is_what_was_asked(ledger: Ledger) -> None:
    assert ledger.reruns(NOON + 0.25, NOON) == ([], NOON + 0.25)
    record(ledger, "a", NOON)
    assert ledger.reruns(NOON + 0.25, NOON + 1) == ([], NOON + 0.25)


@pytest.mark.parametrize("back", [0.0, 0.4, 1.0, 30.0, HOUR])
def test_what_comes_later_is_recorded_at_the_promise_or_later(ledger: Ledger, back: float) -> None:
    record(ledger, "a", NOON + 0.5)
    _, promise = ledger.reruns(0, NOON + 0.5)
    later = record(ledger, "b", NOON + 0.6 - back)
    assert later.recorded == promise
    assert ledger.requests()[-1] == later
    assert names(ledger.reruns(promise, NOON)[0]) == ["b"]


def test_what_comes_after_the_promised_time_is_recorded_when_it_came(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    ledger.reruns(0, NOON)
    assert record(ledger, "b", NOON + 7.25).recorded == NOON + 7.25


def test_the_promise_holds_for_a_mail_that_was_being_worked_on(ledger: Ledger) -> None:
    ledger.accept(arrival("slow"))
    mail = claimed(ledger)
    record(ledger, "a", NOON + 0.5)
    _, promise = ledger.reruns(0, NOON + 0.5)
    asked = request(mail, recorded=NOON + 0.1)
    ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [asked])
    assert names(ledger.reruns(promise, NOON)[0]) == ["slow"]


def test_a_clock_that_is_set_back_hides_nothing_from_who_has_had_nothing_yet(
    ledger: Ledger,
) -> None:
    assert ledger.reruns(NOON, NOON + 1) == ([], NOON)
    record(ledger, "a", NOON - HOUR)
    assert names(ledger.reruns(NOON, NOON - HOUR)[0]) == ["a"]


def test_nobody_who_asks_for_the_future_moves_it_here(ledger: Ledger) -> None:
    assert ledger.reruns(NOON + HOUR, NOON) == ([], NOON + HOUR)
    assert record(ledger, "a", NOON).recorded == NOON


def test_promises_to_several_are_all_kept(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    early = ledger.reruns(0, NOON)[1]
    record(ledger, "b", NOON + HOUR)
    late = ledger.reruns(early, NOON)[1]
    assert ledger.reruns(0, NOON)[1] == late, "who asks for old ones changes nothing"
    record(ledger, "c", NOON)
    assert names(ledger.reruns(early, NOON)[0]) == ["b", "c"]
    assert names(ledger.reruns(late, NOON)[0]) == ["c"]


def test_an_earlier_promise_does_not_take_back_a_later_one(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    assert ledger.reruns(NOON + HOUR, NOON + HOUR) == ([], NOON + HOUR)
    assert ledger.reruns(0, NOON + HOUR)[1] == NOON + HOUR + 1
    record(ledger, "b", NOON + 60)
    assert names(ledger.reruns(NOON + HOUR, NOON + 60)[0]) == ["b"]


def test_promises_rise_even_if_the_clock_stands_still(ledger: Ledger) -> None:
    promises: list[float] = []
    for number in range(5):
        record(ledger, f"{number}", NOON)
        found, promise = ledger.reruns(promises[-1] if promises else 0, NOON)
        assert names(found) == [f"{number}"]
        promises.append(promise)
    assert all(after - before == 1 for before, after in pairwise(promises))


def test_a_promise_survives_its_process(url: str, ledger: Ledger) -> None:
    record(ledger, "a", NOON + 0.5)
    with ledger_processes.other("reruns", url) as asking:
        promise = float(ledger_processes.line(asking))
        asking.kill()
    assert promise == NOON + 1
    again = open_ledger(url)
    assert record(again, "b", NOON).recorded == promise
    again.close()


def test_an_answer_is_given_in_a_batch_too(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    with ledger.batch():
        found, promise = ledger.reruns(0, NOON)
    assert (names(found), promise) == (["a"], NOON + 1)
    assert record(ledger, "b", NOON).recorded == promise


def test_the_same_answer_is_given_under_the_same_second(ledger: Ledger) -> None:
    """A consumer that was killed before it kept the second asks once more."""
    record(ledger, "a", NOON)
    first = ledger.reruns(0, NOON)
    ledger.promise()
    assert ledger.reruns(0, NOON) == first


def test_an_answer_with_something_new_carries_a_later_second(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    first = ledger.reruns(0, NOON)[1]
    for _ in range(3):
        elsewhere = ledger.promise()
    record(ledger, "b", NOON)
    assert ledger.reruns(0, NOON)[1] > elsewhere > first


# What is promised to all others


def test_without_a_request_nothing_is_promised(ledger: Ledger) -> None:
    assert ledger.promise() == 0.0
    assert ledger.promise(beyond=NOON) == 0.0


@pytest.mark.parametrize("at", [NOON, NOON + 0.000001, NOON + 0.999999])
def test_a_promised_second_is_whole_and_later_than_each_recording(
    ledger: Ledger, at: float
) -> None:
    record(ledger, "a", NOON - HOUR)
    record(ledger, "b", at)
    record(ledger, "c", NOON - HOUR)
    assert ledger.promise() == NOON + 1


@pytest.mark.parametrize("beyond", [NOON, NOON + 7.0, NOON + 7.5])
def test_a_promised_second_is_later_than_what_it_must_be_beyond(
    ledger: Ledger, beyond: float
) -> None:
    record(ledger, "a", NOON)
    promised = ledger.promise(beyond)
    assert promised > beyond
    assert promised <= beyond + 1
    assert promised.is_integer()


def test_every_promise_is_a_later_second_whatever_the_way(ledger: Ledger) -> None:
    promised: list[float] = []
    for number in range(4):
        record(ledger, f"{number}", NOON)
        promised += [ledger.promise(), ledger.reruns(0, NOON)[1], ledger.promise()]
    assert all(after - before == 1 for before, after in pairwise(promised))


def test_nothing_is_recorded_before_a_promise(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    promised = [ledger.promise() for _ in range(5)][-1]
    assert record(ledger, "b", NOON + 1).recorded == promised


def test_a_promised_second_survives_its_process(url: str, ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    promised = ledger.promise()
    again = open_ledger(url)
    assert again.promise() == promised + 1
    again.close()


# What is promised with a cursor


def test_the_next_second_is_what_would_be_promised(ledger: Ledger) -> None:
    assert ledger.next_second() == 0
    record(ledger, "a", NOON + 0.5)
    assert ledger.next_second() == ledger.next_second() == NOON + 1
    assert ledger.next_second(beyond=NOON + 3) == NOON + 4
    assert ledger.promise() == NOON + 1
    assert ledger.next_second() == NOON + 2


def test_a_second_is_promised_with_a_cursor(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    begun = Cursor("sink", begun=1, second=NOON + 1)
    assert ledger.promise_with(begun, NOON + 1)
    assert ledger.cursor("sink") == begun
    assert record(ledger, "b", NOON).recorded == NOON + 1


def test_a_request_that_is_recorded_before_the_second_does_not_hinder(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    second = ledger.next_second()
    record(ledger, "b", NOON + 0.75)
    assert ledger.promise_with(Cursor("sink", 1), second)


@pytest.mark.parametrize("what", ["a promise", "a request"])
def test_a_second_that_was_overtaken_is_not_promised(ledger: Ledger, what: str) -> None:
    record(ledger, "a", NOON)
    second = ledger.next_second()
    if what == "a promise":
        ledger.promise()
    else:
        record(ledger, "b", second)
    before = ledger.next_second()
    assert not ledger.promise_with(Cursor("sink", 1), second)
    assert ledger.cursor("sink") == Cursor("sink")
    assert ledger.next_second() == before
