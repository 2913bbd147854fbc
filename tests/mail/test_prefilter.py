# SPDX-License-Identifier: BSD-3-Clause
"""The prefilter never says no to a mail that holds a request, and says no to plain mail."""

import base64
import binascii
import codecs
import encodings
import pkgutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.errors import Unreadable
from ingest.mail import message, recheck
from ingest.mail.prefilter import _PLAIN_CHARSETS, may_hold_request
from tests.support.places import ROOT

# Decoding unicode_escape warns of backslashes that escape nothing.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

REQUEST = "It failed again.\n\nRecheck-request: iol-unit, rebase=main\n\nThanks\n"
HEAD = b"From: robin@example.org\nSubject: Re: [PATCH] a\nIn-Reply-To: <1@example.org>\n"


def holds_request(raw: bytes) -> bool:
    """What only reading the whole mail can tell."""
    try:
        return recheck.parse(message.parse(raw).text) is not None
    except Unreadable:
        return False


def known(name: str) -> bool:
    """Whether Python has a codec of this name that turns bytes into text."""
    try:
        return isinstance("a".encode(name).decode(name), str)
    except (LookupError, UnicodeError):
        return False


ALL_CODECS = sorted(
    name
    for name in {module.name for module in pkgutil.iter_modules(encodings.__path__)}
    | set(encodings.aliases.aliases)
    if known(name)
)
# Of each codec one name.
CODECS = sorted({codecs.lookup(name).name for name in ALL_CODECS})
# Charsets under which the keyword does not show in the bytes.
HIDING = [name for name in CODECS if b"recheck-request" not in REQUEST.encode(name).lower()]


def as_base64(data: bytes) -> bytes:
    return base64.encodebytes(data)


def as_quoted_printable(data: bytes) -> bytes:
    lines = b"".join(b"=%02X" % each for each in data)
    return b"=\n".join(lines[at : at + 72] for at in range(0, len(lines), 72))


