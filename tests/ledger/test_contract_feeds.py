# SPDX-License-Identifier: BSD-3-Clause
"""How far sources have come that are read from somewhere else, in every ledger."""

from dataclasses import replace

import pytest

from ingest.ledger import Feed, Ledger, open_ledger
from tests.support.ledger_values import NOON, arrival

WHOLE = Feed("inbox.dev", begun=NOON, moved=NOON + 0.25)
EPOCH = Feed("inbox.dev", "0", "0123456789abcdef 1700000000", moved=NOON)


def test_without_any_there_are_none(ledger: Ledger) -> None:
    assert ledger.feeds() == ()


def test_a_feed_is_there_for_another_opener_as_it_was_given(url: str, ledger: Ledger) -> None:
    told = replace(EPOCH, tries=3, reason="it is gone: \N{SNOWMAN}")
    for each in (told, WHOLE, replace(EPOCH, name="inbox.ci")):
        ledger.set_feed(each)
    other = open_ledger(url)
    assert other.feeds() == (replace(EPOCH, name="inbox.ci"), WHOLE, told)
    assert other.totals().feeds == other.feeds()
    other.close()


def test_a_part_of_a_feed_has_one_position_the_last_one(ledger: Ledger) -> None:
    ledger.set_feed(EPOCH)
    ledger.set_feed(replace(EPOCH, position="feed 1700000060"))
    assert ledger.feeds() == (replace(EPOCH, position="feed 1700000060"),)


def test_a_position_and_the_mails_up_to_it_are_kept_together_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.batch():
        ledger.accept(arrival())
        ledger.set_feed(EPOCH)
        _ = 1 / 0
    assert ledger.feeds() == ()
    assert ledger.find("a@example.org") == []
    with ledger.batch():
        ledger.accept(arrival())
        ledger.set_feed(EPOCH)
    assert ledger.feeds() == (EPOCH,)
    assert len(ledger.find("a@example.org")) == 1
