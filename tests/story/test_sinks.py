# SPDX-License-Identifier: BSD-3-Clause
"""What ``status`` and ``show`` say of sinks, in every state that one can be in."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.config import sink_tables
from ingest.config.tables import Settings
from ingest.ledger import Cursor, Event, Ledger, Pause, Result, State
from ingest.policy.scope import Scope
from ingest.sinks.command import Command
from ingest.sinks.webhook import Webhook
from ingest.story.sinks import Delivery, deliveries, state_of
from ingest.words import instant, moment, utc
from tests.support.bad_server import Hell, failing, http, says
from tests.support.clock import DAY, HOUR, Clock
from tests.support.handing_over import Giving, told
from tests.support.retest_files import asked

NAME = "webhook:lab"
NOW = 1_700_000_000.0
HANDED = Event(NOW, "handed over", {"to": NAME, "answer": "204 No Content"})
SKIPPED = Event(NOW, "skipped", {"reason": f"{NAME}: it answers 400"})
OTHERS = (
    Event(NOW, "handed over", {"to": "webhook:lab-2", "answer": "yes"}),
    Event(NOW, "skipped", {"reason": "webhook:lab-2: no"}),
)

CURSORS: dict[str, tuple[Cursor, str, str]] = {
    "new": (Cursor(NAME), "at 0, 5 behind", ""),
    "up to date": (Cursor(NAME, 5, NOW), "at 5", ""),
    "behind": (Cursor(NAME, 3, NOW), "at 3, 2 behind", ""),
    "at work": (Cursor(NAME, 3, begun=4), "at 3, 2 behind, at work on request 4", ""),
    "stopped": (
        Cursor(NAME, 3, begun=4, reason="ended unfinished"),
        "at 3, 2 behind, at work on request 4",
        "ended unfinished",
    ),
    "failed once": (
        Cursor(NAME, 3, tries=1, due=NOW + 10, reason="it is down", begun=4),
        "at 3, 2 behind, tried once, next in 10 s",
        "it is down",
    ),
    "failing": (
        Cursor(NAME, 3, tries=17, due=NOW + 900, reason="it is down", begun=4),
        "at 3, 2 behind, tried 17 times, next in 15 min",
        "it is down",
    ),
    "due": (
        Cursor(NAME, 3, tries=2, due=NOW, reason="it is down", begun=4),
        "at 3, 2 behind, tried twice, next now",
        "it is down",
    ),
    "refused": (
        Cursor(NAME, 5, NOW, reason="it answers 400"),
        "at 5",
        "it did not take the last one: it answers 400",
    ),
}


@pytest.mark.parametrize(("cursor", "state", "trouble"), CURSORS.values(), ids=CURSORS)
def test_a_sink_s_cursor_says_where_it_is_and_what_hinders_it(
    cursor: Cursor, state: str, trouble: str
) -> None:
    told = state_of(cursor, 5, {NAME: Scope()}, NOW)
    assert (told.state, told.trouble, told.lag) == (state, trouble, 5 - cursor.position)
    assert told.is_configured


def test_a_paused_sink_says_since_when_and_why() -> None:
    failing = Cursor(NAME, 3, tries=17, due=NOW + 900, reason="it is down", begun=4)
    told = state_of(failing, 5, {NAME: Scope()}, NOW, pause=Pause(NAME, NOW, "moving house"))
    since = moment(NOW)
    assert told.state == f"at 3, 2 behind, paused since {since}: moving house"
    assert (told.trouble, told.lag) == ("", 2)


def test_nothing_waits_for_a_cancelled_request() -> None:
    cancelled = replace(asked(4), cancelled="why")
    assert list(deliveries(cancelled, (), [Cursor(NAME, 3)], {NAME: Scope()}, (), NOW)) == []


def test_a_sink_that_is_gone_from_the_configuration_says_so() -> None:
    cursor = Cursor(NAME, 3, tries=17, due=NOW + 900, reason="it is down", begun=4)
    told = state_of(cursor, 5, {}, NOW)
    assert (told.state, told.trouble) == ("at 3, 2 behind, no longer configured", "")
    assert not told.is_configured


FILE = "json_file:/r.json"
REQUESTS: dict[str, tuple[Cursor, tuple[Event, ...], str, str]] = {
    "handed over": (Cursor(NAME, 7), (*OTHERS, HANDED), f"handed over to {NAME}", ""),
    "skipped": (Cursor(NAME, 7), (*OTHERS, SKIPPED), f"skipped by {NAME}", ""),
    "before its time": (Cursor(NAME, 9), OTHERS, f"recorded before there was {NAME}", ""),
    "to come": (Cursor(NAME, 6), (), f"not yet in {NAME}", ""),
    "at work": (Cursor(NAME, 6, begun=7), (), f"on its way to {NAME}", ""),
    "waiting": (
        Cursor(NAME, 4, begun=5),
        (),
        f"not yet in {NAME}: request 5 is before it",
        "",
    ),
    "behind one that fails": (
        Cursor(NAME, 4, tries=1, due=NOW + 9, reason="it is down", begun=5),
        (),
        f"not yet in {NAME}: request 5 is before it, tried once, next in 9 s",
        "it is down",
    ),
    "failing": (
        Cursor(NAME, 6, tries=3, due=NOW + HOUR, reason="it is down", begun=7),
        (),
        f"not yet in {NAME}, tried 3 times, next in 60 min",
        "it is down",
    ),
    "in a file": (Cursor(FILE, 7), (), f"published to {FILE}", ""),
    "in a file that cannot be written": (
        Cursor(FILE, 6, tries=2, due=NOW + 60, reason="it is locked"),
        (),
        f"not yet in {FILE}, tried twice, next in 60 s",
        "it is locked",
    ),
}


# What a person reads before a sink's name, and the word for a program.
STATES = {
    "handed over to ": "handed over",
    "skipped by ": "skipped",
    "recorded before there was ": "before its time",
    "not yet in ": "waiting",
    "on its way to ": "on its way",
    "published to ": "published",
}


@pytest.mark.parametrize(("cursor", "story", "text", "trouble"), REQUESTS.values(), ids=REQUESTS)
def test_what_became_of_a_request_is_told_for_each_sink(
    cursor: Cursor, story: tuple[Event, ...], text: str, trouble: str
) -> None:
    sinks = {NAME: Scope(), FILE: Scope()}
    [delivery] = deliveries(asked(7), story, [cursor], sinks, (), NOW)
    assert (delivery.to, delivery.text, delivery.trouble) == (cursor.name, text, trouble or None)
    assert delivery.state == STATES[delivery.text.partition(cursor.name)[0]]


def test_a_request_that_a_sink_is_not_for_is_not_waited_for() -> None:
    cursors = [Cursor(NAME, 3, begun=4), Cursor(FILE, 7)]
    sinks = {NAME: Scope(("iol-*", "unh-*")), FILE: Scope(("c-*",))}
    assert list(deliveries(asked(7), (), cursors, sinks, (), NOW)) == [
        Delivery(NAME, "not for it", f"not for {NAME}: it is for iol-*, unh-*"),
        Delivery(FILE, "published", f"published to {FILE}"),
    ]


def test_a_file_has_what_nobody_was_seen_to_take_or_to_run() -> None:
    """A lab that only reads the file is seen by its results."""
    request, cursors, sinks = replace(asked(7), recorded=NOW), [Cursor(FILE, 7)], {FILE: Scope()}

    def told(*states: State) -> list[Delivery]:
        results = [Result(7, f"iol-{number}", each, NOW) for number, each in enumerate(states)]
        others = [Result(8, "iol-a", State.ASKED, NOW)]
        return list(deliveries(request, (), cursors, sinks, (), NOW, [*results, *others]))

    text = f"in {FILE}, not taken out of it since {moment(NOW)}"
    assert told(State.ASKED) == told(State.ASKED, State.FAIL)
    assert told(State.ASKED) == [Delivery(FILE, "in the file", text)]
    published = [Delivery(FILE, "published", f"published to {FILE}")]
    assert told(State.HANDED_OVER) == told(State.PENDING) == told(State.FAIL) == published


def test_a_request_for_another_server_is_not_for_a_sink_of_one() -> None:
    sinks = {FILE: Scope((), "")}
    request = replace(asked(7), server="fdo")
    assert list(deliveries(request, (), [Cursor(FILE, 7)], sinks, (), NOW)) == [
        Delivery(FILE, "not for it", f"not for {FILE}: it is for series of [patchwork]"),
    ]


def test_of_a_sink_that_is_gone_the_story_tells_what_there_is_to_tell() -> None:
    assert list(deliveries(asked(7), (HANDED,), [Cursor(NAME, 7)], {}, (), NOW)) == []


# Through the commands, while a webhook fails, refuses and recovers.


def lines(text: str, about: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if about in line]


@pytest.fixture
def folder(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the ledger."""
    monkeypatch.setenv("HOME", str(quick_path))
    return quick_path


