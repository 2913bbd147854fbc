# SPDX-License-Identifier: BSD-3-Clause
"""Can these bytes hold a request at all? The first question every source asks of a mail.

It imports nothing for plain mail, so that a pipe can answer it before it pays for anything else.
Called by ``intake.accept``, by ``sources.mbox`` for all mails of a piece at once and, before any
other import, by ``sources.pipe``.
"""

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEYWORD = b"recheck-request"
# As a request spells it, and as one does that is nearly one.
_SPELLED = b"echeck-request"

# The fields that can hide a text: by a charset, by an encoding, and, since the parser is spared
# most of an overlong one, by their length. One search finds them all.
# (To find bytes costs a fraction of asking whether they are in others, and that is done often.)
_FIELD = b"content-"
_TYPE, _ENCODING, _DISPOSITION = b"type:", b"transfer-encoding:", b"disposition:"
_NAMES = (_TYPE, _ENCODING, _DISPOSITION)

# What such a field means: nothing; that fields of parts follow; how the text is encoded; or
# that only the parser can tell.
_PLAIN, _NESTED, _BASE64, _QUOTED, _UNKNOWN = range(5)

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
_VALUE_ENDS = b' \t\r\n;"'
# What Python strips from a parameter's name, and how much of it is looked through.
_BLANKS = b" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f"
_WINDOW = 80

# The characters of a field's name (RFC 5322, section 2.2).
_NAME = bytes(each for each in range(0x21, 0x7F) if each != 0x3A)
# No honest mail has a longer field, more lines behind one in a header, or more such fields, and
# few have so many bytes to be decoded. To look further could take time by the square of a hostile
# mail's length.
_LONGEST_FIELD = 2000
_MOST_LINES = 100
_MOST_FIELDS = 30
_MOST_DECODED = 16 << 20

_USUAL_LINE = 150  # bytes of a line that is worth to be remembered
_MOST_REMEMBERED = 1000

# A field: where its value ends, and what it means.
_Field = tuple[int, int]


def may_hold_request(raw: bytes) -> bool:
    """Whether a mail could hold a Recheck-request line. Never says no wrongly.

    ``raw``: the mail as it came. Transfer encodings are looked into; a mail that may hide its
    text otherwise, by a charset or by being broken, gets a yes: only the parser can tell.
    """
    # NULs are taken out because Patchwork takes them out of a comment's text.
    nuls = b"\0" in raw
    lowered = (raw.replace(b"\0", b"") if nuls else raw).lower()
    if _KEYWORD in lowered or _hiding_charset(lowered):
        return True
    fields = [field for field in _fields(lowered, {}) if field[1] != _NESTED]
    return bool(fields) and (nuls or _hidden(raw, lowered, fields, _body))


