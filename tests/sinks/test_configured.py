# SPDX-License-Identifier: BSD-3-Clause
"""What each sink says of itself: what it is for, what it lacks, and what should not be so."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import cli
from ingest.config import load as config
from ingest.config.tables import Settings, sink_kinds
from ingest.sandbox import Sandbox
from ingest.sinks import delivery

US = "lab@ci.example.org"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def look(kind: str, patchwork: str = "https://patches.example.org", **table: Any) -> Any:
    """The one sink that is configured."""
    ((receiver, _),) = delivery.configured(settings(kind, patchwork, **table))
    return receiver


def settings(kind: str, patchwork: str = "https://patches.example.org", **table: Any) -> Settings:
    """Those of one sink."""
    environment = {
        f"RECHECK_INGEST_{kind}_LAB_{key}".upper(): str(value) for key, value in table.items()
    }
    environment |= {"HOME": "/nowhere", "RECHECK_INGEST_PATCHWORK_URL": patchwork}
    return config.load(environment=environment)


def test_a_sound_sink_says_what_it_is_for(secret: str, script: str, tmp_path: Path) -> None:
    login = str(tmp_path / "login")
    Path(login).write_text("lab:secret\n")
    Path(login).chmod(0o600)
    sinks = [
        look("command", program=script),
        look("command", program="sh"),
        look("webhook", url="https://ci.example.org/x?token=1", token_file=secret),
        look("check", token_file=secret),
        look("test_result", login_file=login),
        look("newrevision", login_file=login),
        look("mail", sender=f"Lab <{US}>", server="mail.example.org:587", lists="dev@dpdk.org"),
        look("mail", sender=US, user="lab", password_file=secret),
    ]
    assert [(each.name, each.purpose, each.problems(), each.dangers()) for each in sinks] == [
        ("command:lab", f"runs {script}", [], []),
        ("command:lab", "runs sh", [], []),
        ("webhook:lab", "posts to https://ci.example.org", [], []),
        ("check:lab", "posts to https://patches.example.org", [], []),
        ("test_result:lab", "posts test results to https://patches.example.org", [], []),
        ("newrevision:lab", "makes new revisions on https://patches.example.org", [], []),
        ("mail:lab", "answers by mail.example.org:587", [], []),
        ("mail:lab", "answers by localhost:25", [], []),
    ]


NEEDED = {
    "command": {"program": "sh"},
    "webhook": {"url": "https://ci.example.org/x"},
    "check": {"token_file": "/etc/token"},
    "test_result": {"login_file": "/etc/login"},
    "newrevision": {"login_file": "/etc/login"},
    "mail": {"sender": US},
}


@pytest.mark.parametrize("kind", sorted({*sink_kinds()} - {"json_file"}))
def test_each_kind_of_sink_can_be_set_to_work(kind: str) -> None:
    [sink] = delivery.receivers(settings(kind, **NEEDED[kind]))
    assert sink.name == f"{kind}:lab"


@pytest.mark.parametrize(
    ("kind", "table", "problem"),
    [
        ("command", {"program": "/nowhere/x"}, "there is no program /nowhere/x"),
        ("command", {"program": "no-such-program"}, "there is no program no-such-program"),
        ("command", {"program": "/etc/passwd"}, "/etc/passwd cannot be executed"),
        ("command", {"program": "/etc/"}, "/etc/ cannot be executed"),
        ("check", {"token_file": "/nowhere/x"}, "token_file /nowhere/x cannot be read"),
        ("check", {"token_file": "/etc"}, "token_file /etc cannot be read: Is a directory"),
        ("check", {"token_file": "/etc/passwd"}, "token_file /etc/passwd is not one line of ASCII"),
        ("check", {"token_file": "/dev/null"}, "token_file /dev/null is empty"),
        ("test_result", {"login_file": "/nowhere/x"}, "login_file /nowhere/x cannot be read"),
        ("newrevision", {"login_file": "/dev/null"}, "login_file /dev/null is empty"),
        (
            "webhook",
            {"url": "https://x.org", "secret_file": "/nowhere/x"},
            "secret_file /nowhere/x cannot be read",
        ),
        (
            "webhook",
            {"url": "https://x.org", "token_file": "/nowhere/x"},
            "token_file /nowhere/x cannot be read",
        ),
        (
            "mail",
            {"sender": US, "user": "lab", "password_file": "/nowhere/x"},
            "password_file /nowhere/x cannot be read",
        ),
        ("mail", {"sender": US, "user": "lab"}, "user and password_file go together"),
        ("mail", {"sender": "lab"}, "sender 'lab' is not an address"),
        ("mail", {"sender": US, "lists": "dev@dpdk.org dev"}, "'dev' in lists is not an address"),
        (
            "mail",
            {"sender": US, "server": "mail:x"},
            "'mail:x' is not a mail server: write host:port",
        ),
        (
            "mail",
            {"sender": US, "server": "unix:/run/x"},
            "'unix:/run/x' is not a mail server: write host:port",
        ),
    ],
)
def test_what_keeps_a_sink_from_its_work_is_a_problem(
    kind: str, table: dict[str, str], problem: str
) -> None:
    (told,) = look(kind, **table).problems()
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("kind", "setting", "more"),
    [
        ("check", "token_file", {}),
        ("webhook", "secret_file", {"url": "https://ci.example.org"}),
        ("webhook", "token_file", {"url": "https://ci.example.org"}),
        ("mail", "password_file", {"sender": US, "user": "lab"}),
    ],
)
def test_a_secret_that_everyone_can_read_is_a_problem(
    kind: str, setting: str, more: dict[str, str], secret: str
) -> None:
    os.chmod(secret, 0o644)
    sink = look(kind, **{setting: secret}, **more)
    assert sink.problems() == [f"{setting} {secret} can be read by everyone: chmod o= {secret}"]


@pytest.mark.parametrize(
    ("url", "dangers"),
    [
        ("http://ci.example.org/x", ["the token goes to ci.example.org in the clear: use https"]),
        ("http://127.0.0.1:8080/x", []),
        ("http://localhost/x", []),
        ("https://ci.example.org/x", []),
    ],
)
def test_a_token_in_the_clear_is_a_danger(url: str, dangers: list[str], secret: str) -> None:
    assert look("webhook", url=url, token_file=secret).dangers() == dangers
    assert look("check", patchwork=url, token_file=secret).dangers() == dangers
    assert look("webhook", url=url).dangers() == []


# The command.


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(tokens={"s3cret": ("lab", {"ci", "dpdk"})}) as sandbox:
        yield sandbox


def checked(
    capsys: pytest.CaptureFixture[str], patchwork: Sandbox, folder: Path, *more: str
) -> tuple[int, dict[str, tuple[str, str]]]:
    flags = ["--state", str(folder), "--patchwork", patchwork.url]
    code = cli.main(["check", "--json", *flags, *more])
    findings = json.loads(capsys.readouterr().out)
    return code, {each["what"]: (each["level"], each["text"]) for each in findings}


def test_check_has_a_finding_for_each_sink(
    capsys: pytest.CaptureFixture[str],
    patchwork: Sandbox,
    quick_path: Path,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_CHECK_LAB_TOKEN_FILE", secret)
    monkeypatch.setenv("RECHECK_INGEST_COMMAND_RUN_PROGRAM", "sh")
    me = ("--as", pwd.getpwuid(os.geteuid()).pw_name)  # and not as the mail server's user
    code, findings = checked(capsys, patchwork, quick_path, *me)
    assert findings["check:lab"] == ("ok", f"posts to {patchwork.url}")
    assert findings["command:run"] == ("ok", "runs sh")
    assert code == 0
    os.chmod(secret, 0o644)
    code, findings = checked(capsys, patchwork, quick_path, *me)
    assert (findings["check:lab"][0], code) == ("problem", 78)
    os.unlink(secret)
    code, findings = checked(capsys, patchwork, quick_path, *me)
    assert findings["check:lab"][0] == "problem"
    assert code == 78


def test_the_files_of_further_retest_jsons_are_paths_that_must_be_writable(
    capsys: pytest.CaptureFixture[str],
    patchwork: Sandbox,
    quick_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (quick_path / "file").touch()
    monkeypatch.setenv("RECHECK_INGEST_JSON_FILE_LAB_FILE", str(quick_path / "file" / "out.json"))
    code, findings = checked(capsys, patchwork, quick_path)
    assert (
        "problem",
        f"{quick_path}/file is not a folder; see aliases.example for owner and mode",
    ) in (findings.values())
    assert code == 78


def test_a_variable_that_is_misspelt_is_told_of(
    capsys: pytest.CaptureFixture[str],
    patchwork: Sandbox,
    quick_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_WEBHOOK_URL", "https://ci.example.org")
    _, findings = checked(capsys, patchwork, quick_path)
    told = "$RECHECK_INGEST_WEBHOOK_URL is not a known setting"
    assert findings["configuration"] == ("warning", told)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_check_looks_as_another_user_too(
    capsys: pytest.CaptureFixture[str],
    patchwork: Sandbox,
    quick_path: Path,
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_CHECK_LAB_TOKEN_FILE", secret)
    code, findings = checked(capsys, patchwork, quick_path, "--as", "nobody")
    assert findings["check:lab"][0] == "ok"
    assert findings["check:lab as nobody"] == (
        "problem",
        f"token_file {secret} cannot be read: Permission denied",
    )
    assert code == 78
