# SPDX-License-Identifier: BSD-3-Clause
"""What every command does with output that cannot be written or encoded, and in a folder that is
gone: one line or nothing, and never a traceback."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.commands import command_line
from tests.support.command_line import Command, reply
from tests.support.places import RECORDED

# Of each command what makes it print something; any other command prints its help.
LINES = {
    "replay": ["replay", "--dry-run", "--offline", str(RECORDED / "replies.mbox")],
    "serve": ["serve", "--lmtp", "unix:/nosuch/lmtp"],
    "work": ["work", "--once"],
    "catch-up": ["catch-up"],
    "status": ["status"],
    "list": ["list", "--mail"],
    "show": ["show", "plain@example.org"],
    "retry": ["retry", "--all"],
    "check": ["check"],
    "reruns": ["reruns", "-ts", "2023-01-01", "-o", "-", "--contexts", "iol-a"],
    "take": ["take"],
    "ack": ["ack", "default:1-1"],
    "consumers": ["consumers"],
    "result": ["result", "1", "iol-a", "success"],
    "policy": ["policy", "--replay", "30d"],
    "demo": ["demo"],
    "quickstart": ["quickstart"],
    "help": ["help"],
}
WITHOUT_FLAGS = ("demo", "quickstart", "help")
COMMANDS = sorted(
    name
    for action in command_line.parser()._actions
    if action.dest == "command" and action.choices
    for name in action.choices
    if name != "pipe"
)
NO_WORK = {"RECHECK_INGEST_PIPE_BUDGET": "0"}
KNOWN_CODES = (0, 1, 2, 64, 65, 69, 75, 78)
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def lab(command: Command) -> Iterator[Command]:
    """A ledger that holds a mail."""
    done = command("pipe", mail=reply(), environment=NO_WORK)
    assert (done.returncode, done.stderr) == (0, b"")
    yield command


def run(lab: Command, name: str, redirections: str = "", **other: object) -> tuple[int, str, str]:
    """A command in a shell: its code, what it printed, and what it said on standard error."""
    line = LINES.get(name, [name, "--help"])
    flags = ["--patchwork", "http://127.0.0.1:9", "--state", str(lab.state)]
    flags = [] if name in WITHOUT_FLAGS or "--help" in line else flags
    flags = flags[2:] if name == "reruns" else flags
    shell = ["bash", "-c", f'"$@" {redirections}', "bash"]
    done = subprocess.run(
        [*shell, sys.executable, "-m", "ingest", *flags, *line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
        **{"env": environment(), **other},  # type: ignore[call-overload]
    )
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("utf-8", "replace")


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
    return {**clean, **more}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_output_cannot_be_written_says_so_in_a_line(
    lab: Command, name: str
) -> None:
    _, printed, said = run(lab, name)
    for redirection, why in {
        ">/dev/full": "standard output cannot be written: No space left on device",
        ">&-": "standard output is closed",
    }.items():
        code, _, told = run(lab, name, redirection)
        assert "Traceback" not in told
        assert code in KNOWN_CODES
        if printed:
            assert code == (1 if name == "reruns" else 75)
            assert told.splitlines()[-1] == f"recheck-ingest: {why}"
        assert len(told.splitlines()) <= len(said.splitlines()) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_reader_has_seen_enough_says_nothing(lab: Command, name: str) -> None:
    _, _, said = run(lab, name)
    code, _, told = run(lab, name, "| true; exit ${PIPESTATUS[0]}")
    assert "Traceback" not in told
    assert code in KNOWN_CODES
    assert len(told.splitlines()) <= len(said.splitlines()) + (name in ("reruns", "take"))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_nobody_can_be_told_by_ends_as_otherwise(lab: Command, name: str) -> None:
    code, _, _ = run(lab, name)
    for redirection in ("2>/dev/full", "2>&-"):
        ended, _, told = run(lab, name, redirection)
        assert (ended, told) == (code, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_in_an_encoding_that_lacks_characters(lab: Command, name: str) -> None:
    code, _, _ = run(lab, name)
    ended, printed, told = run(lab, name, env=environment(**ASCII))
    assert (ended, "Traceback" in told) == (code, False)
    assert printed.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_in_a_folder_that_is_gone_works_or_says_so(
    lab: Command, name: str, tmp_path: Path
) -> None:
    code, _, said = run(lab, name)
    gone = tmp_path / "gone"
    gone.mkdir()
    # `python -m` looks for the package in the folder, so that it cannot be told by name there.
    started = f"import os, sys; sys.path.insert(0, {str(Path.cwd())!r})"
    line = f"{started}; os.rmdir({str(gone)!r}); from ingest.__main__ import main; main()"
    sample = LINES.get(name, [name, "--help"])
    flags = [] if name in WITHOUT_FLAGS or "--help" in sample else ["--state", str(lab.state)]
    done = subprocess.run(
        [sys.executable, "-c", line, *flags, *sample],
        cwd=gone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
        env=environment(RECHECK_INGEST_PATCHWORK_URL="http://127.0.0.1:9"),
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode == code
    assert len(done.stderr.splitlines()) <= len(said.splitlines()) + 1


def test_a_folder_that_is_gone_and_is_needed_is_told(command: Command, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", 'rmdir "$PWD"; exec "$@"', "bash", sys.executable, "-m", "ingest", "status",
         "--state", "here"],
        cwd=gone,
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 75
    assert done.stderr == (
        b"recheck-ingest: the folder that this was started in is gone: change to another one\n"
    )


def test_json_stays_json_in_an_encoding_that_lacks_characters(command: Command) -> None:
    import json

    raw = reply("a@example.org").replace(b"tools:", b"=?utf-8?q?=F0=9F=98=80=E2=80=9C?=")
    command("pipe", mail=raw, environment=NO_WORK)
    done = command("list", "--mail", "--json", environment=ASCII)
    plain = json.loads(done.stdout)
    assert done.stdout.isascii()
    assert plain[0]["subject"].startswith("Re: [PATCH 1/1] \N{GRINNING FACE}")


def on_a_terminal(command: Command, width: int, *arguments: str) -> str:
    """What a command shows on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments, "--state", str(command.state)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        env={
            k: v
            for k, v in environment(TERM="xterm", NO_COLOR="1").items()
            if k not in ("COLUMNS", "LINES")
        },
    )
    os.close(slave)
    shown = b""
    with suppress(OSError):  # the end of a terminal is an error
        while piece := os.read(master, 65536):
            shown += piece
    os.close(master)
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_end_between_words_where_the_terminal_does(command: Command, width: int) -> None:
    subject = " ".join(f"word{number}" for number in range(40)).encode()
    raw = reply().replace(b"tools: add get_reruns script", subject)
    command("pipe", mail=raw, environment=NO_WORK)
    lines = on_a_terminal(command, width, "show", "plain@example.org").splitlines()
    assert max(map(len, lines)) <= width
    at = next(n for n, line in enumerate(lines) if "word0" in line)
    wrapped = [each for each in lines[at:] if "word" in each]
    assert " ".join(" ".join(wrapped).split()).count("word") == 40
    assert all(each.startswith("    word") for each in wrapped[1:])
    assert len(wrapped[0]) > width - 10


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_list_is_cut_where_the_terminal_ends(command: Command, width: int) -> None:
    raw = reply().replace(b"tools: add get_reruns script", b"x" * 300)
    command("pipe", mail=raw, environment=NO_WORK)
    first = on_a_terminal(command, width, "list", "--mail").splitlines()[0]
    assert len(first) == width
    assert first.endswith("…")


