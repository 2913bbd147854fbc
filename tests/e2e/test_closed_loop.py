# SPDX-License-Identifier: BSD-3-Clause
"""From asking to the answer with results, as the person who asks sees it: real processes, a
Patchwork and a mail server on loopback."""

import email
import email.policy
import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from ingest.sandbox import Sandbox
from tests.support.mail_servers import MailServer
from tests.support.places import RECORDED
from tests.support.service import Service, eventually
from tests.support.watching import PATCH

US = "CI lab <lab@ci.example.org>"

SECOND = """\
The results of your Recheck-request: 1 fail.

For series 29430 (patch 131182 in ci):

    iol-a: fail, by lab: 3 of 12 failed
        https://lab.example.org/17

https://ci.example.org/requests/1

This answer was written by a program. If you want no such answers, reply and
say so: its operators put your address on a list.
"""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(
        str(RECORDED / "patch.mbox"), tokens={"secret": ("lab", {"ci"}), "ours": ("bot", {"ci"})}
    ) as sandbox:
        yield sandbox


@pytest.mark.slow
def test_who_asks_is_told_what_will_run_and_what_became_of_it(box: Sandbox, tmp_path: Path) -> None:
    service = Service(tmp_path)
    (tmp_path / "token").write_text("ours")
    with MailServer() as server:
        settings = {
            "RECHECK_INGEST_HTTP_PUBLIC_URL": "https://ci.example.org",
            "RECHECK_INGEST_RESULTS_INTERVAL": "0.2",
            "RECHECK_INGEST_MAIL_LAB_SENDER": US,
            "RECHECK_INGEST_MAIL_LAB_SERVER": server.address,
            "RECHECK_INGEST_MAIL_LAB_VERIFIED_SENDERS": "true",
            "RECHECK_INGEST_MAIL_LAB_RESULTS": "true",
            "RECHECK_INGEST_CHECK_LAB_TOKEN_FILE": str(tmp_path / "token"),
        }
        serving = service.start("serve", url=box.url, **settings)
        try:
            eventually(lambda: (tmp_path / "ledger.sqlite").exists())
            service.pipe(b"a", box.url)
            eventually(lambda: len(server.received) == 1)
            eventually(lambda: len(box.store.checks) == 1)
            heard = next(iter(box.store.checks.values()))
            posted(box, "fail", "3 of 12 failed", "https://lab.example.org/17")
            eventually(lambda: len(server.received) == 2)
        finally:
            serving.terminate()
            serving.communicate(timeout=60)
        shown = service.start("show", "1", url=box.url, **settings).communicate(timeout=60)[0]
        told = service.start("stats", "--json", url=box.url, **settings).communicate(timeout=60)[0]
    first, second = (read(each.content) for each in server.received)
    assert (heard.context, heard.state) == ("iol-a", "pending")
    assert heard.target_url == "https://ci.example.org/requests/1"
    assert "this will run:\n\n    iol-a\n" in text(first)
    assert text(second) == SECOND
    assert second["In-Reply-To"] == first["In-Reply-To"] == "<a@example.org>"
    lines = shown.decode().splitlines()
    assert "    page   https://ci.example.org/requests/1" in lines
    assert "    iol-a: fail by lab: 3 of 12 failed (https://lab.example.org/17)" in lines
    steps = [line.split("  ", 2)[2] for line in lines if line.startswith("  20")]
    for step in (
        "result iol-a fail, by lab: 3 of 12 failed (https://lab.example.org/17)",
        "answered to mail:lab, answer results sent to reviewer@example.org: 250 2.0.0 kept",
    ):
        assert step in [" ".join(each.split()) for each in steps]
    assert json.loads(told)["total"]["states"] == {"fail": 1}
    print(text(first), text(second), shown.decode(), sep="\n---\n")


def posted(box: Sandbox, state: str, description: str, url: str) -> None:
    """The lab posts a check, by HTTP."""
    answer = requests.post(
        f"{box.url}/api/patches/{PATCH}/checks/",
        json={
            "state": state,
            "context": "iol-a",
            "description": description,
            "target_url": url,
        },
        headers={"Authorization": "Token secret"},
        timeout=10,
    )
    assert answer.status_code == 201


def read(raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text(mail: EmailMessage) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")
