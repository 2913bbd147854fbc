# SPDX-License-Identifier: BSD-3-Clause
"""What commands print, of mails that try to write to the terminal themselves."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import cli, logs
from ingest.errors import UsageError
from ingest.ledger import Event, Ledger, Outcome, Submission
from ingest.mail.requester import Requester
from ingest.sandbox import Sandbox
from tests.support.ledger_values import NOON, arrival, claimed, request
from tests.support.mails import letter

# ESC, a C1 control, an override of the direction, a blank of no width, a line end of Unicode's,
# half a surrogate pair.
EVIL = "\x1b[31m\x9b2J\u202e\u200b\u2028\udc80"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def harmless(text: str) -> bool:
    return text.replace("\n", "").isprintable()


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger's folder: one mail is done and one has failed, and every text of both is evil."""
    monkeypatch.setenv("HOME", str(quick_path))
    evil: dict[str, Any] = {"raw": b"", "list_id": f"dev{EVIL}", "source": f"replay {EVIL}"}
    ledger.accept(arrival(f"done{EVIL}", **evil))
    mail = claimed(ledger)
    asked = request(
        mail,
        submission=Submission("patch", 1),
        project=EVIL,
        leftovers=(EVIL,),
        requester=Requester(EVIL, "robin@example.org"),
        subject=EVIL,
    )
    steps = [Event(NOON, "asked", {"question": EVIL, "answer": EVIL}), Event(NOON, EVIL, {})]
    ledger.finish(mail, Outcome.DONE, f"series 29430: {EVIL}", steps, [asked])
    ledger.accept(arrival("failed", **evil))
    ledger.finish(claimed(ledger), Outcome.FAILED, EVIL, [Event(NOON, "failed", {"reason": EVIL})])
    return quick_path


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("command", ["status", "show"])
def test_nothing_that_a_mail_says_gets_at_the_terminal(
    command: str,
    flags: tuple[str, ...],
    folder: Path,
    ledger: Ledger,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ids = [each.message_id for each in ledger.requests()] + ["failed"] if command == "show" else []
    assert cli.main([command, *flags, *ids, "--state", str(folder)]) == 0
    out = capsys.readouterr().out
    assert harmless(out)
    if command == "show":
        assert "x1b[31m" in out or "u001b[31m" in out


def test_a_dry_run_prints_only_what_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = letter(
        "a\x1b[2Jb@example.org",
        "Re: x\x1b[31m",
        "Recheck-request: iol-a \u202e\x1b[31m\n",
        in_reply_to="1@example.org",
    )
    mail = tmp_path / "evil\x1b[31m.eml"
    mail.write_bytes(raw)
    for flags in ((), ("--json",)):
        arguments = ["replay", "--dry-run", "--offline", *flags, str(mail)]
        assert cli.main([*arguments, "--state", str(tmp_path / "s")]) == 0
        assert harmless(capsys.readouterr().out)


def test_a_log_record_is_one_harmless_line_and_its_traceback_harmless_lines() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.TextFormatter("recheck-ingest: %(message)s"))
    log = logging.Logger("one")
    log.addHandler(handler)
    log.info("accepted <%s>\nforged: line", EVIL)
    try:
        raise UsageError(EVIL)
    except UsageError:
        log.exception("a bug with %s", EVIL)
    first, second, *traceback = written.getvalue().split("\n")
    assert first.startswith("recheck-ingest: accepted <\\x1b[31m")
    assert first.endswith("\\nforged: line")
    assert second.startswith("recheck-ingest: a bug with \\x1b")
    assert traceback[0] == "Traceback (most recent call last):"
    assert all(map(harmless, [first, second, *traceback]))


def test_the_log_of_a_worker_is_harmless(tmp_path: Path) -> None:
    evil = "\x1b[31m\u202e\u200b"
    raw = letter(f"a{evil}@example.org", "Re: x", f"Recheck-request: a, {evil}\n", in_reply_to="b")
    command = [sys.executable, "-m", "ingest"]
    flags = ["--state", str(tmp_path), "--patchwork", "http://127.0.0.1:9"]
    environment = {**os.environ, "RECHECK_INGEST_PIPE_BUDGET": "0"}
    piped = subprocess.run([*command, "pipe", *flags], input=raw, check=True, env=environment)
    assert piped.returncode == 0
    done = subprocess.run(
        [*command, "work", "--once", "-v", *flags], check=True, capture_output=True
    )
    log = done.stderr.decode()
    assert "recheck-ingest: waits <" in log
    assert harmless(log)


def test_an_error_is_one_harmless_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", f"{tmp_path}/none\x1b[31m\n.mbox", "--state", str(tmp_path)]) == 65
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert harmless(err)


def test_json_has_times_in_iso_8601_null_for_what_is_absent_and_ids(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    [asked] = ledger.requests()
    ids = [asked.message_id, "failed"]
    assert cli.main(["show", "--json", *ids, "--state", str(folder)]) == 0
    done, failed = json.loads(capsys.readouterr().out)
    assert TIME.fullmatch(done["received"])
    assert TIME.fullmatch(done["story"][0]["at"])
    assert TIME.fullmatch(done["requests"][0]["date"])
    assert done["requests"][0]["id"].startswith("recheck-")
    assert (failed["due"], failed["envelope"]) == (None, None)
    assert cli.main(["status", "--json", "--state", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert TIME.fullmatch(told["now"])
    assert TIME.fullmatch(told["last_received"])
    assert (told["due"], told["patchwork_answered"]) == (None, None)


def test_reasons_are_values_and_not_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ledger: Ledger
) -> None:
    with Sandbox() as box:
        mail = tmp_path / "a.eml"
        mail.write_bytes(
            letter("a@example.org", "Re: x", "> Recheck-request: a\n", in_reply_to="b")
        )
        flags = ["--state", str(tmp_path / "s"), "--patchwork", box.url]
        assert cli.main(["replay", "--json", str(mail), *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each.keys() for each in told["reasons"]] == [{"outcome", "reason", "mails"}]
