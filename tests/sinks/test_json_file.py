# SPDX-License-Identifier: BSD-3-Clause
"""The sink of the retest JSON: from the request log, by its cursor, into the file."""

import errno
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config import tables
from ingest.errors import SinkUnavailable
from ingest.ledger import WORKER_LEASE, Arrival, Ledger, Outcome, Request, open_ledger
from ingest.policy.scope import Scope
from ingest.retests import document as retests
from ingest.sinks import delivery, json_file
from tests.support.clock import Clock
from tests.support.examples import examples
from tests.support.leftovers import memory
from tests.support.retest_files import NOON, asked, contexts
from tests.support.syncs import watched

NOW = NOON + 20_000
PAUSE = 60.0


class Sink:
    """A ledger, a file and a clock."""

    def __init__(self, ledger: Ledger, path: Path) -> None:
        self.ledger = ledger
        self.path = path
        self.clock = Clock(NOW)

    @property
    def name(self) -> str:
        return json_file.name(str(self.path))

    def record(self, *requests: Request) -> None:
        """Put requests into the log, as a worker does."""
        for request in requests:
            id = request.message_id
            self.ledger.accept(Arrival(b"", id, id, "", "test", NOON))
            mail = self.ledger.claim(NOON, WORKER_LEASE)
            assert mail is not None
            self.ledger.finish(
                mail, Outcome.DONE, "", [], [replace(request, mail_id=mail.id, number=0)]
            )

    def file(self, *contexts: str, name: str = "") -> json_file.JsonFile:
        path, scope = self.path.with_name(name or self.path.name), Scope(contexts, "")
        return json_file.JsonFile(str(path), mode=0o644, scope=scope, pause=PAUSE, patience=0.05)

    def deliver(self, file: json_file.JsonFile) -> int:
        return file.deliver(self.ledger, clock=self.clock, until=None, stop=lambda: False)

    def publish(self, *contexts: str) -> int:
        return self.deliver(self.file(*contexts))

    def lags(self) -> bool:
        table = tables.RetestsSettings(file=str(self.path))
        return delivery.lag(self.ledger, tables.Settings(retests=table), self.clock())

    def document(self) -> retests.Document:
        return retests.load(self.path.read_text())


@pytest.fixture
def sink(ledger: Ledger, quick_path: Path) -> Sink:
    return Sink(ledger, quick_path / "out" / "retests.json")


def test_requests_come_into_the_file_once(sink: Sink) -> None:
    sink.record(asked(1), asked(2))
    assert sink.publish() == 2
    assert contexts(sink.document()) == {"c-1", "c-2"}
    before = sink.path.stat()
    assert sink.publish() == 0
    sink.record(asked(3))
    assert sink.publish() == 1
    assert contexts(sink.document()) == {"c-1", "c-2", "c-3"}
    assert sink.path.stat().st_ino != before.st_ino


def test_of_the_requests_those_count_that_are_for_the_file(sink: Sink) -> None:
    sink.record(asked(1), asked(2), asked(3))
    assert sink.publish("c-[13]") == 2
    assert contexts(sink.document()) == {"c-1", "c-3"}
    sink.record(asked(4))
    assert sink.publish("c-[13]") == 0
    assert not sink.lags()


def test_without_requests_there_is_no_file(sink: Sink) -> None:
    assert sink.publish() == 0
    assert not sink.path.exists()


# What waits in the file, and what was taken out of it.


def handed(sink: Sink) -> dict[tuple[int, str], str]:
    """By request and label, to whom it was handed over, "" if to nobody."""
    numbers = [each.number for each in sink.ledger.requests()]
    results = sink.ledger.results.of(numbers)
    assert all((each.state == "handed over") == bool(each.author) for each in results)
    return {(each.request, each.label): each.author for each in results}


def taken_away(sink: Sink) -> None:
    sink.path.rename(sink.path.with_name("batch.json"))


def emptied(sink: Sink) -> None:
    sink.path.write_text(retests.dump(retests.empty()))


def removed(sink: Sink) -> None:
    sink.path.unlink()


