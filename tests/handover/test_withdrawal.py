# SPDX-License-Identifier: BSD-3-Clause
"""What can be cancelled is what nobody was handed, and then nobody is."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from ingest.config import sink_tables, tables
from ingest.config.policy_tables import PolicySettings
from ingest.errors import NothingFound, SinkUnavailable
from ingest.handover import reruns, take
from ingest.handover.withdrawal import withdraw
from ingest.ledger import Cursor, Ledger, Outcome, Pause, Request, open_ledger
from ingest.sinks import delivery, json_file, lease_name
from tests.support.ledger_values import NOON, arrival, record, the_outcome

LAB = "command:lab"


@pytest.fixture
def settings(quick_path: Path) -> tables.Settings:
    """The retest JSON, and a program that notes the numbers of the requests that it gets."""
    program = ("sh", "-c", f"cat >> {quick_path}/lab.txt; echo >> {quick_path}/lab.txt")
    return tables.Settings(
        state=tables.StateSettings(dir=str(quick_path)),
        retests=tables.RetestsSettings(file=str(quick_path / "retests.json")),
        command={"lab": sink_tables.CommandSettings(program=program)},
        policy=PolicySettings(max_age=0.0),
    )


@pytest.fixture
def opened(ledger_url: str) -> Callable[[], Ledger]:
    """Opens the ledger as another process does."""
    return lambda: open_ledger(ledger_url)


def withdrawn(
    ledger: Ledger, settings: tables.Settings, *numbers: int, **other: float
) -> list[str]:
    asked = [each for each in ledger.requests() if each.number in numbers]
    return withdraw(ledger, settings, [], asked, reason="why", by="operator", now=NOON, **other)


def recorded(ledger: Ledger, settings: tables.Settings, *series: int) -> list[Request]:
    """Requests that come while every sink is there and none has handed anything over."""
    delivery.begin(ledger, settings)
    return [
        record(ledger, f"{each}@example.org", series=each, contexts=(f"iol-{each}",), arguments={})
        for each in series
    ]


def in_file(settings: tables.Settings) -> set[str]:
    return set(json.loads(Path(settings.retests.file).read_text())["retests"])


def had_by_lab(quick_path: Path) -> list[int]:
    text = (quick_path / "lab.txt").read_text()
    return [json.loads(line)["number"] for line in text.splitlines() if line]


def test_a_cancelled_request_goes_nowhere_and_the_others_do(
    ledger: Ledger, settings: tables.Settings, quick_path: Path
) -> None:
    recorded(ledger, settings, 1, 2, 3)
    assert withdrawn(ledger, settings, 2) == ["request 2"]
    delivery.once(ledger, settings, clock=lambda: NOON)
    assert in_file(settings) == {"1", "3"}
    assert had_by_lab(quick_path) == [1, 3]
    found = reruns.document(ledger, NOON, ["iol-1", "iol-2", "iol-3"], settings, now=NOON)
    assert set(found["retests"]) == {"1", "3"}


@pytest.mark.parametrize("hold", [False, True])
def test_no_consumer_is_given_a_cancelled_request(
    ledger: Ledger, settings: tables.Settings, hold: bool
) -> None:
    recorded(ledger, settings, 1, 2, 3)
    withdrawn(ledger, settings, 3)
    for name in ("default", "lab"):
        given: list[str] = []
        order = take.Order(name, single=True, hold=hold)
        assert take.take(ledger, settings, order, given.append, clock=lambda: NOON)
        document = json.loads(given[0])
        requests = document["requests"] if hold else document
        assert [each["number"] for each in requests] == [1, 2]


def test_the_arguments_of_a_cancelled_request_count_for_nothing(
    ledger: Ledger, settings: tables.Settings
) -> None:
    record(ledger, "1@example.org", arguments={"rebase": "old"}, date=NOON - 60)
    record(ledger, "2@example.org", arguments={"rebase": "new"}, date=NOON - 30)
    withdrawn(ledger, settings, 2)
    delivery.once(ledger, settings, clock=lambda: NOON)
    document = json.loads(Path(settings.retests.file).read_text())
    assert document["retests"]["29430"]["arguments"] == {"rebase": "old"}


def by_json(ledger: Ledger, settings: tables.Settings) -> None:
    file = next(delivery.files(settings))
    delivery.deliver(file, ledger, clock=lambda: NOON, until=None, stop=lambda: False)


def by_command(ledger: Ledger, settings: tables.Settings) -> None:
    [lab] = delivery.receivers(settings)
    delivery.deliver(lab, ledger, clock=lambda: NOON, until=None, stop=lambda: False)


def by_consumer(ledger: Ledger, settings: tables.Settings) -> None:
    take.take(ledger, settings, take.Order("b"), lambda text: None, clock=lambda: NOON)


def by_batch(ledger: Ledger, settings: tables.Settings) -> None:
    take.take(ledger, settings, take.Order("b", hold=True), lambda text: None, clock=lambda: NOON)


def by_reruns(ledger: Ledger, settings: tables.Settings) -> None:
    reruns.document(ledger, NOON, [], settings, now=NOON)


def by_an_attempt(ledger: Ledger, settings: tables.Settings) -> None:
    ledger.set_cursor(Cursor(LAB, begun=1, tries=1, due=NOON, reason="it was killed"))


WAYS: dict[str, tuple[Callable[[Ledger, tables.Settings], None], str]] = {
    "the retest JSON": (by_json, "json_file:"),
    "a program": (by_command, f"{LAB} had it"),
    "a program that may have it": (by_an_attempt, f"{LAB} had it"),
    "a consumer": (by_consumer, "consumer b had it"),
    "a batch": (by_batch, "consumer b had it"),
    "reruns": (by_reruns, "reruns handed it out"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_had_is_not_cancelled_and_it_is_told_who(
    ledger: Ledger, settings: tables.Settings, way: str
) -> None:
    recorded(ledger, settings, 1)
    hand_over, told = WAYS[way]
    hand_over(ledger, settings)
    with pytest.raises(NothingFound, match=told):
        withdrawn(ledger, settings, 1)
    assert [each.cancelled for each in ledger.requests()] == [""]
    assert the_outcome(ledger, "1@example.org") is Outcome.DONE


def test_who_passed_over_a_request_has_not_had_it(
    ledger: Ledger, settings: tables.Settings
) -> None:
    recorded(ledger, settings, 1)
    order = take.Order("b", ("other-*",))
    take.take(ledger, settings, order, lambda text: None, clock=lambda: NOON)
    assert ledger.consumer("b").position == 1
    assert withdrawn(ledger, settings, 1) == ["request 1"]


def test_all_are_cancelled_or_none(ledger: Ledger, settings: tables.Settings) -> None:
    recorded(ledger, settings, 1)
    by_json(ledger, settings)
    recorded(ledger, settings, 2)
    with pytest.raises(NothingFound, match="request 1"):
        withdrawn(ledger, settings, 1, 2)
    assert [each.cancelled for each in ledger.requests()] == ["", ""]


def test_who_is_at_work_is_waited_for(ledger: Ledger, settings: tables.Settings) -> None:
    recorded(ledger, settings, 1)
    with (
        ledger.lease(lease_name(LAB)),
        pytest.raises(SinkUnavailable, match=f"the sink {LAB} has been at work"),
    ):
        withdrawn(ledger, settings, 1, patience=0.01)


def test_a_mail_is_cancelled_with_all_its_requests_and_one_that_waits_by_itself(
    ledger: Ledger, settings: tables.Settings
) -> None:
    recorded(ledger, settings, 1)
    ledger.accept(arrival("waits@example.org"))
    mails = [*ledger.find("1@example.org"), *ledger.find("waits@example.org")]
    told = withdraw(ledger, settings, mails, [], reason="why", by="operator", now=NOON)
    assert told == ["request 1", "<waits@example.org>"]
    assert the_outcome(ledger, "1@example.org") is Outcome.CANCELLED
    assert the_outcome(ledger, "waits@example.org") is Outcome.CANCELLED


# A consumer that takes for the first time in that very moment.

FIRST = [take.Order("new"), take.Order("new", single=True), take.Order("new", hold=True)]


@pytest.mark.parametrize("order", FIRST, ids=["labels", "requests", "a batch"])
def test_what_a_new_consumer_is_just_given_is_not_cancelled(
    ledger: Ledger, settings: tables.Settings, opened: Callable[[], Ledger], order: take.Order
) -> None:
    recorded(ledger, settings, 1)
    given: list[str] = []

    def output(text: str) -> None:
        with closing(opened()) as other, pytest.raises(SinkUnavailable, match="the consumer new"):
            withdrawn(other, settings, 1, patience=0.01)
        given.append(text)

    assert take.take(ledger, settings, order, output, clock=lambda: NOON)
    assert len(given) == 1
    assert [each.cancelled for each in ledger.requests()] == [""]


@pytest.mark.parametrize("order", FIRST, ids=["labels", "requests", "a batch"])
def test_a_new_consumer_waits_for_who_cancels_and_is_not_given_that(
    ledger: Ledger, settings: tables.Settings, opened: Callable[[], Ledger], order: take.Order
) -> None:
    """The one who cancels holds off everybody by now, but for one sink that it waits for."""
    recorded(ledger, settings, 1, 2)
    given: list[str] = []

    def cancel() -> list[str]:
        with closing(opened()) as mine:
            return withdrawn(mine, settings, 1)

    def taken() -> bool:
        with closing(opened()) as mine:
            return take.take(mine, settings, order, given.append, clock=lambda: NOON)

    with ThreadPoolExecutor() as threads:
        with ledger.lease(lease_name(LAB)):
            cancelling = threads.submit(cancel)
            while True:
                with ledger.lease(take.FIRST_TAKES) as is_free:
                    if not is_free:
                        break
            taking = threads.submit(taken)
            assert wait([taking], timeout=0.2).not_done
        assert cancelling.result() == ["request 1"]
        assert taking.result()
    assert "iol-2" in given[0] and "iol-1" not in given[0]


def test_a_consumer_that_is_removed_before_its_turn_is_entered_again(
    ledger: Ledger, settings: tables.Settings, opened: Callable[[], Ledger]
) -> None:
    recorded(ledger, settings, 1)
    given: list[str] = []

    def taken() -> bool:
        with closing(opened()) as mine:
            return take.take(mine, settings, FIRST[0], given.append, clock=lambda: NOON)

    with ThreadPoolExecutor() as threads:
        with ledger.lease("take-new"):
            taking = threads.submit(taken)
            while not ledger.consumers():
                time.sleep(0.001)
            assert ledger.drop_consumer("new")
        assert taking.result()
    assert [(each.name, each.position) for each in ledger.consumers()] == [("new", 1)]


# Paused sinks.


def test_a_paused_sink_hands_nothing_over_and_loses_nothing(
    ledger: Ledger, settings: tables.Settings, quick_path: Path
) -> None:
    recorded(ledger, settings, 1)
    for name in delivery.wanted(settings):
        ledger.steering.pause(Pause(name, NOON))
    assert not delivery.lag(ledger, settings, NOON)
    delivery.once(ledger, settings, clock=lambda: NOON)
    assert not Path(settings.retests.file).exists()
    assert not (quick_path / "lab.txt").exists()
    recorded(ledger, settings, 2)
    for name in delivery.wanted(settings):
        ledger.steering.resume(name, NOON)
    assert delivery.lag(ledger, settings, NOON)
    delivery.once(ledger, settings, clock=lambda: NOON)
    assert in_file(settings) == {"1", "2"}
    assert had_by_lab(quick_path) == [1, 2]


def test_who_takes_from_a_paused_retest_json_gets_what_is_in_it(
    ledger: Ledger, settings: tables.Settings
) -> None:
    recorded(ledger, settings, 1)
    by_json(ledger, settings)
    ledger.steering.pause(Pause(json_file.name(settings.retests.file), NOON))
    recorded(ledger, settings, 2)
    given: list[str] = []
    order = take.Order(single=True)
    assert take.take(ledger, settings, order, given.append, clock=lambda: NOON)
    assert [each["number"] for each in json.loads(given[0])] == [1]


def test_a_pause_counts_between_two_requests(
    ledger: Ledger, settings: tables.Settings, quick_path: Path
) -> None:
    recorded(ledger, settings, 1, 2)
    [lab] = delivery.receivers(settings, lambda: False)

    def pauses_after_the_first() -> bool:
        """Asked before each request."""
        if (quick_path / "lab.txt").exists():
            ledger.steering.pause(Pause(LAB, NOON))
        return False

    delivery.deliver(lab, ledger, clock=lambda: NOON, until=None, stop=pauses_after_the_first)
    assert had_by_lab(quick_path) == [1]
    assert ledger.cursor(LAB).position == 1
