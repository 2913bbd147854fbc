# SPDX-License-Identifier: BSD-3-Clause
"""A ready reply as a person sends it: the commands that ``show`` prints, run by a shell, with the
real git send-email."""

import os
import subprocess
from pathlib import Path

import pytest

from ingest.config.tables import RequestsSettings
from ingest.mail import message, recheck
from ingest.policy import ready
from tests.support.mail_servers import MailServer
from tests.support.mails import letter
from tests.support.parts import require

MEANT = {
    "quoted": ("> Recheck-request: iol-a, iol-b", ("iol-a", "iol-b"), {}),
    "with an argument": ("recheck-request: iol-a, rebase=main", ("iol-a",), {"rebase": "main"}),
    "many": (
        "- Recheck-request: " + ", ".join(f"iol-label-{n}" for n in range(40)),
        tuple(f"iol-label-{n}" for n in range(40)),
        {},
    ),
}


@pytest.mark.parametrize(("text", "labels", "arguments"), MEANT.values(), ids=MEANT)
def test_git_sends_a_reply_that_is_read_as_what_was_meant(
    text: str, labels: tuple[str, ...], arguments: dict[str, str], tmp_path: Path
) -> None:
    if not Path(_git("--exec-path"), "git-send-email").exists():
        pytest.skip("git-email is not installed")
    raw = letter("r@example.org", "Re: [PATCH] it's a $HOME", text, in_reply_to="p@example.org")
    made = ready.of_mail(raw, RequestsSettings())
    assert made
    with MailServer() as server:
        host, _, port = server.address.rpartition(":")
        settings = {
            "user.name": "Robin Reviewer",
            "user.email": "robin@example.org",
            "sendemail.smtpServer": host,
            "sendemail.smtpServerPort": port,
            "sendemail.confirm": "never",
        }
        environment = {"GIT_CONFIG_COUNT": str(len(settings)), "HOME": str(tmp_path)}
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        subprocess.run(
            ["/bin/sh", "-ec", "\n".join(made.commands)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            check=True,
            capture_output=True,
            timeout=60,
        )
    [sent] = server.received
    mail = message.parse(sent.content)
    assert mail.in_reply_to == ("p@example.org",)
    assert mail.subject == "Re: [PATCH] it's a $HOME"
    assert sent.recipients == ("dev@example.org",)
    asks = recheck.parse(mail.text)
    assert asks
    assert (asks.contexts, asks.arguments, asks.leftovers) == (labels, arguments, ())


def _git(*arguments: str) -> str:
    command = [require("git"), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
