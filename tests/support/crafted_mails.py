# SPDX-License-Identifier: BSD-3-Clause
"""Mails whose text is encoded in any way that a decoder takes, or nearly, for the prefilter.

A seed makes one mail. Most would hold a request if nothing in them were broken.
"""

import base64
import binascii
import random
from collections.abc import Callable

TEXTS = (
    b"Recheck-request: a\n",
    b"It failed.\n\nRecheck-request: iol-unit, rebase=main\n",
    b"> Why?\nRecheck-request: \xc3\xa9\nRecheck-request: b\n-- \nme\n",
    b"a\nab\nRecheck-request: a",
    b"x\0\nRecheck\0-request: a\n",
    b"Recheck-request: a=b\r\nThanks,\r\n",
    b"Looks good to me.\n",
    b"Please recheck-\nrequest: a\n",
)
FILLING = b"Looks good = to me, and tested: +1.\n\xc3\xbc -- a\n"
HEAD = b"From: robin@example.org\nSubject: Re: [PATCH] a\nIn-Reply-To: <1@example.org>\n"
TYPES = (
    *(b"text/plain", b"text/plain; charset=utf-8", b'text/plain;\n\tcharset="UTF-8"'),
    *(b"text/plain; charset=us-ascii; format=flowed", b"text/plain; charset=utf-7", b"text/html"),
    *(b"text/plain; charset=utf-8;\n x=" + b"y" * 2100, b"text/plain; charset=windows-1252", b"x"),
)
CODINGS = (
    *(b"base64", b"BASE64", b"Base64", b"base64 ", b"\tbase64", b"base64; x", b"\n base64"),
    *(b"quoted-printable", b"Quoted-Printable", b"quoted-printable\t", b"=?utf-8?q?base64?="),
    *(b"7bit", b"8bit", b"binary", b"x-uuencode", b"uue", b"", b"base64\xff", b"base64\0"),
)
OTHER_FIELDS = (
    *(b"X-Mailer: a", b"MIME-Version: 1.0", b"Content-Language: en", b"Content-Length: 30"),
    *(b"X: Content-Transfer-Encoding: base64", b"X-Folded: a\n b", b"X-Spaced:\n content-type: a"),
    *(b"Content-Disposition: inline", b"Content-Disposition: inline; a=" + b"b" * 2100, b"Y:"),
    *(b"no header", b"From somebody", b">From x", b": nameless", b"a\xff: b", b"X: a\rY: b", b" a"),
    *(b"Content-Transfer-Encoding: 8bit", b"Content-Transfer-Encoding: quoted-printable"),
    *(b"Content-Transfer-Encoding: base64", b"Content-type: text/plain; charset=utf-16", b"--q: a"),
)
KINDS = (b"mixed", b"mixed", b"alternative", b"report", b"digest")
BOUNDARIES = (b"q", b"q", b"q", b"q: a", b"=_q+/", b"--", b"Content-Type", b"q ", b"AAAA")
ENDS = (*(b"\n",) * 9, b"\r\n", b"\r\n", b"\r")
JUNK = (
    *(b"=", b"==", b"\r", b"\n", b"\r\n", b"\0", b"A", b"-", b"!", b"\xff", b"=\n", b"=\r", b"=3D"),
    *(b"=0", b"=20", b"\n--q\n", b"\n--q--\n", b"\n\n", b" ", b"UmVj", b"Recheck-", b"request: a"),
    *(b"content-disposition: " + b"c" * 2100, b"Content-Transfer-Encoding: base64\n\n", b"AAA="),
    *(
        b"\r\r",
        b"\r\r\n",
        b"=\rjunk\n",
        b"= \n",
        b"\nX: a",
        b"\r\n\r\n",
        b"\x1c",
        b"\n --q\n",
        b"\r--q\r",
    ),
    *(b"\nContent-Type: text/plain\n\n", b"content-type:", b"\n>From x", b"\n_____\nlist footer\n"),
)
# What a decoder tells apart, and pieces of a request.
PIECES = {
    b"base64": (
        *(base64.b64encode(b"x" * more + TEXTS[0]) for more in range(3)),
        *(base64.b64encode(TEXTS[0][at:]) for at in range(1, 4)),
        *(b"A", b"AA", b"AAA", b"UmVj", b"=", b"==", b"-", b"_", b"+/", b"\xff", b"\x1c", b"!"),
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\n>", b" ", b"\n--q\n", b"\n--q--\n"),
        *(b"Recheck-", b"request: a"),
    ),
    b"quoted-printable": (
        *(b"Recheck-request: a", b"\nRecheck", b"=52echeck", b"-request: a", b"=2D", b"=2d"),
        *(b"=", b"==", b"=\r", b"=\rjunk", b"=\n", b"=\r\n", b"= \n", b"=0A", b"=3D", b"=00"),
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"\n>", b" ", b"\t", b"\n--q\n", b"\n--q--\n"),
        *(b"=5", b"2", b"D", b"_", b"\xff"),
    ),
}