@pytest.mark.parametrize("take", [taken_away, emptied, removed])
def test_what_is_in_the_file_is_handed_over_when_it_is_taken_and_not_when_it_is_written(
    sink: Sink, take: Callable[[Sink], None]
) -> None:
    running = sink.file()
    sink.record(asked(1, contexts=("a", "b")), asked(2, contexts=(), arguments={"rebase": "x"}))
    for _ in range(3):
        sink.deliver(running)
        assert set(handed(sink).values()) == {""}
    assert not running.is_due(sink.ledger, sink.clock())
    take(sink)
    assert running.is_due(sink.ledger, sink.clock())
    sink.deliver(running)
    assert handed(sink) == {(1, "a"): sink.name, (1, "b"): sink.name, (2, ""): sink.name}
    assert not running.is_due(sink.ledger, sink.clock())


@pytest.mark.parametrize("take", [taken_away, emptied])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_comes_before_somebody_has_looked_is_not_taken_with_it(
    sink: Sink, take: Callable[[Sink], None], is_restarted: bool
) -> None:
    running = sink.file()
    sink.record(asked(1, contexts=("a",)))
    sink.deliver(running)
    take(sink)
    sink.record(asked(2, contexts=("a",)))
    sink.deliver(sink.file() if is_restarted else running)
    assert handed(sink) == {(1, "a"): sink.name, (2, "a"): ""}


def test_a_label_that_is_taken_by_itself_is_handed_over_by_itself(sink: Sink) -> None:
    running = sink.file()
    sink.record(asked(1, contexts=("a", "b"), series=7), asked(2, contexts=("a",), series=8))
    sink.deliver(running)
    document = sink.document()
    document["retests"]["7"]["contexts"].remove("a")
    sink.path.write_text(retests.dump(document))
    sink.deliver(running)
    assert handed(sink) == {(1, "a"): sink.name, (1, "b"): "", (2, "a"): ""}


def test_of_two_files_the_one_that_is_taken_first_has_it(sink: Sink) -> None:
    one, other = sink.file(), sink.file("*-a", name="other.json")
    sink.record(asked(1, contexts=("x-a", "x-b")), asked(2, contexts=("x-b",)))
    for file in (one, other):
        sink.deliver(file)
    (sink.path.parent / "other.json").unlink()
    for file in (one, other):
        sink.deliver(file)
    assert handed(sink) == {(1, "x-a"): other.name, (1, "x-b"): "", (2, "x-b"): ""}
    sink.path.unlink()
    for file in (one, other):
        sink.deliver(file)
    assert handed(sink) == {(1, "x-a"): other.name, (1, "x-b"): one.name, (2, "x-b"): one.name}


@pytest.mark.parametrize("has_more", [False, True])
def test_a_file_that_somebody_has_spoilt_was_not_taken(sink: Sink, has_more: bool) -> None:
    running = sink.file()
    sink.record(asked(1, contexts=("a",)))
    sink.deliver(running)
    sink.path.write_text("spoilt")
    if has_more:
        sink.record(asked(2, contexts=("b",)))
    sink.deliver(running)
    assert set(handed(sink).values()) == {""}


@pytest.mark.slow
def test_what_another_program_writes_stays_where_the_disk_keeps_whole_seconds(sink: Sink) -> None:
    """Then a file of as many bytes may be another one."""
    writer = sink.file()
    for label, written in (("c-1", "c-2"), ("c-3", "c-4")):
        sink.record(asked(series=int(label[2:]), message_id=label, contexts=(label,)))
        sink.deliver(writer)
        os.utime(sink.path, (NOON, NOON))
        sink.deliver(writer)
        sink.path.write_text(sink.path.read_text().replace(label, written))
        os.utime(sink.path, (NOON, NOON))
    assert contexts(sink.document()) == {"c-2", "c-4"}


def test_the_time_of_a_new_file_is_exact(sink: Sink) -> None:
    """Of a kernel that counts ticks, which are the same for who writes into it soon after."""
    sink.record(asked())
    before = time.time_ns()
    sink.publish()
    assert before < sink.path.stat().st_mtime_ns < time.time_ns()


def test_many_that_are_taken_at_once_are_all_noted(sink: Sink) -> None:
    running = sink.file()
    with sink.ledger.batch():
        sink.record(*(asked(n, contexts=("a",), series=n) for n in range(1, 1203)))
    sink.deliver(running)
    sink.path.unlink()
    sink.deliver(running)
    assert set(handed(sink).values()) == {sink.name}


