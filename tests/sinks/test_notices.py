# SPDX-License-Identifier: BSD-3-Clause
"""Notices forwarded to the operator, through a real mail server and through sendmail."""

import email
import os
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import intake
from ingest.config import policy_tables, sink_tables, tables
from ingest.errors import SinkUnavailable
from ingest.ledger import Envelope, Ledger
from ingest.look import status
from ingest.sinks import delivery, notices
from ingest.sinks.notices import Forwarder
from tests.support.clock import DAY, HOUR, Clock
from tests.support.command_line import Command
from tests.support.mail_servers import SILENCE, MailServer, OddServer, Received

OPERATOR = "ops@example.org"
US = "recheck@lab.example.org"
CONFIRM = b"From: list-request@example.org\nSubject: confirm 0a1b2c\nMessage-ID: <%d@l>\n\nReply!\n"


class Post:
    """A ledger that notices come to, and what forwards them."""

    def __init__(self, ledger: Ledger, clock: Clock, folder: Path) -> None:
        self.ledger, self.clock, self.folder = ledger, clock, folder
        self._come = 0

    def settings(self, server: str = "", **table: Any) -> tables.Settings:
        mail = {"lab": sink_tables.MailSettings(sender=US, server=server, timeout=5.0)}
        values = {"forward_to": OPERATOR, "mail": "lab" if server else "", **table}
        return tables.Settings(
            state=tables.StateSettings(dir=str(self.folder)),
            mail=mail if server else {},
            notices=sink_tables.NoticesSettings(**values),
        )

    def comes(self, raw: bytes = b"", recipient: str = US) -> int:
        """A notice; its number."""
        self._come += 1
        receipt = intake.accept(
            raw or CONFIRM % self._come,
            "pipe",
            ledger=self.ledger,
            now=self.clock(),
            max_size=1 << 20,
            envelope=Envelope("list-bounces@example.org", (recipient,)),
        )
        assert receipt is intake.Receipt.NOTICED
        return self.ledger.notices.all()[0].mail_id

    def forwards(self, settings: tables.Settings) -> int:
        sink = Forwarder(settings)
        if not sink.is_due(self.ledger, self.clock()):
            return 0
        return sink.deliver(self.ledger, clock=self.clock, until=None, stop=lambda: False)

    def last_step(self, mail: int) -> str:
        [record] = self.ledger.find(f"mail-{mail}")
        last = record.story[-1]
        return f"{last.what}: {last.details.get('reason', '')}"


@pytest.fixture
def post(ledger: Ledger, clock: Clock, tmp_path: Path) -> Post:
    return Post(ledger, clock, tmp_path)


def parts(mail: Received | bytes) -> tuple[Message, Message, Message]:
    """The whole, its text, and the notice in it."""
    whole = email.message_from_bytes(mail if isinstance(mail, bytes) else mail.content)
    text, attached = children(whole)
    assert attached.get_content_type() == "message/rfc822"
    [inner] = children(attached)
    return whole, text, inner


def children(message: Message) -> list[Message]:
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [each for each in payload if isinstance(each, Message)]


def test_a_notice_goes_to_the_operator_as_an_attachment(post: Post) -> None:
    mail = post.comes()
    with MailServer() as server:
        assert post.forwards(post.settings(server.address)) == 1
    [received] = server.received
    assert (received.sender, received.recipients) == ("<>", (OPERATOR,))
    whole, text, inner = parts(received)
    assert (whole["From"], whole["To"]) == (f"recheck-ingest <{US}>", OPERATOR)
    assert whole["Subject"] == "[recheck-ingest] notice: confirm 0a1b2c"
    assert whole["Auto-Submitted"] == "auto-generated"
    assert whole["X-Patchwork-Hint"] == "ignore"
    assert inner["Subject"] == "confirm 0a1b2c"
    assert str(inner.get_payload()).strip() == "Reply!"
    body = text.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "not verified: “confirm 0a1b2c”; to confirm, send a mail" in body.decode()
    assert f"recheck-ingest show mail-{mail} --raw".encode() in body
    assert post.last_step(mail) == "forwarded: "


