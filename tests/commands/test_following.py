# SPDX-License-Identifier: BSD-3-Clause
"""``log``: what happened last, and what happens, whichever process does it."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import cli, following
from ingest.config.tables import StateSettings
from ingest.ledger import Event, Ledger, Outcome, Pause, open_ledger
from ingest.story.happenings import Line, line
from ingest.words import moment
from tests.support.ledger_values import NOON, arrival, claimed, request
from tests.support.service import Service

AT = moment(NOON)


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(quick_path))
    return quick_path


def happens(ledger: Ledger) -> None:
    """A mail comes and is recorded, with something that was not read; a sink is paused."""
    ledger.accept(arrival("a@example.org"))
    mail = claimed(ledger)
    asked = "series 29430: iol-a (not read: iol-tpyo)"
    step = Event(NOON, "recorded", {"series": 29430, "asked": asked})
    ledger.finish(mail, Outcome.DONE, asked, [step], [request(mail)])
    ledger.steering.pause(Pause("webhook:lab", NOON, "moving house"))


def run(folder: Path, *arguments: str) -> int:
    return cli.main(["log", *arguments, "--state", str(folder)])


def test_a_line_tells_when_which_mail_and_what_with_what_was_not_read(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    happens(ledger)
    assert run(folder) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{AT}  <a@example.org> accepted source test",
        f"{AT}  <a@example.org> recorded series 29430: iol-a (not read: iol-tpyo)",
        f"{AT}  paused webhook:lab: moving house",
    ]


def test_as_many_lines_as_asked_for(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    happens(ledger)
    assert run(folder, "-n", "1") == 0
    assert capsys.readouterr().out == f"{AT}  paused webhook:lab: moving house\n"


def test_json_has_an_object_a_line(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    happens(ledger)
    assert run(folder, "--json") == 0
    accepted, _, paused = map(json.loads, capsys.readouterr().out.splitlines())
    assert accepted == {
        "number": 1,
        "at": "2023-11-14T22:13:20Z",
        "what": "accepted",
        "mail": "<a@example.org>",
        "mail_id": 1,
        "text": "source test",
        "details": {"source": "test"},
    }
    assert (paused["mail"], paused["mail_id"]) == (None, None)


def test_where_nothing_has_happened_nothing_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 1
    assert "nothing has happened yet" in capsys.readouterr().err


class Looks:
    """What somebody who follows a ledger is told, look by look."""

    def __init__(self, folder: Path, number: int = 20) -> None:
        state = StateSettings(dir=str(folder), ledger=f"sqlite:{folder}/ledger.sqlite")
        self._found = following.follow(state, number, pause=7.0, nap=self._nap)
        self.naps = 0

    def _nap(self, seconds: float) -> None:
        assert seconds == 7.0
        self.naps += 1

    def next(self) -> list[str]:
        return [each.what for each in next(self._found)]


def test_who_follows_is_told_each_thing_once(folder: Path, ledger: Ledger) -> None:
    happens(ledger)
    looks = Looks(folder, 2)
    assert looks.next() == ["recorded", "paused"]
    assert looks.next() == []
    ledger.steering.resume("webhook:lab", NOON)
    ledger.tell(1, [Event(NOON, "one", {}), Event(NOON, "two", {})])
    assert looks.next() == ["resumed", "one", "two"]
    assert looks.next() == []


def test_who_follows_before_there_is_a_ledger_is_told_all_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[Ledger] = []

    class Later(Looks):
        def _nap(self, seconds: float) -> None:
            super()._nap(seconds)
            if self.naps == 2:
                made.append(open_ledger(f"sqlite:{tmp_path}/ledger.sqlite"))
                for name in "abc":
                    made[0].accept(arrival(name))

    assert Later(tmp_path, 1).next() == ["accepted"] * 3
    assert [each.message for each in caplog.records] == [
        f"there is no ledger {tmp_path}/ledger.sqlite yet; waiting for it"
    ]
    made[0].close()


def test_a_ledger_that_was_put_back_is_followed_from_its_end(folder: Path, ledger: Ledger) -> None:
    happens(ledger)
    looks = Looks(folder, 1)
    ledger.backup(str(folder / "backup"))
    assert looks.next() == ["paused"]
    ledger.close()
    for each in folder.glob("ledger.sqlite*"):
        each.unlink()
    (folder / "backup").rename(folder / "ledger.sqlite")
    again = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    assert looks.next() == ["paused"]
    again.steering.resume("webhook:lab", NOON)
    assert looks.next() == ["resumed"]
    again.close()


STEPS: dict[str, tuple[Event, str]] = {
    "a reason": (
        Event(NOON, "ignored", {"reason": "it is a patch itself"}),
        "it is a patch itself",
    ),
    "a question": (
        Event(NOON, "asked", {"question": "patch <1@x>", "answer": "series 7"}),
        "patch <1@x> → series 7",
    ),
    "an older release's": (Event(NOON, "recorded", {"series": 7}), "series 7"),
}


@pytest.mark.parametrize(("event", "text"), STEPS.values(), ids=STEPS)
def test_the_particulars_of_a_step_are_told(ledger: Ledger, event: Event, text: str) -> None:
    ledger.happenings.tell(event)
    [told] = map(line, ledger.happenings.newest(1))
    assert isinstance(told, Line)
    assert told.text == text


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.end()


def lines_until(process: Any, what: str) -> list[dict[str, Any]]:
    """The lines that a process prints, up to one of a step."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["what"] != what:
        found.append(json.loads(process.stdout.readline()))
    return found


@pytest.mark.slow
def test_a_process_that_follows_sees_what_pipe_and_worker_do(service: Service) -> None:
    process = service.start("log", "-f", "--json", url="http://127.0.0.1:9")
    service.pipe(b"one", "http://127.0.0.1:9")
    assert lines_until(process, "accepted")[-1]["mail"] == "<one@example.org>"
    worker = service.start("work", "--once", url="http://127.0.0.1:9")
    assert worker.wait(60) == 0
    [waits] = [each for each in lines_until(process, "waits") if each["what"] == "waits"]
    assert waits["mail"] == "<one@example.org>"
    assert "refused" in waits["text"]
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    _, errors = process.communicate()
    assert b"Traceback" not in errors
