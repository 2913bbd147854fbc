# SPDX-License-Identifier: BSD-3-Clause
"""All sinks of an installation at work: beginning, stopping, and none in another's way."""

import contextlib
import json
import os
import signal
import smtplib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import intake
from ingest.config import sink_tables, tables
from ingest.ledger import Cursor, Ledger, open_ledger
from ingest.ledger.masking import sqlite_path
from ingest.ledger.requests import request_id
from ingest.policy.scope import Scope
from ingest.sandbox import Sandbox
from ingest.sinks import delivery, json_file
from ingest.sinks.delivery import Delivery
from tests.sinks.test_command import is_alive, is_gone
from tests.support import retest_files
from tests.support.bad_server import Hell, http, says, stalls
from tests.support.ledger_values import NOON, record
from tests.support.ledgers import HOST, in_environment
from tests.support.places import RECORDED
from tests.support.service import MAIL, Service, eventually

# Far above what anything here takes: whoever waits for it hangs.
LONG = "3600"


def settings_of(folder: Path, ledger_url: str = "", **sinks: object) -> tables.Settings:
    url = ledger_url or f"sqlite:{folder}/ledger.sqlite"
    state = tables.StateSettings(dir=str(folder), ledger=url)
    retests = tables.RetestsSettings(file=str(folder / "retests.json"))
    return replace(tables.Settings(state=state, retests=retests), **sinks)  # type: ignore[arg-type]


def command(*program: str, **other: float) -> sink_tables.CommandSettings:
    return sink_tables.CommandSettings(program=program, **other)  # type: ignore[arg-type]


def test_that_a_sink_fails_and_works_again_is_told_once(ledger: Ledger, quick_path: Path) -> None:
    record(ledger, "a@example.org")
    folder = quick_path / "out"
    folder.write_text("not a folder")
    sink = json_file.JsonFile(str(folder / "retests.json"), mode=0o644)
    now = [NOON]

    def deliver() -> None:
        delivery.deliver(sink, ledger, clock=lambda: now[0], until=None, stop=lambda: False)
        now[0] += 100

    deliver()
    deliver()
    folder.unlink()
    folder.mkdir()
    deliver()
    told = [each.event for each in ledger.happenings.newest(9) if "sink" in each.event.what]
    assert [(each.what, each.details["sink"]) for each in told] == [
        ("sink fails", sink.name),
        ("sink works again", sink.name),
    ]
    assert "cannot be opened" in told[0].details["reason"]


# Beginning.


def test_all_sinks_are_named_the_retest_json_first_and_what_each_is_for() -> None:
    settings = tables.Settings(
        retests=tables.RetestsSettings(file="/r.json"),
        json_file={"b": sink_tables.JsonFileSettings(file="/srv/../b.json", contexts=("b-*",))},
        command={"run": command("true")},
        webhook={"ci": sink_tables.WebhookSettings(contexts=("a", "c"))},
        check={"x": sink_tables.CheckSettings()},
        mail={"y": sink_tables.MailSettings()},
    )
    assert list(delivery.wanted(settings).items()) == [
        ("json_file:/r.json", Scope((), "")),
        ("json_file:/b.json", Scope(("b-*",), "")),
        ("command:run", Scope()),
        ("webhook:ci", Scope(("a", "c"))),
        ("check:x", Scope((), "")),
        ("mail:y", Scope()),
    ]
    sinks = [*delivery.files(settings), *delivery.receivers(settings)]
    assert [sink.name for sink in sinks] == list(delivery.wanted(settings))


