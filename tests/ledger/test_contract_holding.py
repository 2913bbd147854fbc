# SPDX-License-Identifier: BSD-3-Clause
"""Whose a mail is while it is worked on, what is known of one that was dropped, and where
Patchwork has filed one: the same for every ledger."""

import os
from collections.abc import Callable

import pytest

from ingest.errors import LostClaim
from ingest.ledger import (
    WORKER_LEASE,
    Envelope,
    Filing,
    Keep,
    Ledger,
    Outcome,
    Queued,
    Wait,
    Waiting,
)
from tests.support.ledger_values import (
    ENDS,
    NOON,
    arrival,
    claimed,
    ended,
    finish,
    put_back,
    record,
    request,
)

FILED = Filing("patch", 131182, 7, "patch@example.org", "fdo")

# Who holds it


def waits(ledger: Ledger, mail: Queued) -> None:
    ledger.wait(mail, Wait(Waiting.MISSING, NOON, 1, NOON, NOON + 60), "late", ended(Outcome.DONE))


def ends(ledger: Ledger, mail: Queued) -> None:
    ledger.finish(mail, Outcome.DONE, "late", ended(Outcome.DONE), [request(mail)])


@pytest.mark.parametrize("late", [waits, ends])
@pytest.mark.parametrize("again", [False, True], ids=["due again", "taken up by another"])
def test_a_worker_that_lost_its_mail_changes_nothing_of_it(
    late: Callable[[Ledger, Queued], None], again: bool, ledger: Ledger
) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    ledger.recover(NOON, WORKER_LEASE)
    if again:
        assert ledger.claim(NOON, "worker-2")
    before = ledger.find("a@example.org"), ledger.totals()
    with pytest.raises(LostClaim):
        late(ledger, mail)
    assert (ledger.find("a@example.org"), ledger.totals()) == before


@pytest.mark.parametrize("late", [waits, ends])
def test_nor_of_one_that_has_ended(late: Callable[[Ledger, Queued], None], ledger: Ledger) -> None:
    ledger.accept(arrival())
    mail = claimed(ledger)
    finish(ledger, mail, Outcome.IGNORED)
    before = ledger.find("a@example.org")
    with pytest.raises(LostClaim):
        late(ledger, mail)
    assert ledger.find("a@example.org") == before


# What is known of what was dropped


def drop_all(ledger: Ledger) -> None:
    """Drop whatever may be dropped."""
    ledger.prune(Keep(raw=NOON + 1, ignored=NOON + 1, requests=NOON + 1), NOON + 1)


@pytest.mark.parametrize("outcome", ENDS)
def test_a_copy_of_a_mail_that_was_dropped_is_still_a_copy(
    outcome: Outcome, ledger: Ledger
) -> None:
    ledger.accept(arrival())
    finish(ledger, claimed(ledger), outcome)
    drop_all(ledger)
    assert ledger.find("a@example.org") == []
    assert ledger.accept(arrival(source="elsewhere")) == (0, False)
    assert ledger.accept(arrival(identity="another one"))[1]


def test_a_mail_that_waits_is_never_dropped(ledger: Ledger) -> None:
    ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON, Waiting.DOWN)
    drop_all(ledger)
    assert claimed(ledger).message_id == "a@example.org"


def test_raw_bytes_are_kept_up_to_a_number_the_oldest_go(ledger: Ledger) -> None:
    for number in range(67):
        ledger.accept(arrival(f"{number}", raw=os.urandom(1000)))
        finish(ledger, claimed(ledger), Outcome.IGNORED, at=NOON + number)
    dropped = ledger.prune(Keep(raw=0.0, raw_bytes=30_000), NOON + 67)
    left = [number for number in range(67) if list(ledger.originals(f"{number}", "dev.dpdk.org"))]
    assert 0 < len(left) <= 30
    assert left == list(range(67 - len(left), 67))
    assert dropped == 67 - len(left)
    assert ledger.prune(Keep(raw=0.0, raw_bytes=0), NOON + 67) == len(left)


# Where it was filed


def test_the_filing_comes_with_the_mail_and_goes_to_the_worker(ledger: Ledger) -> None:
    ledger.accept(arrival(filing=FILED))
    assert claimed(ledger).filing == FILED
    assert [each.filing for each in ledger.find("a@example.org")] == [FILED]


@pytest.mark.parametrize("waiting", [Waiting.DOWN, Waiting.FAILING])
def test_a_mail_that_waits_for_something_else_waits_on(waiting: Waiting, ledger: Ledger) -> None:
    id, _ = ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, waiting)
    ledger.file(id, FILED, NOON + 1)
    assert ledger.next_due() == NOON + 60


def test_a_mail_that_patchwork_did_not_know_is_due_now(ledger: Ledger) -> None:
    id, _ = ledger.accept(arrival())
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.MISSING)
    ledger.file(id, FILED, NOON + 1)
    assert claimed(ledger, NOON + 1).filing == FILED


@pytest.mark.parametrize("outcome", [each for each in ENDS if each is not Outcome.UNRESOLVED])
def test_a_mail_that_ended_stays_as_it_is(outcome: Outcome, ledger: Ledger) -> None:
    id, _ = ledger.accept(arrival())
    finish(ledger, claimed(ledger), outcome)
    ledger.file(id, FILED, NOON + 1)
    assert ledger.next_due() is None
    [found] = ledger.find("a@example.org")
    assert (found.outcome, found.filing) == (outcome, FILED)


def test_the_originals_of_a_message_id_are_those_of_one_list(ledger: Ledger) -> None:
    for number, list_id in enumerate(["dev.dpdk.org", "ci.dpdk.org", "dev.dpdk.org"]):
        envelope = Envelope("", (), "")
        raw = f"{number}".encode()
        ledger.accept(arrival(raw=raw, identity=raw.decode(), list_id=list_id, envelope=envelope))
    found = list(ledger.originals("a@example.org", "dev.dpdk.org"))
    assert [(each.raw, each.envelope.sender) for each in found] == [(b"0", ""), (b"2", "")]


def test_a_request_is_not_recorded_again_by_a_copy_after_its_mail_was_pruned(
    ledger: Ledger,
) -> None:
    """Raw bytes are gone; what makes the request unique stays."""
    record(ledger, "a@example.org")
    ledger.prune(Keep(raw=NOON + 1), NOON + 1)
    ledger.accept(arrival(identity="changed on the way"))
    mail = claimed(ledger)
    assert ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)]) == []
    assert len(ledger.requests()) == 1
