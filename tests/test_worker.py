# SPDX-License-Identifier: BSD-3-Clause
"""What the worker does beside deciding: it survives what one mail does to it, tells in the log
what became of each mail, and lives with a clock that jumps."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from ingest.config import tables
from ingest.errors import NotYet, Temporary, Unanswered, Unavailable
from ingest.ledger import WORKER_LEASE, Filing, Ledger, Outcome
from ingest.mail.message import Mail
from ingest.patchwork import outage
from ingest.patchwork.dialect import Lookup, Target
from ingest.patchwork.lookup import Patchwork
from ingest.worker import POLL, Worker
from tests.support.bad_server import Hell, failing
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.faults import OURS
from tests.support.lab import SELDOM, Lab, MakeLab, attempts, knows, replies
from tests.support.mails import reply


class Breaking(Patchwork):
    """A client with a bug: for mails that reply to ``patch-0`` it runs out of memory, or worse."""

    def __init__(self, url: str, ledger: Ledger, clock: Clock, error: Exception) -> None:
        super().__init__(tables.PatchworkSettings(url), ledger, clock=clock)
        self._error = error

    def resolve(
        self,
        mail: Mail,
        received: float,
        trail: list[Lookup],
        filing: Filing = Filing(),  # noqa: B008  frozen
    ) -> Target:
        if "patch-0@example.org" in mail.candidates:
            raise self._error
        return super().resolve(mail, received, trail, filing)


ERRORS = [MemoryError(), RecursionError("too deep"), KeyError("series"), ValueError("\x1b[31m")]


@pytest.fixture
def breaks(
    lab: Lab, hell: Hell, ledger: Ledger, clock: Clock
) -> Iterator[Callable[[Exception], None]]:
    """Has the lab's client raise an error at the first of three mails."""
    hell.route(knows())
    settings = tables.Settings(retests=tables.RetestsSettings(file=str(lab.retests)))
    with ExitStack() as stack:

        def at_first(error: Exception) -> None:
            patchwork = stack.enter_context(closing(Breaking(hell.url, ledger, clock, error)))
            lab.worker = Worker(ledger, patchwork, settings, clock=clock, chance=lambda: 0.0)

        lab.arrives(*replies(3))
        yield at_first


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def breaking(breaks: Callable[[Exception], None], lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """A lab whose worker meets an error of ours at one of three mails."""
    breaks(request.param)
    return lab


def test_an_error_of_ours_at_one_mail_leaves_the_others_alone(
    breaking: Lab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    breaking.works()
    assert breaking.ledger.totals().mails["done"] == 2
    assert breaking.waiting() == {"failing": 1}
    record = breaking.record("recheck-0@example.org")
    assert record.reason.startswith("an error of ours: ")
    assert record.due == breaking.clock() + MINUTE
    assert "an error of ours while working on <recheck-0@example.org>" in caplog.text
    # Patchwork has nothing to do with it.
    assert outage.broken(breaking.ledger, breaking.clock()) is None


# For a ledger in PostgreSQL the tests before it and behind it say the same.
@pytest.mark.slow
@pytest.mark.parametrize("ledger_kind", ["sqlite"])
def test_an_error_of_ours_that_stays_ends_the_mail_as_failed_and_retryable(
    breaking: Lab,
) -> None:
    breaking.works()
    while breaking.ledger.next_due() is not None:
        breaking.works_when_due()
    record = breaking.record("recheck-0@example.org")
    assert record.outcome is Outcome.FAILED
    assert record.reason.startswith("gave up: an error of ours: ")
    assert breaking.ledger.retry(["recheck-0@example.org"], breaking.clock()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("error", [Unanswered("an HTML page"), Temporary("something else")])
def test_a_question_that_fails_for_one_mail_leaves_only_that_one_waiting(
    error: Exception,
    breaks: Callable[[Exception], None],
    lab: Lab,
    caplog: pytest.LogCaptureFixture,
) -> None:
    breaks(error)
    lab.works()
    assert lab.ledger.totals().mails["done"] == 2
    assert lab.waiting() == {"failing": 1}
    assert outage.broken(lab.ledger, lab.clock()) is None
    assert "an error of ours" not in caplog.text
    while lab.ledger.next_due() is not None:
        lab.works_when_due()
    record = lab.record("recheck-0@example.org")
    assert (record.outcome, record.reason) == (Outcome.FAILED, f"gave up: {error}")


def test_a_server_that_is_down_puts_every_mail_off(
    breaks: Callable[[Exception], None], lab: Lab
) -> None:
    breaks(Unavailable("it sleeps"))
    lab.works()
    assert lab.waiting() == {"down": 3}


@pytest.mark.slow
def test_an_attempt_that_goes_on_soon_is_no_try_and_comes_to_an_end_all_the_same(
    breaks: Callable[[Exception], None], lab: Lab
) -> None:
    breaks(NotYet("it is asked again soon", 600.0))
    lab.works()
    record = lab.record("recheck-0@example.org")
    assert (record.due, record.tries) == (lab.clock() + 600, 0)
    assert lab.waiting() == {"missing": 1}
    begun = lab.clock()
    while lab.ledger.next_due() is not None:
        lab.works_when_due()
    assert lab.outcome("recheck-0@example.org") is Outcome.UNRESOLVED
    assert DAY <= lab.clock() - begun <= DAY + 2 * HOUR


# What the log tells.


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    worker = [each for each in caplog.records if each.name == "ingest.worker"]
    return [(each.levelno, each.getMessage()) for each in worker]


def test_a_request_is_logged_with_what_was_not_read(
    lab: Lab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hell.route(knows())
    lab.arrives(reply(OURS, body="Recheck-request: iol-a,  iol-b\n"))
    lab.works()
    line = "recorded <recheck@example.org>: series 29430: iol-a (not read: iol-b)"
    assert logged(caplog) == [(logging.INFO, line)]


def test_a_request_is_kept_with_its_reason_and_with_what_its_mail_replied_to(
    lab: Lab, hell: Hell
) -> None:
    hell.route(knows())
    lab.arrives(reply(OURS, body="Recheck-request: iol-a\nThe lab was down. Sorry.\n"))
    lab.works()
    [asked] = lab.record().requests
    assert (asked.reason, asked.parent) == ("The lab was down.", OURS)


def test_a_request_that_was_recorded_before_is_not_called_recorded(
    lab: Lab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    hell.route(knows())
    lab.arrives(reply(OURS))
    lab.works()
    caplog.set_level(logging.INFO)
    lab.arrives(reply(OURS, list_id="other.example.org"))
    lab.works()
    [(_, line)] = logged(caplog)
    assert line.startswith("recorded before <recheck@example.org>: ")


def test_a_mail_without_message_id_is_named_by_its_number(
    lab: Lab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hell.route(knows())
    lab.arrives(reply(OURS, ""))
    lab.works()
    [(_, line)] = logged(caplog)
    [request] = lab.ledger.requests()
    assert line.startswith(f"recorded mail-{request.mail_id}: ")
    assert request.message_id == f"mail-{request.mail_id}"


@pytest.mark.parametrize(
    ("body", "level"),
    [("Recheck-request: iol-a\n", logging.WARNING), ("Thanks, Recheck.\n", logging.INFO)],
    ids=["failed", "ignored"],
)
def test_a_mail_that_failed_is_a_warning_and_one_that_is_ignored_is_not(
    body: str, level: int, lab_at: MakeLab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    lab = lab_at(hell.url, schedule=SELDOM)
    caplog.set_level(logging.INFO)
    hell.will(failing(400))
    lab.arrives(reply(OURS, body=f"{body}\n> Recheck-request: iol-a\n"))
    attempts(lab)
    assert logged(caplog)[-1][0] == level


# What is remembered of Patchwork.


def test_an_answer_that_a_patch_is_not_known_is_an_answer(lab: Lab, hell: Hell) -> None:
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    lab.works()
    assert outage.answered(lab.ledger, lab.clock()) == lab.clock()


def test_what_is_remembered_is_no_answer_of_today(lab: Lab, hell: Hell) -> None:
    hell.route(knows())
    lab.arrives(reply(OURS))
    lab.works()
    asked = lab.clock()
    lab.clock += HOUR
    lab.arrives(reply(OURS, "again@example.org"))
    lab.works()
    assert lab.outcome("again@example.org") is Outcome.DONE
    assert outage.answered(lab.ledger, lab.clock()) == asked


def test_no_answer_is_not_remembered_as_one(lab: Lab, hell: Hell) -> None:
    hell.will(failing(503))
    lab.arrives(reply(OURS))
    lab.works()
    assert outage.answered(lab.ledger, lab.clock()) == 0.0


# What one run does.


def test_a_long_queue_does_not_hold_up_what_is_recorded(lab: Lab, hell: Hell, clock: Clock) -> None:
    hell.route(knows())
    lab.arrives(*replies(3))
    published: list[int] = []

    def publish(until: float | None) -> None:
        published.append(lab.ledger.last_request())

    def slow() -> bool:
        clock.now += POLL
        return False

    worker = Worker(lab.ledger, lab.patchwork, tables.Settings(), clock=clock, publish=publish)
    worker.work_off(stop=slow)
    assert published == [1, 2, 3, 3]


def test_a_short_queue_is_published_once(lab: Lab, hell: Hell, clock: Clock) -> None:
    hell.route(knows())
    lab.arrives(*replies(3))
    published: list[float | None] = []
    Worker(
        lab.ledger, lab.patchwork, tables.Settings(), clock=clock, publish=published.append
    ).work_off()
    assert published == [None]


def test_what_a_dead_worker_had_taken_up_is_taken_up_again_once(lab: Lab, hell: Hell) -> None:
    hell.route(knows())
    lab.arrives(*replies(2))
    assert lab.ledger.claim(lab.clock(), WORKER_LEASE)
    lab.works()
    assert lab.ledger.totals().mails["done"] == 2
    # Later runs of the same worker leave alone what it has in hand itself.
    lab.arrives(reply(OURS))
    assert lab.ledger.claim(lab.clock(), WORKER_LEASE)
    lab.works()
    assert lab.ledger.totals().mails["done"] == 2


# Clocks that jump.


def test_a_clock_that_is_set_back_in_an_outage_does_not_stop_the_questions(
    lab: Lab, hell: Hell
) -> None:
    hell.will(failing(503, "Retry-After: 3600"))
    lab.arrives(*replies(3))
    lab.works()
    assert lab.waiting() == {"down": 3}
    lab.clock += -DAY
    hell.route(knows())
    lab.works()
    assert lab.ledger.totals().mails["done"] == 3


@pytest.mark.slow
def test_a_clock_that_goes_forward_and_back_leaves_a_mail_its_day(lab: Lab, hell: Hell) -> None:
    hell.route(knows([]))
    lab.arrives(reply(OURS))
    lab.works()
    lab.clock += 25 * HOUR
    lab.works()
    lab.clock += -25 * HOUR
    lab.works()
    assert lab.waiting() == {"missing": 1}
    back = lab.clock()
    attempts(lab)
    assert lab.outcome() is Outcome.UNRESOLVED
    assert lab.clock() - back >= 22 * HOUR


def test_a_mail_that_came_in_the_future_is_worked_on_when_the_clock_is_right_again(
    lab: Lab, hell: Hell, caplog: pytest.LogCaptureFixture
) -> None:
    hell.route(knows())
    lab.clock += DAY
    lab.arrives(reply(OURS))
    lab.clock += -DAY
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert "the clock was set back: 1 waiting mail tried now" in caplog.text
