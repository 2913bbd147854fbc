# SPDX-License-Identifier: BSD-3-Clause
"""Where each setting comes from, and that no secret is shown."""

from pathlib import Path
from typing import Any

import pytest

from ingest.config import load
from ingest.config.effective import Effective, effective
from ingest.config.layout import settings_of

HOME = {"HOME": "/home/a"}


def found(
    text: str = "",
    folder: Path = Path("/"),
    flags: dict[tuple[str, str], Any] | None = None,
    **environment: str,
) -> dict[tuple[str, str], Effective]:
    """The effective settings by table and key."""
    file = None
    if text:
        file = str(folder / "c.toml")
        Path(file).write_text(text)
    settings, sources = load.trace(flags, file=file, environment={**HOME, **environment})
    return {(each.table, each.key): each for each in effective(settings, sources)}


def test_every_setting_is_there_once_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DEFAULT_FILE", Path("/nowhere"))
    told = found()
    plain = {
        (name, key)
        for name, table in load.places().tables().items()
        if not name.endswith("NAME")
        for key in settings_of(table)
    }
    assert set(told) == plain
    assert {each.origin for each in told.values()} == {"default"}
    assert told["patchwork", "url"].value == "https://patches.dpdk.org"
    assert told["state", "mode"].value == "660"
    assert told["state", "dir"].value == "/home/a/.local/state/recheck-ingest"
    assert told["worker", "retry"].value == [60, 120, 300, 900, 3600]


def test_each_setting_names_what_gave_it(tmp_path: Path) -> None:
    told = found(
        '[worker]\njitter = 0.5\nretry = [1]\n[policy.group.trusted]\nsenders = ["@x"]\n'
        '[webhook.lab]\nurl = "http://lab.example.org/hook"\n[state]\ndir = "/a"\n',
        tmp_path,
        {("state", "dir"): "/b"},
        RECHECK_INGEST_WORKER_JITTER="0.25",
        RECHECK_INGEST_WEBHOOK_LAB_TIMEOUT="7",
    )

    def where(table: str, key: str) -> tuple[Any, str, str | None]:
        each = told[table, key]
        return each.value, each.origin, each.source

    file = f"{tmp_path}/c.toml"
    assert where("worker", "retry") == ([1], "file", file)
    assert where("worker", "jitter") == (0.25, "environment", "$RECHECK_INGEST_WORKER_JITTER")
    assert where("policy.group.trusted", "senders") == (["@x"], "file", file)
    assert where("policy.group.trusted", "labels") == ([], "default", None)
    variable = "$RECHECK_INGEST_WEBHOOK_LAB_TIMEOUT"
    assert where("webhook.lab", "timeout") == (7, "environment", variable)
    assert where("state", "dir") == ("/b", "flag", None)


def test_the_folder_of_a_service_comes_from_systemd() -> None:
    told = found(STATE_DIRECTORY="/var/lib/recheck-ingest")["state", "dir"]
    assert (told.value, told.source) == ("/var/lib/recheck-ingest", "$STATE_DIRECTORY")


SECRETS: dict[str, tuple[str, tuple[str, str], Any]] = {
    "a webhook's path": (
        '[webhook.a]\nurl = "https://hooks.example.org/services/T0/s3cret"',
        ("webhook.a", "url"),
        "https://hooks.example.org/***",
    ),
    "a password in a URL": (
        '[patchwork]\nurl = "https://robin:s3cret@pw.example.org/base"',
        ("patchwork", "url"),
        "https://robin:***@pw.example.org/base",
    ),
    "a program's header": (
        '[command.a]\nprogram = ["curl", "-H", "Authorization: Bearer s3cret", "https://a.org"]',
        ("command.a", "program"),
        ["curl", "-H", "Authorization: ***", "https://a.org"],
    ),
    "a program's flag": (
        '[command.a]\nprogram = ["run", "--token=s3cret", "--key", "a"]',
        ("command.a", "program"),
        ["run", "--token=***", "--key", "a"],
    ),
    "a program's URL": (
        '[command.a]\nprogram = ["curl", "https://u:s3cret@a.org/x?token=s3cret#s3cret"]',
        ("command.a", "program"),
        ["curl", "https://u:***@a.org/x?***#***"],
    ),
}


@pytest.mark.parametrize("case", SECRETS)
def test_what_may_be_a_secret_is_masked(case: str, tmp_path: Path) -> None:
    text, at, shown = SECRETS[case]
    told = found(text, tmp_path)
    assert told[at].value == shown
    assert "s3cret" not in str(told)


def test_what_is_no_secret_is_shown_as_it_is(tmp_path: Path) -> None:
    text = (
        '[requests]\narchive = "https://inbox.dpdk.org/{list}/{message_id}/"\n'
        '[patchwork]\nurl = "https://pw.example.org/api/1.2/"\n'
        '[token.a]\nfile = "/etc/token"\n'
    )
    told = found(text, tmp_path)
    assert told["requests", "archive"].value == "https://inbox.dpdk.org/{list}/{message_id}/"
    assert told["patchwork", "url"].value == "https://pw.example.org/api/1.2/"
    assert told["token.a", "file"].value == "/etc/token"