def as_uuencode(data: bytes) -> bytes:
    lines = (binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 a\n" + b"".join(lines) + b"`\nend\n"


def as_it_is(data: bytes) -> bytes:
    return data


Encoder = Callable[[bytes], bytes]
ENCODINGS: list[tuple[bytes, Encoder]] = [
    (b"", as_it_is),
    (b"Content-Transfer-Encoding: 8bit\n", as_it_is),
    (b"Content-Transfer-Encoding: binary\n", as_it_is),
    (b"Content-Transfer-Encoding: nonsense\n", as_it_is),
    (b"Content-Transfer-Encoding: base64\n", as_base64),
    (b"content-transfer-encoding:BASE64\n", as_base64),
    (b"CONTENT-TRANSFER-ENCODING: Base64\n", as_base64),
    (b"Content-Transfer-Encoding: quoted-printable\n", as_quoted_printable),
    (b"Content-Transfer-Encoding: Quoted-Printable\n", as_quoted_printable),
    (b"Content-Transfer-Encoding: x-uuencode\n", as_uuencode),
    (b"Content-Transfer-Encoding: uuencode\n", as_uuencode),
    (b"Content-Transfer-Encoding: X-UUE\n", as_uuencode),
    (b"Content-Transfer-Encoding: uue\n", as_uuencode),
]


def percent(name: str) -> str:
    return "".join(f"%{ord(each):02x}" for each in name)


# How a charset can be named so that Python's parser understands it.
PARAMETERS: dict[str, Callable[[str], str]] = {
    "plain": lambda name: f"charset={name}",
    "quoted": lambda name: f'charset="{name}"',
    "capitals": lambda name: f"CHARSET={name.upper()}",
    "blanks": lambda name: f"charset = {name}",
    "many blanks before": lambda name: f"charset{' ' * 200}={name}",
    "many blanks behind": lambda name: f"charset={' ' * 200}{name}",
    "folded before": lambda name: f"charset\n ={name}",
    "folded behind": lambda name: f"charset=\n\t{name}",
    "vertical tab": lambda name: f"charset\v={name}",
    "form feed": lambda name: f"charset\f=\f{name}",
    "file separator": lambda name: f"charset\x1c=\x1f{name}",
    "second parameter": lambda name: f"format=flowed; charset={name}; delsp=yes",
    "blanks within": lambda name: f'charset="{name.replace("_", " ")}"',
    "given twice": lambda name: f"charset={name}; charset=utf-8",
    "within another": lambda name: f'name="charset=utf-8"; charset={name}',
    "behind an open quote": lambda name: f'name=\\"; charset={name}',
    "language": lambda name: f"charset*=us-ascii'en'{name}",
    "percent signs": lambda name: f"charset*=''{percent(name)}",
    "two pieces": lambda name: f"charset*0={name[:2]}; charset*1={name[2:]}",
    "two pieces, quoted": lambda name: f'charset*0="{name[:2]}";charset*1="{name[2:]}"',
    "two pieces, backwards": lambda name: f"charset*1={name[2:]}; charset*0={name[:2]}",
    "a piece in percent signs": lambda name: f"charset*0*=''%{ord(name[0]):x};charset*1={name[1:]}",
}  # fmt: skip


def test_a_request_in_any_charset_that_python_knows() -> None:
    mails = {
        charset: HEAD
        + f"Content-Type: text/plain; charset={charset}\n\n".encode()
        + REQUEST.encode(charset)
        for charset in ALL_CODECS
    }
    assert [charset for charset, raw in mails.items() if not holds_request(raw)] == []
    assert [charset for charset, raw in mails.items() if not may_hold_request(raw)] == []


@pytest.mark.parametrize("form", PARAMETERS)
def test_a_hiding_charset_however_it_is_named(form: str) -> None:
    mails = {
        charset: HEAD
        + f"Content-Type: text/plain; {PARAMETERS[form](charset)}\n\n".encode()
        + REQUEST.encode(charset)
        for charset in HIDING
    }
    assert [charset for charset, raw in mails.items() if not holds_request(raw)] == []
    assert [charset for charset, raw in mails.items() if not may_hold_request(raw)] == []


@pytest.mark.parametrize(("field", "encode"), ENCODINGS)
def test_a_request_in_any_transfer_encoding(field: bytes, encode: Encoder) -> None:
    raw = HEAD + field + b"\n" + encode(REQUEST.encode())
    assert holds_request(raw)
    assert may_hold_request(raw)


NULS = {
    "in the keyword": b"Rech\0eck-req\0uest: a",
    "at every letter": b"\0".join(b"%c" % each for each in b"Recheck-request: a"),
    "in the header too": b"Recheck\0-request: a\n\0",
    "UTF-16 without a word": "Recheck-request: a".encode("utf-16-le"),
}


@pytest.mark.parametrize("body", NULS.values(), ids=NULS)
def test_nuls_within_the_keyword_do_not_count(body: bytes) -> None:
    raw = HEAD + b"\n" + body
    assert holds_request(raw)
    assert may_hold_request(raw)


PLAIN_HEADS = {
    "nothing": b"",
    "ascii, 7bit": b"Content-Transfer-Encoding: 7bit\nContent-Type: text/plain; charset=us-ascii\n",
    "utf-8, 8bit": b'Content-Transfer-Encoding: 8bit\nContent-Type: text/plain; charset="UTF-8"\n',
    "latin-1, folded": b"Content-Type: text/plain;\n\tcharset=iso-8859-1; format=flowed\n",
    "utf-8, first of two": b"Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\n",
    "two alternatives": b'Content-Type: multipart/alternative; boundary="b"\n\n'
    b"--b\nContent-Type: text/plain; charset=utf-8\n\nhello\n"
    b"--b\nContent-Type: text/html; charset=utf-8\n",
    "no charset": b"Content-Type: text/plain\nMIME-Version: 1.0\n",
    "charset that nobody knows": b"Content-Type: text/plain; charset=unknown-8bit\n",
}  # fmt: skip


@pytest.mark.parametrize("head", PLAIN_HEADS.values(), ids=PLAIN_HEADS)
@pytest.mark.parametrize(
    "body",
    [
        b"Looks good to me.\n",
        b"\xe4\xf6\xfc \xc3\xa9\n",
        b"Please recheck, on request.\n",
        b"Which charset do you use?\n",
        b"",
        b"\0\0\0",
    ],
)
def test_plain_mail_without_the_keyword_gets_a_no(head: bytes, body: bytes) -> None:
    assert not may_hold_request(HEAD + head + b"\n" + body)


@pytest.mark.parametrize("raw", [b"", b"\n", b"\0", b"\xff" * 100, b"charset", b"charset="])
def test_next_to_nothing_gets_an_answer(raw: bytes) -> None:
    assert not may_hold_request(raw)


@settings(max_examples=300)
@given(st.text(), st.sampled_from(["us-ascii", "utf-8", "iso-8859-1"]))
@pytest.mark.slow
def test_any_plain_text_without_the_keyword_gets_a_no(text: str, charset: str) -> None:
    body = text.encode(charset, "replace")
    bare = "".join(filter(str.isalpha, body.decode("ascii", "ignore").lower()))
    held = any(word in bare for word in ("recheckrequest", "contentt"))
    head = HEAD + f"Content-Type: text/plain; charset={charset}\n\n".encode()
    assert held or not may_hold_request(head + body)


NEARLY = (
    *("> Recheck-request: a", " Recheck-request: a", "* Recheck-request: a"),
    "**Recheck-request:** a",
    *("`Recheck-request: a`", "recheck-request: a", "RECHECK-REQUEST: a", "Recheck-Request: a"),
    *("\ufeffRecheck-request: a", "Rech\u200beck-request: a", "Recheck-re\u200dquest: a"),
    *("Recheck-request:\xa0a", "Recheck\u2011request: a", "Recheck\u2013request: a"),
    *("Recheck request: a", "Recheck_request: a", "Recheck\xa0request: a"),
    "\xadRecheck-request: a",
)  # fmt: skip


@pytest.mark.parametrize(("field", "encode"), [ENCODINGS[1], ENCODINGS[4], ENCODINGS[7]])
@pytest.mark.parametrize("line", NEARLY)
def test_a_line_that_nearly_is_a_request_gets_a_yes_for_it_gets_a_hint(
    line: str, field: bytes, encode: Encoder
) -> None:
    head = HEAD + b"Content-Type: text/plain; charset=utf-8\n" + field
    raw = head + b"\n" + encode(f"Hi\n{line}\n".encode())
    assert recheck.near_miss(message.parse(raw).text)
    assert may_hold_request(raw)


def mimed(
    parts: list[tuple[str, str, tuple[bytes, Encoder], str]], kind: str, newline: bytes
) -> bytes:
    """A mail of these parts (parameter form, charset, transfer encoding, text)."""
    blocks = []
    for form, charset, (field, encode), text in parts:
        parameter = PARAMETERS[form](charset).encode()
        try:
            body = encode(text.encode(charset))
        except UnicodeError:  # idna and its like encode labels only
            body = encode(text.encode())
        blocks.append(b"Content-Type: text/plain; " + parameter + b"\n" + field + b"\n" + body)
    if not kind:
        raw = HEAD + blocks[0]
    else:
        begin = f'Content-Type: multipart/{kind}; boundary="q"\n\n'.encode()
        raw = HEAD + begin + b"".join(b"--q\n" + block + b"\n" for block in blocks) + b"--q--\n"
    return raw.replace(b"\n", newline)


some_text = st.sampled_from(
    [REQUEST, "Recheck-request: a", "> Recheck-request: a\n", "Rech\0eck-request: a\n", "hello\n"]
)
some_part = st.tuples(
    st.sampled_from(sorted(PARAMETERS)),
    st.sampled_from(CODECS),
    st.sampled_from(ENCODINGS),
    some_text,
)
some_mail = st.builds(
    mimed,
    st.lists(some_part, min_size=1, max_size=3),
    st.sampled_from(["", "", "mixed", "alternative", "digest", "report"]),
    st.sampled_from([b"\n", b"\r\n"]),
)


@settings(max_examples=500)
@given(some_mail)
@pytest.mark.slow
def test_no_mail_with_a_request_gets_a_no(raw: bytes) -> None:
    assert may_hold_request(raw) or not holds_request(raw)


PIECES = (
    *(b"charset=", b"charset*=", b"charset*0=", b'"', b"'", b";", b" ", b"\n", b"\r", b"\0", b"*"),
    *(b"utf-7", b"utf-16", b"base64", b"\xff", b"\n\n", b"\n--q\n", b"Recheck-request: a\n"),
    *(b"utf-8", b"hz", b"\x0b", b"=", b"Content-Type: text/plain; ", b"+", b"-", b"\n "),
)


@settings(max_examples=500)
@given(
    some_mail,
    st.lists(
        st.tuples(
            st.floats(0, 1), st.integers(0, 8), st.sampled_from(PIECES) | st.binary(max_size=2)
        ),
        min_size=1,
        max_size=6,
    ),
)
@example(HEAD + b"Content-Type: text/plain; charset =utf-7\n\n+AFI-echeck-request: a", [])
@pytest.mark.slow
def test_no_mutated_mail_with_a_request_gets_a_no(
    raw: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    for share, removed, inserted in edits:
        at = int(share * len(raw))
        raw = raw[:at] + inserted + raw[at + removed :]
    assert may_hold_request(raw) or not holds_request(raw)


@pytest.mark.parametrize("charset", sorted(name.decode() for name in _PLAIN_CHARSETS))
def test_a_plain_charset_hides_no_letter(charset: str) -> None:
    if not known(charset):
        return  # Such text is decoded as UTF-8, windows-1252 or latin-1, which are plain.
    keyword = b"recheck-request: "
    assert keyword.decode(charset) == keyword.decode()
    high = range(0x80, 0x100)
    for first in high:
        alone = bytes([first, 0x20]).decode(charset, "replace")
        assert alone.strip(" ")
        assert not any(c.isascii() and c.isalpha() for c in alone)
        for second in high:
            pair = bytes([first, second])
            text = (b"- " + pair + b" -").decode(charset, "replace")
            assert text.strip("- ")
            assert not any(c.isascii() and c.isalpha() for c in text)


def test_no_name_that_begins_like_a_plain_charset_is_that_of_a_hiding_one() -> None:
    # A name is looked at up to a blank, which Python takes for an underscore, and so far only.
    plain = tuple({encodings.normalize_encoding(name.decode()) for name in _PLAIN_CHARSETS})
    alike = {name for name in ALL_CODECS if encodings.normalize_encoding(name).startswith(plain)}
    assert {"big5_hkscs", "utf_8_sig"} <= alike
    assert {codecs.lookup(name).name for name in alike}.isdisjoint(HIDING)


def test_it_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import ingest.mail.prefilter; "
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["ingest", "ingest.mail", "ingest.mail.prefilter"]
