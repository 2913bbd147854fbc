# SPDX-License-Identifier: BSD-3-Clause
"""``show``: by which names, what it prints, and what it says of names that it does not know."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.commands import cli
from ingest.ledger import Event, Keep, Ledger, Outcome
from ingest.story.folds import folded
from ingest.story.overview import Step
from tests.support.ledger_values import NOON, arrival, claimed, finish, record, request

RAW = b"Message-ID: <first@example.org>\r\n\r\n\x1b[31mRecheck-request: \xff\r\n"
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger's folder: a mail with request 1, two of one Message-ID, one without."""
    monkeypatch.setenv("HOME", str(quick_path))
    for name, raw in (("first@example.org", RAW), ("two", b"one"), ("two", b"two"), ("", b"x")):
        identity = f"{name} {raw!r}"
        values: dict[str, Any] = {
            "raw": raw,
            "identity": identity,
            "author": "Robin",
            "subject": "Re: [PATCH] a",
        }
        ledger.accept(arrival(name, **values))
        mail = claimed(ledger)
        asked = [request(mail)] if name == "first@example.org" else []
        waits = {"reason": "not known yet", "until": NOON + 60}
        question = Event(NOON, "asked", {"question": "patch a", "answer": "none"})
        steps = [question, Event(NOON, "waits", waits)] * 4
        ledger.finish(mail, Outcome.DONE, "so", [*steps, Event(NOON + 9, "done", {})], asked)
    return quick_path


def show(folder: Path, capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, str, str]:
    code = cli.main(["show", *names, "--state", str(folder)])
    out, err = capsys.readouterr()
    return code, out, err


