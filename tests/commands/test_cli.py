# SPDX-License-Identifier: BSD-3-Clause
"""The real command, as a process: exit codes, files and output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.places import RECORDED

CONTEXTS = ("--contexts", "iol-*", "github-robot")

# What replies.mbox asks for: the real patch, and a cover letter.
EXPECTED = {
    "retests": {
        "29430": {
            "contexts": ["iol-broadcom-Performance", "iol-unit-amd64-testing"],
            "arguments": {},
        },
        "29431": {"contexts": ["github-robot"], "arguments": {"rebase": "main"}},
    },
    "last_comment_timestamp": "2023-09-06T09:02:00.000001",
}


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as sandbox:
        yield sandbox


class Command:
    """``recheck-ingest`` with its files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.retests = folder / "out.json"
        self.state = folder / "state"

    def __call__(
        self,
        *arguments: str,
        mail: bytes = b"",
        url: str = "http://127.0.0.1:9",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        flags = ["--patchwork", url, "--retests", str(self.retests), "--state", str(self.state)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
        return subprocess.run(
            [sys.executable, "-m", "ingest", *arguments, *flags],
            input=mail,
            capture_output=True,
            check=False,
            timeout=60,
            env={**clean, **(environment or {})},
        )

    def document(self) -> object:
        return json.loads(self.retests.read_text())

    def status(self) -> dict[str, dict[str, int]]:
        result: dict[str, dict[str, int]] = json.loads(self("status", "--json").stdout)
        return result


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def reply(message_id: str = "plain@example.org", text: str = "Recheck-request: iol-a\n") -> bytes:
    return (
        "From: reviewer@example.org\n"
        "Subject: Re: [PATCH 1/1] tools: add get_reruns script\n"
        "Date: Wed, 6 Sep 2023 10:00:00 +0000\n"
        f"Message-ID: <{message_id}>\n"
        "In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
        "List-Id: DPDK CI discussions <ci.dpdk.org>\n"
        "\n"
        f"{text}"
    ).encode()


@pytest.mark.slow
def test_replaying_the_recorded_replies_gives_their_retests(
    command: Command, patchwork: Sandbox
) -> None:
    done = command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert (done.returncode, done.stderr) == (0, b"")
    assert command.document() == EXPECTED
    assert "3 mails, 3 could hold a request, 0 known already" in done.stdout.decode()


@pytest.mark.slow
def test_a_second_replay_changes_no_byte_and_asks_nothing(
    command: Command, patchwork: Sandbox
) -> None:
    command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    before, asked = command.retests.read_bytes(), len(patchwork.requests)
    inode = command.retests.stat().st_ino
    done = command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert "3 known already" in done.stdout.decode()
    assert command.retests.read_bytes() == before
    assert command.retests.stat().st_ino == inode
    assert len(patchwork.requests) == asked


def test_a_direct_reply_costs_one_request_besides_the_list_of_projects(
    command: Command, patchwork: Sandbox
) -> None:
    command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert [request.path.partition("?")[0] for request in patchwork.requests] == [
        "/api/projects/",
        "/api/patches/",
        "/api/covers/",
    ]


def test_a_dry_run_tells_and_writes_nothing(command: Command, patchwork: Sandbox) -> None:
    done = command(
        "replay", "--dry-run", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url
    )
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[:2] == [
        "<recheck-1@example.org> series 29430: iol-unit-amd64-testing, iol-broadcom-Performance",
        "<recheck-2@example.org> series 29431: github-robot, rebase=main",
    ]
    assert not command.retests.exists()
    assert not command.state.exists()


def test_an_offline_dry_run_asks_nothing(command: Command, patchwork: Sandbox) -> None:
    done = command(
        "replay", "--dry-run", "--offline", str(RECORDED / "replies.mbox"), url=patchwork.url
    )
    assert done.returncode == 0
    assert b"<recheck-1@example.org> series unknown: iol-unit-amd64-testing" in done.stdout
    assert patchwork.requests == []


def test_a_dry_run_without_patchwork_says_so(command: Command) -> None:
    done = command("replay", "--dry-run", str(RECORDED / "replies.mbox"))
    assert done.returncode == 69
    assert b"cannot be reached" in done.stdout


def test_a_dry_run_tells_programs_in_json(command: Command) -> None:
    replies = str(RECORDED / "replies.mbox")
    done = command("replay", "--dry-run", "--offline", "--json", replies)
    told = json.loads(done.stdout)
    assert (told["mails"], told["recorded"]) == (3, 2)
    assert told["found"][1]["wanted"] == {
        "contexts": ["github-robot"],
        "arguments": {"rebase": "main"},
        "leftovers": [],
    }


def test_offline_without_dry_run_is_a_usage_error(command: Command) -> None:
    done = command("replay", "--offline", str(RECORDED / "replies.mbox"))
    assert done.returncode == 64
    assert b"--dry-run" in done.stderr


def test_a_piped_reply_is_recorded_at_once(command: Command, patchwork: Sandbox) -> None:
    done = command("pipe", mail=reply(), url=patchwork.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert command.document() == {
        "retests": {"29430": {"contexts": ["iol-a"], "arguments": {}}},
        "last_comment_timestamp": "2023-09-06T10:00:00.000001",
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


@pytest.mark.slow
def test_retry_asks_a_patchwork_that_was_down_at_once(command: Command, patchwork: Sandbox) -> None:
    command("pipe", mail=reply())
    command("work", "--once", url=patchwork.url)
    assert command.status()["mails"]["queued"] == 1
    assert command("retry", "plain@example.org").stdout.startswith(b"1 queued")
    command("work", "--once", url=patchwork.url)
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
        f"published to json_file:{command.retests}",
    ):
        assert said in shown
    told = json.loads(command("show", "--json", "plain@example.org").stdout)
    assert told[0]["requests"][0]["leftovers"] == ["iol-b"]


def test_show_of_an_unknown_mail_says_so(command: Command) -> None:
    done = command("show", "nobody@example.org")
    assert done.returncode == 1
    assert b"no such mail" in done.stderr


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


@pytest.mark.slow
def test_the_demo_runs_without_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ingest", "demo"], capture_output=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode()
    assert '"29430"' in out
    assert "not read:" in out
    assert out.count("\n") < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_demo_that_is_kept_can_be_played_with_until_it_is_interrupted(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "ingest", "demo", "--keep", "--verbose"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if "Ctrl-C ends" in line:
            break
    [command] = [line.strip() for line in lines if line.startswith("  recheck-ingest status")]
    ran = subprocess.run(
        [sys.executable, "-m", "ingest", *command.split()[1:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "4 done" in ran.stdout
    assert any("next attempt" in line for line in lines)
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (0, "")
    assert "are gone" in out
    assert not Path(command.split()[3]).exists()


def imports(*command: str | Path, mail: bytes = b"") -> set[bytes]:
    """The modules that a command imports."""
    done = subprocess.run(
        command,
        input=mail,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    return {line.rpartition(b"|")[2].strip() for line in done.stderr.splitlines()}


def test_the_installed_command_imports_nothing_more_for_a_mail_without_a_request() -> None:
    python = Path(sys.executable)
    imported = imports(python.with_name("recheck-ingest"), "pipe", mail=reply(text="Looks good.\n"))
    ours = {b"ingest", b"ingest.__main__", b"ingest.commands", b"ingest.commands.pipe"}
    assert imported - imports(python, "-c", "pass") == {
        *ours,
        b"fcntl",
        b"ingest.mail",
        b"ingest.mail.peek",
        b"ingest.mail.prefilter",
        b"ingest.signs",
    }


@pytest.mark.parametrize("command", ["status", "take"])
def test_what_asks_patchwork_nothing_does_not_import_what_that_needs(
    command: str, tmp_path: Path
) -> None:
    imported = imports(sys.executable, "-m", "ingest", command, "--state", tmp_path)
    assert imported & {b"requests", b"mailparser"} == set()
    assert b"ingest.ledger.sqlite" in imported
