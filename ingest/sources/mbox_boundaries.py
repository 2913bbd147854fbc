# SPDX-License-Identifier: BSD-3-Clause
"""Where one mail ends and the next begins in the bytes of an mbox.

Pure: bytes in, offsets out, no I/O. Called by ``sources.mbox`` only.
"""

import re
from functools import partial
from typing import NamedTuple

# A longer claim is not looked after: what is read ahead to check it stays in memory.
LONGEST_CLAIM = 64 << 20

_LONGEST_LINE = 512  # of a From_ line; keeps the expression below cheap on hostile input

# "From ", a sender (nothing, a bare word such as MAILER-DAEMON or "-", an address, or pipermail's
# "robin at example.org", in another language "robin en example.org") and the date, as asctime()
# writes it (RFC 4155, appendix A), with the zone before or after the year or none, or as RFC 5322
# writes it. But not what ``git format-patch`` puts before a patch, a commit (SHA-1 or SHA-256)
# and a fixed date: patches are pasted into mails.
_DAY, _MONTH = rb"[MTWFS][a-z]{2}", rb"[JFMASOND][a-z]{2}"
_TIME, _ZONE = rb"\d{1,2}:\d\d(?::\d\d)?", rb"(?:[ ]+(?:[+-]\d{4}|[A-Z]{1,5}))?"
_FROM_LINE = re.compile(
    rb"""
    From[ ] (?! [0-9a-f]{40} (?: [0-9a-f]{24} )? [ ]Mon[ ]Sep[ ]17[ ]00:00:00[ ]2001 )
    [^\s"]*+ (?: "[^"]*" [^\s"]* )*+ (?: [ ] (?: at [ ] \S+ | \S{1,5} [ ] \S+\.\S+ ) )? [ \t]+
    %(day)b ,? [ ]+
    (?: %(month)b [ ]+ \d{1,2} [ ]+ %(time)b %(zone)b [ ]+ \d{4} %(zone)b
      | \d{1,2} [ ]+ %(month)b [ ]+ \d{4} [ ]+ %(time)b %(zone)b )
    [ \t]* (?: remote[ ]from[ ]\S+ )? \s*
    """
    % {b"day": _DAY, b"month": _MONTH, b"time": _TIME, b"zone": _ZONE},
    re.VERBOSE,
)
# The same in the form that nearly all of them have, to be told at a quarter of the cost. It begins
# behind "From "; a commit has neither an at nor blanks around one.
_USUAL_FROM_LINE = re.compile(
    rb"""
    [^@\s"]{0,64} (?: @ | [ ] at [ ] ) [^\s"]{1,255} [ ]{1,9}
    [MTWFS][a-z][a-z] [ ] [JFMASOND][a-z][a-z] [ ] [ \d]\d [ ] \d\d:\d\d:\d\d [ ] \d\d\d\d \n
    """,
    re.VERBOSE,
)
# As every writer of mboxcl2 spells it; looking for one spelling is what makes this cheap.
_CONTENT_LENGTH = b"\nContent-Length:"
_END_OF_HEADER = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"[ \t]*(\d{1,12})[ \t]*\r?\n")


class Span(NamedTuple):
    """One mail's place in a buffer."""

    line: int  # where its From_ line begins
    start: int  # where the mail itself begins
    body: int  # behind its first "\\n\\n", or, if there is none, where it ends
    end: int  # one past its last byte; the blank line after it is left out
    following: int  # where the next From_ line begins, or the end of the buffer
    quoted: bool  # whether "From " at the start of a line was written as ">From "


def is_from_line(line: bytes) -> bool:
    """Whether this line separates two mails."""
    return len(line) <= _LONGEST_LINE and _FROM_LINE.fullmatch(line) is not None


