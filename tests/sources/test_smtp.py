# SPDX-License-Identifier: BSD-3-Clause
"""The SMTP and LMTP dialogues: what is accepted, what is refused and how, what is kept."""

import asyncio
import contextlib
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config import tables
from ingest.intake import Receipt
from ingest.ledger import Envelope
from ingest.sources import smtp_data
from ingest.sources.admission import Live, Service
from tests.support.smtp_sink import LOCAL, Case, Client, Sink, request

MAIL = "MAIL FROM:<robin@example.org>"
RCPT = "RCPT TO:<ci@lab.example.org>"


@pytest.fixture
def sink(quick_path: Path) -> Iterator[Sink]:
    with Sink(
        quick_path,
        smtp={
            "listen": [LOCAL],
            "recipients": ["ci@lab.example.org", "*@Lists.example.org"],
            "max_recipients": 3,
        },
        lmtp={"listen": [f"unix:{quick_path}/lmtp.sock"], "max_recipients": 3},
        intake={"max_size": 2 << 20},
    ) as running:
        yield running


@pytest.fixture
def client(sink: Sink) -> Iterator[Client]:
    with sink.client() as opened:
        yield opened


DIALOGUES = (
    Case("a wanted recipient", (MAIL, RCPT), "250 2.1.5 "),
    Case("a recipient in capitals", (MAIL, "RCPT TO:<CI@LAB.EXAMPLE.ORG>"), "250 2.1.5 "),
    Case("a recipient by pattern", (MAIL, "RCPT TO:<any@lists.example.org>"), "250 2.1.5 "),
    Case("the null sender", ("MAIL FROM:<>",), "250 2.1.0 "),
    Case("8BITMIME", (MAIL + " BODY=8BITMIME",), "250 2.1.0 "),
    Case("SMTPUTF8", ("MAIL FROM:<zoë@example.org> SMTPUTF8",), "250 2.1.0 "),
    Case("a size that is not too large", (MAIL + f" SIZE={2 << 20}",), "250 2.1.0 "),
    Case("NOOP", ("NOOP",), "250 2.0.0 "),
    Case("RSET", (MAIL, "RSET", MAIL), "250 2.1.0 "),
    Case("VRFY", ("VRFY ci",), "252 2.0.0 "),
    Case("HELO", ("HELO client.example.org",), "250 "),
    Case("QUIT", ("QUIT",), "221 2.0.0 "),
    Case("an unknown recipient", (MAIL, "RCPT TO:<else@example.com>"), "550 5.1.1 "),
    Case("no relay by a percent sign", (MAIL, "RCPT TO:<a%example.com@b.example>"), "550 5.1.1 "),
    Case("no relay by a source route", (MAIL, "RCPT TO:<@lab.example.org:a@b.example>"), "550 "),
    Case("a recipient too many", (MAIL, RCPT, RCPT, RCPT, RCPT), "452 4.5.3 "),
    Case("a size too large", (MAIL + f" SIZE={(2 << 20) + 1}",), "552 5.3.4 "),
    Case("a size that is no number", (MAIL + " SIZE=x",), "501 5.5.4 "),
    Case("an unknown parameter", (MAIL + " FUTURE=x",), "555 5.5.4 "),
    Case("BINARYMIME", (MAIL + " BODY=BINARYMIME",), "501 5.5.4 "),
    Case("MAIL twice", (MAIL, MAIL), "503 5.5.1 "),
    Case("RCPT before MAIL", (RCPT,), "503 5.5.1 "),
    Case("DATA before RCPT", (MAIL, "DATA"), "503 5.5.1 "),
    Case("DATA after unknown recipients", (MAIL, "RCPT TO:<x@example.com>", "DATA"), "503 5.5.1 "),
    Case("DATA with an argument", (MAIL, RCPT, "DATA x"), "501 5.5.4 "),
    Case("a sender that is no address", ("MAIL FROM:<",), "553 5.1.3 "),
    Case("a sender with a tab in it", ('MAIL FROM:<"a\tb"@example.org>',), "553 5.1.7 "),
    Case("a sender that is no UTF-8", ("MAIL FROM:<\udcff@example.org>",), "553 5.1.7 "),
    Case("a recipient that is no address", (MAIL, "RCPT TO:<@>"), "553 5.1.3 "),
    Case("the null recipient", (MAIL, "RCPT TO:<>"), "553 5.1.3 "),
    Case("a sender without FROM", ("MAIL <a@example.org>",), "501 5.5.4 "),
    Case("an unknown command", ("BDAT 10 LAST",), "500 5.5.2 "),
    Case("AUTH", ("AUTH PLAIN AGEAYg==",), "502 5.5.1 "),
    Case("STARTTLS without a certificate", ("STARTTLS",), "454 4.7.0 "),
    Case("EXPN", ("EXPN list",), "502 5.5.1 "),
    Case("a command of 3,000 characters", ("NOOP " + "x" * 3000,), "500 5.5.2 "),
    Case("a command of 300,000 characters", ("NOOP " + "x" * 300_000,), "500 5.5.2 "),
)


