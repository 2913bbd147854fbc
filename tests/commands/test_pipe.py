# SPDX-License-Identifier: BSD-3-Clause
"""``pipe``: exit code 0 or 75, and not a word too many."""

import ast
import os
import sys
from pathlib import Path

import pytest

from ingest import locks
from ingest.sandbox import Sandbox
from tests.support.command_line import SECOND, Command, imports, reply
from tests.support.places import ROOT


def test_a_piped_reply_is_recorded_at_once(command: Command, patchwork: Sandbox) -> None:
    done = command("pipe", mail=reply(), url=patchwork.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert command.document() == {
        "retests": {"29430": {"contexts": ["iol-a"], "arguments": {}}},
        "last_comment_timestamp": SECOND,
    }


@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(b"", id="0 bytes"),
        pytest.param(reply(text="Looks good to me.\n"), id="a plain discussion"),
        pytest.param(bytes(range(128, 256)) * 8192, id="1 MB of 8-bit bytes"),
    ],
)
def test_a_mail_that_can_hold_no_request_leaves_no_trace(command: Command, mail: bytes) -> None:
    done = command("pipe", mail=mail)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not command.state.exists()


def test_a_megabyte_of_noise_is_taken_without_a_word(command: Command) -> None:
    done = command("pipe", mail=os.urandom(1 << 20))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.slow
def test_a_mail_waits_in_the_ledger_while_patchwork_is_down(
    command: Command, patchwork: Sandbox
) -> None:
    soon = {"RECHECK_INGEST_WORKER_RETRY": "0.01", "RECHECK_INGEST_WORKER_JITTER": "0"}
    done = command("pipe", mail=reply(), environment=soon)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert command.status()["waiting"] == {"missing": 0, "down": 1, "failing": 0}
    # Patchwork is back. An attempt is due at least a second after the one before.
    for _ in range(20):
        assert command("work", "--once", url=patchwork.url, environment=soon).returncode == 0
        if command.retests.exists():
            break
    assert command.status()["mails"]["done"] == 1


def test_every_failure_to_store_defers_the_mail(command: Command, tmp_path: Path) -> None:
    command.state.write_text("a file where the folder should be")
    done = command("pipe", mail=reply())
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.count(b"\n") == 1
    assert str(command.state).encode() in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--no-such-flag"], {}, b"unrecognized arguments: --no-such-flag"),
        (["--config", "/nonexistent.toml"], {}, b"/nonexistent.toml cannot be read"),
        ([], {"RECHECK_INGEST_PATCHWORK_TIMEOUT": "soon"}, b"must be a number"),
        ([], {"RECHECK_INGEST_STATE_LEDGER": "oracle:x"}, b"sqlite:"),
    ],
)
def test_a_misconfigured_pipe_defers_the_mail_and_says_why(
    command: Command, arguments: list[str], environment: dict[str, str], said: bytes
) -> None:
    done = command("pipe", *arguments, mail=reply(), environment=environment)
    assert (done.returncode, done.stdout) == (75, b"")
    assert done.stderr.count(b"\n") == 1
    assert said in done.stderr


def test_a_broken_configuration_file_defers_the_mail(command: Command, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[patchwork\n")
    done = command("pipe", "--config", str(broken), mail=reply())
    assert (done.returncode, done.stderr.count(b"\n")) == (75, 1)
    assert b"not valid TOML" in done.stderr


def test_a_broken_installation_defers_the_mail(command: Command, tmp_path: Path) -> None:
    # An import that fails is a bug of ours as good as any other.
    (tmp_path / "sqlite3.py").write_text("raise RuntimeError('no such library')\n")
    done = command("pipe", mail=reply(), environment={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr.count(b"\n")) == (75, 1)


def test_a_mail_over_the_limit_is_kept_as_rejected(command: Command) -> None:
    small = {"RECHECK_INGEST_INTAKE_MAX_SIZE": "1000"}
    long = reply(text="Recheck-request: iol-a\n" + "x" * 2000)
    assert command("pipe", mail=long, environment=small).returncode == 0
    assert command.status()["mails"]["rejected"] == 1


def test_the_installed_command_imports_nothing_more_for_a_mail_without_a_request() -> None:
    python = Path(sys.executable)
    imported = imports(python.with_name("recheck-ingest"), "pipe", mail=reply(text="Looks good.\n"))
    ours = {b"ingest", b"ingest.__main__", b"ingest.commands", b"ingest.commands.pipe"}
    assert imported - imports(python, "-c", "pass") == {
        *ours,
        b"fcntl",
        b"ingest.mail",
        b"ingest.mail.notice",
        b"ingest.mail.peek",
        b"ingest.mail.prefilter",
        b"ingest.signs",
    }


# What a request takes beyond what reads Patchwork's answers and mail: the ledger.
NEEDED = {
    *("sqlite3", "sqlite3.dbapi2", "_sqlite3", "resource", "fcntl", "gc"),
    *("concurrent", "concurrent.futures", "concurrent.futures._base"),
    "encodings.utf_8_sig",
}


@pytest.fixture
def of_a_request(command: Command, patchwork: Sandbox) -> set[str]:
    """What a pipe imports until a request is in the retest JSON."""
    script = Path(sys.executable).with_name("recheck-ingest")
    flags = ("--state", command.state, "--patchwork", patchwork.url)
    imported = imports(script, "pipe", *flags, "--retests", command.retests, mail=reply())
    assert command.retests.exists()
    return {each.decode() for each in imported}


def test_a_mail_with_a_request_imports_nothing_that_it_has_no_use_for(
    of_a_request: set[str],
) -> None:
    usual = imports(Path(sys.executable), "-c", "import requests, mailparser")
    others = of_a_request - {each.decode() for each in usual}
    assert {each for each in others if not each.startswith("ingest")} <= NEEDED
    assert others.isdisjoint(
        f"ingest.{each}" for each in ("patchwork.freedesktop", "sinks.webhook", "story", "web")
    )


def test_beside_a_service_a_mail_is_only_put_into_the_ledger(
    command: Command, patchwork: Sandbox
) -> None:
    script = Path(sys.executable).with_name("recheck-ingest")
    flags = ("--state", command.state, "--patchwork", patchwork.url)
    assert command("pipe", mail=reply(), url=patchwork.url).returncode == 0
    lock = f"{command.state}/ledger.sqlite-worker-1.lock"
    held = locks.take(lock, mode=0o660, patience=0)
    assert held is not None
    try:
        imported = imports(script, "pipe", *flags, mail=reply("2@example.org"))
    finally:
        os.close(held)
    assert command.status()["mails"]["queued"] == 1
    assert imported.isdisjoint(
        {b"requests", b"mailparser", b"argparse", b"shutil", b"ingest.worker", b"ingest.sinks"}
    )


def test_no_kind_of_value_of_a_pipe_is_written_and_compiled_at_its_start(
    of_a_request: set[str],
) -> None:
    """A frozen dataclass takes half a millisecond to make, a ``Value`` next to nothing."""
    ours = [each.replace(".", "/") for each in of_a_request if each.startswith("ingest.")]
    modules = [ROOT / file for each in ours for file in (f"{each}.py", f"{each}/__init__.py")]
    made = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules
        if path.exists()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any("frozen=True" in ast.unparse(each) for each in node.decorator_list)
    ]
    assert made == []