# Of a ledger that this machine has alone.
@pytest.mark.parametrize("ledger_kind", ["sqlite"])
def test_a_new_sink_begins_at_the_end_of_the_log_the_retest_json_at_its_beginning(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    record(ledger, "before@example.org")
    settings = settings_of(
        quick_path,
        ledger_url,
        command={"run": command("true")},
        json_file={"lab": sink_tables.JsonFileSettings(file=str(quick_path / "lab.json"))},
    )
    delivery.begin(ledger, settings)
    record(ledger, "after@example.org")
    delivery.begin(ledger, settings)
    at = {name: ledger.cursor(name).position for name in delivery.wanted(settings)}
    assert list(at.values()) == [0, 1, 1]


def test_a_sink_that_was_away_goes_on_where_it_was(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    ledger.set_cursor(Cursor("command:run", 1))
    for name in "abc":
        record(ledger, f"{name}@example.org")
    delivery.begin(ledger, settings_of(quick_path, ledger_url, command={"run": command("true")}))
    assert ledger.cursor("command:run").position == 1


def test_it_lags_only_if_something_is_due(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    settings = settings_of(quick_path, ledger_url, command={"run": command("true")})
    delivery.begin(ledger, settings)
    assert not delivery.lag(ledger, settings, 1000.0)
    record(ledger, "a@example.org")
    assert delivery.lag(ledger, settings, 1000.0)
    host = delivery.host_of(settings.state)
    ledger.set_cursor(Cursor(json_file.name(settings.retests.file, host), 1))
    ledger.set_cursor(Cursor("command:run", 0, tries=1, due=1001.0))
    assert not delivery.lag(ledger, settings, 1000.0)
    assert delivery.lag(ledger, settings, 1001.0)


# Once.


def test_once_has_each_sink_hand_over_what_is_due(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    out = quick_path / "out"
    script = f'echo "$RECHECK_MESSAGE_ID" >> {out}'
    settings = settings_of(
        quick_path,
        ledger_url,
        command={"a": command("sh", "-c", script), "b": command("sh", "-c", script)},
    )
    delivery.begin(ledger, settings)
    record(ledger, "x@example.org")
    delivery.once(ledger, settings)
    delivery.once(ledger, settings)
    assert out.read_text().split() == ["x@example.org"] * 2
    assert [each.position for each in ledger.cursors()] == [1, 1, 1]


def test_what_is_not_done_in_the_time_there_is_is_ended_and_tried_again(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    numbers = quick_path / "pids"
    slow = command("sh", "-c", f"echo $$ >> {numbers}; sleep 600", timeout=3600.0)
    settings = settings_of(quick_path, ledger_url, command={"slow": slow})
    delivery.begin(ledger, settings)
    record(ledger, "x@example.org")
    # Its clock jumps past the end as soon as the program is at work.
    delivery.once(ledger, settings, clock=lambda: 2000.0 * numbers.exists(), until=1000.0)
    assert is_gone(int(numbers.read_text()))
    cursor = ledger.cursor("command:slow")
    assert (cursor.position, cursor.tries, cursor.begun) == (0, 1, 1)
    assert cursor.reason == "sh was ended unfinished: there was no more time"


# Threads.


def test_each_sink_works_as_soon_as_it_is_woken(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    settings = settings_of(quick_path, ledger_url, command={"run": command("true")})
    at_work = Delivery(settings)
    delivery.begin(ledger, settings)
    at_work.start()
    try:
        for number in range(1, 6):
            record(ledger, f"{number}@example.org")
            at_work.wake()
            eventually(lambda: {c.position for c in ledger.cursors()} == {number})  # noqa: B023
        assert at_work.is_well()
    finally:
        at_work.stop(60.0)
    assert not at_work.is_well()


def test_one_that_was_never_started_is_stopped(quick_path: Path) -> None:
    Delivery(settings_of(quick_path)).stop(1.0)


@pytest.mark.parametrize("ledger_kind", ["sqlite"])
def test_a_ledger_that_cannot_be_opened_for_a_while_is_waited_for(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    delivery.begin(ledger, settings_of(quick_path, ledger_url, command={"run": command("true")}))
    record(ledger, "x@example.org")
    (quick_path / "broken" / "ledger.sqlite").mkdir(parents=True)
    folder, mended = quick_path / "state", quick_path / "mended"
    folder.symlink_to("broken")
    mended.symlink_to(".")
    at_work = Delivery(settings_of(folder, command={"run": command("true")}))
    at_work.start()
    try:
        eventually(lambda: len(at_work.troubles()) == 2)
        mended.replace(folder)  # at once: nothing is made where there is nothing
        eventually(lambda: ledger.cursor("command:run").position == 1)
        assert at_work.is_well()
    finally:
        at_work.stop(60.0)


@pytest.mark.slow
def test_a_new_sink_of_a_running_service_gets_nothing_old(
    ledger: Ledger, ledger_url: str, quick_path: Path
) -> None:
    """Whichever of its threads is the first at the ledger."""
    out = quick_path / "out"
    record(ledger, "old@example.org")
    script = f'echo "$RECHECK_MESSAGE_ID" >> {out}'
    at_work = Delivery(
        settings_of(quick_path, ledger_url, command={"run": command("sh", "-c", script)})
    )
    at_work.start()
    try:
        eventually(lambda: ledger.cursor("command:run").position == 1)
        record(ledger, "new@example.org")
        eventually(lambda: ledger.cursor("command:run").position == 2)
    finally:
        at_work.stop(60.0)
    assert out.read_text().split() == ["new@example.org"]


# Through the service, with sinks that hang.


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox")) as sandbox:
        yield sandbox


class Labs:
    """A service, programs that write down what they are given, and a webhook."""

    def __init__(self, service: Service, url: str, hell: Hell, ledger_url: str) -> None:
        self.service = service
        self.url = url
        self.hell = hell
        self.folder = service.folder
        self._ledger_url = ledger_url
        self.shared = in_environment(ledger_url, service.retests)
        self.environment = {"RECHECK_INGEST_SERVE_STOP_TIMEOUT": "1", **self.shared}
        hell.will(says(http(204)))

    def has(self, kind: str, name: str, key: str, value: object) -> None:
        self.environment[f"RECHECK_INGEST_{kind}_{name}_{key}".upper()] = str(value)

    def runs(self, name: str, script: str = "", *, timeout: str = LONG) -> None:
        """A command that notes a request and then does what the script says."""
        note = f'echo "$RECHECK_ID $RECHECK_AGAIN" >> {self.folder}/{name}.out; '
        program = self.folder / f"{name}.sh"
        program.write_text(note + script)
        self.has("command", name, "program", f"sh {program}")
        self.has("command", name, "timeout", timeout)

    def hangs(self, name: str) -> None:
        self.runs(name, f"echo $$ >> {self.folder}/{name}.pid; sleep 600")

    def pids(self, name: str) -> list[int]:
        file = self.folder / f"{name}.pid"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def ran(self, name: str) -> list[str]:
        """What a command has noted: ids, each with 1 if it was told that it comes again."""
        file = self.folder / f"{name}.out"
        return file.read_text().splitlines() if file.exists() else []

    def posted(self, path: str) -> list[str]:
        return [each.headers["webhook-id"] for each in self.hell.seen if each.path == path]

    def starts(self, *arguments: str) -> "Process":
        return Process(self.service.start(*arguments, url=self.url, **self.environment))

    def asks(self, *names: str) -> None:
        """As a pipe does that leaves them to the worker."""
        with self.ledger() as ledger:
            for name in names:
                raw = MAIL % (name.encode(), name.encode())
                intake.accept(raw, "test", ledger=ledger, now=time.time(), max_size=1 << 20)

    def ledger(self) -> contextlib.closing[Ledger]:
        return contextlib.closing(open_ledger(self._ledger_url))

    def cursors(self) -> dict[str, Cursor]:
        """Those in the ledger, by name."""
        with self.ledger() as ledger:
            return {cursor.name: cursor for cursor in ledger.cursors()}

    def files(self, *files: Path) -> list[str]:
        """The names of these files' cursors."""
        host = "" if sqlite_path(self._ledger_url) else HOST
        return [json_file.name(str(each), host) for each in files]

    def have_begun(self, *names: str) -> bool:
        return set(names) <= self.cursors().keys()

    def are_at(self, number: int) -> bool:
        """Whether every sink has come so far, the retest JSON, whose cursor comes last, too."""
        cursors = self.cursors()
        has_file = any(name.endswith("/retests.json") for name in cursors)
        return has_file and {each.position for each in cursors.values()} == {number}

    def status(self) -> str:
        """What ``status`` prints."""
        asked = self.service.start("status", url=self.url, **self.environment)
        return asked.communicate(timeout=60)[0].decode()


class Process:
    """One process of the service."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def stops(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return int(self.process.returncode)


def id_of(name: str) -> str:
    request = retest_files.asked(message_id=f"{name}@example.org", contexts=(f"iol-{name}",))
    return request_id(request, "")


@pytest.fixture
def labs(tmp_path: Path, patchwork: Sandbox, hell: Hell, ledger_url: str) -> Iterator[Labs]:
    service = Service(tmp_path)
    labs = Labs(service, patchwork.url, hell, ledger_url)
    yield labs
    service.end()
    for file in tmp_path.glob("*.pid"):
        for pid in labs.pids(file.stem):
            if is_alive(pid):
                os.killpg(pid, signal.SIGKILL)


@pytest.mark.slow
def test_sinks_that_hang_hold_up_no_other(labs: Labs) -> None:
    labs.hangs("hanging")
    labs.runs("good")
    labs.has("webhook", "hanging", "url", f"{labs.hell.url}/hanging")
    labs.has("webhook", "hanging", "timeout", LONG)
    labs.has("webhook", "good", "url", f"{labs.hell.url}/good")
    labs.hell.route(lambda seen: stalls() if seen.path == "/hanging" else None)
    labs.has("json_file", "held", "file", labs.folder / "held.json")
    labs.has("json_file", "good", "file", labs.folder / "good.json")
    good = labs.folder / "good.json"
    with retest_files.other("hold", str(labs.folder / "held.json")) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        serving = labs.starts("serve")
        eventually(lambda: labs.have_begun("command:good", "webhook:good", *labs.files(good)))
        labs.asks("one", "two")
        wanted = [id_of("one"), id_of("two")]
        eventually(lambda: labs.ran("good") == [f"{each} 0" for each in wanted])
        eventually(lambda: labs.posted("/good") == wanted)
        eventually(lambda: labs.service.contexts() == ["iol-one", "iol-two"])
        eventually(lambda: "iol-two" in (good.read_text() if good.exists() else ""))
        eventually(lambda: bool(labs.pids("hanging")) and bool(labs.posted("/hanging")))
        told = labs.status()
        for name in ("command:hanging", "webhook:hanging"):
            assert f"{name} at 0, 2 behind, at work on request 1\n" in told
        assert not (labs.folder / "held.json").exists()
        assert serving.stops() == 0
        assert all(map(is_gone, labs.pids("hanging")))
    assert labs.ran("hanging") == [f"{id_of('one')} 0"]


@pytest.mark.slow
def test_after_a_stop_in_the_middle_the_same_request_comes_again_and_says_so(labs: Labs) -> None:
    labs.hangs("lab")
    serving = labs.starts("serve")
    eventually(lambda: labs.have_begun("command:lab"))
    labs.asks("one")
    eventually(lambda: bool(labs.pids("lab")))
    assert serving.stops() == 0
    assert "ended unfinished" in labs.status()
    labs.runs("lab")
    labs.starts("serve")
    eventually(lambda: labs.are_at(1))
    assert labs.ran("lab") == [f"{id_of('one')} 0", f"{id_of('one')} 1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ledger_kind", "arguments", "number"),
    [
        *(
            ("sqlite", arguments, number)
            for arguments in (["serve"], ["work"], ["work", "--once"])
            for number in (signal.SIGTERM, signal.SIGKILL)
        ),
        ("postgresql", ["serve"], signal.SIGKILL),
        ("postgresql", ["work", "--once"], signal.SIGTERM),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else getattr(each, "name", each),
)
def test_whatever_ends_us_in_the_middle_nothing_is_lost(
    labs: Labs, arguments: list[str], number: signal.Signals
) -> None:
    labs.runs("lab")
    assert labs.starts("work", "--once").process.wait(60) == 0  # the sink begins
    labs.hangs("lab")
    labs.asks("one", "two")
    working = labs.starts(*arguments)
    eventually(lambda: bool(labs.pids("lab")))
    code = working.stops(number)
    if number == signal.SIGTERM:
        assert code == 0
        assert all(map(is_gone, labs.pids("lab"))), "it is not left alone with the request"
    labs.runs("lab")
    assert labs.starts("work", "--once").process.wait(60) == 0
    one, two = id_of("one"), id_of("two")
    assert labs.ran("lab") == [f"{one} 0", f"{one} 1", f"{two} 0"]


@pytest.mark.slow
def test_retry_hands_over_what_a_sink_has_skipped(labs: Labs) -> None:
    labs.runs("lab", "exit 1")
    assert labs.starts("work", "--once").process.wait(60) == 0  # the sink begins
    labs.asks("one", "two")
    assert labs.starts("work", "--once").process.wait(60) == 0
    assert "command:lab at 2, 2 skipped" in labs.status()
    labs.runs("lab")
    retry = labs.starts("retry", "--sink", "command:lab").process
    assert b"2 requests to be handed over to command:lab" in retry.communicate(timeout=60)[0]
    assert labs.starts("work", "--once").process.wait(60) == 0
    one, two = id_of("one"), id_of("two")
    assert labs.ran("lab") == [f"{one} 0", f"{two} 0", f"{one} 1", f"{two} 1"]
    assert "command:lab at 2\n" in labs.status()
    again = labs.starts("retry", "--sink", "command:lab").process
    assert b"has set aside or skipped nothing" in again.communicate(timeout=60)[1]
    assert again.returncode == 1
    unknown = labs.starts("retry", "--sink", "command:la").process
    assert b"there is no sink command:la: there are command:lab" in unknown.communicate()[1]
    assert unknown.returncode == 64


@pytest.mark.slow
def test_the_requests_of_old_mails_go_to_files_only(labs: Labs) -> None:
    labs.runs("lab")
    assert labs.starts("work", "--once").process.wait(60) == 0
    labs.environment["RECHECK_INGEST_POLICY_MAX_AGE"] = "604800"
    labs.asks("one")  # its mail is of 2023
    assert labs.starts("work", "--once").process.wait(60) == 0
    assert labs.service.contexts() == ["iol-one"]
    assert labs.ran("lab") == []
    assert "command:lab at 1, 1 skipped" in labs.status()
    assert labs.starts("retry", "--sink", "command:lab").process.wait(60) == 0
    assert labs.starts("work", "--once").process.wait(60) == 0
    assert labs.ran("lab") == [f"{id_of('one')} 1"]


# Where the ledger is on another machine, a pipe leaves its mail in the spool.
@pytest.mark.slow
@pytest.mark.parametrize("ledger_kind", ["sqlite"])
def test_a_pipe_does_not_wait_for_a_program_that_hangs(labs: Labs) -> None:
    labs.runs("lab")
    assert labs.starts("work", "--once").process.wait(60) == 0
    labs.hangs("lab")
    labs.environment["RECHECK_INGEST_PIPE_BUDGET"] = "5"
    labs.has("command", "lab", "retry", "0.1")
    pipe = labs.starts("pipe").process
    assert pipe.communicate(MAIL % (b"one", b"one"), timeout=60) == (b"", b"")
    assert pipe.returncode == 0
    assert labs.service.contexts() == ["iol-one"]
    assert all(map(is_gone, labs.pids("lab")))
    labs.runs("lab")
    labs.starts("serve")
    eventually(lambda: labs.are_at(1))


@pytest.mark.slow
def test_a_configuration_that_is_read_again_replaces_a_sink_that_hangs(labs: Labs) -> None:
    config = labs.folder / "config.toml"
    labs.hangs("lab")
    hanging, labs.environment = dict(labs.environment), dict(labs.shared)
    labs.environment["RECHECK_INGEST_CONFIG"] = str(config)
    program = hanging["RECHECK_INGEST_COMMAND_LAB_PROGRAM"].split()
    table = f"[command.lab]\nprogram = {program}\ntimeout = {LONG}\n"
    config.write_text(table + "[serve]\nstop_timeout = 1\n")
    serving = labs.starts("serve").process
    eventually(lambda: labs.have_begun("command:lab"))
    labs.asks("one")
    eventually(lambda: bool(labs.pids("lab")))
    labs.runs("lab")
    serving.send_signal(signal.SIGHUP)
    eventually(lambda: labs.are_at(1))
    assert labs.ran("lab") == [f"{id_of('one')} 0", f"{id_of('one')} 1"]
    assert serving.poll() is None


@pytest.mark.slow
def test_services_side_by_side_hand_over_each_request_once(labs: Labs) -> None:
    labs.runs("lab", "sleep 0.02")
    labs.has("webhook", "lab", "url", f"{labs.hell.url}/lab")
    for _ in range(3):
        labs.starts("serve")
    eventually(lambda: labs.have_begun("command:lab", "webhook:lab"))
    names = [f"mail-{number}" for number in range(8)]
    for name in names:
        labs.asks(name)
    eventually(lambda: labs.are_at(len(names)))
    wanted = sorted(map(id_of, names))
    assert sorted(labs.ran("lab")) == [f"{each} 0" for each in wanted]
    assert sorted(labs.posted("/lab")) == wanted
    assert [line.split()[0] for line in labs.ran("lab")] == labs.posted("/lab"), "the log's order"


# One listener, several labs.


def test_one_listener_serves_three_labs_each_with_its_own_file(labs: Labs) -> None:
    patterns = {"iol": "iol-*", "unh": "unh-* github-robot", "all": ""}
    for name, contexts in patterns.items():
        labs.has("json_file", name, "file", labs.folder / f"{name}.json")
        if contexts:
            labs.has("json_file", name, "contexts", contexts)
    address = labs.folder / "lmtp.sock"
    labs.starts("serve", "--lmtp", f"unix:{address}")
    files = labs.files(*(labs.folder / f"{name}.json" for name in patterns))
    eventually(lambda: labs.have_begun(*files) and address.exists())
    lines = {
        "a": b"iol-one, unh-two",
        "b": b"github-robot",
        "c": b"other-four",
        "d": b"rebase=main, iol-five",
    }
    with smtplib.LMTP(str(address)) as client:
        for name, line in lines.items():
            mail = (MAIL % (name.encode(), b"")).replace(b"iol-\n", line + b"\n")
            client.sendmail("robin@example.org", ["ci@example.org"], mail)
    eventually(lambda: labs.are_at(len(lines)))

    def read(name: str) -> dict[str, object]:
        document = json.loads((labs.folder / f"{name}.json").read_text())
        entry: dict[str, object] = document["retests"]["29430"]
        return entry

    rebase = {"rebase": "main"}
    every = ["github-robot", "iol-five", "iol-one", "other-four", "unh-two"]
    assert read("retests") == read("all") == {"contexts": every, "arguments": rebase}
    assert read("iol") == {"contexts": ["iol-five", "iol-one"], "arguments": rebase}
    assert read("unh") == {"contexts": ["github-robot", "unh-two"], "arguments": rebase}
