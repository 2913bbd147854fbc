# SPDX-License-Identifier: BSD-3-Clause
"""Secrets out of files, read anew for each attempt: what is wrong with one heals by itself.

Called by the sinks that have a token, a password or a key.
"""

from pathlib import Path

from ingest.errors import SinkUnavailable


def read(path: str, setting: str) -> str:
    """The text of a file that may be renewed any time; blanks and line ends around it do not
    count. ``setting``: what names the file. Raises ``SinkUnavailable``."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SinkUnavailable(f"{setting} {path} cannot be read: {why}") from error
    if not text:
        raise SinkUnavailable(f"{setting} {path} is empty")
    return text


def token(path: str, setting: str = "token_file") -> str:
    """As ``read``, of what goes into a header field: one line of ASCII."""
    text = read(path, setting)
    if not (text.isascii() and text.isprintable()):
        raise SinkUnavailable(f"{setting} {path} is not one line of ASCII")
    return text