@pytest.mark.parametrize("case", DIALOGUES, ids=str)
def test_a_dialogue_ends_with_its_code(client: Client, case: Case) -> None:
    *before, last = case.lines
    for line in before:
        client.say(line)
    assert client.say(last).startswith(case.reply)


def test_the_greeting_must_come_first(sink: Sink) -> None:
    with sink.client(greeting=False) as client:
        assert client.reply().startswith("220 ")
        assert client.say(MAIL).startswith("503 5.5.1 ")


def test_what_is_offered_is_announced(sink: Sink) -> None:
    with sink.client(greeting=False) as client:
        client.reply()
        offered = {line[4:] for line in client.say("EHLO x").splitlines()[1:]}
    assert offered == {
        "SIZE 2097152", "8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES"
    }  # fmt: skip


def test_too_many_unknown_commands_end_the_session(client: Client) -> None:
    for _ in range(5):
        client.send(b"GET / HTTP/1.1\r\n")
    assert client.rest()[-1].startswith("502 5.5.1 ")


def test_the_envelope_is_kept_with_the_mail(sink: Sink, client: Client) -> None:
    reply = client.deliver(request("a"), "ci@lab.example.org", "b@lists.example.org")
    assert reply.startswith("250 2.0.0 ")
    (mail,) = sink.kept()
    recipients = ("ci@lab.example.org", "b@lists.example.org")
    assert mail.envelope == Envelope("robin@example.org", recipients, "127.0.0.1")
    assert mail.source == "smtp"


def test_the_null_sender_is_kept_as_such(sink: Sink, client: Client) -> None:
    client.deliver(request("a"), "ci@lab.example.org", sender="<>")
    assert [mail.envelope.sender for mail in sink.kept()] == [""]


def test_an_internationalised_sender_is_kept(sink: Sink, client: Client) -> None:
    client.deliver(request("a"), "ci@lab.example.org", sender="<zoë@exämple.org> SMTPUTF8")
    assert [mail.envelope.sender for mail in sink.kept()] == ["zoë@exämple.org"]


def test_a_mail_that_can_hold_no_request_is_accepted_and_not_kept(
    sink: Sink, client: Client
) -> None:
    reply = client.deliver(b"Subject: x\r\n\r\nText\r\n", "ci@lab.example.org")
    assert reply.startswith("250 2.0.0 ")
    assert sink.kept() == []


def test_the_same_mail_again_is_accepted_and_kept_once(sink: Sink, client: Client) -> None:
    for _ in range(2):
        assert client.deliver(request("a"), "ci@lab.example.org").startswith("250 2.0.0 ")
    assert len(sink.kept()) == 1


