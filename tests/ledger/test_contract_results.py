# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with the results of requests."""

from dataclasses import replace

import pytest

from ingest.ledger import Baseline, Cursor, Keep, Ledger, Result, Run, Seen, State, open_ledger
from ingest.mail.requester import Requester
from tests.support.ledger_values import NOON, record

A, B = "iol-a", "iol-b"
SERVER = "https://patches.example.org/api"
FAIL = Result(1, A, State.FAIL, NOON + 9, "lab", "https://lab.example.org/1", "3 of 12 failed")
CHECK = Seen(1, A, patch=131182, id=7, state=State.FAIL, author="lab")


def states(ledger: Ledger, *requests: int) -> list[tuple[int, str, str]]:
    return [(each.request, each.label, each.state) for each in ledger.results.of(requests)]


def told(ledger: Ledger, message_id: str = "1@example.org") -> list[dict[str, object]]:
    """The particulars of each result in a mail's story."""
    [found] = ledger.find(message_id)
    return [dict(event.details) for event in found.story if event.what == "result"]


def test_each_label_is_asked_for_from_the_request_on(ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    record(ledger, "2@example.org", contexts=())
    assert states(ledger, 2, 1) == [(1, A, "asked"), (1, B, "asked"), (2, "", "asked")]
    assert [each.at for each in ledger.results.of([1])] == [NOON, NOON]
    assert ledger.results.of([3]) == []


def test_a_result_replaces_the_one_before_and_the_story_keeps_all(url: str, ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    assert ledger.results.tell(replace(FAIL, state=State.PENDING))
    assert ledger.results.tell(FAIL)
    other = open_ledger(url)
    assert other.results.of([1]) == [FAIL, Result(1, B, State.ASKED, NOON)]
    other.close()
    added = {"author": "lab", "url": FAIL.url, "summary": FAIL.summary}
    assert told(ledger) == [
        {"request": 1, "label": A, "state": "pending", **added},
        {"request": 1, "label": A, "state": "fail", **added},
    ]


CHANGES = {"state": State.SUCCESS, "author": "another", "url": "", "summary": "4 of 12 failed"}


@pytest.mark.parametrize("field", CHANGES)
def test_a_result_is_new_if_anything_but_its_time_is(ledger: Ledger, field: str) -> None:
    record(ledger, "1@example.org")
    ledger.results.tell(FAIL)
    assert not ledger.results.tell(replace(FAIL, at=NOON + 99))
    assert ledger.results.of([1])[0] == FAIL
    assert ledger.results.tell(replace(FAIL, **{field: CHANGES[field]}))  # type: ignore[arg-type]
    assert len(told(ledger)) == 2


def test_nothing_is_told_of_what_was_not_asked_for(ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    for other in (replace(FAIL, label="iol-c"), replace(FAIL, label=""), replace(FAIL, request=2)):
        assert not ledger.results.tell(other)
    assert states(ledger, 1, 2) == [(1, A, "asked"), (1, B, "asked")]
    assert told(ledger) == []


def test_only_what_was_asked_becomes_handed_over_and_to_the_first_one(ledger: Ledger) -> None:
    asked = record(ledger, "1@example.org")
    ledger.results.tell(FAIL)
    for name in ("command:lab", "webhook:other"):
        ledger.results.handed_over([asked], name, NOON + 20)
    assert ledger.results.of([1]) == [
        replace(FAIL, handed=NOON + 20),
        Result(1, B, State.HANDED_OVER, NOON + 20, "command:lab", handed=NOON + 20),
    ]


def test_when_a_label_was_first_handed_over_is_known_whatever_became_of_it(ledger: Ledger) -> None:
    asked = record(ledger, "1@example.org")
    ledger.results.handed_over([asked], "command:lab", NOON + 5)
    ledger.results.handed_over([asked], "webhook:other", NOON + 6)
    ledger.results.tell(replace(FAIL, at=NOON + 9))
    assert [(each.state, each.handed) for each in ledger.results.of([1])] == [
        ("fail", NOON + 5),
        ("handed over", NOON + 5),
    ]


def test_what_nobody_was_handed_is_known_until_somebody_is(ledger: Ledger) -> None:
    for number in range(1, 5):
        record(ledger, f"{number}@example.org", NOON + number)

    def found(since: float = NOON, up_to: int = 9, limit: int = 9) -> list[int]:
        return [each.number for each in ledger.results.not_handed_over(since, up_to, limit)]

    assert found() == [4, 3, 2, 1]
    assert (found(NOON + 2), found(up_to=2), found(limit=2)) == ([4, 3, 2], [2, 1], [4, 3])
    [one, two, *_] = ledger.requests()
    ledger.results.handed_over([one, replace(two, contexts=(A,))], "consumer lab", NOON)
    for label in (A, B):
        ledger.results.tell(replace(FAIL, request=3, label=label))
        ledger.results.tell(Result(4, label, State.OVERDUE, NOON))
    assert found() == [4, 2]


def test_what_its_checks_said_before_a_request_is_kept_whatever_is_told(ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    ledger.results.set_earlier(1, {A: State.FAIL, "iol-c": State.FAIL})
    ledger.results.tell(replace(FAIL, state=State.SUCCESS))
    assert [(each.label, each.state, each.earlier) for each in ledger.results.of([1])] == [
        (A, "success", "fail"),
        (B, "asked", ""),
    ]


def test_every_label_of_a_time_is_told_for_figures(ledger: Ledger) -> None:
    first = record(ledger, "1@example.org", contexts=(A, B), server="fdo", series=7, revision=2)
    who = Requester("", "ci@example.org")
    record(ledger, "2@example.org", NOON + 60, contexts=(), requester=who)
    ledger.results.handed_over([replace(first, contexts=(A,))], "command:lab", NOON + 5)
    ledger.results.set_earlier(1, {A: State.FAIL})
    ledger.results.tell(replace(FAIL, at=NOON + 9))
    asks = "Robin Reviewer"
    one = Run(1, "fdo", 7, 2, asks, A, State.FAIL, "fail", NOON, NOON + 5, NOON + 9)
    other = Run(1, "fdo", 7, 2, asks, B, State.ASKED, "", NOON, 0.0, NOON)
    alone = Run(2, "", 29430, 0, "ci@example.org", "", State.ASKED, "", NOON + 60, 0.0, NOON + 60)
    assert ledger.results.history(0.0) == [one, other, alone]
    assert ledger.results.history(NOON, NOON + 60) == [one, other]
    assert ledger.results.history(NOON + 1) == [alone]


def test_a_request_s_reason_and_what_its_groups_stood_for_are_kept(ledger: Ledger) -> None:
    groups = {"failed": (A, B), "none": ()}
    asked = record(
        ledger, "1@example.org", reason="the lab was down\n\0", groups=groups, parent="p@x.org"
    )
    assert asked.parent == "p@x.org"
    assert (asked.reason, asked.groups) == ("the lab was down\n\\x00", groups)
    assert ledger.requests() == [asked]


def test_of_a_request_that_was_narrowed_the_other_labels_stay_asked(ledger: Ledger) -> None:
    asked = record(ledger, "1@example.org")
    ledger.results.handed_over([replace(asked, contexts=(B,))], "command:lab", NOON)
    assert states(ledger, 1) == [(1, A, "asked"), (1, B, "handed over")]


def test_of_each_patch_the_newest_check_is_kept_in_whatever_order_they_come(
    ledger: Ledger,
) -> None:
    record(ledger, "1@example.org")
    other = replace(CHECK, patch=131183, id=5)
    assert ledger.results.see(CHECK) == ([], [CHECK])
    assert ledger.results.see(other) == ([CHECK], [CHECK, other])
    for known in (CHECK, replace(CHECK, id=6, state=State.SUCCESS)):
        assert ledger.results.see(known) == ([CHECK, other], [CHECK, other])
    newer = replace(CHECK, id=8, state=State.SUCCESS)
    assert ledger.results.see(newer) == ([CHECK, other], [newer, other])
    of_b = replace(CHECK, label=B, id=1)
    assert ledger.results.see(of_b) == ([], [of_b])


def test_a_request_is_open_until_the_result_of_each_label_is_known(ledger: Ledger) -> None:
    for name in ("1@example.org", "2@example.org"):
        record(ledger, name)
    for label in (A, B):
        assert [each.number for each in ledger.results.open(NOON)] == [1, 2]
        ledger.results.tell(replace(FAIL, label=label))
    assert [each.number for each in ledger.results.open(NOON)] == [2]
    assert ledger.results.open(NOON + 1) == []


@pytest.mark.parametrize("state", State)
def test_what_has_not_come_to_an_end_is_open(ledger: Ledger, state: State) -> None:
    record(ledger, "1@example.org", contexts=(A,))
    ledger.results.tell(replace(FAIL, state=state))
    ends = (State.SUCCESS, State.WARNING, State.FAIL, State.CANCELLED)
    assert bool(ledger.results.open(NOON)) == (state not in ends)


def test_a_request_is_found_by_its_number_and_by_its_id(ledger: Ledger) -> None:
    asked = record(ledger, "1@example.org")
    for name in ("1", asked.id):
        assert ledger.results.request(name) == asked
    for name in ("0", "2", "recheck-1", "", "\N{SUPERSCRIPT TWO}", "9" * 30):
        assert ledger.results.request(name) is None


def test_where_the_checks_of_a_request_begin_is_kept_until_it_is_over(ledger: Ledger) -> None:
    for name in ("1@example.org", "2@example.org"):
        record(ledger, name, contexts=(A,))
    ledger.results.set_baselines([1, 2], 41, SERVER)
    ledger.results.set_baselines([2], 40, SERVER)
    assert ledger.results.baselines(SERVER) == {1: 41, 2: 40}
    ledger.results.tell(FAIL)
    assert ledger.results.baselines(SERVER) == {2: 40}


def test_where_checks_begin_is_known_of_the_server_whose_ids_these_are(ledger: Ledger) -> None:
    for name in ("1@example.org", "2@example.org"):
        record(ledger, name, contexts=(A,))
    ledger.results.set_baselines([1], 41, SERVER)
    ledger.results.set_baselines([2], 7, "https://other.example.org/api")
    assert ledger.results.baselines(SERVER) == {1: 41}
    other = {2: Baseline("https://other.example.org/api", 7)}
    assert ledger.results.elsewhere(SERVER) == other
    ledger.results.set_baselines([1], 6, "https://other.example.org/api")
    assert ledger.results.baselines(SERVER) == {}
    both = {1: Baseline("https://other.example.org/api", 6), **other}
    assert ledger.results.elsewhere(SERVER) == both
    for label in (A, B):
        ledger.results.tell(replace(FAIL, label=label))
    assert ledger.results.elsewhere(SERVER) == other


def test_the_results_of_a_request_go_with_it(ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    ledger.results.see(CHECK)
    ledger.results.tell(FAIL)
    ledger.results.set_baselines([1], 6, SERVER)
    ledger.set_cursor(Cursor("webhook:lab", 1))
    assert ledger.prune(Keep(raw=0.0, requests=NOON + 99), NOON + 99) == 1
    assert ledger.results.of([1]) == []
    assert ledger.results.open(0.0) == []
    assert ledger.results.baselines(SERVER) == {}
