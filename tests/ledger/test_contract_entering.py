# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with a request that no mail asked for, and what it tells of requests
without writing."""

from typing import Any

from ingest.ledger import Event, Filter, Keep, Ledger, Outcome, Request, Submission
from ingest.mail.requester import Requester
from tests.support.ledger_values import NOON, arrival, record

BY_HAND: dict[str, Any] = {
    "raw": b"",
    "message_id": "",
    "list_id": "",
    "source": "by hand",
    "outcome": Outcome.DONE,
    "reason": "series 7: iol-a",
    "author": "Ada (token lab)",
}


def asked(**other: Any) -> Request:
    values: dict[str, Any] = {
        "number": 0,
        "mail_id": 0,
        "message_id": "",
        "series": 7,
        "submission": Submission("", 0),
        "project": "dpdk",
        "contexts": ("iol-a",),
        "arguments": {},
        "leftovers": (),
        "requester": Requester("Ada (token lab)"),
        "subject": "",
        "date": NOON,
        "recorded": NOON,
    }
    return Request(**{**values, **other})


def enter(ledger: Ledger, identity: str = "key", **other: Any) -> tuple[Request | None, bool]:
    given = arrival(identity, **{**BY_HAND, "identity": identity})
    return ledger.enter(given, asked(**other), [Event(NOON, "recorded", {"series": 7})])


def test_it_is_in_the_log_and_has_a_story(ledger: Ledger) -> None:
    new, is_new = enter(ledger)
    assert is_new and new and (new.number, new.message_id, new.mail_id) == (1, "mail-1", 1)
    assert ledger.requests() == [new]
    [mail] = ledger.find("mail-1")
    assert (mail.outcome, mail.message_id, mail.requests) == (Outcome.DONE, "", (new,))
    assert [step.what for step in mail.story] == ["accepted", "recorded"]
    assert [each.label for each in ledger.results.of([1])] == ["iol-a"]
    assert ledger.search_requests(Filter(requesters=("ada (token",))) == [new]
    assert ledger.search_mails(Filter(texts=("Ada",))) == [mail]
    assert ledger.totals().requests == 1
    assert ledger.claim(NOON + 1, "worker-1") is None


def test_what_is_known_is_not_entered_again(ledger: Ledger) -> None:
    new, _ = enter(ledger)
    assert enter(ledger, contexts=("iol-b",)) == (new, False)
    other, is_new = enter(ledger, "another key")
    assert is_new and other and new and other.id != new.id
    assert len(ledger.requests()) == 2


def test_one_that_was_dropped_is_known(ledger: Ledger) -> None:
    enter(ledger)
    ledger.reruns(0.0, NOON)
    ledger.prune(Keep(raw=0.0, requests=NOON + 9e9), NOON + 9e9)
    assert ledger.requests() == []
    assert enter(ledger) == (None, False)


def test_it_is_recorded_at_the_promised_second_or_later(ledger: Ledger) -> None:
    record(ledger, "a")
    second = ledger.promise(NOON + 100)
    new, _ = enter(ledger)
    assert new and new.recorded == second


# What is told without writing


def test_only_what_is_under_a_promise_is_told_with_it(ledger: Ledger) -> None:
    assert ledger.sealed(0.0) == ([], 0.0)
    one = record(ledger, "a", NOON)
    assert ledger.sealed(0.0) == ([], 0.0)
    assert ledger.seal() and not ledger.seal()
    assert ledger.sealed(0.0) == ([one], NOON + 1)
    two = record(ledger, "b", NOON + 0.5)
    assert ledger.sealed(0.0) == ([one], NOON + 1)
    assert ledger.sealed(NOON + 1) == ([], NOON + 1)
    assert ledger.seal()
    assert ledger.sealed(NOON + 1) == ([two], NOON + 2)
    assert ledger.sealed(0.0) == ([one, two], NOON + 2)


def test_who_asks_from_what_was_told_gets_each_request_once(ledger: Ledger) -> None:
    since, had = 0.0, []
    for number in range(30):
        record(ledger, f"{number}", NOON + number / 3)
        if number % 4 == 0:
            ledger.promise()
        if number % 7 == 0:
            ledger.seal()
        found, since = ledger.sealed(float(int(since)))
        had += [each.number for each in found]
    ledger.seal()
    had += [each.number for each in ledger.sealed(since)[0]]
    assert had == list(range(1, 31))


def test_a_promise_of_another_seals_as_well(ledger: Ledger) -> None:
    one = record(ledger, "a", NOON)
    assert ledger.reruns(0.0, NOON) == ([one], NOON + 1)
    assert not ledger.seal()
    assert ledger.sealed(0.0) == ([one], NOON + 1)
