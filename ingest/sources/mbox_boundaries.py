# SPDX-License-Identifier: BSD-3-Clause
"""Where one mail ends and the next begins in the bytes of an mbox. Pure: bytes in, offsets out."""

import re
from bisect import bisect_left
from collections.abc import Iterator

from ingest.mail.prefilter import places

_LONGEST_LINE = 512  # of a separator; keeps the expressions cheap on hostile input
_LONGEST_HEADER = 16 << 10  # looked through for the fields that every mail has
# What is looked at from the start of a separator on, so that more has to be read to decide.
LOOKED_AHEAD = _LONGEST_LINE + _LONGEST_HEADER + 4

# "From ", a sender (nothing, a bare word such as MAILER-DAEMON or "-", an address, or pipermail's
# "robin at example.org", in another language "robin en example.org") and the date, as asctime()
# writes it (RFC 4155, appendix A), with the zone before or after the year or none, or as RFC 5322
# writes it. But not what ``git format-patch`` puts before a patch, a commit (SHA-1 or SHA-256) and
# a fixed date: patches are pasted into mails.
_COMMIT = rb"[0-9a-f]{40} (?: [0-9a-f]{24} )? [ ]Mon[ ]Sep[ ]17[ ]00:00:00[ ]2001"
_DAY, _MONTH = rb"[MTWFS][a-z]{2}", rb"[JFMASOND][a-z]{2}"
_TIME, _ZONE = rb"\d{1,2}:\d\d(?::\d\d)?", rb"(?:[ ]{1,9}(?:[+-]\d{4}|[A-Z]{1,5}))?"
_DATED = rb"""
    From[ ] (?! %(commit)b ) (?:
    [^\s"]{1,255}+ [ ]{1,2}+ %(day)b [ ] %(month)b [ ] [ \d]\d [ ] %(time)b [ ] \d{4} (?= \n )
  | [^ \t\r\n"]{0,255}+ (?: "[^"\n]{0,99}+" [^ \t\r\n"]{0,255}+ )?+
    (?: [ ] (?: at [ ] \S{1,255}+ | \S{1,5} [ ] \S{1,99}\.\S{1,99} ) )? [ \t]{1,9}
    %(day)b ,? [ ]{1,9}
    (?: %(month)b [ ]{1,9} \d{1,2} [ ]{1,9} %(time)b %(zone)b [ ]{1,9} \d{4} %(zone)b
      | \d{1,2} [ ]{1,9} %(month)b [ ]{1,9} \d{4} [ ]{1,9} %(time)b %(zone)b )
    [ \t]{0,9} (?: remote[ ]from[ ]\S{1,99} )? [ \t\r]{0,9} )
    """ % {b"commit": _COMMIT, b"day": _DAY, b"month": _MONTH, b"time": _TIME, b"zone": _ZONE}
_LINE = re.compile(_DATED, re.VERBOSE)
# A header field behind it, perhaps behind a line that UUCP left.
_BEHIND = rb"\n (?: >From[ ][^\n]{0,200}\n )? [!-9;-~]{1,200} [ \t]{0,9} :"
_BOUNDARY = re.compile(_DATED + _BEHIND, re.VERBOSE)
# What other programs write: nothing or a dash (Thunderbird), one word (Takeout's number, patchew's
# sender), or anything with a year and a time of day in it.
_LOOSE = re.compile(
    rb"""
    From[ ] (?! %(commit)b )
    (?: -? | [^\s:,;]+ | (?= [^\n]* \b(?:19|20)\d\d\b ) [^\n]* \b\d\d?:\d\d\b [^\n]* ) [ \t\r]*
    """
    % {b"commit": _COMMIT},
    re.VERBOSE,
)
_CUT_OFF = re.compile(rb"[!-9;-~]*")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*(?:\n|\Z)")
# Two of these make a header that of a mail, and not lines of a text with a colon in them.
_KNOWN = frozenset((b"from", b"to", b"date", b"subject", b"message-id", b"received"))
_SEPARATOR = re.compile(rb"\n >* (?=From[ ]) (?! From[ ]%b )" % _COMMIT, re.VERBOSE)

# As every writer of mboxcl2 spells it.
_CONTENT_LENGTH = b"\nContent-Length:"
END_OF_HEADER = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"\nContent-Length:[ \t]*(\d{1,12})[ \t]*\r?\n")


# One mail's place in a buffer: where its separator begins, where the mail itself begins and ends
# (the blank line after it is left out), where the next separator begins or the buffer ends, and
# whether "From " at the start of a line was written as ">From ".
Span = tuple[int, int, int, int, bool]


def spans(buffer: bytes, final: bool, longest: int) -> tuple[list[Span], list[int]]:
    """The mails of a buffer that begins at a separator, and where there are reasons to look at some
    of them (see ``prefilter.places``).

    ``final``: the buffer ends where the file ends. Otherwise the last mail, and one whose
    Content-Length points past the buffer, is left for a call with more bytes.

    A boundary is a separator line and a header behind it: see ``boundary``. A Content-Length
    decides instead if a separator or the end of the file follows where it says that the body
    ends (mboxcl2, whose writers do not quote); any other, and one above ``longest``, is ignored.
    """
    mails: list[Span] = []
    lines, reasons = places(buffer)
    lengths = [at - 8 for at in reasons if buffer.startswith(_CONTENT_LENGTH, at - 8)]
    line, size = 0, len(buffer)
    start = _behind(buffer, 0)
    ends = _boundaries(buffer, lines, start, final)
    while line < size and (place := next(ends, None)):
        end, following, behind = place
        quoted = True
        if lengths and (claimed := _claimed(buffer, lengths, start, end, longest, final)):
            end, following = claimed
            if following > size:
                break
            quoted, behind = False, _behind(buffer, following)
            ends = _boundaries(buffer, lines, behind, final)
        mails.append((line, start, end, following, quoted))
        line, start = following, behind
    return mails, reasons