def test_a_notice_is_forwarded_once(post: Post) -> None:
    post.comes()
    with MailServer() as server:
        settings = post.settings(server.address)
        assert [post.forwards(settings) for _ in range(3)] == [1, 0, 0]
    assert len(server.received) == 1


def test_a_copy_after_a_crash_has_the_same_message_id(post: Post) -> None:
    post.comes()
    [notice] = post.ledger.notices.all()
    raw = post.ledger.raw(notice.mail_id)
    assert raw
    copies = {notices.compose(notice, raw, US, OPERATOR, "a1") for _ in range(2)}
    assert len(copies) == 1
    assert b"\nMessage-ID: <mail-1.a1@lab.example.org>\n" in copies.pop()


def test_so_many_go_a_day_the_oldest_first(post: Post) -> None:
    with MailServer() as server:
        settings = post.settings(server.address, per_day=3)
        for _ in range(5):
            post.comes()
        assert post.forwards(settings) == 3
        post.clock += DAY - HOUR
        assert post.forwards(settings) == 0
        post.comes()
        post.clock += HOUR + 1
        assert post.forwards(settings) == 1  # those of yesterday are not news any more
    ids = [parts(each)[2]["Message-ID"] for each in server.received]
    assert ids == ["<1@l>", "<2@l>", "<3@l>", "<6@l>"]


@pytest.mark.parametrize(
    ("to", "raw", "recipient", "why"),
    [
        ("dev@dpdk.org", b"List-Id: <dev.dpdk.org>\nX-List-Administrivia: yes\n", US,
         "dev@dpdk.org is an address of the list that this notice came by"),
        ("dev-owner@dpdk.org", b"List-Id: <dev.dpdk.org>\nX-List-Administrivia: yes\n", US,
         "dev-owner@dpdk.org is an address of the list that this notice came by"),
        ("dev@dpdk.org", b"List-Post: <mailto:dev@dpdk.org>\nSubject: confirm 1\n", US,
         "dev@dpdk.org is an address of the list that this notice came by"),
        (OPERATOR, b"Subject: confirm 1\n", "ops+lists@example.org",
         "ops@example.org is our own address: this notice came to it"),
        ("ops", b"Subject: confirm 1\n", "ops@lab.example.org",
         "ops is our own address: this notice came to it"),
        (OPERATOR, b"Subject: confirm 1\nX-Recheck-Ingest-Notice: mail-1\n", US,
         "it was forwarded by recheck-ingest before"),
    ],
    ids=["list", "its owner", "where it is posted to", "our address", "our name", "ours"],
)  # fmt: skip
def test_a_notice_never_goes_to_a_list_or_to_ourselves(
    post: Post, to: str, raw: bytes, recipient: str, why: str
) -> None:
    mail = post.comes(raw + b"Message-ID: <x@l>\n\nx\n", recipient)
    with MailServer() as server:
        assert post.forwards(post.settings(server.address, forward_to=to)) == 0
    assert server.received == []
    assert post.last_step(mail) == f"not forwarded: {why}"
    assert post.forwards(post.settings("127.0.0.1:9", forward_to=to)) == 0  # it is not tried again


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"list": {"dev.dpdk.org": policy_tables.ListSettings()}}, "an address of a list"),
        ({"smtp": tables.SmtpSettings(recipients=("*@DPDK.org",))}, "our own address"),
        ({"mail": {"lab": sink_tables.MailSettings(lists=("Dev@dpdk.org",))}}, "of a list"),
    ],
)
def test_an_address_that_can_never_be_written_to_is_known_before(
    post: Post, table: dict[str, Any], why: str
) -> None:
    settings = tables.Settings(
        notices=sink_tables.NoticesSettings(forward_to="dev@dpdk.org"), **table
    )
    assert why in notices.problem(settings)


