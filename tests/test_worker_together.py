# SPDX-License-Identifier: BSD-3-Clause
"""Mails that the worker takes up together: none of them waits for what another one meets."""

import logging
from collections.abc import Callable
from contextlib import closing

import pytest

from ingest.config.policy_tables import PolicySettings
from ingest.ledger import WORKER_LEASE, Outcome, Queued, open_ledger
from ingest.value import replace
from ingest.worker import Worker
from tests.support.bad_server import Answer, Hell, Seen
from tests.support.lab import Lab, knows
from tests.support.mails import reply

PATCH = "patch@example.org"
SEVERAL = [f"recheck-{number}@example.org" for number in range(5)]
OTHER = "other@example.org"
QUESTION = "question@example.org"


@pytest.fixture
def known(lab: Lab, hell: Hell) -> Lab:
    """A lab that remembers what Patchwork said of one patch, and a new worker."""
    hell.route(knows())
    lab.arrives(reply(PATCH, "first@example.org"))
    lab.works()
    lab.worker = Worker(lab.ledger, lab.patchwork, lab.settings, clock=lab.clock)
    return lab


def at_question(hell: Hell, look: Callable[[], object]) -> None:
    """Have the server look at something while it is asked for the other patch."""
    answer = knows()

    def route(seen: Seen) -> Answer | None:
        if OTHER in seen.query.get("msgid", []):
            look()
        return answer(seen)

    hell.route(route)


def during(lab: Lab, do: Callable[[Lab], object]) -> None:
    """Work off the queue, with something that happens between the second mail and the third."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            do(lab)
        return False

    lab.worker.work_off(stop=stop)


def outcomes(lab: Lab) -> list[Outcome]:
    return [lab.outcome(id) for id in SEVERAL]


def test_each_of_several_mails_is_recorded_told_and_reported_once(
    known: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reported: list[tuple[str, Outcome]] = []

    def report(queued: Queued, outcome: Outcome, reason: str) -> None:
        reported.append((queued.message_id, outcome))

    known.arrives(*(reply(PATCH, id) for id in SEVERAL))
    worker = Worker(known.ledger, known.patchwork, known.settings, clock=known.clock, report=report)
    assert worker.work_off() == len(SEVERAL)
    assert reported == [(id, Outcome.DONE) for id in SEVERAL]
    assert [each.message_id for each in known.ledger.requests()[1:]] == SEVERAL
    told = [each.getMessage() for each in caplog.records if each.name == "ingest.worker"]
    assert [line.partition(":")[0] for line in told] == [f"recorded <{id}>" for id in SEVERAL]


def test_a_copy_by_another_list_beside_its_original_asks_for_nothing_again(known: Lab) -> None:
    known.arrives(*(reply(PATCH, SEVERAL[0], list_id=f"{each}.example.org") for each in "ab"))
    known.works()
    found = known.ledger.find(SEVERAL[0])
    assert [each.outcome for each in found] == [Outcome.DONE, Outcome.IGNORED]
    assert len(known.ledger.requests()) == 2


def test_what_was_decided_before_a_question_is_in_the_ledger_while_it_is_asked(
    known: Lab, hell: Hell, ledger_url: str
) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        with closing(open_ledger(ledger_url)) as other:
            seen.append([each.message_id for each in other.requests()[1:]])

    at_question(hell, look)
    known.arrives(*(reply(PATCH, id) for id in SEVERAL[:3]), reply(OTHER, QUESTION))
    known.works()
    assert seen[0] == SEVERAL[:3]
    assert known.outcome(QUESTION) is Outcome.DONE


def test_what_was_not_begun_before_a_question_is_left_to_other_workers_while_it_is_asked(
    known: Lab, hell: Hell, ledger_url: str
) -> None:
    taken: list[str] = []

    def look() -> None:
        with closing(open_ledger(ledger_url)) as other:
            while mail := other.claim(known.clock(), "worker-2"):
                taken.append(mail.message_id)
                other.finish(mail, Outcome.CANCELLED, "another one has it", [])

    at_question(hell, look)
    known.arrives(reply(OTHER, QUESTION), *(reply(PATCH, id) for id in SEVERAL))
    known.works()
    assert taken == SEVERAL
    assert known.outcome(QUESTION) is Outcome.DONE


def test_a_mail_that_is_cancelled_after_it_was_decided_leaves_the_others_alone(
    known: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    known.arrives(*(reply(PATCH, id) for id in SEVERAL))

    def cancel(lab: Lab) -> None:
        assert lab.ledger.steering.cancel(lab.record(SEVERAL[0]).id, "not needed", lab.clock())

    during(known, cancel)
    assert outcomes(known) == [Outcome.CANCELLED, *[Outcome.DONE] * 4]
    assert f"left <{SEVERAL[0]}>" in caplog.text


def test_a_worker_that_is_stopped_writes_what_it_decided_and_gives_back_the_rest(
    known: Lab,
) -> None:
    known.arrives(*(reply(PATCH, id) for id in SEVERAL))
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(len(asked) >= 2)
        return asked[-1]

    assert known.worker.work_off(stop=stop) == 2
    assert outcomes(known) == [Outcome.DONE] * 2 + [Outcome.QUEUED] * 3
    assert known.ledger.recover(known.clock(), WORKER_LEASE) == 0


def test_when_the_time_is_up_no_further_mail_is_begun(known: Lab) -> None:
    known.arrives(*(reply(PATCH, id) for id in SEVERAL))
    until, asked = known.clock() + 5, 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        known.clock.now += 10 * (asked == 3)
        return False

    known.worker.work_off(until, stop)
    assert outcomes(known) == [Outcome.DONE] * 2 + [Outcome.QUEUED] * 3
    assert known.ledger.recover(known.clock(), WORKER_LEASE) == 0


def test_a_rate_counts_what_was_decided_a_moment_ago(known: Lab) -> None:
    policy = PolicySettings(rate_sender=("3 per hour",))
    settings = replace(known.settings, policy=policy)
    known.arrives(*(reply(PATCH, id) for id in SEVERAL))
    Worker(known.ledger, known.patchwork, settings, clock=known.clock).work_off()
    assert outcomes(known) == [Outcome.DONE] * 2 + [Outcome.REJECTED] * 3
