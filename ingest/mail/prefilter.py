# SPDX-License-Identifier: BSD-3-Clause
"""Can these bytes hold a request at all? The first question about a mail, or about many at once.

It imports nothing for plain mail, so that a pipe can answer before it pays for anything else.
"""

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Sequence

# The keyword in small letters. Between its words a blank or an underscore will do, and nothing
# where something was that is not ASCII, and NULs do not count, which Patchwork takes out: so
# lines that nearly are requests are found, too (dashes, zero-width characters, byte order marks).
_WORD, _KEYWORD, _JOINED = b"recheck", b"recheck-request", b"recheckrequest"
_SMALL = bytes(0x2D if each in b" _" else ord(chr(each).lower()) for each in range(0x80))
_SMALL += bytes(range(0x80, 0x100))
_UNSEEN = bytes([0, *range(0x80, 0x100)])

# The fields that can hide a text, one by a charset, one by an encoding: one search finds both.
_FIELD = b"\ncontent-t"
_TYPE, _ENCODING = b"ype:", b"ransfer-encoding:"
_PARTS = b"parts"  # what the type of a mail says that has further headers in its text

# The charsets in which an ASCII letter is that one byte, and nothing vanishes in decoding. Any
# other name, known or not (EBCDIC, UTF-7, UTF-16, hz, raw_unicode_escape …), may hide a request.
_PLAIN_CHARSETS = frozenset(
    b"us-ascii ascii utf-8 utf8 utf_8 latin1 latin-1 iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4"
    b" iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i iso-8859-9 iso-8859-10"
    b" iso-8859-11 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 iso8859-1 iso_8859-1"
    b" windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 windows-1255"
    b" windows-1256 windows-1257 windows-1258 cp1250 cp1251 cp1252 koi8-r koi8-u gb2312 gbk"
    b" gb18030 big5 euc-jp euc-kr ks_c_5601-1987 shift_jis tis-620 unknown-8bit x-unknown"
    b" unknown".split()
)
# Quotes and what Python strips from a parameter's name, all taken for semicolons.
_AS_SEMICOLON = b' "\t\r\n\x0b\x0c\x1c\x1d\x1e\x1f'
_PARAMETERS = bytes(0x3B if each in _AS_SEMICOLON else each for each in range(0x100))

# The characters of a field's name (RFC 5322, section 2.2).
_NAME = bytes(each for each in range(0x21, 0x7F) if each != 0x3A)
# No honest mail has a longer field, more bytes behind one in a header, or more such fields, and
# few have so many bytes to be decoded. To look further could take time by the square of a hostile
# mail's length.
_LONGEST_FIELD = 2000
_LONGEST_REST = 16 << 10
_MOST_FIELDS = 30
_MOST_DECODED = 16 << 20

# What lines say that were seen before, for most are spelled alike; so many at most.
_known: dict[bytes, bytes] = {}
_MOST_KNOWN = 2000


def may_hold_request(raw: bytes, ends: "Sequence[int]" = ()) -> bool:
    """Whether a mail could hold a Recheck-request line, or one that nearly is one. Never says no
    to a mail that holds a request.

    ``raw``: the mail as it came, or many mails as they stand in an archive; ``ends``: the offsets
    at which these end, ascending, the last one's included. Transfer encodings are looked into; a
    mail that may hide its text otherwise, by a charset or by being broken, gets a yes: only the
    parser can tell.
    """
    if raw[: len(_FIELD) - 1].lower() == _FIELD[1:]:
        raw, ends = b"\n" + raw, [each + 1 for each in ends]
    small = raw.lower()
    if _is_spelled(raw, small):
        return True
    # The parser takes a CR that does not stand at a line's end for the end of a line.
    if b"\r" in raw and _FIELD.replace(b"\n", b"\r") in small:
        return True
    plain: set[bytes] = set()
    begin = 0
    for end in ends or (len(raw),):
        fields = _encodings(raw, small, begin, end)
        if fields is None or (fields and _is_hidden(raw, fields, end, plain)):
            return True
        begin = end
    return False


def _is_spelled(text: bytes, small: bytes) -> bool:
    """Whether the keyword is in a text, or nearly. ``small``: the text in lower case."""
    is_plain = text.isascii() and b"\0" not in text
    if _WORD not in (small if is_plain else small.translate(None, _UNSEEN)):
        return False
    if _KEYWORD in text.translate(_SMALL):
        return True
    seen = text.translate(_SMALL, _UNSEEN)
    return not is_plain and (_KEYWORD in seen or _JOINED in seen)


