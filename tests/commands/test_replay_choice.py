# SPDX-License-Identifier: BSD-3-Clause
"""What of an archive ``replay`` takes in, who is handed what it asks for, and how it is ended."""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.command_line import Command, reply
from tests.support.places import RECORDED
from tests.support.service import eventually

# Each starts the program, some of them several times.
pytestmark = pytest.mark.slow

REPLIES = str(RECORDED / "replies.mbox")


def text(done: subprocess.CompletedProcess[bytes]) -> str:
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def configured(command: Command, content: str) -> list[str]:
    file = command.folder / "config.toml"
    file.write_text(content)
    return ["--config", str(file)]


# What


def test_mails_that_are_older_are_left_out(command: Command, patchwork: Sandbox) -> None:
    done = command("replay", REPLIES, "--since", "2023-09-06T09:02:30", url=patchwork.url)
    assert "3 could hold a request, 0 known already, 2 older than --since" in text(done)
    assert "0 requests recorded" in done.stdout.decode()


def test_a_dry_run_leaves_out_the_same(command: Command, patchwork: Sandbox) -> None:
    done = command(
        "replay", "--dry-run", REPLIES, "--since", "2023-09-06T09:02:30", url=patchwork.url
    )
    assert "2 older than --since" in text(done)
    assert "0 requests would be recorded" in text(done)


def test_a_mail_without_a_date_is_not_older(command: Command, patchwork: Sandbox) -> None:
    archive = command.folder / "mail.eml"
    archive.write_bytes(reply().replace(b"Date: Wed, 6 Sep 2023 10:00:00 +0000\n", b""))
    done = command("replay", str(archive), "--since", "2030-01-01", url=patchwork.url)
    assert "1 request recorded" in text(done)


@pytest.mark.parametrize("how", ["replay", "dry run", "pipe"])
def test_mails_that_name_no_list_belong_to_the_one_that_is_given(
    command: Command, patchwork: Sandbox, how: str
) -> None:
    raw = reply().replace(b"List-Id: DPDK CI discussions <ci.dpdk.org>\n", b"")
    archive = command.folder / "mail.eml"
    archive.write_bytes(raw)
    flags = ["--list-id", "<CI.dpdk.org>"]
    if how == "pipe":
        command(
            "pipe", *flags, mail=b"From a@b Wed Sep  6 10:00:00 2023\n" + raw, url=patchwork.url
        )
    else:
        dry = ["--dry-run"] if how == "dry run" else []
        text(command("replay", str(archive), *flags, *dry, url=patchwork.url))
    asked = [each.path for each in patchwork.requests if "msgid" in each.path]
    assert asked
    assert all("project=" in each for each in asked)
    if how != "dry run":
        assert b"list ci.dpdk.org" in command("show", "plain@example.org").stdout


def test_the_list_that_a_mail_names_stays(command: Command, patchwork: Sandbox) -> None:
    archive = command.folder / "mail.eml"
    archive.write_bytes(reply())
    command("replay", str(archive), "--list-id", "other.example.org", url=patchwork.url)
    assert b"list ci.dpdk.org" in command("show", "plain@example.org").stdout


def test_a_mail_of_no_use_is_counted_for_the_list_that_is_given(command: Command) -> None:
    raw = b"From: a@example.org\nSubject: hello\n\nHello\n"
    assert command("replay", REPLIES).returncode == 69  # there is a ledger to look at
    command("pipe", "--list-id", "dev.dpdk.org", mail=raw)
    assert b"dev.dpdk.org" in command("status").stdout


# To whom


def test_without_sinks_the_requests_are_recorded_and_handed_to_none(
    command: Command, patchwork: Sandbox
) -> None:
    done = command("replay", REPLIES, "--no-sinks", url=patchwork.url)
    assert "2 requests recorded" in text(done)
    assert command("work", "--once", url=patchwork.url).returncode == 0
    assert not command.retests.exists() or b"294" not in command.retests.read_bytes()
    told = command("show", "recheck-1@example.org").stdout
    assert b"its mail came by replay --no-sinks" in told
    assert b"by replay --no-sinks " in told


