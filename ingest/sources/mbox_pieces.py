# SPDX-License-Identifier: BSD-3-Clause
"""The mails of one unpacked file, piece by piece: what an archive has of a mail, and which mails of
a piece could hold a request."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.mail.prefilter import may_hold_requests
from ingest.sources.mbox_boundaries import LOOKED_AHEAD, Span, boundary, spans
from ingest.sources.unpacked import Unpacked

Found = tuple[int, list["Item"]]  # so many mails, and those of them that are to be looked at

# Bytes read at once; more is read only for a mail that is longer.
PIECE = 256 << 10

_QUOTED = re.compile(rb"\n>(>*From )")
ENVELOPE = re.compile(rb"\A(?:>*From [^\n]*(?:\n|\Z))+")


@dataclass(frozen=True, slots=True)
class Item:
    """One mail of an archive."""

    stored: bytes  # as the archive has it, without its separator, with its quoting
    quoted: bool  # whether "From " at the start of a line was written as ">From "
    file: str
    offset: int  # of the separator in the unpacked file, in bytes; -1: the file is one mail
    cut: bool  # the archive is known to end before this mail does

    @property
    def raw(self) -> bytes:
        """The whole mail, without its From_ line and unquoted (``>From`` becomes ``From``)."""
        raw = self.stored
        if raw.startswith((b"From ", b">")):
            # Mails relayed by UUCP have several From_ lines, all but one quoted (RFC 976).
            raw = ENVELOPE.sub(b"", raw, count=1)
        return _QUOTED.sub(rb"\n\1", raw) if self.quoted and b">From " in raw else raw

    @property
    def where(self) -> str:
        """The file, and in an mbox the offset of the separator, for messages."""
        return self.file if self.offset < 0 else f"{self.file}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an unpacked file, and where the mails are that are whole in it."""

    buffer: bytes
    spans: list[Span]
    file: str
    offset: int  # of the piece in the unpacked file; -1: the file is one mail
    cut: bool  # the last of the mails is known to be cut short
    too_long: bool = False  # it is one mail, of which only the beginning is there
    reasons: list[int] | None = None  # to look at mails in the buffer, if they are known

    def items(self) -> Iterator[Item]:
        """Its mails."""
        return map(self._item, range(len(self.spans)))

    def found(self) -> "Found":
        """How many mails are in it, and those that could hold a request, or are cut or too long."""
        ends = [end for _, _, end, _, _ in self.spans]
        chosen = {*may_hold_requests(self.buffer, ends, self.reasons)}
        if self.cut or self.too_long:
            chosen.add(len(ends) - 1)
        return len(ends), [self._item(number) for number in sorted(chosen)]

    def _item(self, number: int) -> Item:
        line, start, end, _, quoted = self.spans[number]
        cut = self.cut and number == len(self.spans) - 1
        offset = self.offset if self.offset < 0 else self.offset + line
        return Item(self.buffer[start:end], quoted, self.file, offset, cut)


def mbox(
    file: str, piece: bytes, unpacked: Unpacked, longest: int, begin: int = 0
) -> Iterator[Piece]:
    """The mails of an mbox whose content from the offset ``begin`` on begins with ``piece`` and
    goes on with what ``unpacked`` gives."""
    bytes(16 * PIECE)  # freed at once: now the C library keeps what is freed for the next piece
    blank = len(piece) - len(piece.lstrip(b"\r\n"))
    piece, offset = piece[blank:], begin + blank
    while True:
        found, reasons = spans(piece, unpacked.ended, longest)
        rest = found[-1][3] if found else 0
        cut = unpacked.cut and rest == len(piece)
        yield Piece(piece, found, file, offset, cut, reasons=reasons)
        if unpacked.ended:
            return
        piece, offset = piece[rest:], offset + rest
        if len(piece) > longest + PIECE:
            kept, piece, passed = _beginning(piece, unpacked, longest)
            cut = unpacked.cut and not piece
            yield Piece(kept, [_whole(kept)], file, offset, cut, too_long=True)
            if unpacked.ended and not piece:
                return
            offset += passed
        # At least as much again, so that a long mail is not searched over and over.
        more = max(PIECE, min(len(piece), longest + 2 * PIECE - len(piece)))
        piece = unpacked.read(more, before=piece)


def _beginning(piece: bytes, unpacked: Unpacked, longest: int) -> tuple[bytes, bytes, int]:
    """Of a mail that is too long its beginning, with its separator; then what was read of the
    mails behind it, and how many bytes the mail has. The rest of it is read and let go."""
    start = piece.find(b"\n") + 1 or len(piece)
    kept = piece[: start + longest + 1]
    passed, piece = to_boundary(piece, start, unpacked)
    return kept, piece, passed


def to_boundary(
    piece: bytes, start: int, unpacked: Unpacked, most: float = math.inf
) -> tuple[int, bytes]:
    """How many bytes there are up to the next separator behind ``start``, and what was read from
    there on: nothing if the file ends before one, or if none was found in ``most`` bytes."""
    passed = 0
    while (place := boundary(piece, start, unpacked.ended)) is None:
        gone = max(len(piece) - LOOKED_AHEAD - 4, 0)  # what is left may begin a separator
        if passed + gone > most:
            return passed + gone, b""
        piece, passed, start = piece[gone:] + unpacked.read(PIECE), passed + gone, 3
    return passed + place, piece[place:]


def single(file: str, piece: bytes, unpacked: Unpacked, longest: int) -> Iterator[Piece]:
    """The one mail of a file."""
    pieces, size = [piece], len(piece)
    while not unpacked.ended and size <= longest + PIECE:
        pieces.append(unpacked.read(PIECE))
        size += len(pieces[-1])
    raw = b"".join(pieces)
    whole = (0, 0, len(raw), len(raw), False)
    yield Piece(raw, [whole], file, -1, unpacked.cut, too_long=size > longest + PIECE)


def _whole(piece: bytes) -> Span:
    return 0, piece.find(b"\n") + 1 or len(piece), len(piece), len(piece), False
