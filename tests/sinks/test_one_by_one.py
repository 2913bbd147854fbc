# SPDX-License-Identifier: BSD-3-Clause
"""The sink that hands over one request at a time: order, attempts, and what is noted of them."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from ingest.config import sink_tables
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway
from ingest.ledger import Cursor, Event, Ledger, Request, open_ledger
from ingest.sinks import Stop
from ingest.sinks.one_by_one import OneByOne
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.ledger_values import record

NAME = "webhook:lab"
TOLD = ("handed over", "set aside", "skipped")
RETRY = (10.0, MINUTE, 5 * MINUTE, 15 * MINUTE)


class Death(BaseException):
    """What a kill is to the code that runs: nothing after it happens."""


@dataclass(frozen=True, slots=True)
class Given:
    """One call of the receiver."""

    request: Request
    again: bool

    @property
    def id(self) -> str:
        return self.request.message_id.partition("@")[0]


@dataclass(slots=True)
class Receiver:
    """Answers as it is told, then "yes" for ever."""

    name: str = NAME
    answers: list[str | BaseException] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    looks: Callable[[Stop], None] = lambda stop: None

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        self.given.append(Given(request, again))
        self.looks(stop)
        answer = self.answers.pop(0) if self.answers else "yes"
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def calls(self) -> list[tuple[str, bool]]:
        """Which requests it was given, and whether as given before."""
        return [(each.id, each.again) for each in self.given]


class Lab:
    """A ledger, a clock, and the sink."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.receiver = Receiver()
        self.table = sink_tables.ReceiverSettings(retry=RETRY)
        self.max_age = 0.0

    def record(
        self, *names: str, contexts: tuple[str, ...] = ("iol-a",), age: float = 60.0
    ) -> None:
        now = self.clock()
        dates = {"date": now - age, "received": now}
        for name in names:
            message_id = f"{name}@example.org"
            record(self.ledger, message_id, now, contexts=contexts, arguments={}, **dates)

    def answers(self, *answers: str | BaseException) -> None:
        self.receiver.answers += answers

    def deliver(self, until: float | None = None, stop: Stop = lambda: False) -> int:
        sink = OneByOne(self.receiver, self.table, ("rebase",), max_age=self.max_age)
        return sink.deliver(self.ledger, clock=self.clock, until=until, stop=stop)

    def fails(self, retry_after: float | None = None) -> Cursor:
        """An attempt that comes to nothing; the cursor then."""
        self.answers(SinkUnavailable("the lab is closed", retry_after))
        with pytest.raises(SinkUnavailable, match="the lab is closed"):
            self.deliver()
        return self.cursor

    @property
    def cursor(self) -> Cursor:
        return self.ledger.cursor(NAME)

    def story(self, name: str) -> Sequence[Event]:
        """What the sink had told of a mail."""
        [found] = self.ledger.find(f"{name}@example.org")
        return [each for each in found.story if each.what in TOLD]

    def asides(self) -> list[tuple[int, int, float | None]]:
        """What is set aside: number, tries, and seconds until it is tried again."""
        return [
            (each.request, each.tries, None if each.due is None else each.due - self.clock())
            for each in self.ledger.asides.of(NAME)
        ]


@pytest.fixture
def lab(ledger: Ledger, clock: Clock) -> Lab:
    return Lab(ledger, clock)


# When all is well.


def test_requests_are_handed_over_once_in_the_order_of_the_log(lab: Lab) -> None:
    lab.record("a", "b", "c")
    assert lab.deliver() == 3
    assert lab.deliver() == 0
    lab.record("d")
    assert lab.deliver() == 1
    assert lab.receiver.calls == [(name, False) for name in "abcd"]
    assert lab.cursor == Cursor(NAME, 4, lab.clock())


def test_a_long_log_is_handed_over_to_its_end_and_what_comes_meanwhile_too(lab: Lab) -> None:
    with lab.ledger.batch():
        lab.record(*(f"mail-{number}" for number in range(150)))
    late = iter(["late"])
    lab.receiver.looks = lambda stop: lab.record(*late)
    assert lab.deliver() == 151
    assert lab.receiver.calls[-1] == ("late", False)


def test_what_came_of_it_is_in_the_mail_s_story(lab: Lab) -> None:
    lab.record("a", "b")
    lab.answers("204 No Content", NotTaken("it answers 400"))
    lab.deliver()
    assert lab.story("a") == [
        Event(lab.clock(), "handed over", {"to": NAME, "answer": "204 No Content"})
    ]
    skipped = {"by": NAME, "reason": f"{NAME}: it answers 400"}
    assert lab.story("b") == [Event(lab.clock(), "skipped", skipped)]