def test_a_server_that_is_down_is_told_and_tried_again(post: Post) -> None:
    mail = post.comes()
    settings = post.settings("127.0.0.1:9", retry=60.0)
    with pytest.raises(SinkUnavailable, match=r"^notices are not forwarded to ops@example\.org: "):
        Forwarder(settings).deliver(post.ledger, clock=post.clock, until=None, stop=lambda: False)
    assert post.forwards(settings) == 0
    seen = status(post.ledger, settings, post.clock())
    assert [each.name for each in seen.troubles] == ["notices"]
    assert post.last_step(mail) == "accepted: "


@pytest.mark.slow
def test_a_server_that_says_nothing_holds_it_up_no_longer_than_its_timeout(post: Post) -> None:
    post.comes()
    with OddServer(MAIL=SILENCE) as server:
        settings = post.settings(server.address)
        table = sink_tables.MailSettings(sender=US, server=server.address, timeout=0.3)
        slow = tables.Settings(mail={"lab": table}, notices=settings.notices, state=settings.state)
        with pytest.raises(SinkUnavailable, match=r"did not answer in time|timed out"):
            post.forwards(slow)


SENDMAIL = '#!/bin/sh\necho "$@" > {0}/called\ncat > {0}/mail\nexit {1}\n'


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Install a sendmail that keeps what it is given and ends with a code."""

    def install(code: int = 0) -> Path:
        program = tmp_path / "sendmail"
        program.write_text(SENDMAIL.format(tmp_path, code))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path

    return install


def test_without_a_server_the_machines_sendmail_is_used(
    post: Post, install: Callable[[int], Path]
) -> None:
    folder = install(0)
    post.comes()
    assert post.forwards(post.settings()) == 1
    assert (folder / "called").read_text() == f"-i -f <> -- {OPERATOR}\n"
    assert parts((folder / "mail").read_bytes())[2]["Subject"] == "confirm 0a1b2c"


def test_a_sendmail_that_fails_is_told(post: Post, install: Callable[[int], Path]) -> None:
    install(75)
    post.comes()
    with pytest.raises(SinkUnavailable, match="sendmail ended with 75"):
        post.forwards(post.settings())


@pytest.mark.slow
def test_a_pipe_forwards_the_notice_that_it_takes_in(tmp_path: Path) -> None:
    command = Command(tmp_path)
    config = command.folder / "config.toml"
    with MailServer() as server:
        config.write_text(
            f'[notices]\nforward_to = "{OPERATOR}"\nmail = "lab"\n'
            f'[mail.lab]\nsender = "{US}"\nserver = "{server.address}"\n'
        )
        done = command("pipe", "--config", str(config), mail=CONFIRM % 1)
    assert (done.returncode, done.stderr) == (0, b"")
    [received] = server.received
    assert parts(received)[2]["Message-ID"] == "<1@l>"
    told = command("show", "mail-1", "--config", str(config)).stdout
    assert b"forwarded to ops@example.org" in told, told.decode()


def test_without_an_address_nothing_is_forwarded(post: Post) -> None:
    post.comes()
    assert list(delivery.forwarders(tables.Settings())) == []
    settings = post.settings("127.0.0.1:9")
    assert [each.name for each in delivery.forwarders(settings)] == ["notices"]
    assert delivery.lag(post.ledger, settings, post.clock())


@given(st.binary(max_size=2000))
def test_whatever_a_notice_holds_it_is_attached_in_seven_bits(body: bytes) -> None:
    raw = b"Subject: confirm 1\nContent-Type: text/plain; charset=x\n\n" + body
    attached = notices.seven_bits(raw)
    assert attached.isascii()
    assert b"\r" not in attached
    assert b"\0" not in attached


def test_a_text_that_is_not_ascii_can_be_read_by_the_operator() -> None:
    raw = (
        "Subject: confirm 1\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\nBestätigen\n"
    ).encode()
    inner = email.message_from_bytes(notices.seven_bits(raw))
    payload = inner.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode() == "Bestätigen\n"
