# SPDX-License-Identifier: BSD-3-Clause
"""The content of a file or pipe, whatever it is packed with, and how far it was read."""

import gzip
import io
import lzma
import os
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"


class Input(io.RawIOBase):
    """A file or pipe read from front to back, that knows how far it is."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._peeked = b""
        self.position = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

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


class Unpacked:
    """The content of a file, whatever it is packed with; ends early where it is damaged."""

    def __init__(self, source: Input, *, is_plain: bool = False) -> None:
        """``is_plain``: it is known not to be packed."""
        self._source = source
        self.is_plain = is_plain
        self._file: io.BufferedReader[Input] | gzip.GzipFile | lzma.LZMAFile | None = None
        self.ended = False
        self.fault = ""  # why it could not be read to its end
        self.cut = False  # whether something is missing at the end

    def read(self, size: int, before: bytes = b"") -> bytes:
        """The next ``size`` bytes, fewer only at the end; ``before``: what is put before them."""
        pieces = [before]
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
            fault = "junk follows the packed data" if junk else reason(error)
            self._stop(fault, cut=not junk)
        return b"".join(pieces)

    def _stop(self, fault: str, cut: bool = True) -> None:
        self.ended, self.fault, self.cut = True, fault, cut

    def _opened(self) -> "io.BufferedReader[Input] | gzip.GzipFile | lzma.LZMAFile":
        magic = b"" if self.is_plain else self._source.peek(len(_XZ))
        buffered = io.BufferedReader(self._source)
        if magic.startswith(_GZIP):
            return gzip.GzipFile(fileobj=buffered)
        if magic == _XZ:
            return lzma.LZMAFile(buffered)
        self.is_plain = True
        return buffered


def reason(error: Exception) -> str:
    """Why a file cannot be read, without its name."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