class Sieve:
    """``may_hold_request`` for the mails of an archive, many at once and at a fraction of the cost.

    It is closer, too: ``charset`` counts only where it is one, in a Content-Type field, and the
    keyword only as it is spelled in a request, or with a small R.
    """

    def __init__(self) -> None:
        import re  # which a pipe has not the time for

        self._meanings: dict[bytes, int] = {}  # by how a field is spelled, and most are alike
        # The rest of a header as ``_body`` takes it, its empty line included, in a third of the
        # time. Where the two differ this one does not match.
        self._rest = re.compile(
            rb"(?:(?:[!-9;-~]++:|[ \t])[^\r\n]*+\r?\n){0,%d}\r?\n" % (_MOST_LINES - 1)
        ).match

    def held(
        self, buffer: bytes, starts: list[int], bodies: list[int], ends: list[int]
    ) -> set[int]:
        """The numbers of those mails in a buffer that could hold a request.

        ``bodies``: where each mail's first empty line ends, or, if it has none, the mail.
        """
        if b"\0" in buffer:
            mails = enumerate(zip(starts, ends, strict=True))
            return {number for number, (start, end) in mails if may_hold_request(buffer[start:end])}
        found = set()
        number, at = 0, buffer.find(_SPELLED)
        while 0 <= at < ends[-1]:
            while at >= ends[number]:
                number += 1
            found.add(number)
            at = buffer.find(_SPELLED, ends[number])
        for number in self._suspects(buffer, starts, bodies):
            head = buffer[starts[number] : bodies[number]].lower()
            fields = _fields(head, self._meanings)
            if not fields or number in found:
                continue
            raw = buffer[starts[number] : ends[number]]
            nested = any(field[1] == _NESTED for field in fields)
            # What looks like a field in the text counts, too: the parser may be given a part of it.
            if nested or _has_fields(raw[len(head) :]):
                hidden = may_hold_request(raw)
            else:
                hidden = _hidden(raw, head, fields, self._body)
            if hidden:
                found.add(number)
        return found

    def _body(self, lowered: bytes, line: int) -> int:
        rest = self._rest(lowered, line + 1)
        return rest.end() if rest else -1

    def _suspects(self, buffer: bytes, starts: list[int], bodies: list[int]) -> "Iterator[int]":
        """The numbers of the mails in whose header is a field that is not known to be plain.

        The parser's header ends before ``bodies``, or there: fields further on are those of parts,
        of which a mail has none whose header does not say so.
        """
        if len(self._meanings) >= _MOST_REMEMBERED:
            self._meanings.clear()
        known = self._meanings.get
        # All headers of the buffer are looked through in one go, which costs half as much.
        heads = [buffer[start:body] for start, body in zip(starts, bodies, strict=True)]
        lowered = b"\n\n".join(heads).lower()
        number, end_of_head = -1, 0
        at = lowered.find(_FIELD)
        while at >= 0:
            at += len(_FIELD)
            end = lowered.find(b"\n", at, at + _USUAL_LINE)
            meaning = known(lowered[at : end + 2])
            if meaning or (meaning is None and lowered.startswith(_NAMES, at)):
                while at > end_of_head:
                    number += 1
                    end_of_head += len(heads[number]) + 2
                yield number
                at = end_of_head
            at = lowered.find(_FIELD, at)


def _has_fields(body: bytes) -> bool:
    return 0x2D in body and body.lower().find(_FIELD) >= 0


def _fields(lowered: bytes, meanings: dict[bytes, int]) -> list[_Field]:
    """The fields that are not plain, up to the first unknown one. ``meanings`` remembers what was
    found out."""
    fields = []
    at = lowered.find(_FIELD)
    while at >= 0:
        at += len(_FIELD)
        # With the character behind the line's end: a blank there would make the field go on.
        end = lowered.find(b"\n", at, at + _USUAL_LINE)
        meaning = meanings.get(lowered[at : end + 2])
        if meaning is None and lowered.startswith(_NAMES, at):
            end = _field_end(lowered, at)
            whole = lowered[at : end + 2]
            meaning = meanings.get(whole)
            if meaning is None:
                meaning = _meaning(lowered[at:end]) if end >= 0 else _UNKNOWN
                if 0 <= end < at + 2 * _USUAL_LINE and len(meanings) < _MOST_REMEMBERED:
                    meanings[whole] = meaning
        if meaning:
            fields.append((end, meaning))
            if meaning == _UNKNOWN:
                break
        at = lowered.find(_FIELD, at)
    return fields


def _field_end(lowered: bytes, at: int) -> int:
    """Where the field ends whose value begins at ``at``, its further lines included; -1 if it is
    too long, or not ended at all."""
    end = lowered.find(b"\n", at, at + _LONGEST_FIELD)
    while 0 <= end < len(lowered) - 1 and lowered[end + 1] in b" \t":
        end = lowered.find(b"\n", end + 1, at + _LONGEST_FIELD)
    return end