# What is sent, and what is kept if that is something else.
CONTENTS: dict[str, tuple[bytes, bytes | None]] = {
    "a line of 10,000 characters": (b"x" * 10_000 + b"\r\n", None),
    "a line of a megabyte": (b"x" * 1_000_000 + b"\r\n", None),
    "8-bit characters": ("Zoë\r\n".encode() + b"\xff\xfe\r\n", None),
    "a NUL": (b"a\0b\r\n", None),
    "a line that looks like an mbox's": (b"\r\nFrom x@example.org Mon Mar  2 2026\r\n", None),
    "hidden dots": (b"..\r\n..x\r\n...y\r\n", b".\r\nx\r\n..y\r\n".replace(b"x", b".x", 1)),
    "a dot inside a line": (b"a.\r\nb..c\r\n", None),
    "nothing more": (b"", None),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_a_mail_is_kept_as_it_was_sent(sink: Sink, client: Client, name: str) -> None:
    sent, kept = CONTENTS[name]
    assert client.deliver(request("a", sent), "ci@lab.example.org").startswith("250 2.0.0 ")
    assert [mail.raw for mail in sink.kept()] == [request("a", sent if kept is None else kept)]


def test_a_mail_that_is_too_large_is_refused_and_the_session_goes_on(
    sink: Sink, client: Client
) -> None:
    large = request("a", b"x" * (2 << 20) + b"\r\n")
    assert client.deliver(large, "ci@lab.example.org").startswith("552 5.3.4 ")
    assert client.deliver(request("b"), "ci@lab.example.org").startswith("250 2.0.0 ")
    assert [mail.message_id for mail in sink.kept()] == ["b@example.org"]


def test_a_mail_of_just_the_size_limit_is_taken(sink: Sink, client: Client) -> None:
    line_end = b"\r\n"
    mail = request("a")
    mail += b"x" * ((2 << 20) - len(mail) - len(line_end)) + line_end
    assert client.deliver(mail, "ci@lab.example.org").startswith("250 2.0.0 ")


def test_an_empty_mail_is_taken(client: Client) -> None:
    assert client.deliver(b"", "ci@lab.example.org").startswith("250 2.0.0 ")
    assert client.say("NOOP").startswith("250 ")


def test_commands_sent_ahead_are_answered_in_order(sink: Sink, client: Client) -> None:
    client.send(f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
    assert [each[:3] for each in client.replies(3)] == ["250", "250", "354"]
    client.send(request("a") + f".\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
    assert [each[:3] for each in client.replies(4)] == ["250", "250", "250", "354"]
    client.send(request("b") + b".\r\nNOOP\r\nQUIT\r\n")
    assert [each[:3] for each in client.rest()] == ["250", "250", "221"]
    assert [mail.message_id for mail in sink.kept()] == ["a@example.org", "b@example.org"]


def test_the_end_of_data_is_seen_however_it_is_cut(sink: Sink, client: Client) -> None:
    client.data("ci@lab.example.org")
    for byte in request("a") + b".\r\n":
        client.send(bytes([byte]))
    assert client.reply().startswith("250 2.0.0 ")
    assert [mail.raw for mail in sink.kept()] == [request("a")]


def test_mails_that_come_in_pieces_and_in_turns_are_kept_apart(sink: Sink) -> None:
    bodies = [bytes([letter]) * 78 + b"\r\n" for letter in b"xyz"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(sink.client()) for _ in bodies]
        for each, client in enumerate(clients):
            client.data("ci@lab.example.org")
            client.send(request(str(each)))
        for _ in range(20):
            for body, client in zip(bodies, clients, strict=True):
                client.send(body)
        for client in clients:
            client.send(b".\r\n")
            assert client.reply().startswith("250 2.0.0 OK, queued")
    wanted = {request(str(each)) + body * 20 for each, body in enumerate(bodies)}
    assert {mail.raw for mail in sink.kept()} == wanted


SMUGGLING = (
    b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r.\n", b"\n.\r",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\n\n", b"\r\r\n.\r\r\n", b"\r\n .\r\n",
)  # fmt: skip


@pytest.mark.parametrize("end", SMUGGLING)
def test_what_only_looks_like_the_end_of_data_does_not_end_it(
    sink: Sink, client: Client, end: bytes
) -> None:
    client.data("ci@lab.example.org")
    inner = f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode() + request("smuggled")
    client.send(request("a", b"text" + end + inner) + b".\r\nQUIT\r\n")
    assert [reply[:3] for reply in client.rest()] == ["250", "221"]
    assert [mail.message_id for mail in sink.kept()] == ["a@example.org"]


def test_bare_line_ends_are_kept_as_whole_ones(sink: Sink, client: Client) -> None:
    client.deliver(request("a", b"one\ntwo\rthree\r\n"), "ci@lab.example.org")
    assert [mail.raw for mail in sink.kept()] == [request("a", b"one\r\ntwo\r\nthree\r\n")]


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda line: line.translate(None, b"\r\n"))),
    cuts=st.lists(st.integers(1, 40)),
    ahead=st.binary(max_size=20),
)
def test_any_lines_arrive_as_they_were_written(
    lines: list[bytes], cuts: list[int], ahead: bytes
) -> None:
    stuffed = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)
    body, rest = received(stuffed + b".\r\n" + ahead, cuts)
    assert smtp_data.content(body) == b"".join(line + b"\r\n" for line in lines)
    assert rest == ahead


@given(wire=st.lists(st.sampled_from([b"\r", b"\n", b".", b"a"])).map(b"".join))
def test_no_bytes_make_an_end_of_data_but_the_one(wire: bytes) -> None:
    body, rest = received(wire + b"\r\n.\r\n", [])
    ended = (b"\r\n" + wire + b"\r\n.\r\n").index(b"\r\n.\r\n")
    assert len(body) == ended + 2
    assert rest == (b"\r\n" + wire + b"\r\n.\r\n")[ended + 5 :]


