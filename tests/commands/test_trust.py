# SPDX-License-Identifier: BSD-3-Clause
"""Which way a mail came, as the alias pipe and the SMTP listener of real processes tell it."""

import smtplib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.ledger import open_ledger
from tests.support.service import MAIL, Service, eventually

CONFIGURATION = """
[policy]
require = ["list"]
received_by = ["mx.lab.example"]

[list.ci]
list_id = "ci.dpdk.org"
hosts = ["217.70.189.124"]
"""
BY_LIST = b"Received: from a (mails.dpdk.org [217.70.189.124]) by mx.lab.example (Postfix)\n"
ELSEWHERE = b"Received: from a (unknown [203.0.113.9]) by mx.lab.example (Postfix)\n"
NOWHERE = "http://127.0.0.1:9"

# What each mail's passage is.
CAME = {"plain": "", "elsewhere": "", "forged": "", "by-list": "list"}


def mails() -> list[bytes]:
    heads = [b"", ELSEWHERE, ELSEWHERE + BY_LIST, BY_LIST]
    return [head + MAIL % (name.encode(), b"a") for head, name in zip(heads, CAME, strict=True)]


def passages(folder: Path) -> dict[str, str]:
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    try:
        found = {}
        while mail := ledger.claim(2e9, "test"):
            found[mail.message_id.partition("@")[0]] = mail.passage
        return found
    finally:
        ledger.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.end()


@pytest.fixture
def configured(tmp_path: Path) -> str:
    file = tmp_path / "policy.toml"
    file.write_text(CONFIGURATION)
    return str(file)


@pytest.mark.slow
def test_a_pipe_knows_by_the_topmost_received(service: Service, configured: str) -> None:
    for raw in mails():
        process = service.start(
            "pipe", "--config", configured, url=NOWHERE, RECHECK_INGEST_PIPE_BUDGET="0"
        )
        assert process.communicate(raw, timeout=60) == (b"", b"")
        assert process.returncode == 0
    assert passages(service.folder) == CAME


def reasons(folder: Path) -> dict[str, str]:
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    try:
        return {name: ledger.find(f"{name}@example.org")[0].reason for name in CAME}
    finally:
        ledger.close()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _is_up(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0

    return answers


@pytest.mark.slow
def test_smtp_from_this_machine_is_our_own_servers(service: Service, configured: str) -> None:
    port = free_port()
    serving = service.start(
        "serve", "--config", configured, "--smtp", f"127.0.0.1:{port}", url=NOWHERE
    )
    eventually(_is_up(port))
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        for raw in mails():
            client.sendmail("a@example.org", ["ci@lab.example"], raw)
    told = "policy require: not proved of it: list"
    eventually(lambda: list(reasons(service.folder).values()).count(told) == 3)
    assert reasons(service.folder)["by-list"] != told
    serving.terminate()
    serving.communicate(timeout=60)
