# SPDX-License-Identifier: BSD-3-Clause
"""Standard output and standard error, whatever they are: full, closed, or of an encoding that lacks
characters that we print.

What cannot be written is an error of ours with one line; nobody sees a traceback of it.
"""

import codecs
import io
import os
import sys
from contextlib import suppress

from ingest import files

# What is printed in the place of characters that an encoding lacks; nothing in it means anything
# in JSON.
_PLAIN = {
    "…": "...", "“": "'", "”": "'", "’": "'", "→": "->", "×": "x", "–": "-", "✓": "+",
    "·": "-", "▶": ">", "─": "-", "│": "|",
}  # fmt: skip
_HANDLER = "ingest.plain"


class Gone(BrokenPipeError):
    """Whoever read standard output has seen enough, as ``head`` has."""


def prepare() -> None:
    """Make both streams fit to be written to."""
    codecs.register_error(_HANDLER, _plain)
    if sys.stdout is None:
        _put(_Output(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8"))
    elif type(sys.stdout) is io.TextIOWrapper:
        is_live, encoding = sys.stdout.line_buffering, sys.stdout.encoding
        _put(_Output(sys.stdout.detach(), encoding, line_buffering=is_live))
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace"
        )


def _put(stream: "_Output") -> None:
    sys.stdout = stream
    # What asks for the size of the terminal asks this one.
    sys.__stdout__ = stream  # type: ignore[misc]


def finish() -> None:
    """Bring out what is still held back. Raises ``SinkUnavailable``, ``Gone``."""
    sys.stdout.flush()


def silence(descriptor: int) -> None:
    """Have whatever else is written to a stream vanish, so that it is not tried again when the
    process ends."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


class _Output(io.TextIOWrapper):
    """Standard output, whose errors are ours."""

    def __init__(
        self, buffer: io.BufferedIOBase, encoding: str, *, line_buffering: bool = False
    ) -> None:
        super().__init__(
            buffer,  # type: ignore[arg-type]
            encoding=encoding,
            errors=_HANDLER,
            line_buffering=line_buffering,
        )

    def write(self, text: str) -> int:
        """See ``io.TextIOWrapper``; raises ``SinkUnavailable``, ``Gone``."""
        try:
            return super().write(text)
        except OSError as error:
            raise _told(error) from error

    def flush(self) -> None:
        """See ``write``."""
        try:
            super().flush()
        except OSError as error:
            raise _told(error) from error


def _told(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return Gone(*error.args)
    return files.no_output(error)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """An error handler of ``codecs``: the plainest text for what an encoding lacks, else escapes
    as JSON has them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each) or _escaped(each) for each in lacking), error.end


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