def test_a_pipe_on_a_terminal_says_what_it_waits_for(command: Command) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest", "pipe", "--state", str(command.state)],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = process.stderr.readline()
    assert b"reads one mail from this terminal, up to Ctrl-D" in said
    os.write(master, b"From: a@example.org\n\nHello\n\x04")
    assert process.wait(60) == 0
    process.communicate()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "2>/dev/full"])
def test_a_pipe_that_can_tell_nobody_defers_all_the_same(
    command: Command, closed: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    done = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", sys.executable, "-m", "ingest", "pipe",
         "--state", str(blocked)],
        input=reply(),
        capture_output=True,
        check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (75, b"")


@pytest.mark.parametrize(
    "line",
    [
        ["replay", "/nosuch/list.mbox"],
        ["take", "-o", "/nosuch/batch.json"],
        ["take", "-o", "/"],
        ["ledger", "backup", "/nosuch/backup.sqlite"],
    ],
    ids=" ".join,
)
def test_a_wrong_path_is_not_to_be_tried_again(lab: Command, line: list[str]) -> None:
    flags = ["--state", str(lab.state)]
    done = subprocess.run(
        [sys.executable, "-m", "ingest", *line, *flags],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 65
    assert line[-1].encode() in done.stderr
    assert done.stderr.count(b"\n") == 1
