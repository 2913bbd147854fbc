# SPDX-License-Identifier: BSD-3-Clause
"""The prefilter looks into transfer encodings: no request is missed, and most mail gets a no.

``RECHECK_TEST_PREFILTER=2000000 pytest -s tests/mail/test_prefilter_encodings.py`` tries so many,
made anew each time, and prints figures.
"""

import base64
import binascii
import email
import os
import quopri
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import Unreadable
from ingest.mail import message, prefilter, recheck
from ingest.mail.prefilter import may_hold_request, may_hold_requests
from ingest.sources import mbox_pieces
from ingest.sources.mbox import Reader
from ingest.sources.mbox_boundaries import spans
from ingest.sources.mbox_pieces import Item
from tests.support import crafted_mails
from tests.support.examples import examples

# Decoding unicode_escape warns of backslashes that escape nothing.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

COUNT = int(os.environ.get("RECHECK_TEST_PREFILTER", "2000"))
ANEW = "RECHECK_TEST_PREFILTER" in os.environ
AT_ONCE = 20
FIGURES = 20_000  # mails from which figures are made
PROPERTY = settings(examples(200), derandomize=not ANEW)
FROM = b"From robin@example.org Wed Sep  6 09:01:00 2023\n"
HEAD = crafted_mails.HEAD
TEXT = "Looks good – to me.\nPlease recheck, if you like: a request.\n" * 40
ENCODED = {
    "base64": (b"base64", base64.encodebytes(TEXT.encode())),
    "base64 without padding": (b"base64", base64.b64encode(b"hello world").rstrip(b"=")),
    "base64, empty": (b"base64", b""),
    "quoted-printable": (b"quoted-printable", quopri.encodestring(TEXT.encode())),
    "quoted-printable, empty": (b"quoted-printable", b""),
    "capitals": (b"BASE64", base64.encodebytes(TEXT.encode())),
    "a footer behind base64": (b"base64", base64.encodebytes(b"hello") + b"_____\nfooter\n"),
    "8bit": (b"8bit", TEXT.encode()),
    "unknown": (b"nonsense", TEXT.encode()),
}


def holds_request(raw: bytes) -> bool:
    """What only reading the whole mail can tell."""
    try:
        return recheck.parse(message.parse(raw).text) is not None
    except Unreadable:
        return False


def quoted(raw: bytes) -> bytes:
    """A mail as it stands in an mbox, before the empty line."""
    return re.sub(rb"(?m)^(>*From )", rb">\1", raw if raw.endswith(b"\n") else raw + b"\n")


def archived(raws: list[bytes]) -> tuple[list[Item], set[int]]:
    """The mails of an mbox of these, and the numbers of those that are found to be possible."""
    content = b"".join(FROM + quoted(raw) + b"\n" for raw in raws)
    found, reasons = spans(content, True, len(content))
    piece = mbox_pieces.Piece(content, found, "mbox", 0, cut=False, reasons=reasons)
    items, (number, possible) = list(piece.items()), piece.found()
    assert number == len(items)
    return items, {number for number, item in enumerate(items) if item in possible}


def assert_seen_in_a_piece(raw: bytes) -> None:
    """In a piece of an archive, between plain mails, a mail gets the answer that it gets alone,
    unless it holds no request."""
    plain = FROM + HEAD + b"\nhello\n"
    piece = plain + b"\n" + FROM + quoted(raw)
    ends = [len(plain), len(piece), len(piece) + 1 + len(plain)]
    found = may_hold_requests(piece + b"\n" + plain, ends)
    if found != [1]:
        assert found == []
        assert not may_hold_request(quoted(raw)) or not holds_request(quoted(raw))


def field(coding: bytes) -> bytes:
    return b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: " + coding + b"\n"


def multipart(*parts: bytes) -> bytes:
    return (
        HEAD + b"Content-Type: multipart/mixed; boundary=q\n\n"
        + b"".join(b"--q\n" + each + b"\n" for each in parts) + b"--q--\n"
    )  # fmt: skip


