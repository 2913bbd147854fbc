# SPDX-License-Identifier: BSD-3-Clause
"""Handing over to consumers that ask: named ones and the default one, merged and one by one, at
once and in batches that are confirmed."""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import SinkUnavailable, UsageError
from ingest.handover import take
from ingest.ledger import Pause
from ingest.retests import document as retests
from ingest.sinks import json_file
from tests.support.desk import HOLD, Desk, labels
from tests.support.ledger_values import NOON, record
from tests.support.retest_files import other

EMPTY = retests.empty()
FORMS = [pytest.param(False, id="merged"), pytest.param(True, id="one by one")]
CONSUMERS = ["default", "lab"]


@pytest.fixture
def desk(quick_path: Path, ledger_url: str) -> Desk:
    return Desk(quick_path, ledger_url)


def refuses(text: str) -> None:
    """An output that a consumer has closed."""
    raise SinkUnavailable("closed")


@pytest.mark.parametrize("hold", [False, True], ids=["", "held"])
def test_what_was_given_to_a_consumer_is_handed_over(desk: Desk, hold: bool) -> None:
    desk.asks("a", "b")
    with pytest.raises(SinkUnavailable):
        desk.takes("lab", "a", hold=hold, output=refuses)
    with desk.opened() as ledger:
        assert {each.state for each in ledger.results.of([1])} == {"asked"}
    desk.takes("lab", "a", hold=hold)
    with desk.opened() as ledger:
        assert [(each.label, each.state, each.author) for each in ledger.results.of([1])] == [
            ("a", "handed over", "consumer lab"),
            ("b", "asked", ""),
        ]


@pytest.mark.parametrize("single", FORMS)
def test_what_is_taken_from_the_retest_json_is_handed_over_and_no_sooner(
    desk: Desk, single: bool
) -> None:
    desk.asks("a")
    desk.takes("lab")
    desk.asks("b", series=2)
    with pytest.raises(SinkUnavailable):
        desk.takes("default", single=single, output=refuses)
    with desk.opened() as ledger:
        assert [each.state for each in ledger.results.of([1, 2])] == ["handed over", "asked"]
    desk.takes("default", single=single)
    with desk.opened() as ledger:
        assert [each.author for each in ledger.results.of([1, 2])] == [
            "consumer lab",
            "consumer default",
        ]


# Once


def test_what_a_killed_sink_had_put_there_is_taken_once_also_while_the_sink_is_paused(
    desk: Desk,
) -> None:
    desk.asks("a")
    name = json_file.name(str(desk.retests))
    with desk.opened() as ledger:
        before = ledger.cursor(name)
    desk.publishes()
    with desk.opened() as ledger:
        second = retests.stamped(retests.load(desk.retests.read_text()))
        ledger.set_cursor(replace(before, begun=1, second=second))  # the last that it had kept
        ledger.steering.pause(Pause(name, NOON))
    desk.asks("b", series=2)
    assert labels(desk.takes()) == ["a"]
    with desk.opened() as ledger:
        ledger.steering.resume(name, NOON)
    assert labels(desk.takes()) == ["b"]


