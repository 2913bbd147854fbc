# SPDX-License-Identifier: BSD-3-Clause
"""The real command, as a process: exit codes, files and output."""

import json
import sys
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.sandbox import Sandbox
from tests.support.command_line import Command, imports, reply
from tests.support.sqlite_files import opened


@pytest.mark.slow
def test_retry_asks_a_patchwork_that_was_down_at_once(command: Command, patchwork: Sandbox) -> None:
    command("pipe", mail=reply())
    command("work", "--once", url=patchwork.url)
    assert command.status()["mails"]["queued"] == 1
    assert command("retry", "plain@example.org").stdout.startswith(b"1 queued")
    command("work", "--once", url=patchwork.url)
    assert command.status()["mails"]["done"] == 1


@pytest.mark.slow
def test_a_patch_that_quotes_an_example_records_nothing(
    command: Command, patchwork: Sandbox
) -> None:
    diff = "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n a\n+b\n"
    patch = reply(text=f"Answer with\n\nRecheck-request: iol-a\n\n---\n{diff}")
    patch = patch.replace(b"Subject: Re: [PATCH 1/1]", b"Subject: [PATCH v2 1/1]")
    assert command("pipe", mail=patch, url=patchwork.url).returncode == 0
    assert command.status()["mails"] | {"ignored": 1, "done": 0} == command.status()["mails"]
    shown = command("show", "plain@example.org")
    assert b"it is a patch itself" in shown.stdout
    assert not command.retests.exists()


@pytest.mark.slow
def test_of_an_api_that_ignores_the_filter_no_row_of_another_id_counts(
    command: Command, patchwork: Sandbox
) -> None:
    mail = reply().replace(b"20230905222317.25821-4-jspewock@iol.unh.edu", b"other@example.org")
    assert command("pipe", mail=mail, url=f"{patchwork.url}/api/1.1").returncode == 0
    assert not command.retests.exists()
    shown = command("show", "plain@example.org").stdout.decode()
    assert "this API finds no Message-ID" in shown


@pytest.mark.slow
def test_show_tells_the_whole_story(command: Command, patchwork: Sandbox) -> None:
    mail = reply(text="Recheck-request: iol-a,  iol-b\n")
    command("pipe", mail=mail, url=patchwork.url, environment={"SENDER": "list@example.org"})
    shown = command("show", "<plain@example.org>").stdout.decode()
    for said in (
        "<plain@example.org> done: series 29430: iol-a",
        "list ci.dpdk.org, by pipe",
        "envelope from <list@example.org>",
        "asked patch <20230905222317.25821-4-jspewock@iol.unh.edu> in ci → patch 131182",
        "not read: iol-b",
        f"in json_file:{command.retests}, not taken out of it since ",
    ):
        assert said in shown
    told = json.loads(command("show", "--json", "plain@example.org").stdout)
    assert told[0]["requests"][0]["leftovers"] == ["iol-b"]


def test_show_of_an_unknown_mail_says_so(command: Command) -> None:
    opened(command.state / "ledger.sqlite").close()
    done = command("show", "nobody@example.org")
    assert done.returncode == 1
    assert b"not in the ledger: nobody@example.org" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["replay", "/nonexistent.mbox"], 65, b"/nonexistent.mbox"),
        (["work", "--config", "/nonexistent.toml"], 78, b"cannot be read"),
        (["no-such-command"], 64, b"no-such-command"),
    ],
)
def test_errors_have_their_exit_codes_and_no_traceback(
    command: Command, arguments: list[str], code: int, said: bytes
) -> None:
    done = command(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["status", "take"])
def test_what_asks_patchwork_nothing_does_not_import_what_that_needs(
    command: str, tmp_path: Path
) -> None:
    opened(tmp_path / "ledger.sqlite").close()
    imported = imports(sys.executable, "-m", "ingest", command, "--state", tmp_path)
    assert imported & {b"requests", b"mailparser"} == set()
    assert b"ingest.ledger.sqlite" in imported


def test_the_bare_command_prints_help_with_examples_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert "  recheck-ingest show MESSAGE-ID " in out
    assert "69 Patchwork unavailable" in out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("statuss", "did you mean status?"),
        ("catchup", "did you mean catch-up?"),
        ("xyzzy", "xyzzy'"),
    ],
)
def test_a_misspelt_command_is_told_with_the_nearest(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([word]) == 64
    err = capsys.readouterr().err
    assert err.startswith(f"recheck-ingest: there is no command {word!r}")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["status", "--json"], 1, "there is no ledger"),
        (["list", "--json-lines"], 1, "there is no ledger"),
        (["check", "--json", "--nonsense"], 64, "--nonsense"),
        (["status", "--json", "--config", "/nowhere.toml"], 78, "/nowhere.toml cannot be read"),
    ],
)
def test_an_error_is_a_json_object_for_who_asks_for_json(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--state", str(tmp_path)]) == code
    told = capsys.readouterr()
    error = json.loads(told.err)
    assert told.out == ""
    assert error.keys() == {"error", "exit_code", "what_to_do"}
    assert error["exit_code"] == code
    assert said in error["error"]
    assert error["what_to_do"]