def base64_of(chance: random.Random, data: bytes) -> bytes:
    """Base64 in lines of any length, the last group perhaps without its padding."""
    letters = base64.b64encode(data)
    if chance.random() < 0.3:
        letters = letters.rstrip(b"=")
    width = chance.choice((4, 5, 19, 60, 76, 76, 76, 1000))
    lines = [letters[at : at + width] for at in range(0, len(letters), width)]
    return chance.choice((b"\n", b"\n", b"\n", b"\r\n", b" \n", b"\n\n")).join(lines) + b"\n"


def quoted(chance: random.Random, data: bytes) -> bytes:
    """Quoted-printable with escapes and soft line ends wherever they may be, and some that a
    decoder takes for such, up to the next LF, or does not."""
    soft = chance.choice((b"=\n", b"=\n", b"=\n", b"=\r\n", b"=\rjunk\n", b"= \n", b" \t=\n"))
    escapes, ends = chance.choice((0.0, 0.1, 0.5, 1.0)), chance.choice((0.0, 0.02, 0.3))
    form = chance.choice((b"=%02X", b"=%02x"))
    pieces = []
    for each in data:
        if each == 0x3D or (each != 0x0A and chance.random() < escapes):
            pieces.append(form % each)
        else:
            pieces.append(bytes((each,)))
        if chance.random() < ends:
            pieces.append(soft)
    return b"".join(pieces)


def uuencoded(chance: random.Random, data: bytes) -> bytes:
    """Uuencode in short lines."""
    lines = (binascii.b2a_uu(data[at : at + 30]) for at in range(0, len(data), 30))
    return b"begin 644 a\n" + b"".join(lines) + b"`\nend\n"


def joined(chance: random.Random, data: bytes) -> bytes:
    """What no decoder of base64 can take and so is left as it is, but for its line ends."""
    at = chance.randrange(len(data))
    return data[:at] + b"\n" + data[at:]


def in_pieces(chance: random.Random, data: bytes) -> bytes:
    """No text at all, but pieces of what decoders tell apart."""
    pieces = chance.choice(list(PIECES.values()))
    return b"".join(chance.choices(pieces, k=chance.randrange(1, 12)))


ENCODERS: dict[bytes, Callable[[random.Random, bytes], bytes]] = {
    b"b": base64_of,
    b"q": quoted,
    b"u": uuencoded,
    b"x": uuencoded,
}


def part(chance: random.Random) -> bytes:
    """Fields and a body, which mostly is encoded as they say."""
    coding = chance.choice(CODINGS)
    fields = [b"Content-Transfer-Encoding: " + coding] if chance.random() < 0.9 else []
    if chance.random() < 0.7:
        fields.append(b"Content-Type: " + chance.choice(TYPES))
    fields += chance.choices(OTHER_FIELDS, k=chance.choice((0, 0, 0, 1, 2)))
    chance.shuffle(fields)
    text = chance.choice(TEXTS)
    if chance.random() < 0.3:
        text = FILLING * chance.randrange(1, 9) + text + FILLING * chance.randrange(3)
    encode = ENCODERS.get(coding.strip().lower()[:1])
    if encode is None or chance.random() < 0.05:
        encode = chance.choice((joined, in_pieces, base64_of, quoted, lambda chance, data: data))
    return b"\n".join([*fields, b"", encode(chance, text)])


def multipart(chance: random.Random) -> bytes:
    """Parts, some of them nested, with what may stand before, between and behind them."""
    boundary = chance.choice(BOUNDARIES)
    parts = [part(chance) for _ in range(chance.randrange(1, 4))]
    if chance.random() < 0.15:
        parts.append(multipart(chance))
    if chance.random() < 0.1:
        kind = chance.choice((b"rfc822", b"delivery-status"))
        parts.append(b"Content-Type: message/" + kind + b"\n\n" + part(chance))
    chance.shuffle(parts)
    fields = [
        b"Content-Type: multipart/" + chance.choice(KINDS) + b'; boundary="' + boundary + b'"'
    ]
    if chance.random() < 0.2:
        fields.insert(chance.randrange(2), chance.choice(OTHER_FIELDS))
    before = part(chance) if chance.random() < 0.05 else b""
    last = b"" if chance.random() < 0.1 else b"--" + boundary + b"--\n"
    behind = part(chance) if chance.random() < 0.05 else b""
    inner = b"".join(b"--" + boundary + b"\n" + each + b"\n" for each in parts)
    return b"\n".join(fields) + b"\n\n" + before + inner + last + behind


def mail(seed: int) -> bytes:
    """One mail."""
    chance = random.Random(seed)
    whole = chance.choice((part, multipart))
    raw = HEAD + whole(chance)
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 4))):
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.choice(JUNK) + raw[at + chance.choice((0, 0, 1, 3)) :]
    end = chance.choice(ENDS)
    if chance.random() < 0.05:
        return b"".join(line + chance.choice(ENDS) for line in raw.split(b"\n"))
    return raw.replace(b"\n", end)
