# SPDX-License-Identifier: BSD-3-Clause
"""Mails out of archives: mbox, .gz, .xz, Maildir, single mails, folders of these, standard input.

Owns finding, opening and unpacking the files. Prints nothing and writes nothing.

A file is read in pieces from front to back, never mapped: a map would count in full as our
memory, and a file that shrinks under a map kills the process (SIGBUS). Here a file that shrinks
just ends early, and one that grows is read to where it ends when we get there.
"""

import errno
import gzip
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest import errors
from ingest.mail.prefilter import Sieve
from ingest.sources import inbox_archive
from ingest.sources.mbox_boundaries import Span, is_from_line, spans

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Bytes read at once; more is read only for a mail that is longer. Much larger pieces are slower:
# their memory comes from the kernel and goes back to it each time.
_PIECE = 128 << 10
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_STANDARD_INPUT = "-"
_ADVICE = "name an mbox, a mail (packed with gzip or xz or not), a Maildir or a public-inbox"

_QUOTED = re.compile(rb"\n>(>*From )")
_ENVELOPE = re.compile(rb"\A(?:>*From [^\n]*(?:\n|\Z))+")
_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
# A header that any mail has, to tell a mail from another text that begins with a colon.
_MAIL_HEADER = re.compile(
    rb"^(?:from|to|subject|date|message-id|received|return-path|delivered-to)[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
_END_OF_HEADER = re.compile(rb"\n\r?\n")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_NUMBER = re.compile(rf"(\d+|(?<![a-z])(?:{'|'.join(_MONTHS)})(?![a-z]))")


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int | None  # bytes on disk; None: a pipe
    named: bool  # by the user; otherwise found in a folder
    surely_mail: bool  # it is in a Maildir
    repository: bool = False  # of a public-inbox: a folder


@dataclass(frozen=True, slots=True)
class Item:
    """One mail of an archive. It keeps the piece of the file that it was found in."""

    piece: bytes
    span: Span  # its place in the piece
    file: str
    offset: int  # of the piece in the unpacked file, in bytes; -1: the file is one mail
    cut: bool  # the archive is known to end before this mail does

    @property
    def stored(self) -> bytes:
        """The mail as the archive has it, quoting included: cheap, and enough to search in."""
        return self.piece[self.span.start : self.span.end]

    @property
    def raw(self) -> bytes:
        """The whole mail, without its From_ line and unquoted (``>From`` becomes ``From``)."""
        raw = self.stored
        if raw.startswith((b"From ", b">")):
            # Mails relayed by UUCP have several From_ lines, all but one quoted (RFC 976).
            raw = _ENVELOPE.sub(b"", raw, count=1)
        return _QUOTED.sub(rb"\n\1", raw) if self.span.quoted and b">From " in raw else raw

    @property
    def where(self) -> str:
        """The file, and in an mbox the offset of the From_ line, for messages."""
        return self.file if self.offset < 0 else f"{self.file}:{self.offset + self.span.line}"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of an unpacked file, and where the mails are that are whole in it."""

    buffer: bytes
    spans: list[Span]
    file: str
    offset: int  # see Item
    cut: bool  # the last of the mails is known to be cut short

    def item(self, number: int) -> Item:
        """One of its mails."""
        cut = self.cut and number == len(self.spans) - 1
        return Item(self.buffer, self.spans[number], self.file, self.offset, cut)

    def held(self, sieve: Sieve) -> Iterator[Item]:
        """Those of its mails that could hold a request, and one that is cut short."""
        if self.spans:
            _, starts, bodies, ends, _, _ = map(list, zip(*self.spans, strict=True))
            numbers = sieve.held(self.buffer, starts, bodies, ends)
            if self.cut:
                numbers.add(len(ends) - 1)
            yield from map(self.item, sorted(numbers))


def mails(*paths: str) -> Iterator[Item]:
    """The mails below the paths, in order: a ``Reader`` for those who need no more of it."""
    return iter(Reader(*paths))


class Reader:
    """The mails below the given paths, in order, with what a progress bar needs.

    A path is an mbox, a single mail, either packed with gzip or xz, a Maildir, a public-inbox, a
    folder of any of these (read in natural order of name; hidden files are left out), or ``-`` for
    standard input.

    Raises ``errors.BadInput`` here if a path cannot be read, and while iterating if a file that
    was named is no mail. What was found in a folder and is no mail, and what was cut short, is
    a sentence in ``warnings``.
    """

    def __init__(self, *paths: str) -> None:
        self.warnings: list[str] = []
        self._roots = [(path, self._files(path)) for path in paths]
        sizes = [file.size for _, files in self._roots for file in files]
        known = [size for size in sizes if size is not None]
        # Bytes on disk of all files together; None if that cannot be known.
        self.size = sum(known) if len(known) == len(sizes) else None
        self._finished = 0
        self._input: _Input | None = None

    @property
    def position(self) -> int:
        """How many bytes on disk have been read so far, a piece ahead of the mails at most."""
        return self._finished + (self._input.position if self._input else 0)

    def __iter__(self) -> Iterator[Item]:
        for piece in self._pieces():
            yield from map(piece.item, range(len(piece.spans)))

    def sifted(self) -> Iterator[tuple[int, list[Item]]]:
        """Piece by piece, how many mails are in it, and those of them that could hold a request
        or are cut short. No other is looked at by itself, which takes a fraction of the time."""
        sieve = Sieve()
        for piece in self._pieces():
            yield len(piece.spans), list(piece.held(sieve))

    def _pieces(self) -> Iterator[_Piece]:
        self._finished = 0
        for path, files in self._roots:
            found = _is_maildir(path)
            for file in files:
                for piece in self._read(file):
                    found = True
                    yield piece
            if not found:
                raise errors.BadInput(f"{_shown(path)}: holds no mail; {_ADVICE}")

    def _files(self, path: str) -> list[_File]:
        """The files to read below a path that the user named."""
        try:
            if path == _STANDARD_INPUT:
                status = os.fstat(0)
            else:
                status = os.stat(path)
                if stat.S_ISDIR(status.st_mode):
                    return list(self._below(path, frozenset()))
                if not os.access(path, os.R_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except ValueError as error:
            raise errors.BadInput(
                f"{_shown(path)}: a path cannot contain NUL; check the path"
            ) from error
        except OSError as error:
            raise errors.BadInput(f"{_shown(path)}: {_reason(error)}; check the path") from error
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
        for _, part, name in sorted(names):
            path = os.path.join(part, name)
            if name.startswith("."):
                continue
            try:
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    yield _File(path, status.st_size, named=False, surely_mail=maildir)
                elif stat.S_ISDIR(status.st_mode):
                    yield from self._below(path, above | {here})
                else:
                    self.warnings.append(f"{_shown(path)}: skipped: neither file nor folder")
            except OSError as error:
                self.warnings.append(f"{_shown(path)}: skipped: {_reason(error)}")

    def _refuse(self, file: _File, reason: str, advice: str = "check the path") -> None:
        """Stop if the user named this file; otherwise note that it is left out."""
        if file.named:
            raise errors.BadInput(f"{_shown(file.path)}: {reason}; {advice}")
        self.warnings.append(f"{_shown(file.path)}: skipped: {reason}")

    def _read(self, file: _File) -> Iterator[_Piece]:
        try:
            if file.repository:
                for buffer, spans_, cut in inbox_archive.mails(file.path):
                    yield _Piece(buffer, spans_, _shown(file.path), -1, cut)
                self._finished += file.size or 0
                return
            piped = file.path == _STANDARD_INPUT
            source = _Input(0 if piped else os.open(file.path, os.O_RDONLY | os.O_CLOEXEC))
        except (OSError, errors.FeedUnavailable) as error:
            self._refuse(file, _reason(error))
            return
        self._input = source
        try:
            yield from self._pieces_of(file, _Unpacked(source))
        finally:
            source.close()
            self._input = None
            self._finished += source.position if file.size is None else file.size

    def _pieces_of(self, file: _File, unpacked: "_Unpacked") -> Iterator[_Piece]:
        piece = unpacked.read(_PIECE)
        kind = "mail" if file.surely_mail and piece else _kind(piece)
        if not piece:
            self._refuse(file, unpacked.fault or "is empty", _ADVICE)
            return
        if not kind:
            self._refuse(file, "neither an mbox nor a mail", _ADVICE)
            return
        yield from (_mbox if kind == "mbox" else _single)(_shown(file.path), piece, unpacked)
        if unpacked.fault:
            self.warnings.append(f"{_shown(file.path)}: read in part only: {unpacked.fault}")


def _mbox(file: str, piece: bytes, unpacked: "_Unpacked") -> Iterator[_Piece]:
    offset = len(piece) - len(piece.lstrip(b"\r\n"))
    piece = piece[offset:]
    while True:
        found = spans(piece, unpacked.ended)
        rest = found[-1].following if found else 0
        yield _Piece(piece, found, file, offset, unpacked.cut and rest == len(piece))
        if unpacked.ended:
            return
        offset += rest
        # At least as much again, so that a long mail is not searched over and over.
        piece = piece[rest:] + unpacked.read(max(_PIECE, len(piece) - rest))


def _single(file: str, piece: bytes, unpacked: "_Unpacked") -> Iterator[_Piece]:
    pieces = [piece]
    while not unpacked.ended:
        pieces.append(unpacked.read(_PIECE))
    raw = b"".join(pieces)
    body = raw.find(b"\n\n") + 2
    span = Span(0, 0, body if body > 1 else len(raw), len(raw), len(raw), quoted=False)
    yield _Piece(raw, [span], file, -1, unpacked.cut)


class _Input(io.RawIOBase):
    """A file or pipe read from front to back, that knows how far it is."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._peeked = b""
        self.position = 0

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer only at the end; a pipe may give them one by one."""
        while len(self._peeked) < size:
            more = os.read(self._descriptor, size - len(self._peeked))
            if not more:
                break
            self._peeked += more
        return self._peeked

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._peeked:
            view = memoryview(buffer)
            count = min(len(view), len(self._peeked))
            view[:count] = self._peeked[:count]
            self._peeked = self._peeked[count:]
        else:
            count = os.readv(self._descriptor, [buffer])
        self.position += count
        return count

    def close(self) -> None:
        if not self.closed and self._descriptor != 0:
            os.close(self._descriptor)
        super().close()


class _Unpacked:
    """The content of a file, whatever it is packed with; ends early where it is damaged."""

    def __init__(self, source: _Input) -> None:
        self._source = source
        self._file: io.BufferedReader[_Input] | gzip.GzipFile | lzma.LZMAFile | None = None
        self.ended = False
        self.fault = ""  # why it could not be read to its end
        self.cut = False  # whether something is missing at the end

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only at the end."""
        pieces = []
        try:
            if self._file is None:
                self._file = self._opened()
            while size and not self.ended:
                piece = self._file.read1(size)
                pieces.append(piece)
                size -= len(piece)
                self.ended = not piece
        except EOFError:
            self._stop("the packed data ends too early")
        except (OSError, zlib.error, lzma.LZMAError) as error:
            # gzip says this at the start of a member only, so all before it was whole.
            junk = isinstance(error, gzip.BadGzipFile) and "Not a gzipped file" in str(error)
            reason = "junk follows the packed data" if junk else _reason(error)
            self._stop(reason, cut=not junk)
        return b"".join(pieces)

    def _stop(self, fault: str, cut: bool = True) -> None:
        self.ended, self.fault, self.cut = True, fault, cut

    def _opened(self) -> "io.BufferedReader[_Input] | gzip.GzipFile | lzma.LZMAFile":
        magic = self._source.peek(len(_XZ))
        buffered = io.BufferedReader(self._source)
        if magic.startswith(_GZIP):
            return gzip.GzipFile(fileobj=buffered)
        if magic == _XZ:
            return lzma.LZMAFile(buffered)
        return buffered


def _kind(piece: bytes) -> str:
    """What the first bytes of a file promise: "mbox", "mail" or "" (neither)."""
    text = piece.lstrip(b"\r\n")
    line, _, after = text.partition(b"\n")
    if line.startswith(b"From ") and (is_from_line(line) or _HEADER_LINE.match(after) is not None):
        return "mbox"
    text = _ENVELOPE.sub(b"", text, count=1)
    blank = _END_OF_HEADER.search(text)
    header = text[: blank.start()] if blank else text
    return "mail" if _HEADER_LINE.match(header) and _MAIL_HEADER.search(header) else ""


def _is_maildir(path: str) -> bool:
    return all(os.path.isdir(os.path.join(path, part)) for part in ("cur", "new"))


def _natural(name: str) -> list[str | tuple[int, str]]:
    """A key that sorts 9 before 10 and, for pipermail's names, September before October."""
    parts: list[str | tuple[int, str]] = list(_NUMBER.split(name.lower()))
    for at in range(1, len(parts), 2):
        word = str(parts[at])
        parts[at] = (_MONTHS.index(word) if word in _MONTHS else int(word), word)
    return parts


def _shown(path: str) -> str:
    """A path as it may be printed: file names may hold any bytes."""
    if path == _STANDARD_INPUT:
        return "standard input"
    name = os.fsencode(path).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in name)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