def test_status_and_show_while_a_webhook_is_down_and_well_again(
    ledger: Ledger,
    clock: Clock,
    folder: Path,
    hell: Hell,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import time

    clock.now = time.time()
    hell.will(failing(503, "Retry-After: 86400"), says(http(202)))
    url = f"{hell.url}/?token=hidden"
    monkeypatch.setenv("RECHECK_INGEST_WEBHOOK_LAB_URL", url)
    webhook = sink_tables.WebhookSettings(url=url)
    giving = Giving(ledger, clock, Webhook("lab", webhook, Settings(), clock), webhook)
    giving.records(asked(1), asked(2))
    giving.works()
    why = f"the webhook at {hell.url} answers 503 Service Unavailable"
    assert lines(told(folder, capsys, "status"), NAME) == [
        f"sink       {NAME} at 0, 2 behind, tried once, next in 24 h: {why}"
    ]
    [sink] = json.loads(told(folder, capsys, "status", "--json"))["sinks"]
    assert sink == {
        "name": NAME,
        "configured": True,
        "position": 0,
        "lag": 2,
        "moved": None,
        "trying": 1,
        "tries": 1,
        "due": instant(utc(clock() + DAY)),
        "reason": why,
        "aside": 0,
        "skipped": 0,
        "state": "at 0, 2 behind, tried once, next in 24 h",
        "trouble": why,
        "paused": None,
        "pause_reason": None,
    }
    assert lines(told(folder, capsys, "show", "1@example.org"), NAME) == [
        f"not yet in {NAME}, tried once, next in 24 h: {why}"
    ]
    assert lines(told(folder, capsys, "show", "2@example.org"), NAME) == [
        f"not yet in {NAME}: request 1 is before it, tried once, next in 24 h: {why}"
    ]
    giving.works_when_due()
    assert lines(told(folder, capsys, "status"), NAME) == [f"sink       {NAME} at 2"]
    [handed_over, result, state] = lines(told(folder, capsys, "show", "1@example.org"), NAME)
    assert result == f"c-1: handed over to {NAME}"
    assert handed_over.endswith(f"handed over to {NAME}, answer 202 Accepted")
    assert state == f"handed over to {NAME}"


def test_status_and_show_of_a_command_that_refuses(
    ledger: Ledger,
    clock: Clock,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_COMMAND_LAB_PROGRAM", "false")
    command = sink_tables.CommandSettings(program=("sh", "-c", "echo 'no such job' >&2; exit 1"))
    giving = Giving(ledger, clock, Command("lab", command, Settings()), command)
    giving.records(asked(1))
    giving.works()
    why = "sh failed, exit code 1: no such job"
    assert lines(told(folder, capsys, "status"), "command:lab") == [
        f"sink       command:lab at 1, 1 skipped: it did not take the last one: {why}"
    ]
    [skipped, state] = lines(told(folder, capsys, "show", "1@example.org"), "command:lab")
    assert skipped.endswith(f"skipped command:lab: {why}")
    assert state == "skipped by command:lab"


def test_status_of_a_sink_that_is_no_longer_configured(
    ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.set_cursor(Cursor(NAME, 0, tries=3, due=NOW, reason="it is down", begun=1))
    assert lines(told(folder, capsys, "status"), NAME) == [
        f"sink       {NAME} at 0, no longer configured"
    ]
    [sink] = json.loads(told(folder, capsys, "status", "--json"))["sinks"]
    assert sink["configured"] is False
