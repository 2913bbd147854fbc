# SPDX-License-Identifier: BSD-3-Clause
"""The listeners as swaks, the mail admins' own tool, finds them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.smtp_sink import LOCAL, Sink

pytestmark = pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")

BODY = "Message-ID: <swaks@example.org>\nIn-Reply-To: <patch@example.org>\n\nRecheck-request: a\n"


def swaks(*arguments: str) -> str:
    """The dialogue that it shows."""
    ran = subprocess.run(
        ["swaks", "--helo", "client.example.org", "--from", "robin@example.org", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout


def test_a_mail_by_smtp(quick_path: Path) -> None:
    with Sink(quick_path) as sink:
        said = swaks("--server", f"127.0.0.1:{sink.port}", "--to", "ci@example.org", "--data", BODY)
        assert "250 2.0.0 OK, queued" in said
        assert [mail.envelope.sender for mail in sink.kept()] == ["robin@example.org"]


def test_a_pipelined_dialogue(quick_path: Path) -> None:
    with Sink(quick_path) as sink:
        to = ("--to", "a@example.org,b@example.org")
        said = swaks("--server", f"127.0.0.1:{sink.port}", "--pipeline", *to, "--data", BODY)
        assert "250 2.0.0 OK, queued" in said
        (mail,) = sink.kept()
        assert mail.envelope.recipients == ("a@example.org", "b@example.org")


def test_an_unknown_recipient(quick_path: Path) -> None:
    with Sink(quick_path, smtp={"listen": [LOCAL], "recipients": ["ci@example.org"]}) as sink:
        said = swaks("--server", f"127.0.0.1:{sink.port}", "--to", "else@example.org")
        assert "550 5.1.1 " in said


def test_lmtp_by_a_unix_socket(quick_path: Path) -> None:
    path = f"{quick_path}/lmtp.sock"
    with Sink(quick_path, lmtp={"listen": [f"unix:{path}"]}) as sink:
        to = ("--to", "a@example.org,b@example.org")
        said = swaks("--protocol", "LMTP", "--socket", path, *to, "--data", BODY)
        assert said.count("250 2.0.0 OK, queued") == 2
        assert len(sink.kept()) == 1
