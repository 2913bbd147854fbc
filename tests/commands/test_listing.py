# SPDX-License-Identifier: BSD-3-Clause
"""``list``: what it prints, for whom, and that its flags are the ledger's filters."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from ingest import signs
from ingest.commands import cli
from ingest.config.tables import Settings
from ingest.ledger import Aside, Cursor, Event, Feed, Ledger, Outcome, Pause, Result, State
from ingest.mail.requester import Requester
from ingest.patchwork import outage
from ingest.sinks.request_json import shape
from tests.support.ledger_values import NOON, arrival, claimed, finish, request

HOOK = "webhook:lab"
CONFIGURATION = '[webhook.lab]\nurl = "http://127.0.0.1:9/"\n'
MAIL = b"List-Id: <dev.example.org>\n\nhello\n"
ODIN = Requester("Odin Østergård", "odin@example.org")


@pytest.fixture
def in_utc() -> Iterator[None]:
    """Times are printed in this machine's zone: here it is UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, in_utc: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger's folder: two requests, then a mail that failed and one that was ignored."""
    monkeypatch.setenv("HOME", str(quick_path))
    (quick_path / "c.toml").write_text(CONFIGURATION)
    for name, at, other in (
        ("first@example.org", NOON, {"contexts": ("iol-a", "iol-b"), "arguments": {}}),
        ("second@example.org", NOON + 60, {"requester": ODIN, "series": 7, "project": "ci"}),
    ):
        ledger.accept(arrival(name, at=at, author=f"Robin <{name}>", subject="Re: [PATCH] a"))
        mail = claimed(ledger, at)
        asked = request(mail, recorded=at, **other)
        ledger.finish(mail, Outcome.DONE, "series 7", [Event(at, "done", {})], [asked])
    for name, outcome in (("broken", Outcome.FAILED), ("chatter", Outcome.IGNORED)):
        ledger.accept(arrival(name, at=NOON + 120, subject="Ärger", list_id="ci.dpdk.org"))
        finish(ledger, claimed(ledger, NOON + 120), outcome)
    return quick_path


def listed(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    configured = ("--config", str(folder / "c.toml"), "--state", str(folder))
    code = cli.main(["list", *flags, *configured])
    return code, capsys.readouterr().out


def names(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    code, out = listed(folder, capsys, "--json", *flags)
    document = json.loads(out)
    mails = document["mails"] if "--attention" in flags else document
    found = [str(each["message_id"]).partition("@")[0] for each in mails]
    assert code == (0 if found else 1)
    return found


def parts(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """What a person must act on besides mails."""
    _, out = listed(folder, capsys, "--attention", "--json")
    return [(each["kind"], each["name"], each["text"]) for each in json.loads(out)["parts"]]


FLAGS: dict[str, list[str]] = {
    "": ["second", "first"],
    "--series 7": ["second"],
    "--series 7 --series 29430": ["second", "first"],
    "--label iol-b": ["second", "first"],
    "--label iol": [],
    "--requester ØSTERG": ["second"],
    "--list dev.dpdk.org": ["second", "first"],
    "--list ci.dpdk.org": [],
    "--project ci": ["second"],
    "--since 2023-11-14T22:14:20": ["second"],
    "--before 2023-11-14T22:14:20": ["first"],
    "--search [patch]": ["second", "first"],
    "--limit 1": ["second"],
    "--mail": ["chatter", "broken", "second", "first"],
    "--mail --label iol-a --project ci": ["second"],
    "--state failed": ["broken"],
    "--state failed --state ignored": ["chatter", "broken"],
    "--mail --search ärg": ["chatter", "broken"],
    "--attention": ["broken"],
}


@pytest.mark.parametrize("flags", FLAGS)
def test_a_flag_is_a_filter(flags: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert names(folder, capsys, *flags.split()) == FLAGS[flags]


def test_requests_in_two_lines_with_the_results_of_their_labels(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.results.tell(Result(1, "iol-a", State.FAIL, NOON + 5, author="lab"))
    code, out = listed(folder, capsys)
    assert code == 0
    assert out == (
        "2  2023-11-14 22:14      7  Odin Østergård      Re: [PATCH] a: fix it\n"
        "   iol-a, iol-b, rebase=main\n"
        "1  2023-11-14 22:13  29430  Robin Reviewer      Re: [PATCH] a: fix it\n"
        "   iol-a fail, iol-b\n"
    )


def test_mails_in_two_lines_with_their_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = listed(folder, capsys, "--state", "failed", "--state", "done", "--limit", "2")
    assert code == 0
    assert out == (
        "mail-3  2023-11-14 22:15  failed  unknown             Ärger\n"
        "        it is failed\n"
        "mail-2  2023-11-14 22:14  done    Robin               Re: [PATCH] a\n"
        "        series 7\n"
    )


@pytest.mark.parametrize(
    ("cursor", "aside", "found"),
    [
        (Cursor(HOOK, 2), None, ["broken"]),
        (Cursor(HOOK, 1), None, ["broken"]),
        (Cursor(HOOK, 1, tries=3, reason="it is down"), None, ["broken", "second"]),
        (Cursor(HOOK, 2), Aside(HOOK, 1, NOON, 4, None, "it says 400"), ["broken", "first"]),
        (Cursor(HOOK, 2), Aside("webhook:gone", 1, NOON, 4, None, "it says 400"), ["broken"]),
    ],
    ids=["up to date", "at work", "fails", "skipped", "skipped by what is not configured"],
)
def test_attention_is_for_what_a_person_must_act_on(
    cursor: Cursor,
    aside: Aside | None,
    found: list[str],
    folder: Path,
    ledger: Ledger,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger.set_cursor(cursor)
    if aside:
        ledger.asides.keep(aside)
    assert names(folder, capsys, "--attention") == found


def test_attention_says_why_a_sink_has_not_had_a_request(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.set_cursor(Cursor(HOOK, 1, tries=3, reason="it is down", due=NOON))
    _, out = listed(folder, capsys, "--attention")
    assert f"        request 2 not yet in {HOOK}, tried 3 times, next now: it is down\n" in out


def test_attention_says_which_label_is_overdue(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.set_cursor(Cursor(HOOK, 2))
    ledger.results.tell(Result(1, "iol-a", State.OVERDUE, NOON))
    _, out = listed(folder, capsys, "--attention")
    assert "        request 1: iol-a is overdue\n" in out


def test_json_is_what_take_and_show_print(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = listed(folder, capsys, "--json")
    assert json.loads(out) == [
        {**shape(each, Settings()), "cancelled": None} for each in reversed(ledger.requests())
    ]
    _, out = listed(folder, capsys, "--json", "--state", "failed")
    assert cli.main(["show", "--json", "broken", "--state", str(folder)]) == 0
    assert json.loads(out) == json.loads(capsys.readouterr().out)


def test_json_lines_is_an_object_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, whole = listed(folder, capsys, "--json", "--mail")
    _, lines = listed(folder, capsys, "--json-lines", "--mail")
    assert [json.loads(line) for line in lines.splitlines()] == json.loads(whole)


@pytest.mark.parametrize("flags", [(), ("--json",), ("--json-lines",)], ids=str)
def test_nothing_found_is_told_and_ends_with_1(
    flags: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = listed(folder, capsys, "--label", "nope", *flags)
    assert (code, out) == (1, "[]\n" if flags == ("--json",) else "")


def test_a_state_that_is_neither_state_nor_folder_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list", "--state", "fail"]) == 64
    err = capsys.readouterr().err
    assert "--state fail: that is not a state of a mail (queued, done," in err
    assert not (Path.cwd() / "fail").exists()


def test_looking_makes_no_ledger(quick_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--state", f"{quick_path}/none"]) != 0
    assert "there is no ledger" in capsys.readouterr().err
    assert not (quick_path / "none").exists()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_no_line_is_longer_than_it(
    columns: int, folder: Path, ledger: Ledger
) -> None:
    wide: dict[str, Any] = {
        "subject": "日本語の件名" * 30,
        "requester": Requester("山田太郎" * 8, "t@example.org"),
        "contexts": tuple(f"label-{n}" for n in range(40)),
    }
    ledger.accept(arrival("wide@example.org", at=NOON + 500))
    mail = claimed(ledger, NOON + 500)
    ledger.finish(mail, Outcome.DONE, "x" * 500, [Event(NOON, "done", {})], [request(mail, **wide)])
    main, side = pty.openpty()
    command = [sys.executable, "-m", "ingest", "list", "--state", str(folder)]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    ran = subprocess.Popen(command, stdout=side, env=environment)
    os.close(side)
    assert ran.wait(60) == 0
    shown = os.read(main, 100_000).decode().splitlines()
    os.close(main)
    widths = [cell_len(line) for line in shown]
    assert widths[:2] == [columns - 1, columns]  # half of a wide character is none
    assert max(widths) == columns
    assert len(shown) == 6


def test_attention_begins_with_what_is_about_no_single_mail(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.set_cursor(Cursor(HOOK, 1))
    ledger.steering.pause(Pause(HOOK, NOON, "moving house"))
    ledger.set_feed(Feed("inbox.dev", moved=NOON, tries=2, reason="no network"))
    outage.note_down(ledger, "it answers 502", NOON)
    signs.note(str(folder), [(MAIL, "pipe")], NOON - 60)
    signs.note(str(folder), [(MAIL, "pipe")], NOON)
    code, out = listed(folder, capsys, "--attention")
    assert code == 0
    at = "2023-11-14 22:13"
    assert out.splitlines()[:5] == [
        f"feed  pipe, dev.example.org  since {at}  no mail since then, which is longer than ever",
        f"feed  inbox.dev  since {at}  not read since then: no network",
        f"patchwork  https://patches.dpdk.org  since {at}  down: it answers 502",
        f"sink  {HOOK}  since {at}  paused, 1 request behind: moving house",
        "mail-3  2023-11-14 22:15  failed  unknown             Ärger",
    ]
    assert parts(folder, capsys)[3] == (
        "sink",
        HOOK,
        "paused, 1 request behind: moving house",
    )


def test_attention_among_some_mails_is_about_these_alone(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    outage.note_down(ledger, "it answers 502", NOON)
    code, out = listed(folder, capsys, "--attention", "--list", "nothing.example.org", "--json")
    assert (code, json.loads(out)) == (1, {"parts": [], "mails": []})


def test_each_line_is_a_part_or_a_mail(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    outage.note_down(ledger, "it answers 502", NOON)
    _, out = listed(folder, capsys, "--attention", "--json-lines")
    part, mail = map(json.loads, out.splitlines())
    assert (part["kind"], mail["message_id"]) == ("patchwork", "broken")


def test_a_cancelled_request_says_why(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.steering.cancel_request(1, "the wrong series", "operator", NOON)
    _, out = listed(folder, capsys, "--json")
    assert [each["cancelled"] for each in json.loads(out)] == [None, "the wrong series"]
    _, out = listed(folder, capsys)
    assert "iol-a cancelled, iol-b cancelled" in out


def test_where_nothing_needs_a_person_that_is_told(
    ledger: Ledger, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.accept(arrival("a@example.org"))
    assert cli.main(["list", "--attention", "--state", str(quick_path)]) == 1
    assert capsys.readouterr().err == "recheck-ingest: nothing needs a person now\n"