def _encodings(raw: bytes, small: bytes, begin: int, end: int) -> list[tuple[int, bytes]] | None:
    """Where each field of a mail ends that says base64 or quoted-printable, and which of them;
    None if a field says what only the parser can tell."""
    found = []
    stop, has_parts = -1, False
    at = small.find(_FIELD, begin, end)
    while at >= 0:
        if stop < 0:  # where the header ends, at the latest
            stop = small.find(b"\n\n", at, end)
            stop = end if stop < 0 else stop
        at += len(_FIELD)
        line_end = raw.find(b"\n", at, at + _LONGEST_FIELD)
        line = small[at : line_end + 2]  # with what follows it: by a blank the field would go on
        coding = _known.get(line)
        if coding is None and small.startswith((_TYPE, _ENCODING), at):
            while 0 <= line_end < end - 1 and raw[line_end + 1] in b" \t":
                line_end = raw.find(b"\n", line_end + 1, at + _LONGEST_FIELD)
            # A field that is too long, or not ended at all, is not looked into.
            coding = _coding(small[at:line_end]) if 0 <= line_end < end else None
            if coding is None:
                return None
            if at + len(line) == line_end + 2 and len(_known) < _MOST_KNOWN:
                _known[line] = coding
        if coding == _PARTS:
            has_parts = True
        elif coding:
            found.append((line_end, coding))
        at = small.find(_FIELD, at, stop)
        if at < 0 and has_parts and stop < end:  # else there are no fields behind the header
            at, stop = small.find(_FIELD, stop, end), end
    return found


def _coding(value: bytes) -> bytes | None:
    """The encoding that a field names, or that there are parts; "" if neither; None if only the
    parser can tell. ``value``: in lower case, with the rest of the name."""
    if value.startswith(_TYPE):
        if _is_hiding(value):
            return None
        return _PARTS if b"multipart" in value or b"message" in value else b""
    # No more than the one CR of a line's end.
    coding = value[len(_ENCODING) :].removesuffix(b"\r").strip(b" \t\n")
    if coding in (b"base64", b"quoted-printable"):
        return coding
    # What is nearly one of them, or uuencode, is the parser's to judge. It decodes nothing else
    # (RFC 2045, section 6.1: 7bit, 8bit, binary).
    odd = (b"base64", b"quoted-printable", b"uu")
    return None if any(each in coding for each in odd) else b""


def _is_hiding(value: bytes) -> bool:
    """Whether a ``charset`` parameter (RFC 2045, 2231) names anything but a plain charset."""
    for rest in value.translate(_PARAMETERS).split(b"charset")[1:]:
        named = rest.lstrip(b";")
        if named.startswith(b"*"):  # RFC 2231: language, percent signs, pieces
            return True
        if named.startswith(b"="):
            name = named[1:].lstrip(b";").partition(b";")[0]
            if name not in _PLAIN_CHARSETS:
                return True
    return False


def _is_hidden(raw: bytes, fields: list[tuple[int, bytes]], end: int, plain: set[bytes]) -> bool:
    """Whether the keyword may be hidden below these fields of a mail."""
    left, unquoted = _MOST_DECODED, False
    for line, coding in fields:
        start = _body(raw, line, end, plain)
        # All is decoded up to the end of the mail: where a part ends need not be known, for both
        # decoders go from front to back, and what follows a part does not change what it gives.
        left -= max(end - start, 0)
        if start < 0 or left < 0 or len(fields) > _MOST_FIELDS:
            return True
        if coding == b"base64":
            if _in_base64(raw[start:end]):
                return True
        elif not unquoted:
            # Behind a LF the decoder begins anew, whatever was before, so that what begins a line
            # is decoded as it is by itself, and to do it once is enough.
            if _in_quoted_printable(raw[start:end]):
                return True
            unquoted = True
    return False


def _body(raw: bytes, line: int, end: int, plain: set[bytes]) -> int:
    """Where the text begins below a field that ends at ``line``, as the parser sees it, or -1 if
    the rest of the header is not plain to see. ``end``: where the mail ends; ``plain``: what was
    seen to be plain before."""
    stop = min(end, line + _LONGEST_REST)
    empty = raw.find(b"\n\n", line, stop)
    with_cr = raw.find(b"\n\r\n", line, empty if empty >= 0 else stop)
    if with_cr >= 0:
        empty = with_cr
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
    if 0x2D in data and _spells(data.translate(None, b"\r\n")):
        return True
    # An end without its padding would be an error, and so would one letter more than a multiple
    # of four. Where nothing is missing the padding is left unread.
    for end in (b"==", b"A=="):
        try:
            return _spells(binascii.a2b_base64(data + end))
        except binascii.Error:
            continue
    return True  # A Python that reads base64 more strictly: its parser has to tell.


def _in_quoted_printable(data: bytes) -> bool:
    """Whether these lines hold the keyword when they are decoded."""
    import binascii

    return _spells(binascii.a2b_qp(data))


def _spells(text: bytes) -> bool:
    return _is_spelled(text, text.lower())