WHERE: dict[str, Callable[[bytes], bytes]] = {
    "the mail": lambda part: HEAD + part,
    "with more fields behind": lambda part: HEAD + part.replace(b"\n\n", b"\nX: a\n b\n\n", 1),
    "a part": lambda part: multipart(part),
    "the second part": lambda part: multipart(b"\nhello", part),
    "behind quoted-printable": lambda part: multipart(
        field(b"quoted-printable") + b"\n=68ello\n", part
    ),
    "behind base64": lambda part: multipart(field(b"base64") + b"\naGVsbG8K\n", part),
    "two parts": lambda part: multipart(part, part),
    "a part of a part": lambda part: multipart(
        b"\nhello", b"Content-Type: multipart/mixed; boundary=q2\n\n--q2\n" + part + b"\n--q2--"
    ),
    "in a multipart that says to be base64": lambda part: (
        HEAD + b"Content-Transfer-Encoding: base64\n" + multipart(part).removeprefix(HEAD)
    ),
    "behind 70 KB of other fields": lambda part: HEAD + b"X: " + b"y" * 70_000 + b"\n" + part,
    "before another encoding": lambda part: (
        HEAD + part.replace(b"\n\n", b"\nContent-Transfer-Encoding: 8bit\n\n", 1)
    ),
    "before the end of nothing": lambda part: multipart(part).removesuffix(b"--q--\n"),
    "beside an image": lambda part: multipart(
        part,
        b"Content-Type: image/png\nContent-Disposition: attachment; filename=a.png\n"
        b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(bytes(range(256)) * 20),
    ),
}


def everywhere(coding: bytes, body: bytes) -> dict[tuple[str, bytes], bytes]:
    """A mail with this body in each place, with each end of line."""
    part = field(coding) + b"\n" + body
    return {
        (where, end): make(part).replace(b"\n", end)
        for where, make in WHERE.items()
        for end in (b"\n", b"\r\n")
    }


@pytest.mark.parametrize("name", ENCODED)
def test_encoded_mail_without_a_request_gets_a_no(name: str) -> None:
    mails = everywhere(*ENCODED[name])
    assert [where for where, raw in mails.items() if may_hold_request(raw)] == []
    assert [where for where, raw in mails.items() if archived([raw] * 3)[1]] == []