def received(wire: bytes, cuts: list[int]) -> tuple[bytearray, bytes]:
    """What ``data.receive`` makes of bytes that come in pieces, and what it leaves."""
    limits = tables.SmtpSettings()
    service = Service("smtp", limits, 1 << 20, "x", (), (), (), None, not_called)

    async def receive() -> tuple[bytearray, bytes]:
        reader = asyncio.StreamReader()
        body = bytearray(smtp_data.BEGIN)
        receiving = asyncio.create_task(smtp_data.receive(reader, body, Live(), service))
        left = wire
        for cut in [*cuts, len(wire)]:
            if receiving.done() or not left:
                break
            reader.feed_data(left[:cut])
            left = left[cut:]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert await receiving == ""
        if left:
            reader.feed_data(left)
        reader.feed_eof()
        return body, await reader.read()

    return asyncio.run(receive())


async def not_called(raw: bytes, source: str, envelope: Envelope) -> Receipt:
    raise AssertionError


def test_the_hundredth_mail_on_one_connection_is_taken(sink: Sink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, local_hostname="localhost") as client:
        for number in range(100):
            refused = client.sendmail(
                "robin@example.org", ["ci@lab.example.org"], request(str(number))
            )
            assert refused == {}
    assert len(sink.kept()) == 100


def test_storage_that_fails_is_temporary_and_mended_later(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("")
    with Sink(tmp_path, ledger=f"sqlite:{in_the_way}/ledger.sqlite") as sink:
        with sink.client() as client:
            assert client.deliver(request("a")).startswith("451 4.3.0 ")
            in_the_way.unlink()
            assert client.deliver(request("a")).startswith("250 2.0.0 ")
        assert len(sink.kept()) == 1


def test_a_bug_of_ours_is_temporary(quick_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def accept(raw: bytes, source: str, envelope: Envelope) -> Receipt:
        raise ZeroDivisionError

    with Sink(quick_path, accept) as sink, sink.client() as client:
        assert client.deliver(request("a")).startswith("451 4.3.0 ")
        assert client.say("NOOP").startswith("250 ")
    assert "ZeroDivisionError" in caplog.text


def test_lmtp_answers_each_recipient(sink: Sink) -> None:
    with sink.client("lmtp") as client:
        client.deliver(request("a"), "a@example.org", "b@example.org")
        assert client.reply().startswith("250 2.0.0 ")
        assert client.say("QUIT").startswith("221 ")
    (mail,) = sink.kept()
    assert mail.envelope.recipients == ("a@example.org", "b@example.org")
    assert mail.envelope.peer.startswith("unix uid ")
    assert mail.source == "lmtp"


def test_lmtp_answers_each_accepted_recipient_and_no_other(sink: Sink) -> None:
    with sink.client("lmtp") as client:
        client.say(MAIL)
        codes = [client.say(f"RCPT TO:<{each}@example.org>")[:3] for each in "abcd"]
        assert codes == ["250", "250", "250", "452"]
        client.say("DATA")
        client.send(request("a") + b".\r\nQUIT\r\n")
        assert [reply[:3] for reply in client.rest()] == ["250", "250", "250", "221"]


def test_lmtp_answers_each_recipient_of_a_mail_that_is_too_large(sink: Sink) -> None:
    with sink.client("lmtp") as client:
        client.data("a@example.org", "b@example.org")
        client.send(b"x" * (3 << 20) + b"\r\n.\r\nQUIT\r\n")
        assert [reply[:9] for reply in client.rest()] == ["552 5.3.4", "552 5.3.4", "221 2.0.0"]


@pytest.mark.parametrize("bug", [False, True])
def test_lmtp_answers_each_recipient_when_storing_fails(tmp_path: Path, bug: bool) -> None:
    async def accept(raw: bytes, source: str, envelope: Envelope) -> Receipt:
        raise ZeroDivisionError

    tables = {"lmtp": {"listen": [f"unix:{tmp_path}/lmtp.sock"]}}
    nowhere = "sqlite:/dev/null/ledger.sqlite"
    with (
        Sink(tmp_path, accept if bug else None, ledger=nowhere, **tables) as sink,
        sink.client("lmtp") as client,
    ):
        client.data("a@example.org", "b@example.org")
        client.send(request("a") + b".\r\nQUIT\r\n")
        assert [reply[:9] for reply in client.rest()] == ["451 4.3.0", "451 4.3.0", "221 2.0.0"]


@pytest.mark.parametrize("greeting", ["HELO x", "EHLO x"])
def test_lmtp_knows_no_smtp_greeting(sink: Sink, greeting: str) -> None:
    with sink.client("lmtp", greeting=False) as client:
        assert client.reply().startswith("220 ")
        assert client.say(greeting).startswith("500 ")