def spans(buffer: bytes, final: bool) -> list[Span]:
    """The mails of a buffer that begins at a From_ line.

    ``final``: the buffer ends where the file ends. Otherwise the last mail, and one whose
    Content-Length points past the buffer, is left for a call with more bytes.

    A boundary is a From_ line after a blank line (LF or CRLF). A Content-Length decides instead
    if a From_ line or the end of the file follows where it says that the body ends (mboxcl2,
    whose writers do not quote); any other is ignored.
    """
    found: list[Span] = []
    span = partial(tuple.__new__, Span)  # half the time of Span(…)
    find, usual = buffer.find, _USUAL_FROM_LINE.match
    # Without a CR what comes before a From_ line has one form: the fewer stops in between.
    searched = b"\n\nFrom " if b"\r" not in buffer else b""
    line, size = 0, len(buffer)
    start = find(b"\n") + 1 or size
    while line < size:
        at = find(searched, start - 1) if searched else -1
        if at >= 0 and (match := usual(buffer, at + len(searched))):
            end, following, after = at + 1, at + 2, match.end()
        else:
            place = _next_boundary(buffer, start, final)
            if place is None:
                break
            end, following = place
            after = find(b"\n", following) + 1 or size
        quoted = True
        body = find(b"\n\n", start - 1, end) + 2
        if body == 1:
            body = end
        if find(_CONTENT_LENGTH, start - 1, body) >= 0:
            claim = _claimed_end(buffer, start, end)
            if claim is not None:
                claimed = _boundary_at(buffer, claim, final)
                if claimed is None:
                    break
                if claimed >= 0:
                    end, following, quoted = claim, claimed, False
                    after = find(b"\n", following) + 1 or size
        found.append(span((line, start, body, end, following, quoted)))
        line, start = following, after
    return found


def _next_boundary(buffer: bytes, start: int, final: bool) -> tuple[int, int] | None:
    """The end of the mail that begins at ``start`` and the next From_ line; None: read more."""
    at = start - 1
    while (at := buffer.find(b"\nFrom ", at + 1)) >= 0:
        if buffer[at - 1] == 0x0A:
            end = at
        elif buffer[at - 2 : at] == b"\n\r":
            end = at - 1
        else:
            continue
        stop = buffer.find(b"\n", at + 1, at + 1 + _LONGEST_LINE)
        if stop < 0:
            if at + 1 + _LONGEST_LINE <= len(buffer):
                continue
            if not final:
                return None
            stop = len(buffer)
        if is_from_line(buffer[at + 1 : stop]):
            return end, at + 1
    if not final:
        return None
    end = len(buffer)
    if buffer.endswith(b"\n\n"):
        end -= 1
    elif buffer.endswith(b"\n\r\n"):
        end -= 2
    return max(end, start), len(buffer)


def _claimed_end(buffer: bytes, start: int, end: int) -> int | None:
    """Where a Content-Length says that the mail ends; ``end``: where it ends without."""
    at = buffer.find(_CONTENT_LENGTH, start - 1, end)
    length = _LENGTH.match(buffer, at + len(_CONTENT_LENGTH)) if at >= 0 else None
    if length is None or int(length[1]) > LONGEST_CLAIM:
        return None
    if b"\n\n" in (header := buffer[start - 1 : at + 1]) or b"\n\r\n" in header:
        return None  # it stands in the body
    blank = _END_OF_HEADER.search(buffer, length.end() - 1, end)
    return blank.end() + int(length[1]) if blank else None


def _boundary_at(buffer: bytes, at: int, final: bool) -> int | None:
    """Where the From_ line is that follows ``at`` or a blank line there, or the end of the file.

    -1: neither follows. None: read more to tell.
    """
    window = buffer[at : at + _LONGEST_LINE]
    line = window.lstrip(b"\r\n")
    if not final and at + _LONGEST_LINE > len(buffer):
        return None
    skipped = len(window) - len(line)
    if not line:
        return len(buffer) if final and at + skipped == len(buffer) else -1
    if skipped == 0 and buffer[at - 1] != 0x0A:
        return -1
    return at + skipped if is_from_line(line[: line.find(b"\n") + 1 or None]) else -1