REQUEST = b"It failed.\n\nRecheck-request: iol-unit\n"
REQUESTS = {
    "base64": (b"base64", base64.encodebytes(REQUEST)),
    "base64, one letter on": (b"base64", base64.encodebytes(b"x\n" + REQUEST)),
    "base64, two letters on": (b"base64", base64.encodebytes(b"xy\n" + REQUEST)),
    "base64 in short lines": (b"base64", re.sub(b"(...)", rb"\1\n", base64.b64encode(REQUEST))),
    "base64 with junk": (b"base64", re.sub(b"(...)", rb"\1!", base64.b64encode(REQUEST))),
    "base64 and more behind its padding": (
        b"base64",
        base64.encodebytes(REQUEST) + b"\nQUJD\n-- \n",
    ),
    "base64 of NULs": (b"base64", base64.encodebytes(REQUEST.replace(b"k", b"\0k\0"))),
    "base64 of one letter too many": (b"base64", base64.b64encode(REQUEST)[:-4] + b"\n!"),
    "what is no base64": (b"base64", b"Recheck-\nrequest: a\nxx"),
    "an escaped letter": (b"quoted-printable", REQUEST.replace(b"-", b"=2D")),
    "an escape in lower case": (b"quoted-printable", REQUEST.replace(b"k", b"=6b")),
    "soft line ends": (b"quoted-printable", re.sub(b"([a-z])", rb"\1=\n", REQUEST)),
    "a soft line end with junk": (b"quoted-printable", REQUEST.replace(b"k", b"=\rjunk\nk")),
    "a soft line end with junk behind a dash": (
        b"quoted-printable",
        REQUEST.replace(b"-", b"-=\rjunk\n"),
    ),
    "a soft line end with junk behind an escape": (
        b"quoted-printable",
        REQUEST.replace(b"-r", b"-=00=\rjunk\nr"),
    ),
    "a soft line end behind a letter's escape": (
        b"quoted-printable",
        b"=52=65=63=68=65=63=6B=2D=\n=72=65=71=\n=75=65=73=74: a\n",
    ),
    "escaped NULs": (b"quoted-printable", REQUEST.replace(b"k", b"=00k")),
    "an escape that is none": (
        b"quoted-printable",
        b"=4\n=\n" + REQUEST.replace(b"q", b"=71") + b"=",
    ),
    "nothing encoded": (b"quoted-printable", REQUEST),
    "uuencode": (b"uuencode", b"begin 644 a\n" + binascii.b2a_uu(REQUEST) + b"`\nend\n"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_encoded_request_gets_a_yes(name: str) -> None:
    mails = everywhere(*REQUESTS[name])
    assert [where for where, raw in mails.items() if not holds_request(raw)] == []
    assert [where for where, raw in mails.items() if not may_hold_request(raw)] == []
    plain = HEAD + b"\nhello\n"
    in_archives = {where: archived([plain, raw, plain, raw])[1] for where, raw in mails.items()}
    assert [where for where, found in in_archives.items() if found != {1, 3}] == []


BODY = base64.encodebytes(b"x" + REQUEST)
ODD = {
    "a line that is no field ends the header": (
        b"Content-Transfer-Encoding: base64\nABC\n\n" + BODY
    ),
    "a carriage return ends the header": b"Content-Transfer-Encoding: base64\nX: a\r\rB\n\n" + BODY,
    "a field behind a carriage return": b"X: a\rContent-Transfer-Encoding: base64\n\n" + BODY,
    "no end of the header": b"Content-Transfer-Encoding: base64\n" + BODY[:-1],
    "NULs": b"Content-Transfer-Encoding: base64\nX\0: a\n\n" + BODY,
    "an encoding on the next line": b"Content-Transfer-Encoding:\n base64\n\n" + BODY,
    "a hundred fields": b"Content-Transfer-Encoding: base64\n" + b"X: a\n" * 100 + b"\n" + BODY,
    "a field that is too long": (
        b"Content-Type: text/plain; x=" + b"y" * 2100 + b"; charset=utf-7\n\nhello\n"
    ),
    "uuencode": b"Content-Transfer-Encoding: x-uuencode\n\nhello\n",
    "an encoding with more to it": b"Content-Transfer-Encoding: base64; a=b\n\nhello\n",
    "a carriage return within a field": b"Content-Transfer-Encoding: base64\r\rA\n\nAAAA\n",
    "a hiding charset": b"Content-Type: text/plain; charset=utf-16\n\nhello\n",
    "a hiding charset, folded": b"Content-Type: text/plain;\n charset=utf-7\n\nhello\n",
}


@pytest.mark.parametrize("rest", ODD.values(), ids=ODD)
def test_what_only_the_parser_can_tell_gets_a_yes(rest: bytes) -> None:
    assert may_hold_request(HEAD + rest)
    assert archived([HEAD + rest])[1] == {0}


LETTERS = base64.encodebytes(REQUEST)
# Which four letters of base64 belong together depends on where the parser's header ends.
EARLIER = {
    "a line without a colon": b"Content-Transfer-Encoding: base64\nXA\n\nAA" + LETTERS,
    "a blank before the colon": b"Content-Transfer-Encoding: base64\nXA : \n\nAA" + LETTERS,
    "a NUL before the colon": b"Content-Transfer-Encoding: base64\nXA\0: \n\nAA" + LETTERS,
    "a byte before the colon": b"Content-Transfer-Encoding: base64\nXA\xff: \n\nAA" + LETTERS,
    "a From_ line": b"Content-Transfer-Encoding: base64\nFrom A\n\nAAA" + LETTERS,
    "an empty line of a CR": b"Content-Transfer-Encoding: base64\nX: \r\rXA: \n\nAA" + LETTERS,
    "a CR in another field": b"Content-Transfer-Encoding: base64\nX: \rXA\n\nAA" + LETTERS,
    "two CRs at the field's end": b"Content-Transfer-Encoding: base64\r\r\nXA: \n\nAA" + LETTERS,
    "a CR in the field itself": b"Content-Transfer-Encoding: base64\rXA\n\nAA" + LETTERS,
}


@pytest.mark.parametrize("rest", EARLIER.values(), ids=EARLIER)
def test_a_header_that_ends_before_its_empty_line_hides_no_request(rest: bytes) -> None:
    assert holds_request(HEAD + rest)
    assert may_hold_request(HEAD + rest)
    items, found = archived([HEAD + rest])
    assert holds_request(items[0].raw)
    assert found == {0}


def test_every_mail_of_an_mbox_that_spells_the_keyword_is_found() -> None:
    plain, asking, nearly = (
        HEAD + b"\n" + text for text in (b"hello\n", REQUEST, b"> recheck-request: a\n")
    )
    assert archived([plain, asking, plain, asking, nearly, asking])[1] == {1, 3, 4, 5}


def test_a_field_is_not_taken_for_one_of_an_earlier_mail_that_only_begins_alike() -> None:
    begun = HEAD + b"Content-Type: text/plain;\n"
    hiding = begun + b" charset=utf-7\n\nRech+AGU-ck-request: a\n"
    assert holds_request(hiding)
    assert archived([begun, begun + b"\nhello\n", hiding, begun + b"\nhello\n"])[1] == {2}


@pytest.mark.slow
@pytest.mark.timeout(60)  # to decode each part to the end would take hours
def test_a_mail_of_many_encoded_parts_is_left_to_the_parser() -> None:
    raw = multipart(*[field(b"base64") + b"\n" + b"QUJD" * 5000 + b"\n"] * 2000)
    assert may_hold_request(raw)
    assert archived([raw])[1] == {0}


FULL = {  # by the square of their number it would take hours
    "fields in fields": (b"Content-Type: a; charset=utf-8\n ", b"", True),
    "what a field begins with": (b"content-", b"", False),
    "a name alone": (b"content-type:", b"", True),
    "fields that are not ended": (b"content-type: a\n ", b"", True),
    "plain fields": (b"Content-Type: a; charset=utf-8\n", b"", False),
    "parameters in a text": (b"charset=utf-7 ", b"", False),
    "plain fields of parts": (
        b"Content-Type: a; charset=utf-8\n", b"Content-Type: multipart/x\n", False,
    ),
    "encodings of parts": (
        b"Content-Transfer-Encoding: base64\n\n", b"Content-Type: multipart/x\n", True,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("line", "head", "answer"), FULL.values(), ids=FULL)
def test_a_mail_full_of_fields_gets_an_answer_soon(line: bytes, head: bytes, answer: bool) -> None:
    raw = HEAD + head + b"\n" + line * (3_000_000 // len(line))
    assert may_hold_request(raw) is answer
    assert archived([raw])[1] == ({0} if answer else set())


@pytest.mark.parametrize("size", [200, 999, 20_000, 100_000])
def test_no_request_is_missed_wherever_pieces_cut_a_mail_an_encoding_or_a_keyword(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox_pieces, "PIECE", size)
    raws = [crafted_mails.mail(seed) for seed in range(300)]
    path = tmp_path / "mbox"
    path.write_bytes(b"".join(FROM + quoted(raw) + b"\n" for raw in raws))
    every = [item.raw for item in Reader(str(path))]
    number, found = 0, []
    for mails, items in Reader(str(path)).searched():
        number += mails
        found += [item.raw for item in items]
    assert number == len(every)
    assert set(found) <= set(every)
    assert {raw for raw in every if holds_request(raw)} <= set(found)


def bodies(pieces: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    one = st.sampled_from(pieces) | st.binary(max_size=2)
    return st.builds(bytes.join, st.just(b""), st.lists(one, max_size=12))


def assert_not_missed(raw: bytes) -> None:
    if not may_hold_request(raw):
        assert not holds_request(raw)
    assert_seen_in_a_piece(raw)
    items, found = archived([raw])
    assert len(items) == 1 or b"From " in raw
    for number, item in enumerate(items):
        assert number in found or not holds_request(item.raw)


@pytest.mark.parametrize("coding", crafted_mails.PIECES)
@PROPERTY
@given(where=st.sampled_from(sorted(WHERE)), data=st.data())
@pytest.mark.slow
def test_no_request_is_missed_in_pieces_of_what_decoders_tell_apart(
    coding: bytes, where: str, data: st.DataObject
) -> None:
    body = data.draw(bodies(crafted_mails.PIECES[coding]))
    assert_not_missed(WHERE[where](field(coding) + b"\n" + body))


LINES = st.lists(
    st.sampled_from(
        [b"a: b", b"a:", b"a-b:c:d", b" a", b"\t", b":", b"a", b"a b: c", b"", b"\xe4:"]
    )
    | st.binary(max_size=4),
    max_size=6,
)


@PROPERTY
@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\r"]), st.booleans())
@pytest.mark.slow
def test_the_end_of_a_header_is_found_where_the_parser_finds_it_or_not_at_all(
    lines: list[bytes], end: bytes, is_ended: bool
) -> None:
    raw = b"A: b\n" + end.join(lines) + (end + end if is_ended else b"") + b"text"
    start = prefilter._body(raw, 4, len(raw), set())
    if start >= 0:
        read = email.message_from_bytes(raw).get_payload(decode=True)
        assert raw[start:].splitlines() == bytes(read).splitlines()


# What the prefilter's proof rests on, and a Python could change.


def decoded(coding: bytes, body: bytes) -> bytes:
    """A text as the standard parser decodes it."""
    part = email.message_from_bytes(b"Content-Transfer-Encoding: " + coding + b"\n\n" + body)
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


@PROPERTY
@given(bodies(crafted_mails.PIECES[b"base64"]), bodies(crafted_mails.PIECES[b"base64"]))
def test_base64_is_decoded_the_same_whatever_follows(body: bytes, behind: bytes) -> None:
    alone = decoded(b"base64", body)
    if alone == b"".join(body.splitlines()):
        return  # It could not be decoded.
    try:
        whole = binascii.a2b_base64(body + behind + b"==")
    except binascii.Error:
        whole = binascii.a2b_base64(body + behind + b"A==")
    assert whole.startswith(alone)


@PROPERTY
@given(
    *[bodies(crafted_mails.PIECES[b"quoted-printable"])] * 3,
    st.sampled_from([b"\n", b"\r", b"\r\n"]),
)
@pytest.mark.slow
def test_quoted_printable_lines_are_decoded_the_same_whatever_surrounds_them(
    before: bytes, body: bytes, behind: bytes, end: bytes
) -> None:
    whole = binascii.a2b_qp(before + b"\n" + body + end + behind)
    assert decoded(b"quoted-printable", body) in whole


@pytest.mark.slow
@pytest.mark.timeout(60 + COUNT // 50)
def test_no_request_is_missed_however_it_is_encoded() -> None:
    first = random.randrange(1 << 40) if ANEW else 0
    counted = held = yes = archiving = 0
    for begin in range(first, first + COUNT, AT_ONCE):
        raws = [crafted_mails.mail(seed) for seed in range(begin, begin + AT_ONCE)]
        denied = [raw for raw in raws if not may_hold_request(raw)]
        for raw in raws:
            assert_seen_in_a_piece(raw)
        # To read a mail takes ten times as long as all else, so that in the end only those are
        # read of which that is to be doubted.
        figures = counted < FIGURES
        read = {raw: holds_request(raw) for raw in (raws if figures else denied)}
        items, found = archived(raws)
        for raw in denied:
            assert not read[raw], f"of crafting.mail({begin}) and on: {raw!r}"
        for number, item in enumerate(items):
            if number not in found:
                holds = read[item.raw] if item.raw in read else holds_request(item.raw)
                assert not holds, f"of crafting.mail({begin}) and on, in an mbox: {item.raw!r}"
        if figures:
            counted += len(raws)
            held += sum(read[raw] for raw in raws)
            yes += len(raws) - len(denied)
            archiving += len(found)
    shares = ", ".join(f"{(each - held) / (counted - held):.1%}" for each in (yes, archiving))
    print(f"\n{COUNT} mails, no request missed; of {counted} {held} have one;", end=" ")
    print(f"of the others these got a yes, alone and in an mbox: {shares}")
    assert held > counted // 5