NAMES = {
    "first@example.org": [1],
    "<first@example.org>": [1],
    "mail-1": [1],
    "1": [1],
    "two": [2, 3],
    "mail-3": [3],
    "mail-4": [4],
    "2": [],
    "mail-9": [],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mail_is_shown_by_any_of_its_names(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = show(folder, capsys, "--json", name)
    assert [each["id"] for each in json.loads(out)] == NAMES[name]
    assert code == (0 if NAMES[name] else 1)


def test_a_mail_is_shown_by_the_id_of_its_request_and_only_once(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    [asked] = ledger.requests()
    _, out, _ = show(folder, capsys, "--json", asked.id, "1", "mail-1")
    assert [each["id"] for each in json.loads(out)] == [1]


def test_the_names_that_are_not_known_are_told_and_the_others_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = show(folder, capsys, "nope@example.org", "mail-1", "77")
    assert code == 1
    assert out.startswith("<first@example.org> done")
    assert "not in the ledger: nope@example.org, 77:" in err


def test_subject_links_and_commands_stand_with_a_request(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = "https://inbox.example.org/{list}/{message_id}/"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECHECK_INGEST_REQUESTS_ARCHIVE", archive)
        _, out, _ = show(folder, capsys, "1")
    for line in (
        "  Re: [PATCH] a, from Robin",
        "  archive https://inbox.example.org/dev/first@example.org/",
        "    patch  https://patches.dpdk.org/patch/131182/",
        "    series https://patches.dpdk.org/project/dpdk/list/?series=29430&state=*",
        "    mbox   https://patches.dpdk.org/series/29430/mbox/",
        "    apply  git-pw series apply 29430",
        "    or     b4 am first@example.org",
    ):
        assert line in out.splitlines()


def test_why_it_was_asked_for_and_what_a_group_stands_for_are_shown_harmlessly(
    ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = {"failed": ("iol-a", "iol-b"), "all": ()}
    asked = record(ledger, "why@example.org", reason="\x1b[2J <b>down</b>", groups=groups)
    _, out, _ = show(folder, capsys, "why@example.org")
    for line in (
        "    failed stands for iol-a, iol-b",
        "    all stands for no label",
        "    reason: \\x1b[2J <b>down</b>",
    ):
        assert line in out.splitlines()
    _, out, _ = show(folder, capsys, "--json", "why@example.org")
    [shown] = json.loads(out)[0]["requests"]
    assert (shown["number"], shown["reason"]) == (asked.number, asked.reason)
    assert shown["groups"] == {"failed": ["iol-a", "iol-b"], "all": []}


NEARLY = b"""\
From: Robin <robin@example.org>
To: dev@example.org
Subject: Re: [PATCH] a
In-Reply-To: <patch@example.org>

> Recheck-request: iol-a,
>  iol-b
"""


READY = """\
  not all could be read; a reply that can be, and how to send it:
    Recheck-request: iol-a, iol-b
    printf '%s\\n' 'Subject: Re: [PATCH] a' '' 'Recheck-request: iol-a, iol-b' > reply.txt
    git send-email --suppress-cc=all --to=dev@example.org --in-reply-to='<patch@example.org>' reply.txt
"""  # noqa: E501


def test_a_mail_that_could_not_be_read_is_shown_with_a_reply_that_can(
    ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.accept(arrival("nearly@example.org", raw=NEARLY))
    finish(ledger, claimed(ledger), Outcome.IGNORED)
    _, out, _ = show(folder, capsys, "nearly@example.org")
    assert out.endswith(READY)
    _, out, _ = show(folder, capsys, "--json", "nearly@example.org")
    assert json.loads(out)[0]["reply"]["text"] == "Recheck-request: iol-a, iol-b"


def test_a_request_of_which_something_was_left_over_is_shown_with_a_reply(
    ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(ledger, "left@example.org", leftovers=("iol-c",), parent="p@example.org", arguments={})
    _, out, _ = show(folder, capsys, "left@example.org")
    assert "    Recheck-request: iol-c" in out.splitlines()
    _, out, _ = show(folder, capsys, "--json", "mail-1")
    assert json.loads(out)[0]["reply"] is None


def test_a_command_quotes_what_a_mail_says(
    ledger: Ledger, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.accept(arrival("$(reboot)@example.org", identity="evil"))
    mail = claimed(ledger)
    ledger.finish(mail, Outcome.DONE, "", [Event(NOON, "done", {})], [request(mail)])
    _, out, _ = show(folder, capsys, "mail-5")
    assert "b4 am '$(reboot)@example.org'" in out


def test_attempts_with_the_same_answer_are_told_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = show(folder, capsys, "1")
    assert out.count("patch a → none") == out.count("not known yet") == 1
    assert "… 4 attempts until here: the same answer" in out
    _, out, _ = show(folder, capsys, "1", "--json")
    assert len(json.loads(out)[0]["story"]) == 10


def step(number: int, text: str) -> Step:
    return Step(AT + timedelta(seconds=number), "waits", text, {})


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_folding_loses_no_step_and_no_order(texts: list[str]) -> None:
    steps = [step(number, text) for number, text in enumerate(texts)]
    folds = list(folded(steps))
    unfolded = [each.text for fold in folds for each in fold.steps * fold.times]
    assert unfolded == texts
    at = 0
    for fold in folds:
        at += len(fold.steps) * fold.times
        assert fold.last is steps[at - 1]
    assert len(folds) <= len(steps)


def test_a_long_wait_is_one_fold() -> None:
    steps = [step(number, "ab"[number % 2]) for number in range(100)]
    [fold] = folded(steps)
    assert (len(fold.steps), fold.times) == (2, 50)


def test_raw_is_the_mail_byte_for_byte(folder: Path) -> None:
    command = [sys.executable, "-m", "ingest", "show", "--raw", "1", "--state", str(folder)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == RAW


def test_raw_is_harmless_on_a_terminal(folder: Path) -> None:
    main, side = pty.openpty()
    command = [sys.executable, "-m", "ingest", "show", "--raw", "1", "--state", str(folder)]
    subprocess.run(command, stdout=side, check=True)
    os.close(side)
    shown = os.read(main, 10_000)
    os.close(main)
    assert b"\\x1b[31mRecheck-request: \\xff" in shown
    assert b"\x1b" not in shown


def test_raw_is_for_one_mail_whose_bytes_are_there(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = show(folder, capsys, "--raw", "two")
    assert (code, "--raw writes one mail, and these are 2: mail-2, mail-3" in err) == (64, True)
    ledger.prune(Keep(raw=NOON + 100), NOON + 100)
    code, out, err = show(folder, capsys, "--raw", "1")
    assert (code, out) == (1, "")
    assert "the bytes of mail-1 were dropped, see [state] keep_days" in err
