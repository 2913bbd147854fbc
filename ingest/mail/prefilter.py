# SPDX-License-Identifier: BSD-3-Clause
"""Can these bytes hold a request at all? The first question about a mail, and where in the bytes of
many mails there is a reason to ask it.

It imports nothing for plain mail, so that a pipe can answer before it pays for anything else.
"""

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# The keyword in small letters. Between its words a blank or an underscore will do, or nothing, and
# NULs do not count, which Patchwork takes out, nor what is not ASCII: so lines that nearly are
# requests are found, too (dashes, zero-width characters, byte order marks).
_WORD, _KEYWORD, _JOINED = b"recheck", b"recheck-request", b"recheckrequest"
_SMALL = bytes(0x2D if each in b" _" else each for each in bytes(range(0x100)).lower())
_UNSEEN = bytes([0, *range(0x80, 0x100)])

# The fields that can hide a text, one by a charset, one by an encoding.
_CONTENT, _TYPE, _ENCODING = b"content", b"-type", b"-transfer-encoding"
_BASE64, _QUOTED = b"base64", b"quoted-printable"

# The charsets in which an ASCII letter is that one byte, and nothing vanishes in decoding. Any
# other name, known or not (EBCDIC, UTF-7, UTF-16, hz, raw_unicode_escape …), may hide a request.
_PLAIN_CHARSETS = frozenset(
    b"us-ascii ascii utf-8 utf8 utf_8 latin1 latin-1 iso-8859-8-i iso8859-1 iso_8859-1 cp1250"
    b" cp1251 cp1252 koi8-r koi8-u gb2312 gbk gb18030 big5 euc-jp euc-kr ks_c_5601-1987 shift_jis"
    b" tis-620 unknown-8bit x-unknown unknown".split()
    + [b"iso-8859-%d" % number for number in (*range(1, 12), *range(13, 17))]
    + [b"windows-%d" % number for number in range(1250, 1259)]
)
# Quotes and what Python strips from a parameter's name, all taken for semicolons.
_AS_SEMICOLON = b' "\t\r\n\x0b\x0c\x1c\x1d\x1e\x1f'
_PARAMETERS = bytes(0x3B if each in _AS_SEMICOLON else each for each in range(0x100))

_NAME = bytes({*range(0x21, 0x7F)} - {0x3A})  # a field's, RFC 5322, section 2.2
# No honest mail has a longer field, and few have so many bytes to be decoded. To look further could
# take time by the square of a hostile mail's length.
_LONGEST_FIELD, _MOST_DECODED = 2000, 16 << 20

# To look for one byte is what an expression does fastest. So in the text that is searched, in small
# letters, dashes stand for all that may begin something: the "F" of "From ", the dash of a field's
# name, the "q" of the keyword, or the "=" by which quoted-printable spells it. Before that "q"
# there is nothing but what spells the rest of the keyword. What is unseen is one byte, too.
_FOLDED = bytes(
    0x2D if each in b"FqQ=" else 0x80 if each in _UNSEEN else small
    for each, small in enumerate(bytes(range(0x100)).lower())
)
# The rest of a field without a charset, or up to one; the lengths are bounds on hostile input.
_REST = rb"[^c\n]{0,200}+(?:(?:c(?!harset)|\n[ \t])[^c\n]{0,200}+){0,50}+"
_PLACE = rb"""-(?:
    r (?<= \n-r ) om[ ]
  | t (?<= content-t ) (?:
        ype: (?! %(rest)b (?: charset-"?
            (?: ut[f-]-8 | us-ascii | iso-8859-\d\d?+ | windows-125\d ) (?= [";\s] ) %(rest)b )?
            \n [^ \t] )
      | rans[f-]er-encoding: (?! [ ]? (?: [78]bit | binary | -uoted-printable ) \r?\n [^ \t] ) )
  | l (?<= content-l ) ength:
  | [u\x8057-] (?<= [0-9a-frhk _\x80\n\r-]{8} [0-9a-f\x80\n] -. )
  | \r (?! \n )
    )""" % {b"rest": _REST}


def may_hold_request(raw: bytes) -> bool:
    """Whether a mail could hold a Recheck-request line, or one that nearly is one. Never says no
    to a mail that holds a request.

    ``raw``: the mail as it came. Transfer encodings are looked into; a mail that may hide its text
    otherwise, by a charset or by being broken, gets a yes: only the parser can tell.
    """
    return _is_spelled(raw) or _hides(raw, _fields(raw.lower()), 0, len(raw), set())


def places(raw: bytes) -> tuple[list[int], list[int]]:
    """Where there is, in the bytes of many mails, the "F" of a line that begins with "From "; and
    what may be a reason for a yes: the "q" of what may be the keyword, the dash of a field that
    may hide a text, those left out that plainly do not; or that of a Content-Length."""
    import re

    lines: list[int] = []
    reasons: list[int] = []
    for found in re.finditer(_PLACE, raw.translate(_FOLDED), re.VERBOSE | re.DOTALL):
        at = found.start()
        (lines if raw.startswith(b"Fr", at) else reasons).append(at)
    return lines, reasons


def may_hold_requests(
    raw: bytes, ends: "Sequence[int]", reasons: "Iterable[int] | None" = None
) -> list[int]:
    """The numbers of those mails that could hold a request, of many mails as they stand in an
    archive. ``ends``: the offsets at which these end, ascending; ``reasons``: those that ``places``
    finds, if they are known."""
    from bisect import bisect_right
    from itertools import groupby

    begins, plain = [0, *ends], set[bytes]()
    reasons = places(raw)[1] if reasons is None else reasons
    mails = groupby((at for at in reasons if at < begins[-1]), lambda at: bisect_right(ends, at))
    return [each for each, at in mails if _hides(raw, at, begins[each], ends[each], plain)]