def test_the_cursor_says_how_far_the_file_is(sink: Sink) -> None:
    sink.record(asked(1), asked(2))
    assert sink.lags()
    sink.publish()
    cursor = sink.ledger.cursor(sink.name)
    assert (cursor.position, cursor.moved, cursor.begun) == (2, NOW, 0)
    assert not sink.lags()


def test_a_file_that_cannot_be_written_is_noted_and_tried_again_after_a_pause(sink: Sink) -> None:
    sink.path.mkdir(parents=True)
    sink.record(asked(1))
    for tries in (1, 2, 3):
        with pytest.raises(SinkUnavailable):
            sink.publish()
        cursor = sink.ledger.cursor(sink.name)
        assert (cursor.position, cursor.tries, cursor.due) == (0, tries, sink.clock() + PAUSE)
        assert str(sink.path) in cursor.reason
        assert not sink.lags()
        assert sink.publish() == 0, "not before the pause is over"
        sink.clock += PAUSE
    sink.path.rmdir()
    assert sink.publish() == 1
    assert contexts(sink.document()) == {"c-1"}
    cursor = sink.ledger.cursor(sink.name)
    assert (cursor.position, cursor.tries, cursor.due, cursor.reason) == (1, 0, 0.0, "")


def test_a_clock_that_was_set_back_does_not_prolong_a_pause(sink: Sink) -> None:
    sink.path.mkdir(parents=True)
    sink.record(asked(1))
    with pytest.raises(SinkUnavailable):
        sink.publish()
    sink.path.rmdir()
    sink.clock += -86400.0
    assert sink.publish() == 1


def at_the_folder(folder: Path, error: Exception) -> Callable[[int], None]:
    """``os.fsync``, which fails for one folder."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise error
        sync(descriptor)

    return fail


TROUBLES: dict[str, tuple[Exception, str]] = {
    "the disk": (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    "no memory": (MemoryError("none left"), "a bug of ours met {path}: MemoryError: none left"),
    "a bug": (KeyError("x"), "a bug of ours met {path}: KeyError: 'x'"),
}


@pytest.mark.parametrize(("error", "told"), TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("after", ["nothing", "a crash"])
def test_whatever_the_file_meets_is_its_trouble_and_is_tried_again(
    sink: Sink, error: Exception, told: str, after: str
) -> None:
    sink.record(asked(1))
    if after == "a crash":
        publish_and_die(sink, in_place=True)
    else:
        sink.path.parent.mkdir()
    with (
        patch.object(os, "fsync", at_the_folder(sink.path.parent, error)),
        pytest.raises(SinkUnavailable),
    ):
        sink.publish()
    cursor = sink.ledger.cursor(sink.name)
    assert (cursor.position, cursor.tries) == (0, 1)
    assert told.format(path=sink.path) in cursor.reason
    sink.clock += PAUSE
    sink.publish()
    assert contexts(sink.document()) == {"c-1"}
    cursor = sink.ledger.cursor(sink.name)
    assert (cursor.position, cursor.reason) == (1, "")


class Death(BaseException):
    """What a kill is to the code that runs: nothing after it happens."""


def publish_and_die(sink: Sink, *, in_place: bool) -> None:
    """Die just behind, or just before, the moment at which the new content takes its place."""
    replace_file = os.replace

    def die(old: Path, new: Path) -> None:
        if in_place:
            replace_file(old, new)
        raise Death

    with patch.object(os, "replace", die), suppress(Death):
        sink.publish()


def taken(sink: Sink) -> set[str]:
    """What a consumer gets that moves the file away."""
    if not sink.path.exists():
        return set()
    got = contexts(sink.document())
    sink.path.unlink()
    return got


def test_what_a_consumer_took_behind_a_crash_is_not_handed_out_again(sink: Sink) -> None:
    sink.record(asked(1))
    publish_and_die(sink, in_place=True)
    assert taken(sink) == {"c-1"}
    sink.record(asked(2))
    sink.publish()
    assert taken(sink) == {"c-2"}
    assert sink.ledger.cursor(sink.name).position == 2


def test_what_no_consumer_could_take_before_a_crash_is_handed_out(sink: Sink) -> None:
    sink.record(asked(1))
    sink.publish()
    sink.record(asked(2))
    publish_and_die(sink, in_place=False)
    assert taken(sink) == {"c-1"}
    sink.publish()
    assert taken(sink) == {"c-2"}


def test_what_an_older_release_was_about_to_write_is_handed_out(sink: Sink) -> None:
    """It had one name for what waits, whoever was to write it."""
    sink.record(asked(1))
    publish_and_die(sink, in_place=False)
    [waiting] = sink.path.parent.glob(".retests.json.*new")
    older = sink.path.with_name(".retests.json.new")
    waiting.rename(older)
    sink.publish()
    assert taken(sink) == {"c-1"}
    assert not older.exists()
    sink.record(asked(2))
    publish_and_die(sink, in_place=True)
    assert taken(sink) == {"c-2"}
    sink.publish()
    assert taken(sink) == set()


def test_what_was_about_to_be_written_when_power_was_lost_is_handed_out(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a consumer takes the old file before the sink is back. Of a file whose folder was
    not synced since, the name goes with the power."""
    file = sink.file()
    sink.record(asked(1))
    assert sink.deliver(file) == 1
    sink.record(asked(2))
    done = watched(monkeypatch)

    def lose_power(new: Path, _: Path) -> None:
        if sink.path.parent.name not in done:
            new.unlink()
        raise SystemExit

    with monkeypatch.context() as here, pytest.raises(SystemExit):
        here.setattr(os, "replace", lose_power)
        sink.deliver(file)
    sink.path.unlink()
    assert sink.publish() >= 1
    assert "c-2" in contexts(sink.document())


