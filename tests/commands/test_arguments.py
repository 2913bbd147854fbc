# SPDX-License-Identifier: BSD-3-Clause
"""Common flags before or after the command, and labels beside paths."""

import subprocess
import sys
from pathlib import Path

import pytest

from ingest.commands import command_line, options
from ingest.commands.arguments import in_order, plain
from ingest.errors import UsageError
from tests.support.command_line import Command, reply


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("status", "status"),
        ("--state s status", "status --state s"),
        ("--state=s -vv status --json", "status --json --state=s -vv"),
        ("--json --config c list --limit 3", "list --limit 3 --json --config c"),
        ("--state s retry -- -x", "retry --state s -- -x"),
        ("-v --help", "-v --help"),
        ("--version", "--version"),
        ("--state s", "--state s"),
        ("--bogus status", "--bogus status"),
        ("", ""),
    ],
)
def test_common_flags_before_the_command_stand_behind_it(given: str, read: str) -> None:
    assert in_order(given.split()) == read.split()


@pytest.mark.parametrize(
    ("line", "contexts"),
    [
        ("replay --contexts iol-a list.mbox", ["iol-a"]),
        ("replay --contexts iol-a,iol-b list.mbox", ["iol-a", "iol-b"]),
        ("replay --contexts iol-a --contexts iol-b list.mbox", ["iol-a", "iol-b"]),
        ("replay list.mbox --contexts=iol-a", ["iol-a"]),
    ],
)
def test_labels_leave_a_path_alone(line: str, contexts: list[str]) -> None:
    parsed = command_line.parser().parse_args(line.split())
    assert (parsed.contexts, parsed.paths) == (contexts, ["list.mbox"])


def test_contexts_without_any_are_refused() -> None:
    with pytest.raises(UsageError, match="--contexts: a pattern of labels is missing"):
        command_line.parser().parse_args(["status", "--contexts", ", "])


@pytest.mark.slow
def test_a_pipe_whose_flags_come_first_is_a_pipe(command: Command) -> None:
    flags = ["--state", str(command.state), "--patchwork", "http://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-m", "ingest", *flags, "pipe"],
        input=reply(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert b"mail-1 " in command("list", "--mail").stdout


@pytest.mark.slow
def test_a_pipe_that_cannot_read_its_flags_defers_wherever_they_stand(tmp_path: Path) -> None:
    missing = ["--config", str(tmp_path / "nosuch.toml")]
    for line in (["pipe", *missing], [*missing, "pipe"]):
        done = subprocess.run(
            [sys.executable, "-m", "ingest", *line],
            input=reply(),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 75
        assert done.stderr.count(b"\n") == 1


PLAIN = [
    [],
    ["--state", "/var/lib/x"],
    ["--state=/var/lib/x", "--list-id", "dev.dpdk.org"],
    ["--config", "/etc/x.toml", "--patchwork=https://x", "--retests", "/r.json"],
    ["--state", "a", "--state=b"],
    ["--state="],
    ["--state", ""],
]


@pytest.mark.parametrize("flags", PLAIN, ids=" ".join)
def test_plain_flags_of_a_pipe_are_read_as_argparse_reads_them(flags: list[str]) -> None:
    assert plain(flags) is not None
    unset = vars(options.pipe_parser().parse_args([]))
    assert unset | (plain(flags) or {}) == vars(options.pipe_parser().parse_args(flags))


@pytest.mark.parametrize(
    "flags",
    [
        ["--state"],
        ["--state", "--config", "x", "y"],
        ["--stat", "x"],
        ["--contexts", "a,b"],
        ["-v"],
        ["--json"],
        ["--", "--state", "x"],
        ["a mail"],
    ],
    ids=" ".join,
)
def test_what_is_not_plain_is_left_to_argparse(flags: list[str]) -> None:
    assert plain(flags) is None
