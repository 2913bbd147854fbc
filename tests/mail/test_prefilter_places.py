# SPDX-License-Identifier: BSD-3-Clause
"""In an archive the keyword is found however quoted-printable spells it, without being decoded.

``RECHECK_TEST_PREFILTER=2000000`` tries ten times as many spellings, made anew each time.
"""

import binascii
import os
import random
import re

import pytest

from ingest.mail.prefilter import may_hold_request, may_hold_requests

COUNT = 10 * int(os.environ.get("RECHECK_TEST_PREFILTER", "2000"))
ANEW = "RECHECK_TEST_PREFILTER" in os.environ
HEAD = b"From: a\nContent-Transfer-Encoding: quoted-printable\n\n"
WORDS = ((b"Recheck", b"recheck", b"RECHECK"), (b"request", b"Request", b"REQUEST"))
BETWEEN = (b"-", b" ", b"_", b"=2D", b"=2d", b"=5F", b"=20", b"=E2=80=91", b"\xe2\x80\x91", b"")
BEFORE = (
    *(b"", b"\n", b"=", b"==", b"=4", b"F", b"q", b"-", b"=3D", b"=\n", b"x=\r", b"qqq", b"Frq="),
    b"--=",
)
SOFT = (b"=\n", b"=\r\n", b"=\rjunk\n", b"=\rF=\n", b"=\r=\n", b"=\r\r\n", b"=\rq=\n")
UNSEEN = (b"\0", b"\xc2\xad", b"=00", b"=C2=AD", b"=EF=BB=BF", b"=FF", b"=ff", b"=80", b"\xff")
JUNK = (b"=", b"\n", b"\r", b"F", b"q", b"-", b"7", b"=\n")


def spelled(chance: random.Random) -> bytes:
    """The keyword with escapes, soft line ends and what is unseen, sometimes broken by junk."""
    escapes, ends, unseen = (chance.choice(each) for each in ((0, 0.1, 1), (0, 0.1, 0.5), (0, 0.2)))
    pieces = [chance.choice(BEFORE)]
    for number, words in enumerate(WORDS):
        letters = [bytes((each,)) for each in chance.choice(words)]
        if number == 0:
            letters.append(chance.choice(BETWEEN))
        for letter in letters:
            is_escaped = len(letter) == 1 and chance.random() < escapes
            form = chance.choice((b"=%02X", b"=%02x"))
            pieces.append(form % letter[0] if is_escaped else letter)
            while chance.random() < ends:
                pieces.append(chance.choice(SOFT))
            while chance.random() < unseen:
                pieces.append(chance.choice(UNSEEN))
    text = b"".join(pieces) + b": a\n"
    if chance.random() < 0.2:
        at = chance.randrange(len(text))
        text = text[:at] + chance.choice(JUNK) + text[at + chance.randrange(2) :]
    return text


def holds_keyword(body: bytes) -> bool:
    """Whether the keyword is there for a decoder that is given all of it, or what stands between
    two CRs, which a parser may take for the ends of lines."""
    for part in [body, *re.split(rb"\r(?!\n)", body)]:
        text = re.sub(rb"[\0\x80-\xff]", b"", binascii.a2b_qp(part))
        if re.search(rb"recheck[-_ ]?request", text, re.IGNORECASE):
            return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(60 + COUNT // 1000)
def test_no_keyword_is_missed_however_quoted_printable_spells_it() -> None:
    chance = random.Random(None if ANEW else 20)
    held = 0
    for _ in range(COUNT):
        body = spelled(chance)
        if holds_keyword(body):
            raw = HEAD + body
            held += 1
            assert may_hold_request(raw), raw
            assert may_hold_requests(raw, [len(raw)]) == [0], raw
    assert held > COUNT // 2


def test_what_only_looks_like_a_piece_of_the_keyword_is_looked_at_once_and_gets_a_no() -> None:
    for text in (b"check request", b"be required", b"size == freq", b"-- \n--q2--", b"e = 5"):
        raw = b"From: a\n\n" + text * 1000 + b"\n"
        assert may_hold_requests(raw, [len(raw)]) == []