@pytest.mark.parametrize("single", FORMS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_is_new_is_given_once(desk: Desk, consumer: str, single: bool) -> None:
    desk.asks("a")
    desk.asks("b", series=2)
    assert labels(desk.takes(consumer, single=single)) == ["a", "b"]
    assert labels(desk.takes(consumer, single=single)) == []
    desk.asks("c")
    assert labels(desk.takes(consumer, single=single)) == ["c"]


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_the_document_is_that_of_the_retest_json(desk: Desk, consumer: str) -> None:
    desk.asks("b", series=7, rebase="main")
    desk.asks("a", series=7, after=60.0)
    document = desk.takes(consumer)
    stamp = document.pop("last_comment_timestamp")
    assert document == {"retests": {"7": {"contexts": ["a", "b"], "arguments": {"rebase": "main"}}}}
    # Recorded at 22:13:20; the retest JSON, which the default consumer takes from, was first.
    assert stamp == f"2023-11-14T22:13:2{2 if consumer == 'default' else 1}.000000"


@pytest.mark.parametrize("value", [["main"], {"a": 1}, 7], ids=repr)
@pytest.mark.parametrize("single", FORMS)
def test_an_odd_value_of_another_program_hinders_nothing(
    desk: Desk, single: bool, value: object
) -> None:
    """``"rebase": ["main"]`` once stopped the retest JSON for good."""
    entry = {"contexts": ["old"], "arguments": {"rebase": value}}
    desk.retests.write_text(json.dumps({"retests": {"1": entry}}))
    desk.asks("a", rebase="main")
    desk.publishes()
    assert desk.document()["retests"]["1"]["arguments"] == {"rebase": "main"}
    assert labels(desk.takes(single=single)) == (["a"] if single else ["a", "old"])


def test_a_request_by_itself_has_all_that_is_known_of_it(desk: Desk) -> None:
    desk.asks("b", series=7, rebase="main")
    [request] = desk.takes("lab", single=True)
    assert (request["number"], request["message_id"]) == (1, "1@example.org")
    assert (request["series"], request["contexts"]) == (7, ["b"])
    assert request["arguments"] == {"rebase": "main"}
    assert (request["date"], request["recorded"]) == (
        "2023-11-14T21:13:20Z",
        "2023-11-14T22:13:20Z",
    )
    assert {"leftovers", "requester", "subject", "submission", "project"} < request.keys()


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_requests_by_themselves_come_in_the_logs_order(desk: Desk, consumer: str) -> None:
    for label, series in (("a", 2), ("b", 1), ("c", 2)):
        desk.asks(label, series=series)
    got = desk.takes(consumer, single=True)
    assert [each["contexts"] for each in got] == [["a"], ["b"], ["c"]]


def test_each_consumer_gets_everything_from_the_beginning(desk: Desk) -> None:
    desk.asks("a")
    for consumer in ("one", "default", "two"):
        assert labels(desk.takes(consumer)) == ["a"]
        assert labels(desk.takes(consumer)) == []


def test_a_named_consumer_leaves_the_file_alone(desk: Desk) -> None:
    desk.asks("a")
    desk.publishes()
    before = desk.retests.stat().st_ino
    desk.takes("lab")
    assert desk.retests.stat().st_ino == before


def test_a_named_consumer_needs_no_file(desk: Desk) -> None:
    desk.retests.mkdir()
    desk.asks("a")
    assert labels(desk.takes("lab")) == ["a"]


@pytest.mark.parametrize("single", FORMS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_could_not_be_handed_over_is_given_the_next_time(
    desk: Desk, consumer: str, single: bool
) -> None:
    desk.asks("a")
    with pytest.raises(SinkUnavailable):
        desk.takes(consumer, single=single, output=refuses)
    assert labels(desk.takes(consumer, single=single)) == ["a"]
    assert not list(desk.folder.glob(".*"))


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_signal_does_not_come_between_what_is_handed_over_and_the_note_of_it(
    desk: Desk, consumer: str
) -> None:
    desk.asks("a")
    got: list[str] = []

    def clock() -> float:
        if got:
            signal.raise_signal(signal.SIGTERM)
        return desk.clock()

    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with desk.opened() as ledger, pytest.raises(SystemExit):
            take.take(ledger, desk.settings, take.Order(consumer), got.append, clock=clock)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert labels(json.loads(*got)) == ["a"]
    assert labels(desk.takes(consumer)) == []


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "ä", "a b", "a\n", "x" * 101])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        take.Order(name)


def test_what_patchwork_knows_is_no_pattern_of_a_consumer() -> None:
    with pytest.raises(UsageError, match="--contexts patchwork"):
        take.Order("lab", ("patchwork",))


def test_nothing_at_all_is_an_empty_document(desk: Desk) -> None:
    assert desk.takes() == desk.takes("lab") == EMPTY
    assert desk.takes(single=True) == desk.takes("lab", single=True) == []
    assert not desk.retests.exists()


# The default consumer and its file


def test_the_file_is_emptied_and_keeps_its_second_and_mode(desk: Desk) -> None:
    desk.asks("a")
    desk.publishes()
    desk.retests.chmod(0o600)
    stamp = desk.document()["last_comment_timestamp"]
    assert stamp is not None
    assert desk.takes()["last_comment_timestamp"] > stamp
    assert desk.document() == {"retests": {}, "last_comment_timestamp": stamp}
    assert desk.retests.stat().st_mode & 0o777 == 0o600
    assert desk.takes() == {"retests": {}, "last_comment_timestamp": stamp}