def test_a_file_that_could_not_be_put_in_its_place_is_not_taken_for_delivered(sink: Sink) -> None:
    sink.record(asked(1))
    publish_and_die(sink, in_place=False)
    sink.path.mkdir()
    with pytest.raises(SinkUnavailable):
        sink.publish()
    sink.path.rmdir()
    sink.clock += PAUSE
    sink.publish()
    assert contexts(sink.document()) == {"c-1"}


def steps(sink: Sink, log: Sequence[Request], chance: Random) -> set[str]:
    """Record the requests in some order and portions, with publications, crashes and, perhaps,
    a consumer in between. What the consumer got, each once."""
    got: list[str] = []
    waiting = chance.sample(log, len(log))
    while waiting:
        for _ in range(chance.randint(1, 3)):
            if waiting:
                sink.record(waiting.pop())
        if chance.random() < 0.4:
            sink.publish()
        else:
            publish_and_die(sink, in_place=chance.random() < 0.5)
        if chance.random() < 0.3:
            got += taken(sink)
    sink.publish()
    got += taken(sink)
    assert len(got) == len(set(got)), "nothing is handed out twice"
    return set(got)


@examples(40)
@given(st.integers(0, 999_999))
def test_a_consumer_gets_each_request_once_whatever_crashes(seed: int) -> None:
    log = [asked(number, series=number % 3 + 1) for number in range(8)]
    with TemporaryDirectory(dir=memory()) as folder:
        ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
        assert steps(Sink(ledger, Path(folder, "out.json")), log, Random(seed)) == {
            f"c-{number}" for number in range(8)
        }
        ledger.close()


@examples(40)
@given(st.integers(0, 999_999), st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=7))
def test_any_order_portions_and_crashes_end_in_the_same_document(
    seed: int, rows: list[tuple[int, ...]]
) -> None:
    log = [
        asked(
            number,
            series=series + 1,
            contexts=(f"c-{second}",),
            arguments={"rebase": f"v{value}"} if value else {},
            date=NOON + second,
        )
        for number, (series, second, value) in enumerate(rows)
    ]
    expected = retests.merge(retests.empty(), log, 0.0)
    chance = Random(seed)
    with TemporaryDirectory(dir=memory()) as folder:
        ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
        sink = Sink(ledger, Path(folder, "out.json"))
        for request in chance.sample(log, len(log)):
            sink.record(request)
            if chance.random() < 0.4:
                sink.publish()
            elif chance.random() < 0.5:
                publish_and_die(sink, in_place=True)
            elif chance.random() < 0.5:
                publish_and_die(sink, in_place=False)
        sink.publish()
        document = json.loads(sink.path.read_text()) if log else retests.empty()
        assert document["retests"] == expected["retests"]
        ledger.close()