def _meaning(value: bytes) -> int:
    """What a field means. ``value``: in lower case, with the rest of the name."""
    if _FIELD in value:  # Fields within fields would be looked at again for each they are in.
        return _UNKNOWN
    if value.startswith(_TYPE):
        if _hiding_charset(value):
            return _UNKNOWN
        return _NESTED if b"multipart" in value or b"message" in value else _PLAIN
    if not value.startswith(_ENCODING):
        return _PLAIN
    # No more than the one CR of a line's end: the parser takes any other for the end of a line.
    coding = value[len(_ENCODING) :].removesuffix(b"\r").strip(b" \t\n")
    if coding == b"base64":
        return _BASE64
    if coding == b"quoted-printable":
        return _QUOTED
    # What is nearly one of them, or uuencode, is the parser's to judge. It decodes nothing else
    # (RFC 2045, section 6.1: 7bit, 8bit, binary).
    odd = (b"base64", b"quoted-printable", b"uu")
    return _UNKNOWN if any(each in coding for each in odd) else _PLAIN


def _hidden(
    raw: bytes, lowered: bytes, fields: list[_Field], body: "Callable[[bytes, int], int]"
) -> bool:
    """Whether the keyword may be hidden below these fields of a mail. ``lowered``: the mail in
    lower case, at least as far as to the end of the header of each field; ``body``: see
    ``_body``."""
    if len(fields) > _MOST_FIELDS or fields[-1][1] == _UNKNOWN:
        return True
    unquoted, left = False, _MOST_DECODED
    for end, meaning in fields:
        start = body(lowered, end)
        if start < 0:
            return True
        # All is decoded up to the end of the mail: where a part ends need not be known, for both
        # decoders go from front to back, and what follows a part does not change what it gives.
        left -= len(raw) - start
        if meaning == _BASE64:
            if left < 0 or _in_base64(raw[start:]):
                return True
        elif not unquoted:
            # Behind a LF the decoder begins anew, whatever was before, so that what begins a line
            # is decoded as it is by itself, and to do it once is enough.
            if left < 0 or _in_quoted_printable(raw[start:]):
                return True
            unquoted = True
    return False


def _body(lowered: bytes, line: int) -> int:
    """Where the text begins below a field that ends at ``line``, as the parser sees it, or -1 if
    the rest of the header is not plain to see."""
    for _ in range(_MOST_LINES):
        begin = line + 1
        line = lowered.find(b"\n", begin)
        text = lowered[begin:line] if line >= 0 else lowered[begin:]
        if not text or text == b"\r":
            return begin + len(text) + 1
        if line < 0 or 0x0D in text[:-1]:
            return -1
        if text[0] not in b" \t":
            name, colon, _ = text.partition(b":")
            if not name or not colon or name.translate(None, _NAME):
                return -1
    return -1


def _in_base64(data: bytes) -> bool:
    """Whether base64 of a text that holds the keyword begins these bytes."""
    import binascii

    # What cannot be decoded is taken as it is, its lines joined.
    if 0x2D in data and data.translate(None, b"\r\n").find(_SPELLED) >= 0:
        return True
    # An end without its padding would be an error, and so would one letter more than a multiple
    # of four. Where nothing is missing the padding is left unread.
    for end in (b"==", b"A=="):
        try:
            return _in_text(binascii.a2b_base64(data + end))
        except binascii.Error:
            continue
    return True  # A Python that reads base64 more strictly: its parser has to tell.


def _in_quoted_printable(data: bytes) -> bool:
    """Whether these lines hold the keyword when they are decoded."""
    import binascii

    return _in_text(binascii.a2b_qp(data))


def _in_text(text: bytes) -> bool:
    return (text.replace(b"\0", b"") if 0 in text else text).find(_SPELLED) >= 0


def _hiding_charset(lowered: bytes) -> bool:
    """Whether a ``charset`` parameter (RFC 2045, 2231) names anything but a plain charset."""
    at = lowered.find(b"charset")
    while at >= 0:
        at += len(b"charset")
        window = lowered[at : at + _WINDOW]
        value = window.lstrip(_BLANKS)
        if value[:1] == b"*":  # RFC 2231: language, percent signs, pieces
            return True
        if not value and len(window) == _WINDOW:
            return True
        if value[:1] == b"=":
            value = value[1:].lstrip(b' \t\r\n"')
            end = 0
            while end < len(value) and value[end] not in _VALUE_ENDS:
                end += 1
            if value[:end] not in _PLAIN_CHARSETS:
                return True
        at = lowered.find(b"charset", at)
    return False
