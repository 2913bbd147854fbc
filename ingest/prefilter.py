# SPDX-License-Identifier: BSD-3-Clause
"""Can these bytes hold a request at all? The first question every source asks of a mail.

It imports nothing, so that a pipe can answer it before it pays for anything else. Called by
``intake.accept`` and, before any other import, by ``sources.pipe``.
"""

_KEYWORD = b"recheck-request"

# Transfer encodings under which the letters of the keyword need not show in the bytes. One that
# is not named here is 7bit, 8bit or binary (RFC 2045, section 6.1) or unknown to the decoder.
_HIDING_ENCODINGS = (b"base64", b"quoted-printable", b"uue")

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


def may_hold_request(raw: bytes) -> bool:
    """Whether a mail could hold a Recheck-request line. Never says no wrongly.

    ``raw``: the mail as it came. A mail that may hide its text behind a transfer encoding or a
    charset gets a yes: only decoding can tell.
    """
    # NULs are taken out because Patchwork takes them out of a comment's text.
    lowered = (raw.replace(b"\0", b"") if b"\0" in raw else raw).lower()
    if _KEYWORD in lowered:
        return True
    return any(word in lowered for word in _HIDING_ENCODINGS) or _hiding_charset(lowered)


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
