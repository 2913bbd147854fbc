# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with the requests that sinks have set aside."""

from dataclasses import replace

from ingest.ledger import Aside, Cursor, Keep, Ledger, open_ledger
from tests.support.ledger_values import NOON, record

SINK, OTHER = "webhook:lab", "webhook:other"
DAY = 86400.0


def aside(number: int, **other: object) -> Aside:
    made = Aside(SINK, number, since=NOON, tries=1, due=NOON + 60, reason="401")
    return replace(made, **other)  # type: ignore[arg-type]


def set_aside(ledger: Ledger, *asides: Aside) -> None:
    for number in range(len(asides)):
        record(ledger, f"{number}@example.org")
    for each in asides:
        ledger.asides.keep(each)


def due(ledger: Ledger, now: float) -> list[int]:
    return [each.request for each in ledger.asides.due(SINK, now, DAY)]


def test_what_is_set_aside_is_there_for_another_opener_by_sink_and_number(
    url: str, ledger: Ledger
) -> None:
    those = [aside(2), aside(1, due=None), aside(1, sink=OTHER)]
    set_aside(ledger, *those)
    other = open_ledger(url)
    assert other.asides.of(SINK) == [those[1], those[0]]
    assert other.asides.of(OTHER) == [those[2]]
    other.close()


def test_a_request_is_set_aside_once_for_each_sink(ledger: Ledger) -> None:
    set_aside(ledger, aside(1), aside(1, tries=2, reason="403"))
    assert ledger.asides.of(SINK) == [aside(1, tries=2, reason="403")]


def test_those_that_are_due_come_the_least_tried_first(ledger: Ledger) -> None:
    set_aside(ledger, aside(1, tries=3), aside(2), aside(3, due=NOON + 61), aside(4, due=None))
    assert due(ledger, NOON + 59) == []
    assert due(ledger, NOON + 60) == [2, 1]
    assert due(ledger, NOON + 61) == [2, 3, 1]


def test_a_pause_longer_than_any_is_over(ledger: Ledger) -> None:
    set_aside(ledger, aside(1, due=NOON + 10 * DAY))
    assert due(ledger, NOON + 9.5 * DAY) == []
    assert due(ledger, NOON) == [1]


def test_those_with_the_same_reason_are_put_off_together(ledger: Ledger) -> None:
    later = aside(4, due=NOON + 61)
    set_aside(ledger, aside(1), aside(2, reason="other"), aside(3, due=None), later)
    ledger.asides.put_off(SINK, "401", NOON + 60, NOON + 300)
    dues = [each.due for each in ledger.asides.of(SINK)]
    assert dues == [NOON + 300, NOON + 60, None, NOON + 61]


def test_what_was_handed_over_is_forgotten(ledger: Ledger) -> None:
    set_aside(ledger, aside(1), aside(2), aside(1, sink=OTHER))
    ledger.asides.drop(SINK, 1)
    assert [each.request for each in ledger.asides.of(SINK)] == [2]
    assert len(ledger.asides.of(OTHER)) == 1


def test_a_retry_has_all_of_one_sink_tried_now(ledger: Ledger) -> None:
    set_aside(ledger, aside(1, due=None, tries=9), aside(2), aside(1, sink=OTHER))
    assert ledger.asides.retry(SINK, NOON + 5) == 2
    assert ledger.asides.retry("webhook:nobody", NOON + 5) == 0
    assert [(each.tries, each.due, each.since) for each in ledger.asides.of(SINK)] == [
        (0, NOON + 5, NOON + 5)
    ] * 2
    assert ledger.asides.of(OTHER) == [aside(1, sink=OTHER)]


def test_a_request_knows_when_its_mail_was_received(ledger: Ledger) -> None:
    record(ledger, "a@example.org", received=NOON - 7)
    assert ledger.requests()[0].received == NOON - 7


def drop_old(ledger: Ledger) -> None:
    keep = Keep(raw=NOON, ignored=NOON + 1, requests=NOON + 1)
    ledger.set_cursor(Cursor(SINK, ledger.last_request()))
    ledger.prune(keep, NOON + 1)


def test_a_request_that_is_to_be_tried_again_is_not_dropped(ledger: Ledger) -> None:
    set_aside(ledger, aside(2), aside(1, due=None), aside(3, due=None))
    drop_old(ledger)
    assert [each.number for each in ledger.requests()] == [2, 3]
    assert due(ledger, NOON + 60) == [2]


def test_what_was_given_up_goes_with_its_request(ledger: Ledger) -> None:
    set_aside(ledger, aside(1, due=None), aside(2, due=None))
    drop_old(ledger)
    assert ledger.requests() == []
    assert ledger.asides.retry(SINK, NOON) == 0
