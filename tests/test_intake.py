# SPDX-License-Identifier: BSD-3-Clause
"""The one entry of every source: what it keeps, and what the limit makes of a mail."""

from collections.abc import Sequence

import pytest

from ingest.errors import NoRoom, StateUnavailable
from ingest.intake import Delivered, Receipt, accept, accept_all, apart
from ingest.ledger import Ledger
from tests.support.mails import letter, reply

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


CONFIRM = letter("", "confirm 48c1f0e2", "Please reply.\n").replace(
    b"\n\n", b"\nX-List-Administrivia: yes\nReply-To: dev-request@example.org\n\n", 1
)


def test_a_confirmation_is_kept_for_the_operator_with_what_to_answer(ledger: Ledger) -> None:
    got = accept(CONFIRM, "pipe", ledger=ledger, now=1.0, max_size=SIZE)
    (kept,) = ledger.totals().notices
    assert (got, kept.mail_id, kept.received) == (Receipt.NOTICED, 1, 1.0)
    assert "“confirm 48c1f0e2”; to confirm" in kept.reason
    assert kept.reason.startswith("not verified") and kept.reason.endswith(
        "dev-request@example.org"
    )
    assert ledger.next_due() is None


def test_administrivia_is_a_notice_though_it_quotes_a_request(ledger: Ledger) -> None:
    raw = CONFIRM + b"Recheck-request: iol-a\n"
    assert accept(raw, "pipe", ledger=ledger, now=1.0, max_size=9999) is Receipt.NOTICED


def test_a_request_is_no_notice_whatever_its_subject_says(ledger: Ledger) -> None:
    raw = letter("a@example.org", "confirm 1", "Recheck-request: iol-a\n", in_reply_to="1@x")
    assert accept(raw, "pipe", ledger=ledger, now=1.0, max_size=9999) is Receipt.QUEUED


def test_of_notices_only_the_newest_fifty_stay_and_little_of_each(ledger: Ledger) -> None:
    for number in range(60):
        raw = CONFIRM + b"%d " % number + b"x" * (1 << 17)
        accept(raw, "pipe", ledger=ledger, now=float(number), max_size=1 << 20)
    kept = ledger.totals().notices
    assert [each.received for each in kept] == [float(number) for number in range(59, 9, -1)]
    assert ledger.totals().mails["notice"] == 50
    assert ledger.find(f"mail-{kept[0].mail_id}")[0].size <= 1 << 16


def test_an_archive_gives_no_notices(ledger: Ledger) -> None:
    mail = Delivered(CONFIRM, "replay a.mbox", 1.0, in_order=True)
    assert accept_all([mail], ledger=ledger, max_size=SIZE) == [Receipt.DROPPED]


def test_a_mail_that_comes_twice_is_kept_once(ledger: Ledger) -> None:
    receipts = [accept(MAIL, "test", ledger=ledger, now=1.0, max_size=SIZE) for _ in range(2)]
    assert receipts == [Receipt.QUEUED, Receipt.DUPLICATE]
    assert len(ledger.find("recheck@example.org")) == 1


@pytest.mark.parametrize("hindrance", [ValueError, NoRoom])
@pytest.mark.parametrize("bad", [{0}, {7}, {2, 3, 9}, set(range(10))], ids=str)
def test_what_one_mail_meets_holds_up_no_other(hindrance: type[Exception], bad: set[int]) -> None:
    held: list[int] = []

    def take(those: Sequence[int]) -> list[str]:
        if bad.intersection(those):
            raise hindrance
        held.extend(those)
        return [f"took {each}" for each in those]

    outcomes = apart(take, range(10))
    assert held == [each for each in range(10) if each not in bad]
    for each, outcome in enumerate(outcomes):
        assert isinstance(outcome, hindrance) if each in bad else outcome == f"took {each}"


def test_a_ledger_that_is_away_is_asked_once() -> None:
    asked = []

    def take(those: Sequence[int]) -> list[str]:
        asked.append(those)
        raise StateUnavailable

    with pytest.raises(StateUnavailable):
        apart(take, range(10))
    assert len(asked) == 1