def test_an_empty_log_is_no_work(lab: Lab) -> None:
    assert lab.deliver() == 0
    assert lab.cursor == Cursor(NAME)


# What it is for.


def test_a_sink_gets_its_contexts_only_and_the_others_as_leftovers(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(contexts=("iol-*",))
    lab.record("a", contexts=("iol-a", "unh-b", "iol-c"))
    lab.deliver()
    [given] = lab.receiver.given
    assert given.request.contexts == ("iol-a", "iol-c")
    assert given.request.leftovers == ("unh-b", ".11")


def test_what_is_for_others_is_passed_over(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(contexts=("unh-*",))
    lab.record("a", "b")
    lab.record("c", contexts=("unh-c",))
    lab.record("d", "e")
    assert lab.deliver() == 1
    assert lab.receiver.calls == [("c", False)]
    assert lab.cursor.position == 5
    assert [name for name in "abcde" if lab.story(name)] == ["c"]


def test_known_arguments_are_for_every_sink_as_get_reruns_has_it(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(contexts=("unh-*",))
    for name, argument in (("a", "rebase"), ("b", "unknown")):
        record(lab.ledger, f"{name}@example.org", lab.clock(), arguments={argument: "x"})
    assert lab.deliver() == 1
    [given] = lab.receiver.given
    assert (given.id, given.request.contexts) == ("a", ())


@pytest.mark.parametrize("ledger_kind", ["sqlite"])  # which counts what it writes
def test_what_is_passed_over_is_noted_once(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(contexts=("unh-*",))
    with lab.ledger.batch():
        lab.record(*(f"mail-{number}" for number in range(300)))
    before = _writes(lab.ledger)
    lab.deliver()
    assert lab.cursor.position == 300
    assert _writes(lab.ledger) - before == 1


def _writes(ledger: Ledger) -> int:
    """How many rows this connection has written."""
    changes: int = ledger._db._db.total_changes  # type: ignore[attr-defined]
    return changes


def test_trouble_with_what_it_is_no_longer_for_is_over(lab: Lab) -> None:
    lab.record("a", contexts=("unh-a",))
    lab.record("b")
    lab.fails()
    lab.clock += RETRY[0]
    lab.table = sink_tables.ReceiverSettings(contexts=("iol-*",), retry=RETRY)
    assert lab.deliver() == 1
    assert lab.receiver.calls == [("a", False), ("b", False)]
    assert lab.cursor == Cursor(NAME, 2, lab.clock())


# Attempts.


def test_what_cannot_be_handed_over_is_tried_again_by_the_schedule(lab: Lab) -> None:
    lab.record("a", "b")
    for tries, pause in enumerate((*RETRY, RETRY[-1], RETRY[-1]), start=1):
        cursor = lab.fails()
        assert cursor == Cursor(
            NAME, 0, 0.0, tries, lab.clock() + pause, "the lab is closed", begun=1
        )
        lab.clock += pause - 1
        assert lab.deliver() == 0, "not before the pause is over"
        lab.clock += 1
    assert lab.deliver() == 2
    assert lab.receiver.calls == [("a", False), *[("a", True)] * 6, ("b", False)]
    assert lab.cursor == Cursor(NAME, 2, lab.clock())
    assert [each.what for each in lab.story("a")] == ["handed over"]


@pytest.mark.parametrize(
    ("asked", "pause"),
    [(None, 10.0), (0.0, 10.0), (3.0, 10.0), (HOUR, HOUR), (30 * DAY, DAY)],
)
def test_a_receiver_that_names_a_pause_is_given_it(
    lab: Lab, asked: float | None, pause: float
) -> None:
    lab.record("a")
    assert lab.fails(asked).due == lab.clock() + pause
    lab.clock += pause - 1
    assert lab.deliver() == 0
    lab.clock += 1
    assert lab.deliver() == 1


def test_a_schedule_may_have_pauses_of_more_than_a_day(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(retry=(3 * DAY,))
    lab.record("a")
    lab.fails()
    lab.clock += 3 * DAY - 1
    assert lab.deliver() == 0
    lab.clock += 1
    assert lab.deliver() == 1


def test_a_clock_that_was_far_ahead_when_it_failed_does_not_stop_it(lab: Lab) -> None:
    lab.record("a")
    lab.clock += 15 * 365 * DAY
    lab.fails()
    lab.clock += -15 * 365 * DAY
    assert lab.deliver() == 1


def test_a_clock_that_was_set_back_prolongs_a_pause_by_a_day_at_most(lab: Lab) -> None:
    lab.record("a")
    lab.fails()
    lab.clock += -HOUR
    assert lab.deliver() == 0
    lab.clock += -DAY
    assert lab.deliver() == 1


def test_what_is_not_taken_is_skipped_and_the_next_comes_at_once(lab: Lab) -> None:
    lab.record("a", "b", "c")
    lab.answers("yes", NotTaken("it answers 400"))
    assert lab.deliver() == 3
    assert lab.receiver.calls == [("a", False), ("b", False), ("c", False)]
    assert lab.cursor == Cursor(NAME, 3, lab.clock())


def test_the_last_refusal_stands_in_the_cursor_until_something_is_taken(lab: Lab) -> None:
    lab.record("a", "b")
    lab.answers(NotTaken("it answers 400"), NotTaken("it answers 404"))
    lab.deliver()
    assert lab.cursor == Cursor(NAME, 2, lab.clock(), reason="it answers 404")
    lab.record("c")
    lab.deliver()
    assert lab.cursor.reason == ""


def test_the_same_refusal_again_and_again_is_an_error_in_the_log_once(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.record("a", "b", "c", "d")
    same = NotTaken("it answers 401")
    lab.answers(same, same, NotTaken("it answers 400"), same)
    with caplog.at_level(logging.INFO, logger="ingest"):
        lab.deliver()
    assert [each.levelname for each in caplog.records] == ["ERROR", "INFO", "ERROR", "ERROR"]
    assert caplog.messages[0] == f"skipped <a@example.org> by {NAME}: it answers 401"


def test_a_receiver_that_is_gone_is_given_up_request_by_request(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(retry=RETRY, give_up=HOUR)
    lab.record("a", "b")
    recorded = lab.clock()
    while lab.cursor.position == 0:
        lab.answers(SinkUnavailable("the lab is closed"), Death())
        with pytest.raises((SinkUnavailable, Death)):
            lab.deliver()
        lab.receiver.answers.clear()
        lab.clock.now = max(lab.clock(), lab.cursor.due)
    assert lab.clock() - recorded == pytest.approx(HOUR, abs=RETRY[-1])
    assert [each.details["reason"] for each in lab.story("a")] == [
        f"{NAME}: gave up: the lab is closed"
    ]
    assert lab.cursor.begun == 2, "the next one is begun at once"
    assert lab.deliver() == 1
    assert lab.receiver.calls[-1] == ("b", True)


def test_what_is_old_already_is_tried_as_often_as_the_schedule_is_long(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(retry=RETRY, give_up=HOUR)
    lab.record("a")
    lab.clock += 30 * DAY
    for _ in RETRY[:-1]:
        assert lab.fails().position == 0
        lab.clock.now = lab.cursor.due
    lab.answers(SinkUnavailable("the lab is closed"))
    assert lab.deliver() == 1
    assert lab.cursor == Cursor(NAME, 1, lab.clock(), reason="gave up: the lab is closed")


def test_a_bug_of_a_receiver_is_told_and_its_request_tried_again(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.record("a", "b")
    lab.answers(ZeroDivisionError("division by zero"))
    with pytest.raises(SinkUnavailable):
        lab.deliver()
    assert lab.cursor.reason == "a bug of ours met request 1: ZeroDivisionError: division by zero"
    assert caplog.records[0].exc_info is not None, "with where it was"
    lab.clock += RETRY[0]
    assert lab.deliver() == 2


# Turned away, for what the request cannot help.


def test_a_request_that_is_turned_away_lets_later_ones_pass_and_is_tried_again(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.record("a", "b")
    lab.answers(TurnedAway("it answers 401"))
    assert lab.deliver() == 2
    assert lab.asides() == [(1, 1, 10.0)]
    assert lab.cursor.position == 2
    assert caplog.messages[0] == f"set aside <a@example.org> by {NAME}: it answers 401"
    assert lab.deliver() == 0, "not before it is due"
    lab.clock += 10
    lab.answers("204 No Content")
    assert lab.deliver() == 1
    assert lab.receiver.calls == [("a", False), ("b", False), ("a", True)]
    assert lab.asides() == []
    assert [each.what for each in lab.story("a")] == ["set aside", "handed over"]


def test_what_was_set_aside_goes_before_what_is_new(lab: Lab) -> None:
    lab.record("a")
    lab.answers(TurnedAway("it answers 401"))
    lab.deliver()
    lab.record("b")
    lab.clock += 10
    lab.deliver()
    assert [name for name, _ in lab.receiver.calls] == ["a", "a", "b"]


def test_of_those_turned_away_for_one_reason_one_asks_for_all_by_turns(lab: Lab) -> None:
    lab.record("a", "b", "c")
    lab.answers(*[TurnedAway("it answers 401")] * 3)
    lab.deliver()
    lab.clock += 10
    lab.answers(TurnedAway("it answers 401"))
    lab.deliver()
    assert lab.asides() == [(1, 2, MINUTE), (2, 1, MINUTE), (3, 1, MINUTE)]
    lab.clock += MINUTE
    lab.answers(TurnedAway("it answers 401"))
    lab.deliver()
    assert lab.receiver.calls[-2:] == [("a", True), ("b", True)]
    lab.clock += MINUTE
    assert lab.deliver() == 3


def test_one_that_stays_turned_away_is_given_up_and_kept(lab: Lab) -> None:
    lab.table = sink_tables.ReceiverSettings(retry=RETRY, give_up=HOUR)
    lab.record("a")
    while not lab.asides() or lab.asides()[0][2] is not None:
        lab.answers(TurnedAway("it answers 401"))
        lab.deliver()
        lab.receiver.answers.clear()
        assert lab.clock() < 1e10, "it is given up some time"
        lab.clock += max(0.0, (lab.asides() or [(0, 0, 0.0)])[0][2] or 0.0)
    assert lab.story("a")[-1].details["reason"] == f"{NAME}: gave up: it answers 401"
    lab.clock += 30 * DAY
    assert lab.deliver() == 0
    assert lab.ledger.asides.retry(NAME, lab.clock()) == 1
    assert lab.deliver() == 1
    assert lab.asides() == []


def test_a_receiver_that_is_down_is_not_asked_for_each(lab: Lab) -> None:
    lab.record("a", "b")
    lab.answers(TurnedAway("it answers 401"), TurnedAway("it answers 404"))
    lab.deliver()
    lab.clock += 10
    assert lab.fails().reason == "the lab is closed"
    assert len(lab.receiver.calls) == 3
    assert lab.deliver() == 0, "all of them wait for it"
    lab.clock += 10
    assert lab.deliver() == 2
    assert (lab.cursor.tries, lab.cursor.reason) == (0, "")


@pytest.mark.parametrize("error", [NotTaken("it answers 400"), SinkUnavailable("gone")])
def test_what_is_skipped_can_be_handed_over_after_all(lab: Lab, error: Exception) -> None:
    lab.table = sink_tables.ReceiverSettings(retry=RETRY[:1], give_up=0.0)
    lab.record("a")
    lab.answers(error)
    lab.deliver()
    assert [due for _, _, due in lab.asides()] == [None]
    lab.ledger.asides.retry(NAME, lab.clock())
    assert lab.deliver() == 1
    assert [each.what for each in lab.story("a")] == ["skipped", "handed over"]


def test_one_that_is_no_longer_wanted_is_not_set_aside_any_more(lab: Lab) -> None:
    lab.record("a")
    lab.answers(TurnedAway("it answers 401"))
    lab.deliver()
    lab.table = sink_tables.ReceiverSettings(retry=RETRY, contexts=("other-*",))
    lab.clock += 10
    assert lab.deliver() == 0
    assert lab.asides() == []


def test_it_is_due_for_what_is_new_and_for_what_was_set_aside(lab: Lab) -> None:
    sink = OneByOne(lab.receiver, lab.table, ())
    assert not sink.is_due(lab.ledger, lab.clock())
    lab.record("a")
    assert sink.is_due(lab.ledger, lab.clock())
    lab.answers(TurnedAway("it answers 401"))
    lab.deliver()
    assert not sink.is_due(lab.ledger, lab.clock())
    assert sink.is_due(lab.ledger, lab.clock() + 10)


# Too old.


def test_a_request_of_an_old_mail_is_passed_over_until_an_operator_wants_it(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.max_age = 7 * DAY
    lab.record("old", age=7 * DAY + 1)
    lab.record("young", age=7 * DAY)
    lab.clock += 30 * DAY  # what counts is how old it was when it came
    assert lab.deliver() == 1
    assert lab.receiver.calls == [("young", False)]
    why = "policy max_age: its mail was 7 days old when it came"
    assert lab.story("old")[-1].details["reason"] == f"{NAME}: {why}"
    assert [each.levelname for each in caplog.records if "old@" in each.getMessage()] == []
    assert lab.cursor.reason == ""
    assert lab.asides() == [(1, 0, None)]
    lab.ledger.asides.retry(NAME, lab.clock())
    assert lab.deliver() == 1
    assert lab.receiver.calls[-1] == ("old", True)


# Ends, of all kinds.


def test_what_is_begun_is_noted_before_it_is_handed_over(lab: Lab) -> None:
    lab.record("a", "b")
    noted: list[Cursor] = []
    lab.receiver.looks = lambda stop: noted.append(lab.cursor)
    lab.deliver()
    assert [(each.position, each.begun) for each in noted] == [(0, 1), (1, 2)]


def test_what_was_begun_when_we_were_killed_comes_again_and_says_so(lab: Lab) -> None:
    lab.record("a", "b")
    lab.answers("yes", Death())
    with pytest.raises(Death):
        lab.deliver()
    assert lab.deliver() == 1
    assert lab.receiver.calls == [("a", False), ("b", False), ("b", True)]
    assert [each.what for each in lab.story("b")] == ["handed over"]


def test_a_trouble_that_is_over_is_not_told_of_what_is_at_work(lab: Lab) -> None:
    lab.record("a", "b")
    lab.answers(NotTaken("it answers 400"))
    noted: list[str] = []
    lab.receiver.looks = lambda stop: noted.append(lab.cursor.reason)
    lab.deliver()
    assert noted == ["", ""]


def test_it_stops_between_two_requests(lab: Lab) -> None:
    lab.record("a", "b", "c")
    assert lab.deliver(stop=lambda: len(lab.receiver.given) == 2) == 2
    assert lab.cursor.position == 2
    assert lab.deliver() == 1


def test_nothing_is_begun_after_its_time(lab: Lab) -> None:
    lab.record("a", "b")

    def work(stop: Stop) -> None:
        lab.clock += 5.0

    lab.receiver.looks = work
    assert lab.deliver(until=lab.clock() + 4.0) == 1
    assert (lab.cursor.position, lab.cursor.begun) == (1, 0)
    assert lab.deliver(until=lab.clock() - 1.0) == 0


def test_an_attempt_that_was_stopped_does_not_count(lab: Lab) -> None:
    lab.record("a")
    lab.fails()
    lab.clock += RETRY[0]
    lab.answers(SinkUnavailable("ended unfinished"))
    with pytest.raises(SinkUnavailable):
        lab.deliver(stop=lambda: len(lab.receiver.given) == 2)
    cursor = lab.cursor
    assert (cursor.tries, cursor.reason, cursor.begun) == (1, "ended unfinished", 1)
    assert lab.deliver() == 1, "at the next start it is tried at once"
    assert lab.receiver.calls[-1] == ("a", True)


def test_what_is_at_work_is_told_to_end_apart_from_what_is_to_begin(lab: Lab) -> None:
    lab.record("a", "b")
    asked: list[bool] = []
    lab.receiver.looks = lambda stop: asked.append(stop())
    sink = OneByOne(lab.receiver, lab.table, (), ending=lambda: False)
    sink.deliver(lab.ledger, clock=lab.clock, until=None, stop=lambda: bool(asked))
    assert asked == [False]
    assert lab.receiver.calls == [("a", False)]


# Several at once.


def test_two_at_once_hand_over_each_request_once(lab: Lab, ledger_url: str) -> None:
    """As two services on one ledger do: while one is at a request, the other steps back."""
    lab.record("a", "b")
    inside, seen = threading.Event(), threading.Event()

    def work(stop: Stop) -> None:
        inside.set()
        assert seen.wait(60)

    lab.receiver.looks = work
    first = threading.Thread(target=lab.deliver)
    first.start()
    assert inside.wait(60)
    other = Lab(open_ledger(ledger_url), lab.clock)
    assert other.deliver() == 0
    seen.set()
    first.join(60)
    assert other.deliver() == 0
    other.ledger.close()
    assert lab.receiver.calls == [("a", False), ("b", False)]
    assert other.receiver.calls == []


def test_sinks_of_one_ledger_have_cursors_of_their_own(lab: Lab) -> None:
    lab.record("a")
    other = Lab(lab.ledger, lab.clock)
    other.receiver.name = "webhook:other"
    lab.fails()
    assert other.deliver() == 1
    assert lab.cursor.position == 0
    assert replace(lab.ledger.cursor("webhook:other"), moved=0.0) == Cursor("webhook:other", 1)
