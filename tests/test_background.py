# SPDX-License-Identifier: BSD-3-Clause
"""A thread of the service outlives whatever it meets, says so, and ends when it is told to."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.background import Background, Guard, troubles, wait_all
from ingest.commands import cli
from ingest.config.tables import StateSettings
from ingest.errors import StateUnavailable
from ingest.ledger import Ledger, open_configured
from tests.support.clock import Clock
from tests.support.service import eventually

NAME = "worker"
Work = Callable[[Ledger, Background], None]
Start = Callable[[Work], Background]


@pytest.fixture
def state(quick_path: Path) -> StateSettings:
    return StateSettings(dir=str(quick_path), ledger=f"sqlite:{quick_path}/ledger.sqlite")


@pytest.fixture
def start(state: StateSettings) -> Iterator[Start]:
    started: list[Background] = []

    def begin(work: Work) -> Background:
        started.append(Background(NAME, state, work))
        started[-1].start()
        return started[-1]

    yield begin
    for thread in started:
        thread.stop()
    wait_all(started, 60.0)
    assert not any(thread.is_alive() for thread in started)


def rests(ledger: Ledger, thread: Background) -> None:
    while not thread.is_stopping():
        thread.rest(3600.0)


ERRORS = {
    "no memory": (MemoryError("none left"), "a bug of ours: MemoryError: none left"),
    "a disk": (OSError(errno.EIO, "Input/output error"), "a bug of ours: OSError: [Errno 5] "),
    "a bug": (KeyError("x"), "a bug of ours: KeyError: 'x'"),
    "the ledger": (StateUnavailable("the ledger is locked"), "the ledger is locked"),
}


@pytest.mark.parametrize(("error", "told"), ERRORS.values(), ids=ERRORS)
def test_whatever_it_meets_it_works_again_with_the_ledger_opened_anew(
    start: Start, error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledgers: list[Ledger] = []

    def work(ledger: Ledger, thread: Background) -> None:
        ledgers.append(ledger)
        if len(ledgers) < 3:
            raise error
        assert thread.trouble is not None
        assert thread.trouble.reason.startswith(told)
        rests(ledger, thread)

    thread = start(work)
    eventually(lambda: len(ledgers) == 3 and thread.trouble is None)
    assert len(set(map(id, ledgers))) == 3
    assert thread.is_well()
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(said) == 2, "once that it failed, once that it works again"
    assert said[0].startswith(f"{NAME}: {told}")
    assert said[1] == f"{NAME}: works again"


def test_another_process_can_tell_since_when_and_why(start: Start, state: StateSettings) -> None:
    mended: list[bool] = []

    def work(ledger: Ledger, thread: Background) -> None:
        if not mended:
            raise MemoryError
        rests(ledger, thread)

    thread = start(work)
    with closing(open_configured(state)) as other:

        def seen() -> list[str]:
            return [each.reason for each in troubles(other, [NAME, "nobody"], 0.0)]

        eventually(lambda: seen() == ["a bug of ours: MemoryError: "])
        (found,) = troubles(other, [NAME], 0.0)
        assert found == thread.trouble
        mended.append(True)
        eventually(lambda: seen() == [])


def test_status_tells_of_it(
    start: Start, state: StateSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(ledger: Ledger, thread: Background) -> None:
        raise MemoryError("none left")

    start(work)

    def printed() -> str:
        code = cli.main(["status", "--state", state.dir])  # 1 until the thread has made the ledger
        return capsys.readouterr().out if code == 0 else ""

    eventually(lambda: "trouble    worker since " in printed())
    assert ": a bug of ours: MemoryError: none left\n" in printed()


def test_a_ledger_that_cannot_be_opened_is_waited_for(
    start: Start, state: StateSettings, quick_path: Path
) -> None:
    there = quick_path / "ledger.sqlite"
    there.mkdir()
    thread = start(rests)
    eventually(lambda: thread.trouble is not None)
    assert thread.is_well()
    there.rmdir()
    eventually(lambda: thread.trouble is None)


def test_being_woken_ends_its_rest(start: Start) -> None:
    looks: list[int] = []

    def work(ledger: Ledger, thread: Background) -> None:
        while not thread.is_stopping():
            looks.append(1)
            thread.rest(3600.0)

    thread = start(work)
    eventually(lambda: len(looks) == 1)
    thread.wake()
    eventually(lambda: len(looks) == 2)


def test_one_that_gives_no_sign_of_life_is_not_well(state: StateSettings) -> None:
    thread = Background(NAME, state, rests, patience=0.0)
    thread.start()
    assert thread.is_alive()
    assert not thread.is_well()
    thread.stop()
    thread.wait(60.0)


def test_one_that_was_never_started_has_ended(state: StateSettings) -> None:
    thread = Background(NAME, state, rests)
    thread.stop()
    thread.wait(None)
    assert not thread.is_well()


def test_each_kind_of_trouble_is_told_once_and_the_first_moment_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock(1000.0)
    guard = Guard(NAME, clock)
    pauses = []
    for error in [MemoryError(1), MemoryError(2), StateUnavailable("a"), StateUnavailable("b")]:
        pauses.append(guard.met(error))
        clock += 10
    assert guard.trouble is not None
    assert (guard.trouble.since, guard.trouble.reason) == (1000.0, "b")
    assert [each.getMessage() for each in caplog.records] == [
        "worker: a bug of ours: MemoryError: 1; it is tried again by itself",
        "worker: a; it is tried again by itself",
        "worker: b; it is tried again by itself",
    ]
    assert [bool(each.exc_info) for each in caplog.records] == [True, False, False]
    assert pauses == sorted(pauses)
    # Of a ledger that is away for days, too.
    later = [guard.met(StateUnavailable("b")) for _ in range(5000)]
    assert set(later[10:]) == {10.0}
    guard.over()
    assert guard.trouble is None
    assert guard.met(StateUnavailable("b")) == pauses[0]