def test_what_other_programs_put_into_the_file_is_given_too(desk: Desk) -> None:
    desk.writes("99", "x", rebase="main")
    desk.asks("a")
    assert labels(desk.takes()) == ["a", "x"]
    assert desk.in_file() == set()


def test_what_a_lab_has_moved_away_is_not_given_again(desk: Desk) -> None:
    desk.asks("a")
    desk.publishes()
    desk.moved_away()
    desk.asks("b")
    assert labels(desk.takes(single=True)) == ["b"]
    desk.asks("c")
    desk.publishes()
    desk.moved_away()
    assert labels(desk.takes()) == []
    assert not desk.retests.exists()


def test_an_argument_that_was_moved_away_is_not_given_again_with_a_later_entry(desk: Desk) -> None:
    desk.asks(rebase="main")
    desk.publishes()
    desk.moved_away()
    desk.writes("1", "x")
    assert desk.takes(single=True) == []
    assert desk.in_file() == {"x"}


def test_one_by_one_what_came_from_elsewhere_stays_in_the_file(desk: Desk) -> None:
    desk.writes("1", "x")
    desk.writes("99", "y")
    desk.asks("a", series=1)
    assert labels(desk.takes(single=True)) == ["a"]
    assert desk.in_file() == {"x", "y"}
    assert labels(desk.takes()) == ["x", "y"]


@pytest.mark.parametrize(
    ("elsewhere", "left"),
    [
        pytest.param((), None, id="it goes with the series' last context"),
        pytest.param(("x",), {"rebase": "main"}, id="it may be that of a context from elsewhere"),
    ],
)
def test_an_argument_leaves_the_file_with_its_request(
    desk: Desk, elsewhere: tuple[str, ...], left: Any
) -> None:
    if elsewhere:
        desk.writes("1", *elsewhere)
    desk.asks("a", rebase="main")
    desk.takes(single=True)
    assert desk.document()["retests"].get("1", {}).get("arguments") == left


def test_requests_with_nothing_but_arguments_are_given_though_a_later_value_stands(
    desk: Desk,
) -> None:
    desk.asks(rebase="v1")
    desk.asks(rebase="v2", after=60.0)
    got = desk.takes(single=True)
    assert [each["arguments"] for each in got] == [{"rebase": "v1"}, {"rebase": "v2"}]
    assert desk.document()["retests"] == {}


def test_a_label_that_is_asked_for_again_is_given_again(desk: Desk) -> None:
    for _ in range(2):
        desk.asks("a")
        assert labels(desk.takes(single=True)) == ["a"]
        assert desk.in_file() == set()


# For some contexts


def test_a_named_consumer_passes_over_what_is_not_for_it(desk: Desk) -> None:
    desk.asks("a-1", "b-1")
    desk.asks("b-2")
    got = desk.takes("lab", "a-*", single=True)
    assert [(each["contexts"], each["leftovers"]) for each in got] == [(["a-1"], ["b-1"])]
    assert labels(desk.takes("lab", single=True)) == []
    with desk.opened() as ledger:
        stories = [ledger.find(f"{number}@example.org")[0].story for number in (1, 2)]
    took = [[each.details for each in story if each.what == "taken"] for story in stories]
    assert took == [[{"by": "lab", "request": 1}], []]


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("single", FORMS)
def test_of_the_file_everything_is_taken_or_a_consumer_is_named(single: bool, hold: bool) -> None:
    with pytest.raises(UsageError, match=r"^--contexts .* --consumer NAME.* \[requests\] contexts"):
        take.Order("default", ("a",), single=single, hold=hold)


