# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger keeps of those who read its request log: sinks, consumers and their batches;
and that no request is dropped that one of them may still want."""

from dataclasses import replace

import pytest

from ingest.ledger import Batch, Consumer, Cursor, Keep, Ledger, open_ledger
from tests.support.ledger_values import NOON, record

# Sinks


def test_a_cursor_begins_before_the_first_request(ledger: Ledger) -> None:
    assert ledger.cursor("sink") == Cursor("sink")
    assert ledger.cursor("sink").position == 0


def test_a_cursor_comes_back_as_it_was_kept(url: str, ledger: Ledger) -> None:
    kept = Cursor("sink", 7, NOON, 2, NOON + 60, "it is full", 9, NOON + 1)
    ledger.set_cursor(Cursor("sink", 3))
    ledger.set_cursor(kept)
    ledger.set_cursor(Cursor("another", 1))
    other = open_ledger(url)
    assert other.cursor("sink") == kept
    other.close()


def test_every_cursor_is_told_by_name(ledger: Ledger) -> None:
    assert ledger.cursors() == ()
    kept = [Cursor(name, number, NOON) for number, name in enumerate(["b", "c", "a"])]
    for each in kept:
        ledger.set_cursor(each)
    assert ledger.cursors() == (kept[2], kept[0], kept[1])
    assert ledger.totals().cursors == ledger.cursors()


def test_a_cursor_begins_with_the_requests_that_come_from_now_on(ledger: Ledger) -> None:
    record(ledger, "a", NOON)
    ledger.begin_cursor("sink", NOON + 1)
    assert ledger.cursor("sink") == Cursor("sink", 1, NOON + 1)


def test_a_cursor_that_is_kept_is_not_begun_again(url: str, ledger: Ledger) -> None:
    """Not even by a process that has seen none."""
    kept = Cursor("sink", 0, NOON, begun=1, second=NOON)
    other = open_ledger(url)
    assert other.cursors() == ()
    ledger.set_cursor(kept)
    record(ledger, "a", NOON)
    other.begin_cursor("sink", NOON + 1)
    assert ledger.cursor("sink") == kept
    other.close()


# Consumers and batches


def test_a_consumer_begins_before_the_first_request(ledger: Ledger) -> None:
    assert ledger.consumer("lab") == Consumer("lab")
    assert ledger.consumers() == ()


def test_a_consumer_comes_back_as_it_was_kept(url: str, ledger: Ledger) -> None:
    kept = Consumer("lab", 7, NOON, 9, NOON + 3)
    for each in (Consumer("lab", 3), kept, Consumer("a", 1)):
        ledger.set_consumer(each)
    other = open_ledger(url)
    assert other.consumer("lab") == kept
    assert other.consumers() == (Consumer("a", 1), kept)
    assert other.totals().consumers == other.consumers()
    other.close()


BATCH = Batch("lab", 3, 5, ("iol-*", "a"), "a1b2c3", 2, NOON + 60, NOON + 1, None)


def test_batches_come_back_as_they_were_kept_the_oldest_first(url: str, ledger: Ledger) -> None:
    later = replace(BATCH, after=5, last=12)
    others = replace(BATCH, consumer="a", after=40, last=41)
    for each in (later, BATCH, others, replace(BATCH, given=3)):
        ledger.set_batch(each)
    other = open_ledger(url)
    assert other.batches() == (others, replace(BATCH, given=3), later)
    assert other.totals().batches == other.batches()
    other.close()


def test_a_batch_of_another_generation_is_another_one(ledger: Ledger) -> None:
    before = replace(BATCH, generation="0f0f0f")
    ledger.set_batch(BATCH)
    ledger.set_batch(before)
    ledger.drop_batch(BATCH)
    assert ledger.batches() == (before,)


def test_a_batch_that_is_not_there_can_be_dropped(ledger: Ledger) -> None:
    ledger.drop_batch(BATCH)
    assert ledger.batches() == ()


@pytest.mark.parametrize(
    ("batch", "id"), [(BATCH, "lab:4-5-a1b2c3"), (replace(BATCH, generation=""), "lab:4-5")]
)
def test_a_batch_is_named_by_consumer_numbers_and_generation(batch: Batch, id: str) -> None:
    assert (batch.id, list(batch.numbers)) == (id, [4, 5])


# What is kept for them


def left(ledger: Ledger) -> list[int]:
    """The requests that are left once all that may go is gone."""
    keep = Keep(raw=NOON + 100, ignored=NOON + 100, requests=NOON + 100)
    ledger.prune(keep, NOON + 100)
    return [each.number for each in ledger.requests()]


@pytest.fixture
def log(ledger: Ledger) -> Ledger:
    """Four requests, and a sink that has had all of them."""
    for number in range(4):
        record(ledger, f"{number}", NOON + number)
    ledger.set_cursor(Cursor("sink", 4))
    return ledger


def test_a_request_that_all_have_had_goes(log: Ledger) -> None:
    assert left(log) == []


def test_a_request_stays_until_every_sink_has_had_it(log: Ledger) -> None:
    log.set_cursor(Cursor("slow", 2))
    assert left(log) == [3, 4]


def test_a_request_stays_until_every_consumer_has_had_it(log: Ledger) -> None:
    log.set_consumer(Consumer("lab", 2, begun=4, second=NOON))
    assert left(log) == [3, 4]


def test_a_request_stays_while_a_batch_holds_it(log: Ledger) -> None:
    log.set_consumer(Consumer("lab", 4))
    log.set_batch(Batch("lab", 1, 3))
    assert left(log) == [2, 3, 4]
    log.drop_batch(Batch("lab", 1, 3))
    assert left(log) == []


def test_a_request_stays_until_reruns_has_had_it_if_anybody_asks_that(log: Ledger) -> None:
    log.reruns(NOON, NOON + 4)
    assert left(log) == []
    record(log, "new", NOON + 9)
    log.set_cursor(Cursor("sink", 5))
    assert left(log) == [5]