def test_a_later_request_of_the_same_series_brings_nothing_of_them(
    command: Command, patchwork: Sandbox
) -> None:
    command("replay", REPLIES, "--no-sinks", url=patchwork.url)
    command("pipe", mail=reply("new@example.org"), url=patchwork.url)
    document = command.document()
    assert isinstance(document, dict)
    assert document["retests"] == {"29430": {"contexts": ["iol-a"], "arguments": {}}}


def test_a_consumer_still_finds_them(command: Command, patchwork: Sandbox) -> None:
    command("replay", REPLIES, "--no-sinks", url=patchwork.url)
    assert b'"29431"' in command("take", "--consumer", "lab").stdout
    assert b'"29431"' not in command("take").stdout


def test_what_a_sink_passes_over_for_its_age_is_told(command: Command, patchwork: Sandbox) -> None:
    flags = configured(command, '[command.lab]\nprogram = ["false"]\n')
    done = command("replay", REPLIES, *flags, url=patchwork.url)
    line = "2 are older than [policy] max_age: command:lab passes over, unless you run"
    assert f"  {line}: retry --sink command:lab" in text(done)


def test_what_is_young_enough_is_not(command: Command, patchwork: Sandbox) -> None:
    flags = configured(command, '[policy]\nmax_age = 0\n[command.lab]\nprogram = ["true"]\n')
    assert "max_age" not in text(command("replay", REPLIES, *flags, url=patchwork.url))


# How it goes on


def test_ctrl_c_while_patchwork_is_asked_says_what_is_queued_and_how_to_go_on(
    command: Command, patchwork: Sandbox
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        process = started(
            command, "replay", REPLIES, url=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == 130
    assert said.decode() == (
        "recheck-ingest: stopped; 3 mails queued and nothing lost; to go on, run: recheck-ingest "
        "work --once, or serve\n"
    )
    assert command("work", "--once", url=patchwork.url).returncode == 0
    assert command.status()["mails"]["done"] == 2


def test_ctrl_c_while_an_archive_is_read_says_that_it_can_be_replayed_again(
    command: Command,
) -> None:
    process = started(command, "replay", "-", "--patchwork", "http://127.0.0.1:9")
    assert process.stdin
    process.stdin.write(b"".join(b"From a@b Wed Sep  6 10:00:00 2023\n" + reply(f"{n}@example.org")
                                 for n in range(2000)))  # fmt: skip
    process.stdin.flush()
    eventually(lambda: (command.state / "ledger.sqlite").exists())
    eventually(lambda: command.status()["mails"]["queued"] > 0)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode() if process.stderr else ""
    assert process.wait(60) == 130
    process.communicate()
    assert re.fullmatch(
        r"recheck-ingest: stopped; \d+ mails queued and nothing lost; to go on, run: the same "
        r"replay again, which skips what is known\n",
        said,
    )


def started(command: Command, *arguments: str, url: str = "") -> subprocess.Popen[bytes]:
    flags = ["--retests", str(command.retests), "--state", str(command.state)]
    flags += ["--patchwork", url] if url else []
    return subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_terminal_is_shown_how_many_of_the_mails_patchwork_was_asked_about(
    command: Command, patchwork: Sandbox
) -> None:
    shown = on_a_terminal(command, "replay", REPLIES, "--patchwork", patchwork.url)
    assert "reading mails" in shown
    assert re.search(r"asking Patchwork .*[123] of 3 mails", shown)
    assert "left" in shown


def on_a_terminal(command: Command, *arguments: str) -> str:
    """What a command writes to a terminal on standard error."""
    master, slave = pty.openpty()
    flags = ["--retests", str(command.retests), "--state", str(command.state)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments, *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(slave)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        shown += piece
    os.close(master)
    assert process.wait(60) == 0
    return shown.decode()


def test_a_folder_of_source_files_is_one_warning(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(79):
        (folder / f"{number:02}.c").write_text("int main(void) { return 0; }\n")
    (folder / "mail.eml").write_bytes(reply())
    lines = text(command("replay", "--dry-run", "--offline", str(folder))).splitlines()
    [warning] = [each for each in lines if each.startswith("warning:")]
    assert warning.startswith("warning: 79 files skipped, neither an mbox nor a mail: ")
    assert warning.endswith("01.c and 77 more")
