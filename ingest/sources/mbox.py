# SPDX-License-Identifier: BSD-3-Clause
"""Mails out of archives: mbox, .gz, .xz, Maildir, single mails, folders of these, standard input.

Owns finding and opening the files. They are read in pieces from front to back, never mapped: a map
would count in full as our memory, and a file that shrinks under it kills the process (SIGBUS).
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ingest import errors
from ingest.sources import inbox_archive, mbox_pieces
from ingest.sources.mbox_boundaries import END_OF_HEADER, is_separator, seems_to_hold_more
from ingest.sources.mbox_pieces import ENVELOPE, Found, Item, Piece
from ingest.sources.ranges import Ranges
from ingest.sources.unpacked import Input, Unpacked, reason
from ingest.words import counted

_LONGEST = 40 << 20  # of a longer mail only the beginning is kept
_STANDARD_INPUT = "-"
_MORE = (
    "seems to hold further mails behind separators that no known program writes;"
    " what they ask for counts as asked by this mail: put each mail into a file of its own"
)
_MOST_SKIPPED = 2  # are named of the files that were left out for one reason
_ADVICE = "name an mbox, a mail (packed with gzip or xz or not), a Maildir or a public-inbox"

_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
# A header that any mail has, to tell a mail from another text that begins with a colon.
_MAIL_HEADER = re.compile(
    rb"^(?:from|to|subject|date|message-id|received|return-path|delivered-to)[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
_MONTHS = [
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
]
_NUMBER = re.compile(rf"(\d+|(?<![a-z])(?:{'|'.join(_MONTHS)})(?![a-z]))")


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int | None  # bytes on disk; None: a pipe
    named: bool  # by the user; otherwise found in a folder
    surely_mail: bool  # it is in a Maildir
    repository: bool = False  # of a public-inbox: a folder


class Reader:
    """The mails below the given paths, in order, with what a progress bar needs.

    A path is an mbox, a single mail, either packed with gzip or xz, a Maildir, a public-inbox, a
    folder of any of these (read in natural order of name; hidden files are left out), or ``-`` for
    standard input.

    Raises ``errors.BadInput`` here if a path cannot be read, and while iterating if a file that
    was named is not a mail. What was found in a folder and is not a mail, and what was cut
    short, is a sentence in ``warnings``.
    """

    def __init__(self, *paths: str, longest: int = _LONGEST, processes: int = 1) -> None:
        """``longest``: bytes of a mail. Of a longer one no more than the beginning is held: one
        byte more at least, so that it is seen to be too long. ``processes``: so many search a
        large mbox that is not packed."""
        self._warnings: list[str] = []
        self._skipped: dict[str, list[str]] = {}  # paths by reason
        self._longest, self._processes = longest, processes
        self._roots = [(path, self._files(path)) for path in paths]
        sizes = [file.size for _, files in self._roots for file in files]
        known = [size for size in sizes if size is not None]
        # Bytes on disk of all files together; None if that cannot be known.
        self.size = sum(known) if len(known) == len(sizes) else None
        self._finished = 0
        self._input: Input | None = None
        self._ranges: Ranges | None = None

    @property
    def warnings(self) -> list[str]:
        """What was left out of folders, a line for each reason, and what was read in part."""
        skipped = []
        for why, paths in self._skipped.items():
            named = ", ".join(paths[:_MOST_SKIPPED])
            if (more := len(paths) - _MOST_SKIPPED) > 0:
                named += f" and {more} more"
            skipped.append(f"{counted(len(paths), 'file')} skipped, {why}: {named}")
        return [*skipped, *self._warnings]

    @property
    def position(self) -> int:
        """How many bytes on disk have been read so far, a piece ahead of the mails at most."""
        searched = self._ranges.position if self._ranges else 0
        return self._finished + max(searched, self._input.position if self._input else 0)

    def __iter__(self) -> Iterator[Item]:
        for piece in self._pieces():
            yield from piece.items() if isinstance(piece, Piece) else ()

    def searched(self) -> Iterator[tuple[int, list[Item]]]:
        """Piece by piece, how many mails are in it, and those of them that could hold a request
        or are cut short or too long. Most pieces are looked at only as a whole."""
        warned = ""
        self._ranges = Ranges(self._processes, self._longest)
        for piece in self._pieces(self._ranges):
            number, items = piece.found() if isinstance(piece, Piece) else piece
            for item in items:
                if item.file != warned and seems_to_hold_more(item.stored):
                    warned = item.file
                    self._warnings.append(f"{item.where}: {_MORE}")
            yield number, items

    def _pieces(self, ranges: Ranges | None = None) -> Iterator[Piece | Found]:
        """The pieces of all files; of a file that is given to ``ranges`` what they find."""
        self._finished = 0
        for path, files in self._roots:
            found = _is_maildir(path)
            for file in files:
                for piece in self._read(file, ranges):
                    found = True
                    yield piece
            if not found:
                raise errors.BadInput(f"{_shown(path)}: holds no mail; {_ADVICE}")

    def _files(self, path: str) -> list[_File]:
        """The files to read below a path that the user named."""
        is_piped = path == _STANDARD_INPUT
        try:
            status = os.stat(0 if is_piped else path)
            if stat.S_ISDIR(status.st_mode) and not is_piped:
                return list(self._below(path, frozenset()))
            if not is_piped and not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except (OSError, ValueError) as error:
            why = reason(error) if isinstance(error, OSError) else "a path cannot contain NUL"
            raise errors.BadInput(f"{_shown(path)}: {why}; check the path") from error
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        return [_File(path, size, named=True, surely_mail=False)]

    def _below(self, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[_File]:
        """The files of a folder; ``above``: the folders that it is in, against loops of links."""
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        if repositories := inbox_archive.repositories(folder):
            for path, size in repositories:
                yield _File(path, size, named=not above, surely_mail=True, repository=True)
            return
        maildir = _is_maildir(folder)
        parts = [os.path.join(folder, part) for part in ("cur", "new")] if maildir else [folder]
        names = [(_natural(name), part, name) for part in parts for name in os.listdir(part)]
        for _, part, name in sorted(each for each in names if not each[2].startswith(".")):
            path = os.path.join(part, name)
            try:
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    yield _File(path, status.st_size, named=False, surely_mail=maildir)
                elif stat.S_ISDIR(status.st_mode):
                    yield from self._below(path, above | {here})
                else:
                    self._skip(path, "neither file nor folder")
            except OSError as error:
                self._skip(path, reason(error))

    def _refuse(self, file: _File, reason: str, advice: str = "check the path") -> None:
        """Stop if the user named this file; otherwise note that it is left out."""
        if file.named:
            raise errors.BadInput(f"{_shown(file.path)}: {reason}; {advice}")
        self._skip(file.path, reason)

    def _skip(self, path: str, reason: str) -> None:
        """Note that something in a folder is left out."""
        self._skipped.setdefault(reason, []).append(_shown(path))

    def _read(self, file: _File, ranges: Ranges | None) -> Iterator[Piece | Found]:
        try:
            if file.repository:
                for buffer, places, too_long in inbox_archive.mails(file.path, self._longest):
                    yield Piece(buffer, places, _shown(file.path), -1, False, too_long)
                self._finished += file.size or 0
                return
            piped = file.path == _STANDARD_INPUT
            source = Input(0 if piped else os.open(file.path, os.O_RDONLY | os.O_CLOEXEC))
        except (OSError, errors.FeedUnavailable) as error:
            self._refuse(file, reason(error))
            return
        self._input = source
        try:
            yield from self._pieces_of(file, Unpacked(source), ranges)
        finally:
            source.close()
            self._input = None
            self._finished += source.position if file.size is None else file.size

    def _pieces_of(
        self, file: _File, unpacked: Unpacked, ranges: Ranges | None
    ) -> Iterator[Piece | Found]:
        piece = unpacked.read(mbox_pieces.PIECE)
        kind = "mail" if file.surely_mail and piece else _kind(piece)
        if not kind:
            why = "neither an mbox nor a mail" if piece else unpacked.fault or "is empty"
            self._refuse(file, why, _ADVICE)
            return
        if ranges and kind == "mbox" and unpacked.is_plain and ranges.suit(file.size):
            yield from ranges.search(file.path, _shown(file.path), file.size or 0)
            return
        read = mbox_pieces.mbox if kind == "mbox" else mbox_pieces.single
        yield from read(_shown(file.path), piece, unpacked, self._longest)
        if unpacked.fault:
            self._warnings.append(f"{_shown(file.path)}: read in part only: {unpacked.fault}")


def _kind(piece: bytes) -> str:
    """What the first bytes of a file promise: "mbox", "mail" or "" (neither)."""
    text = piece.lstrip(b"\r\n")
    line, _, after = text.partition(b"\n")
    if line.startswith(b"From ") and (is_separator(line) or _HEADER_LINE.match(after) is not None):
        return "mbox"
    text = ENVELOPE.sub(b"", text, count=1)
    blank = END_OF_HEADER.search(text)
    header = text[: blank.start()] if blank else text
    return "mail" if _HEADER_LINE.match(header) and _MAIL_HEADER.search(header) else ""


def _is_maildir(path: str) -> bool:
    return all(os.path.isdir(os.path.join(path, part)) for part in ("cur", "new"))


def _natural(name: str) -> list[str | tuple[int, str]]:
    """A key that sorts 9 before 10 and, for pipermail's names, September before October."""
    return [
        (_MONTHS.index(word) if word in _MONTHS else int(word), word) if at % 2 else word
        for at, word in enumerate(_NUMBER.split(name.lower()))
    ]


def _shown(path: str) -> str:
    """A path as it may be printed: file names may hold any bytes."""
    if path == _STANDARD_INPUT:
        return "standard input"
    name = os.fsencode(path).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in name)
