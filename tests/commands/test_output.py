# SPDX-License-Identifier: BSD-3-Clause
"""What every command does with output that cannot be written or encoded, and in a folder that is
gone: one line or nothing, and never a traceback."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from ingest.commands import command_line
from tests.support.command_line import Command, reply
from tests.support.places import RECORDED, ROOT

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
    "cancel": ["cancel", "plain@example.org"],
    "pause": ["pause", "json_file:{state}/retests.json"],
    "resume": ["resume", "webhook:nosuch"],
    "log": ["log"],
    "config": ["config"],
    "stats": ["stats"],
    "note": ["note", "plain@example.org", "it was ours", "--by", "ada"],
    "ledger": ["ledger", "backup", "{state}/backup.sqlite"],
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a ledger that holds a mail."""
    lab = Command(tmp_path_factory.mktemp("lab"))
    done = lab("pipe", mail=reply(), environment=NO_WORK)
    assert (done.returncode, done.stderr) == (0, b"")
    return lab.state


@pytest.fixture
def lab(whole: Path, tmp_path: Path) -> Command:
    """A ledger that holds a mail, for one command."""
    shutil.copytree(whole, tmp_path / "state")
    return Command(tmp_path)


@dataclass(frozen=True)
class Ran:
    """What a command ended with, printed, and said on standard error."""

    code: int
    printed: str
    said: str


Run = Callable[..., Ran]


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Run:
    """Runs a command in a shell, each time on the same ledger as it was."""
    folders = count()

    def run(name: str, redirections: str = "", **environ: str) -> Ran:
        state = tmp_path / str(next(folders))
        shutil.copytree(whole, state)
        shell = ["bash", "-c", f'"$@" {redirections}', "bash"]
        return _ran([*shell, sys.executable, "-m", "ingest", *line_of(name, state)], **environ)

    return run


@pytest.fixture(scope="module")
def otherwise(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ran]:
    """What a command does if nothing hinders it."""
    known: dict[str, Ran] = {}

    def otherwise(name: str) -> Ran:
        if name not in known:
            state = tmp_path_factory.mktemp("otherwise") / "state"
            shutil.copytree(whole, state)
            known[name] = _ran([sys.executable, "-m", "ingest", *line_of(name, state)])
        return known[name]

    return otherwise


def line_of(name: str, state: Path) -> list[str]:
    """A command line of a command."""
    line = [each.replace("{state}", str(state)) for each in LINES.get(name, [name, "--help"])]
    if name in WITHOUT_FLAGS or "--help" in line:
        return line
    return ["--state", str(state), *line]


def _ran(command: list[str], **more: str) -> Ran:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=100,
        env=environment(RECHECK_INGEST_PATCHWORK_URL="http://127.0.0.1:9", **more),
    )
    said = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in said
    assert done.returncode in KNOWN_CODES
    return Ran(done.returncode, done.stdout.decode("latin-1"), said)


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
    return {**clean, **more}


Otherwise = Callable[[str], Ran]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_output_cannot_be_written_says_so_in_a_line(
    name: str, run: Run, otherwise: Otherwise
) -> None:
    before = otherwise(name)
    for redirection, why in {
        ">/dev/full": "standard output cannot be written: No space left on device",
        ">&-": "standard output is closed",
    }.items():
        ran = run(name, redirection)
        if before.printed:
            assert ran.code == (1 if name == "reruns" else 75)
            assert ran.said.splitlines()[-1] == f"recheck-ingest: {why}"
        assert len(ran.said.splitlines()) <= len(before.said.splitlines()) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_reader_has_seen_enough_says_nothing(
    name: str, run: Run, otherwise: Otherwise
) -> None:
    ran = run(name, "| true; exit ${PIPESTATUS[0]}")
    # Whoever was to be handed something did not get it.
    told = name in ("reruns", "take")
    assert len(ran.said.splitlines()) <= len(otherwise(name).said.splitlines()) + told


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_nobody_can_be_told_by_ends_as_otherwise(
    name: str, run: Run, otherwise: Otherwise
) -> None:
    for redirection in ("2>/dev/full", "2>&-"):
        ran = run(name, redirection)
        assert (ran.code, ran.said) == (otherwise(name).code, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_in_an_encoding_that_lacks_characters(
    name: str, run: Run, otherwise: Otherwise
) -> None:
    ran = run(name, **ASCII)
    assert ran.code == otherwise(name).code
    assert ran.printed.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_in_a_folder_that_is_gone_works(
    name: str, lab: Command, otherwise: Otherwise, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    # As installed: `python -m` would look for the package in the folder.
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.mkdir({str(gone)!r}); "
        f"os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); "
        "from ingest.__main__ import main; main()"
    )
    ran = _ran([sys.executable, "-c", program, *line_of(name, lab.state)])
    assert ran.code == otherwise(name).code
    assert len(ran.said.splitlines()) <= len(otherwise(name).said.splitlines())


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