def boundary(buffer: bytes, start: int, final: bool) -> int | None:
    """The next separator behind ``start``, or the end; None: read more, of the buffer's last
    ``LOOKED_AHEAD`` bytes something may be a separator.

    A separator with a sender and a date is enough before a header field if it stands behind a
    blank line. Without that line, or in the forms of other programs, a header of a mail follows.
    """
    place = next(_boundaries(buffer, places(buffer)[0], start, final), None)
    return place and place[1]


def _boundaries(
    buffer: bytes, lines: list[int], start: int, final: bool
) -> Iterator[tuple[int, int, int]]:
    """Of each mail from the one on that begins at ``start``: its end, the next separator, and where
    the mail behind that begins; up to where more has to be read to decide. ``lines``: what may be
    separators."""
    for line in lines[bisect_left(lines, start) :]:
        blank = 1 if buffer[line - 2] == 0x0A else 2 if buffer[line - 3 : line] == b"\n\r\n" else 0
        separates = _separates(buffer, line, blank > 0, final)
        if separates is None:
            return
        if separates:
            behind = _behind(buffer, line)
            yield max(line - blank, start), line, behind
            start = behind
    if final:
        blank = 1 if buffer.endswith(b"\n\n") else 2 if buffer.endswith(b"\n\r\n") else 0
        yield max(len(buffer) - blank, start), len(buffer), len(buffer)


def _behind(buffer: bytes, line: int) -> int:
    """Where the line behind this one begins."""
    return buffer.find(b"\n", line) + 1 or len(buffer)


def _separates(buffer: bytes, line: int, behind_blank: bool, final: bool) -> bool | None:
    """Whether a separator begins here; None: read more to tell."""
    if behind_blank and _BOUNDARY.match(buffer, line):
        return True
    if not final and len(buffer) < line + LOOKED_AHEAD:
        return None
    stop = buffer.find(b"\n", line, line + _LONGEST_LINE)
    is_dated = _LINE.fullmatch(buffer, line, stop if stop >= 0 else len(buffer))
    if is_dated and behind_blank and (stop < 0 or _CUT_OFF.fullmatch(buffer, stop + 1)):
        return True  # the file ends here
    if is_dated or (behind_blank and stop >= 0 and _LOOSE.fullmatch(buffer, line, stop)):
        return _is_header(buffer, stop + 1)
    return False


def _is_header(buffer: bytes, at: int) -> bool:
    """Whether the header of a mail begins here: fields up to a blank line, two known ones."""
    stop = min(at + _LONGEST_HEADER, len(buffer))
    names = set()
    while field := _FIELD.match(buffer, at, stop):
        names.add(field[1].lower())
        at = field.end()
    is_ended = at >= stop or buffer[at] in b"\r\n"
    return is_ended and len(names & _KNOWN) >= 2


def is_separator(line: bytes) -> bool:
    """Whether this line, with a sender and a date, separates two mails without a look at what
    follows it."""
    return _LINE.fullmatch(line) is not None


def seems_to_hold_more(raw: bytes) -> bool:
    """Whether a mail seems to hold further ones, separated as no program is known to do it."""
    return any(_is_header(raw, _behind(raw, each.end())) for each in _SEPARATOR.finditer(raw))


def _claimed(
    buffer: bytes, lengths: list[int], start: int, end: int, longest: int, final: bool
) -> tuple[int, int] | None:
    """Where the mail ends by its Content-Length, one of ``lengths``, and where the separator behind
    it is, or the end of the file; beyond the buffer: read more to tell. None if there is no such
    length, or no separator. ``end``: where the mail ends without."""
    first, size = bisect_left(lengths, start - 1), len(buffer)
    at = lengths[first] if first < len(lengths) else end
    length = _LENGTH.match(buffer, at) if at < end else None
    # Behind an empty line it stands in the body.
    if not length or int(length[1]) > longest or END_OF_HEADER.search(buffer, start - 1, at + 1):
        return None
    blank = END_OF_HEADER.search(buffer, length.end() - 1, end)
    if not blank:
        return None
    claim = blank.end() + int(length[1])
    if not final and claim + _LONGEST_LINE > size:
        return claim, size + 1
    window = buffer[claim : claim + _LONGEST_LINE]
    line = claim + len(window) - len(window.lstrip(b"\r\n"))
    if line >= size:
        return (claim, size) if final and line == size else None
    if (line == claim and buffer[claim - 1] != 0x0A) or not buffer.startswith(b"From ", line):
        return None
    separates = _separates(buffer, line, True, final)
    return (claim, size + 1 if separates is None else line) if separates is not False else None