def _is_spelled(text: bytes) -> bool:
    """Whether the keyword is in a text, or nearly."""
    seen = text.translate(_SMALL, _UNSEEN)
    return _WORD in seen and (_KEYWORD in seen or _JOINED in seen)


def _fields(small: bytes) -> "Iterator[int]":
    """Where the dash is of each field that may hide a text. ``small``: a mail in lower case."""
    at = -1
    while (at := small.find(_CONTENT + b"-t", at + 1)) >= 0:
        if small.startswith((_TYPE + b":", _ENCODING + b":"), at + len(_CONTENT)):
            yield at + len(_CONTENT)


def _hides(raw: bytes, reasons: "Iterable[int]", begin: int, end: int, plain: set[bytes]) -> bool:
    """Whether a mail from ``begin`` to ``end`` may hold the keyword, for these reasons. ``plain``:
    what was seen to be plain before, for the next mails."""
    left, is_decoded = _MOST_DECODED, False
    for at in reasons:
        # What begins two places stands for both.
        is_keyword = raw[at] in b"qQ=" or raw[at + 1] in b"qQ="
        line, coding = (at, _QUOTED) if is_keyword else _field(raw, at, end)
        if coding is None:
            return True
        if coding == _QUOTED and not is_decoded:
            if _in_quoted_printable(raw[begin:end]):
                return True
            is_decoded = True
        elif coding == _BASE64:
            start = _body(raw, line, end, plain)
            # All is decoded up to the end of the mail: where a part ends need not be known, for
            # what follows a part does not change what the decoder gives of it.
            left -= max(end - start, 0)
            if start < 0 or left < 0 or _in_base64(raw[start:end]):
                return True
    return False


def _field(raw: bytes, at: int, end: int) -> tuple[int, bytes | None]:
    """Where the field ends whose name has its dash here, and the encoding that it names, or "";
    None if only the parser can tell. ``end``: where the mail ends."""
    before, content = raw[max(at - 8, 0) : at - 7], raw[at - 7 : at]
    if before not in (b"\n", b"\r", b"") or content.lower() != _CONTENT:
        return at, b""  # it stands within a line
    line = raw.find(b"\n", at, at + _LONGEST_FIELD)
    while 0 <= line < end - 1 and raw[line + 1] in b" \t":
        line = raw.find(b"\n", line + 1, at + _LONGEST_FIELD)
    # A field that is too long, or not ended at all, is not looked into.
    if not 0 <= line < end:
        return line, None
    name, _, value = raw[at:line].lower().partition(b":")
    if name == _TYPE and _is_hiding(value):
        return line, None
    # No more than the one CR of a line's end.
    coding = value.removesuffix(b"\r").strip(b" \t\n") if name == _ENCODING else b""
    if coding in (_BASE64, _QUOTED):
        return line, coding
    # What is nearly one of them, or uuencode, is the parser's to judge. It decodes nothing else
    # (RFC 2045, section 6.1: 7bit, 8bit, binary).
    return line, None if any(each in coding for each in (_BASE64, _QUOTED, b"uu")) else b""


def _is_hiding(value: bytes) -> bool:
    """Whether a ``charset`` parameter (RFC 2045, 2231) names anything but a plain charset."""
    for rest in value.translate(_PARAMETERS).split(b"charset")[1:]:
        named = rest.lstrip(b";")
        name = named[1:].lstrip(b";").partition(b";")[0]
        # RFC 2231: behind a star a language, percent signs, pieces
        if named[:1] == b"*" or (named[:1] == b"=" and name not in _PLAIN_CHARSETS):
            return True
    return False


def _body(raw: bytes, line: int, end: int, plain: set[bytes]) -> int:
    """Where the text begins below a field that ends at ``line``, as the parser sees it, or -1 if
    the rest of the header is not plain to see. ``end``: where the mail ends; ``plain``: what was
    seen to be plain before."""
    empty = raw.find(b"\n\n", line, end)
    with_cr = raw.find(b"\n\r\n", line, empty if empty >= 0 else end)
    empty = with_cr if with_cr >= 0 else empty
    if empty < 0:
        return -1
    rest = raw[line + 1 : empty + 1]
    if rest not in plain:
        for text in rest.split(b"\n")[:-1]:
            if text[:1] not in (b" ", b"\t"):
                name, colon, _ = text.partition(b":")
                if not name or not colon or name.translate(None, _NAME):
                    return -1
        if rest.count(b"\r") != rest.count(b"\r\n"):
            return -1
        plain.add(rest)
    return empty + (3 if with_cr >= 0 else 2)


def _in_base64(data: bytes) -> bool:
    """Whether base64 of a text that holds the keyword begins these bytes."""
    import binascii

    # What cannot be decoded is taken as it is, its lines joined.
    if 0x2D in data and _is_spelled(data.translate(None, b"\r\n")):
        return True
    # An end without its padding would be an error, and so would one letter more than a multiple
    # of four. Where nothing is missing the padding is left unread.
    for end in (b"==", b"A=="):
        try:
            return _is_spelled(binascii.a2b_base64(data + end))
        except binascii.Error:
            continue
    return True  # A Python that reads base64 more strictly: its parser has to tell.


def _in_quoted_printable(mail: bytes) -> bool:
    """Whether a mail holds the keyword when all of it is decoded, or as it is."""
    import binascii

    # Behind a LF the decoder begins anew, so that each part is decoded as it is by itself. But a CR
    # behind a "=" takes all up to the next LF with it, and there a parser may see lines.
    return mail.count(b"=\r") > mail.count(b"=\r\n") or _is_spelled(binascii.a2b_qp(mail))
