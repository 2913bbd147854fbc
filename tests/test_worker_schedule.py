# SPDX-License-Identifier: BSD-3-Clause
"""When a mail is tried again, when it is given up, and how little Patchwork is asked meanwhile."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise

import pytest

from ingest.ledger import Outcome
from tests.support.bad_server import TIMEOUT, Answer, Hell, Seen, failing, rows, stalls
from tests.support.clock import DAY, HOUR, MINUTE
from tests.support.faults import OURS
from tests.support.lab import SELDOM, Lab, MakeLab, attempts, knows, replies
from tests.support.mails import reply

# The waits between attempts, as the README promises them.
SCHEDULE = [MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR]


# The schedule.


@pytest.mark.slow
def test_a_patch_that_never_comes_leaves_the_mail_unresolved_after_a_day(
    hell: Hell, lab: Lab
) -> None:
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    tried = attempts(lab)
    assert lab.outcome() is Outcome.UNRESOLVED
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits[:6] == [*SCHEDULE, HOUR]
    assert set(waits[4:-1]) == {HOUR}
    assert tried[-1] == DAY


def test_an_unresolved_mail_is_resolved_by_a_retry(hell: Hell, lab_at: MakeLab) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    attempts(lab)
    lab.clock += 5 * DAY
    hell.route(knows())
    assert lab.ledger.retry(["recheck@example.org"], lab.clock()) == 1
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert list(lab.document()) == ["29430"]


def test_a_retry_that_finds_nothing_waits_for_another_day(hell: Hell, lab_at: MakeLab) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    attempts(lab)
    lab.clock += 5 * DAY
    lab.ledger.retry(None, lab.clock())
    assert attempts(lab)[-1] == DAY
    assert lab.outcome() is Outcome.UNRESOLVED


@pytest.mark.slow
def test_a_patchwork_that_is_down_for_a_week_fails_the_mail(hell: Hell, lab: Lab) -> None:
    hell.stop()
    lab.arrives(reply(OURS))
    tried = attempts(lab)
    assert lab.outcome() is Outcome.FAILED
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert waits[:6] == [*SCHEDULE, HOUR]
    assert tried[-1] == 7 * DAY
    hell.start()
    hell.route(knows())
    lab.clock += MINUTE
    assert lab.ledger.retry(None, lab.clock()) == 1
    lab.works()
    assert lab.outcome() is Outcome.DONE


def test_a_patchwork_that_is_down_for_six_days_loses_nothing(hell: Hell, lab_at: MakeLab) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.stop()
    lab.arrives(reply(OURS))
    lab.works_until(lab.clock() + 6 * DAY)
    hell.start()
    hell.route(knows())
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999999])
@pytest.mark.parametrize("answer", [rows(), failing(503)], ids=["missing", "down"])
def test_a_wait_is_lengthened_at_random_by_a_tenth_at_most(
    chance: float, answer: Answer, hell: Hell, lab: Lab
) -> None:
    hell.will(answer)
    lab.chance = chance
    lab.arrives(reply(OURS))
    lab.works()
    for wait in [*SCHEDULE, HOUR, HOUR]:
        due = lab.record().due
        assert due is not None
        assert due - lab.clock() == pytest.approx(wait * (1 + 0.1 * chance))
        lab.works_when_due()


# Up and down.


@pytest.mark.slow
def test_a_patchwork_that_goes_up_and_down_keeps_no_mail_waiting_for_ever(
    hell: Hell, lab: Lab
) -> None:
    begun = lab.clock()

    def route(seen: Seen) -> Answer | None:
        is_up = (lab.clock() - begun) // (6 * HOUR) % 2 == 0
        return knows([])(seen) if is_up else failing(503)

    hell.route(route)
    lab.arrives(reply(OURS))
    tried = attempts(lab)
    assert lab.outcome() is Outcome.UNRESOLVED
    # A day of being up, however it was spread, give or take a step for each change.
    assert 42 * HOUR <= tried[-1] <= 54 * HOUR


def test_an_outage_does_not_count_as_time_for_which_a_patch_was_missing(
    hell: Hell, lab_at: MakeLab
) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    lab.works_until(lab.clock() + HOUR)
    hell.stop()
    lab.works_until(lab.clock() + 3 * DAY)
    hell.start()
    # Patchwork is back, and still reads the mail that has come meanwhile.
    lab.works_until(lab.clock() + 20 * HOUR)
    assert lab.waiting() == {"missing": 1}
    hell.route(knows())
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


@pytest.mark.slow
def test_an_outage_that_another_mail_found_does_not_count_either(hell: Hell, lab: Lab) -> None:
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    lab.works_until(lab.clock() + 2 * HOUR)
    hell.will(failing(503, "Retry-After: 86400"))
    hell.route(lambda seen: None)
    lab.arrives(reply("other@example.org", "other-recheck@example.org"))
    lab.works()
    lab.works_until(lab.clock() + DAY - 1)
    assert lab.waiting() == {"down": 2}
    asked = len(hell.seen)
    hell.route(knows([]))
    lab.works_when_due()
    assert len(hell.seen) > asked
    assert lab.waiting() == {"missing": 2}
    # Nor does it when there is another outage later.
    hell.will(failing(503))
    hell.route(lambda seen: None)
    lab.works_until(lab.clock() + 3 * HOUR)
    hell.route(knows([]))
    lab.works_until(lab.clock() + 2 * HOUR)
    assert lab.waiting() == {"missing": 2}


def test_what_was_missing_before_a_retry_does_not_count_after_it(
    hell: Hell, lab_at: MakeLab
) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    attempts(lab)
    lab.clock += DAY
    hell.stop()
    lab.ledger.retry(None, lab.clock())
    lab.works()
    assert lab.waiting() == {"down": 1}
    hell.start()
    lab.works_when_due()
    assert lab.waiting() == {"missing": 1}


def test_an_outage_ends_no_mail_that_was_missing_before(hell: Hell, lab_at: MakeLab) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    lab.works_until(lab.clock() + 23 * HOUR)
    hell.stop()
    lab.works_until(lab.clock() + 6 * DAY)
    assert lab.waiting() == {"down": 1}
    hell.start()
    hell.route(knows())
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


# Politeness.


@pytest.mark.parametrize("seconds", [61, 600, 7200])
@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_wait_that_patchwork_asks_for_is_kept_by_every_mail(
    seconds: int, as_date: bool, hell: Hell, lab: Lab
) -> None:
    begun = lab.clock()
    until = datetime.fromtimestamp(begun + seconds, UTC)
    wanted = format_datetime(until, usegmt=True) if as_date else str(seconds)
    hell.will(failing(429, f"Retry-After: {wanted}"))
    lab.arrives(*replies(3))
    lab.works()
    due = lab.record("recheck-0@example.org").due
    assert due == pytest.approx(begun + seconds)
    lab.works_until(begun + seconds - 1)
    assert len(hell.seen) == 1
    hell.route(knows())
    lab.works_until(begun + seconds + 1)
    assert lab.ledger.totals().mails["done"] == 3


def test_a_short_wait_that_patchwork_asks_for_is_enough_for_the_others(
    hell: Hell, lab: Lab
) -> None:
    hell.will(failing(503, "Retry-After: 5"))
    lab.arrives(*replies(3))
    lab.works()
    hell.route(knows())
    lab.works_until(lab.clock() + 6)
    assert lab.ledger.totals().mails["done"] == 2


@pytest.mark.parametrize(
    "wanted", ["999999999", "9" * 500, "Fri, 31 Dec 9999 23:59:59 GMT"], ids=lambda w: w[:12]
)
def test_a_wait_of_years_is_kept_for_a_day(wanted: str, hell: Hell, lab: Lab) -> None:
    hell.will(failing(429, f"Retry-After: {wanted}"))
    lab.arrives(*replies(2))
    lab.works()
    hell.route(knows())
    lab.works_until(lab.clock() + DAY - 1)
    assert len(hell.seen) == 1
    lab.works_until(lab.clock() + 2)
    assert lab.ledger.totals().mails["done"] == 2


@pytest.mark.slow
def test_a_patchwork_that_is_down_is_asked_once_a_step_for_a_hundred_mails(
    hell: Hell, lab: Lab
) -> None:
    hell.will(failing(503))
    hell.root = None
    lab.arrives(*replies(100))
    lab.works()
    assert lab.waiting() == {"down": 100}
    for step in range(2, 6):
        lab.works_when_due()
        assert [seen.path for seen in hell.seen] == ["/api/patches/", "/api/"] * step
    asked = len(hell.seen)
    hell.route(knows())
    steps = 0
    while lab.ledger.next_due() is not None:
        lab.works_when_due()
        steps += 1
    assert lab.ledger.totals().mails["done"] == 100
    assert steps <= len(SCHEDULE) + 1
    assert len(hell.seen) == asked + 100


def test_a_patchwork_that_says_nothing_costs_two_time_outs_for_twenty_mails(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.will(stalls())
    hell.root = None
    lab = lab_at(hell.url, timeout=TIMEOUT)
    lab.arrives(*replies(20))
    lab.works()
    assert [seen.path for seen in hell.seen] == ["/api/patches/", "/api/"]
    assert hell.was_left(2)
    assert lab.waiting() == {"down": 20}


def test_a_missing_patch_does_not_keep_other_mails_from_being_resolved(
    hell: Hell, lab: Lab
) -> None:
    hell.route(knows(["patch-1@example.org", "patch-2@example.org"]))
    lab.arrives(*replies(3))
    lab.works()
    assert lab.waiting() == {"missing": 1}
    assert lab.ledger.totals().mails["done"] == 2


def test_a_refused_question_does_not_keep_other_mails_from_being_resolved(
    hell: Hell, lab: Lab
) -> None:
    hell.route(lambda seen: None if "patch-0" in seen.target else knows()(seen))
    hell.will(failing(400))
    lab.arrives(*replies(3))
    lab.works()
    mails = lab.ledger.totals().mails
    assert (mails["queued"], mails["done"]) == (1, 2)
    assert lab.waiting() == {"failing": 1}


def test_a_question_that_always_fails_does_not_starve_other_mails(hell: Hell, lab: Lab) -> None:
    hell.route(lambda seen: None if "patch-0" in seen.target else knows()(seen))
    hell.will(failing(500))
    lab.arrives(*replies(10))
    lab.works()
    lab.works_until(lab.clock() + 3 * MINUTE)
    assert lab.ledger.totals().mails["done"] == 9


def test_a_mail_for_which_no_time_was_left_is_put_back_as_it_was(
    hell: Hell, lab: Lab, lab_at: MakeLab
) -> None:
    hell.route(knows())
    hurried = lab_at(hell.url, until=time.monotonic())
    lab.arrives(reply(OURS))
    assert hurried.worker.work_off() == 0
    assert lab.waiting() == {}
    lab.works()
    assert lab.outcome() is Outcome.DONE


def test_what_patchwork_was_asked_and_said_is_in_the_mails_story(hell: Hell, lab: Lab) -> None:
    hell.will(rows(), failing(503))
    lab.arrives(reply(OURS))
    lab.works()
    told = [(event.what, event.details) for event in lab.record().story]
    assert [what for what, _ in told] == ["accepted", "asked", "waits"]
    assert told[1][1] == {"question": f"patch <{OURS}>", "answer": "unknown"}
    assert "503" in told[2][1]["reason"]