# Batches


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_batch_comes_again_until_it_is_confirmed(desk: Desk, consumer: str) -> None:
    desk.asks("a")
    desk.asks("b")
    first = desk.takes(consumer, hold=True)
    assert (first["batch"], first["given"]) == (f"{consumer}:1-2-{desk.generation()}", 1)
    assert labels(first) == ["a", "b"]
    assert desk.takes(consumer, hold=True)["batch"] is None
    desk.clock += HOLD
    assert desk.takes(consumer, hold=True) == {**first, "given": 2}
    with desk.opened() as ledger:
        [mail] = ledger.find("1@example.org")
    assert [each.what for each in mail.story].count("taken") == 1
    desk.clock += HOLD
    desk.acknowledges(first["batch"])
    desk.clock += HOLD
    assert desk.takes(consumer, hold=True)["batch"] is None
    assert labels(desk.takes(consumer)) == []


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_is_new_is_given_in_a_next_batch_meanwhile(desk: Desk, consumer: str) -> None:
    desk.asks("a")
    first = desk.takes(consumer, hold=True)
    desk.asks("b")
    second = desk.takes(consumer, hold=True)
    assert (second["batch"], labels(second)) == (f"{consumer}:2-2-{desk.generation()}", ["b"])
    assert second["last_comment_timestamp"] > first["last_comment_timestamp"]
    desk.acknowledges(second["batch"])
    desk.asks("c")
    desk.clock += HOLD
    again = desk.takes(consumer, hold=True)
    assert (again["batch"], labels(again)) == (first["batch"], ["a"]), "before anything newer"
    assert labels(desk.takes(consumer, hold=True)) == ["c"]


