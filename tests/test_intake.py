# SPDX-License-Identifier: BSD-3-Clause
"""The one entry of every source: what it keeps, and what the limit makes of a mail."""

import pytest

from ingest.intake import Receipt, accept
from ingest.ledger import Ledger
from tests.support.mails import reply

MAIL = reply("1@example.org")
SIZE = len(MAIL)


@pytest.mark.parametrize(
    ("max_size", "receipt", "kept"),
    [(SIZE + 1, "queued", SIZE), (SIZE, "queued", SIZE), (SIZE - 1, "rejected", SIZE - 1)],
)
def test_a_mail_is_too_large_if_it_is_larger_than_the_limit(
    max_size: int, receipt: str, kept: int, ledger: Ledger
) -> None:
    got = accept(MAIL, "test", ledger=ledger, now=1.0, max_size=max_size)
    (record,) = ledger.find("recheck@example.org")
    assert (got, record.outcome, record.size) == (receipt, receipt, kept)


def test_a_mail_that_cannot_hold_a_request_leaves_nothing(ledger: Ledger) -> None:
    raw = reply("1@example.org", body="Thanks.\n")
    assert accept(raw, "test", ledger=ledger, now=1.0, max_size=SIZE) is Receipt.DROPPED
    assert ledger.find("recheck@example.org") == []


def test_a_mail_that_comes_twice_is_kept_once(ledger: Ledger) -> None:
    receipts = [accept(MAIL, "test", ledger=ledger, now=1.0, max_size=SIZE) for _ in range(2)]
    assert receipts == [Receipt.QUEUED, Receipt.DUPLICATE]
    assert len(ledger.find("recheck@example.org")) == 1
