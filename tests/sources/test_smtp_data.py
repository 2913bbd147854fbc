# SPDX-License-Identifier: BSD-3-Clause
"""Where a mail ends on the wire, which bytes it has, and how many it may have."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config import tables
from ingest.intake import Receipt
from ingest.ledger import Envelope
from ingest.sources import smtp_data
from ingest.sources.admission import Live, Service


async def accept(raw: bytes, source: str, envelope: Envelope) -> Receipt:
    raise AssertionError("nothing is accepted here")


def service(max_size: int = 1 << 20, memory: int = 1 << 22) -> Service:
    limits = tables.SmtpSettings(memory=memory)
    return Service("smtp", limits, max_size, "mail.example.org", (), (), (), None, accept)


@dataclass(frozen=True)
class Received:
    refusal: str
    mail: bytes
    ahead: bytes  # what was sent behind the mail
    receiving: int  # bytes counted when it was over, but for the mail's own


def received(pieces: list[bytes], rules: Service, others: int = 0) -> Received:
    """What comes of these pieces, while ``others`` bytes are being received from others."""

    async def read() -> Received:
        reader = asyncio.StreamReader()
        live = Live()
        live.receiving = others
        body = bytearray(smtp_data.BEGIN)
        reading = asyncio.create_task(smtp_data.receive(reader, body, live, rules))
        for piece in pieces:
            reader.feed_data(piece)
            await asyncio.sleep(0)
        reader.feed_eof()
        refusal = await reading
        return Received(
            refusal,
            smtp_data.content(body),
            await reader.read(),
            live.receiving - len(body) - others,
        )

    return asyncio.run(read())


CONTENTS = {
    "a line": (b"one\r\n", b"one\r\n"),
    "nothing": (b"", b""),
    "a hidden dot": (b"..one\r\n", b".one\r\n"),
    "a hidden dot later": (b"a\r\n..\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
    "dots within a line": (b"a..b\r\n", b"a..b\r\n"),
    "bare line feeds": (b"a\nb\r\n", b"a\r\nb\r\n"),
    "bare carriage returns": (b"a\rb\r\n", b"a\r\nb\r\n"),
    "a dot between bare line feeds": (b"a\n.\nb\r\n", b"a\r\n.\r\nb\r\n"),
    "a dot behind a bare line feed": (b"a\n.\r\nb\r\n", b"a\r\n.\r\nb\r\n"),
    "a dot before a bare carriage return": (b"a\r\n.\rb\r\n", b"a\r\n\r\nb\r\n"),
}


@pytest.mark.parametrize(("wire", "mail"), CONTENTS.values(), ids=CONTENTS)
def test_the_mail_is_what_the_client_meant(wire: bytes, mail: bytes) -> None:
    assert received([wire + b".\r\n"], service()) == Received("", mail, b"", 0)


def test_what_is_sent_ahead_is_left_for_the_next_command() -> None:
    came = received([b"one\r\n.\r\nMAIL FROM:<>\r\n", b"RCPT TO:<a@b>\r\n"], service())
    assert came == Received("", b"one\r\n", b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n", 0)


@given(st.lists(st.sampled_from([b"a", b".", b"\r", b"\n", b"\r\n"])), st.data())
def test_cut_anywhere_the_mail_is_the_same(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(parts) + b"\r\n.\r\nQUIT\r\n"
    at = data.draw(st.integers(0, len(wire)))
    whole = received([wire], service())
    assert received([wire[:at], wire[at:]], service()) == whole
    assert received([bytes([byte]) for byte in wire], service()) == whole


@pytest.mark.parametrize(("size", "code"), [(99, ""), (100, ""), (101, "552"), (100_000, "552")])
def test_a_mail_may_be_as_large_as_the_limit(size: int, code: str) -> None:
    wire = b"x" * (size - 2) + b"\r\n.\r\n"
    came = received([wire[at : at + 64] for at in range(0, len(wire), 64)], service(max_size=100))
    assert came.refusal[:3] == code
    assert came.ahead == b""
    assert came.receiving == 0


@pytest.mark.parametrize(
    ("size", "others", "code"),
    [(200_000, 0, ""), (200_000, 900_000, "452"), (60_000, 5_000_000, "")],
    ids=["alone", "beside large mails", "a small one beside too many"],
)
def test_memory_for_all_mails_together_is_bounded_and_small_ones_pass(
    size: int, others: int, code: str
) -> None:
    wire = b"x" * size + b"\r\n.\r\n"
    pieces = [wire[at : at + 8192] for at in range(0, len(wire), 8192)]
    came = received(pieces, service(memory=1_000_000), others)
    assert came.refusal[:3] == code
    assert came.receiving == 0


def test_a_client_that_goes_away_has_sent_no_mail() -> None:
    with pytest.raises(ConnectionResetError):
        received([b"one\r\n.\r"], service())