@pytest.mark.parametrize("single", FORMS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_without_hold_what_nobody_confirmed_in_time_is_given_for_good(
    desk: Desk, consumer: str, single: bool
) -> None:
    desk.asks("a")
    desk.takes(consumer, hold=True)
    desk.asks("b")
    assert labels(desk.takes(consumer, single=single)) == ["b"], "a is still held"
    desk.asks("c")
    desk.clock += HOLD
    assert labels(desk.takes(consumer, single=single)) == ["a", "c"]
    desk.clock += HOLD
    assert desk.takes(consumer, hold=True)["batch"] is None
    assert not [each for each in desk.batches() if each.consumer == consumer]


def test_a_confirmed_batch_leaves_the_file_and_no_sooner(desk: Desk) -> None:
    desk.writes("1", "x")
    desk.asks("a")
    held = desk.takes(hold=True)
    desk.asks("b")
    desk.publishes()
    assert labels(held) == ["a"], "what other programs wrote is not in the log"
    assert desk.in_file() == {"a", "b", "x"}
    desk.acknowledges(held["batch"])
    assert desk.in_file() == {"b", "x"}


def test_a_label_that_was_asked_for_again_stays_when_the_first_is_confirmed(desk: Desk) -> None:
    desk.asks("a")
    held = desk.takes(hold=True)
    desk.asks("a")
    desk.publishes()
    desk.acknowledges(held["batch"])
    assert labels(desk.takes(single=True)) == ["a"]
    assert desk.in_file() == set()


def test_the_merged_document_leaves_what_is_held_in_the_file(desk: Desk) -> None:
    desk.asks("a", series=1)
    desk.asks("b", series=2)
    held = desk.takes(hold=True)
    desk.writes("1", "x")
    desk.asks("c", series=2)
    assert labels(desk.takes()) == ["c", "x"]
    assert desk.in_file() == {"a", "b"}
    desk.acknowledges(held["batch"])
    assert desk.in_file() == set()


def test_of_one_series_each_argument_goes_with_whom_it_is_of(desk: Desk) -> None:
    desk.asks("a", rebase="main")
    held = desk.takes(hold=True)
    desk.writes("1", other="y")
    assert desk.takes()["retests"] == {"1": {"contexts": [], "arguments": {"other": "y"}}}
    kept = {"1": {"contexts": ["a"], "arguments": {"rebase": "main"}}}
    assert desk.document()["retests"] == held["retests"] == kept


def test_a_held_batch_that_was_moved_away_does_not_come_again(desk: Desk) -> None:
    desk.asks("a")
    held = desk.takes(hold=True)
    desk.moved_away()
    desk.clock += HOLD
    assert desk.takes(hold=True)["batch"] is None
    assert not desk.acknowledges(held["batch"])


def test_a_batch_that_could_not_be_handed_over_comes_again_at_once(desk: Desk) -> None:
    desk.asks("a")
    with pytest.raises(SinkUnavailable):
        desk.takes("lab", hold=True, output=refuses)
    again = desk.takes("lab", hold=True)
    assert (again["batch"], again["given"]) == (f"lab:1-1-{desk.generation()}", 1)


def test_a_batch_comes_again_as_it_was(desk: Desk) -> None:
    desk.asks("a", "b")
    first = desk.takes("lab", "a", hold=True)
    desk.clock += HOLD
    assert desk.takes("lab", "b", hold=True) == {**first, "given": 2}
    desk.clock += HOLD
    assert labels(desk.takes("lab")) == ["a"]


def test_a_clock_that_was_set_back_holds_no_batch_for_longer(desk: Desk) -> None:
    desk.asks("a")
    desk.takes("lab", hold=True)
    desk.clock += -86400.0
    assert desk.takes("lab", hold=True)["given"] == 2


def test_to_confirm_twice_is_no_error(desk: Desk) -> None:
    desk.asks("a")
    id = desk.takes("lab", hold=True)["batch"]
    assert desk.acknowledges(id)
    assert not desk.acknowledges(id)


@pytest.mark.parametrize(
    "id", ["", "lab", "lab:", "lab:1", "lab:0-1", "lab:2-1", "lab:1-2", "lab:1-1 ", "other:1-1"]
)
def test_to_confirm_what_never_was_a_batch_is_an_error(desk: Desk, id: str) -> None:
    desk.asks("a")
    desk.takes("lab", hold=True)
    with pytest.raises(UsageError):
        desk.acknowledges(id)


# Waiting


def test_waiting_ends_with_the_first_request(desk: Desk) -> None:
    got: list[str] = []
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            desk.asks("a")

    with desk.opened() as ledger:
        order = take.Order("lab")
        assert take.take(ledger, desk.settings, order, got.append, wait=60.0, nap=nap)
    assert labels(json.loads(got[0])) == ["a"]
    assert naps == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_waiting_for_nothing_ends_in_an_empty_document(desk: Desk, consumer: str) -> None:
    got: list[str] = []
    naps: list[float] = []
    with desk.opened() as ledger:
        order = take.Order(consumer)
        assert not take.take(ledger, desk.settings, order, got.append, wait=1.2, nap=naps.append)
    assert json.loads(*got) == EMPTY
    assert sum(naps) == pytest.approx(1.2)


def test_waiting_for_a_batch_ends_when_a_held_one_comes_again(desk: Desk) -> None:
    desk.asks("a")
    first = desk.takes("lab", hold=True)
    got: list[str] = []

    def nap(seconds: float) -> None:
        desk.clock += HOLD / 2

    with desk.opened() as ledger:
        order = take.Order("lab", hold=True)
        assert take.take(
            ledger, desk.settings, order, got.append, wait=60.0, nap=nap, clock=desk.clock
        )
    assert json.loads(*got) == {**first, "given": 2}


# Two at once


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_second_taker_of_a_consumer_is_told_to_wait(desk: Desk, consumer: str) -> None:
    desk.asks("a")

    def meanwhile(text: str) -> None:
        with pytest.raises(SinkUnavailable, match=f"another take of {consumer} "):
            desk.takes(consumer)
        assert labels(desk.takes("third")) == ["a"], "another consumer is not held up"

    desk.takes(consumer, output=meanwhile)
    assert labels(desk.takes(consumer)) == []


def test_the_sink_does_not_write_while_the_file_is_taken_from(desk: Desk) -> None:
    desk.asks("a")

    def meanwhile(text: str) -> None:
        desk.asks("b")
        desk.publishes()
        assert desk.in_file() == {"a"}

    desk.takes(output=meanwhile)
    assert desk.in_file() == set()
    assert labels(desk.takes()) == ["b"]


def test_a_consumer_that_keeps_the_files_lock_is_told_of(desk: Desk) -> None:
    desk.asks("a")
    desk.publishes()
    with other("hold", str(desk.retests)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SinkUnavailable, match=r"retests\.json\.lock is held"):
            desk.takes()
    assert labels(desk.takes()) == ["a"]


# What is in the way


@pytest.mark.parametrize("content", ["", "garbage", "[]", '{"retests": 1}', "\xff"])
def test_a_file_that_is_no_retest_json_is_set_aside(desk: Desk, content: str) -> None:
    desk.retests.write_text(content)
    assert desk.takes() == EMPTY
    [aside] = desk.folder.glob("retests.json.corrupt-*")
    assert aside.read_text() == content
    desk.asks("a")
    assert labels(desk.takes()) == ["a"]


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_a_folder_in_the_files_place_is_told_of_and_loses_nothing(
    desk: Desk, asked: bool, hold: bool
) -> None:
    desk.retests.mkdir()
    if asked:
        desk.asks("a")
    with pytest.raises(SinkUnavailable, match=r"retests\.json cannot be"):
        desk.takes(hold=hold)
    desk.retests.rmdir()
    assert labels(desk.takes(hold=hold)) == ["a"] * asked


def test_a_symbolic_link_stays_one_and_its_target_is_emptied(desk: Desk) -> None:
    target = desk.folder / "elsewhere" / "target.json"
    target.parent.mkdir()
    target.write_text('{"retests": {"9": {"contexts": ["x"]}}, "last_comment_timestamp": null}')
    desk.retests.symlink_to(target)
    desk.asks("a")
    assert desk.takes()["retests"]["9"] == {"contexts": ["x"], "arguments": {}}
    assert desk.retests.is_symlink()
    assert json.loads(target.read_text())["retests"] == {}


@pytest.mark.parametrize("key", ["", "007", "-1", "x", "9" * 30, "٣"])
@pytest.mark.parametrize("single", FORMS)
def test_keys_that_are_no_series_of_ours_do_no_harm(desk: Desk, key: str, single: bool) -> None:
    desk.writes(key, "x")
    desk.asks("a", series=7)
    held = desk.takes(hold=True)
    desk.asks("b", series=7)
    assert labels(desk.takes(single=single)) == (["b"] if single else ["b", "x"])
    desk.acknowledges(held["batch"])
    assert desk.in_file() == ({"x"} if single else set())


def test_what_is_not_of_our_form_stays_with_what_it_is_of(desk: Desk) -> None:
    desk.retests.write_text(
        '{"retests": {"1": {"contexts": ["x"], "by": "hand"}}, "last_comment_timestamp": null,'
        ' "version": 2}'
    )
    desk.asks("a", series=1)
    desk.takes(single=True)
    assert desk.document()["version"] == 2
    assert desk.document()["retests"]["1"] == {"contexts": ["x"], "by": "hand", "arguments": {}}
    assert desk.takes()["retests"]["1"]["by"] == "hand"


@pytest.mark.slow
def test_a_log_that_is_long_is_given_whole(desk: Desk) -> None:
    with desk.opened() as ledger, ledger.batch():
        for number in range(501):  # more than is read in one go
            record(ledger, f"{number}@example.org", series=number + 1, contexts=(f"c-{number}",))
    assert len(desk.takes("lab", single=True)) == 501


# Killed, restored


class Killed(BaseException):
    """The end of a process behind its output."""


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_was_given_when_a_take_was_killed_is_given_again_before_anything_newer(
    desk: Desk, consumer: str
) -> None:
    given: list[str] = []

    def dies(text: str) -> None:
        given.append(text)
        raise Killed

    desk.asks("a", series=1)
    with pytest.raises(Killed):
        desk.takes(consumer, output=dies)
    desk.asks("b", series=1)
    desk.publishes()
    assert desk.takes(consumer) == json.loads(given[0])
    newer = desk.takes(consumer)
    assert labels(newer) == ["b"]
    assert newer["last_comment_timestamp"] > json.loads(given[0])["last_comment_timestamp"]
    assert labels(desk.takes(consumer)) == []


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_was_given_when_a_take_was_killed_and_is_gone_keeps_nothing_up(
    desk: Desk, consumer: str
) -> None:
    desk.asks("a")
    with pytest.raises(SinkUnavailable):
        desk.takes(consumer, output=refuses)
    desk.asks("b")
    desk.moved_away()
    desk.publishes()
    assert labels(desk.takes(consumer)) == (["b"] if consumer == "default" else ["a"])


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_restored_ledger_confirms_no_batch_but_its_own(desk: Desk, consumer: str) -> None:
    desk.asks("a")
    saved = desk.saves()
    desk.asks("b")
    lost = desk.takes(consumer, hold=True)["batch"]
    desk.restores(saved)
    desk.asks("c")
    own = desk.takes(consumer, hold=True)
    assert own["batch"].rpartition("-")[0] == lost.rpartition("-")[0], "of the same numbers"
    with pytest.raises(UsageError, match="not since it was restored"):
        desk.acknowledges(lost)
    assert desk.acknowledges(own["batch"])
    with pytest.raises(UsageError, match="not since it was restored"):
        desk.acknowledges(lost)
    assert not desk.acknowledges(own["batch"]), "it was confirmed before"
