# SPDX-License-Identifier: BSD-3-Clause
"""Secrets in files. Each is read anew for each attempt, so that a mended file counts at once."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ingest import addresses
from ingest.errors import SinkUnavailable


def read(path: str, setting: str) -> str:
    """The text of a file that may be renewed any time; blanks and line ends around it do not
    count. ``setting``: what names the file. Raises ``SinkUnavailable``."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
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


def problems(files: Mapping[str, str]) -> list[str]:
    """What keeps the secrets from being read. ``files``: their paths by setting, "" for none."""
    found = []
    for setting, path in files.items():
        try:
            if path and setting == "token_file":
                token(path, setting)
            elif path:
                read(path, setting)
        except SinkUnavailable as error:
            found.append(str(error))
    return found


def dangers(files: Mapping[str, str]) -> list[str]:
    """Which of the secrets everybody on this machine can read."""
    found = []
    for setting, path in files.items():
        try:
            mode = os.stat(path).st_mode if path else 0
        except OSError:
            continue  # a problem already
        if mode & stat.S_IROTH:
            found.append(f"{setting} {path} can be read by everyone: chmod o= {path}")
    return found


def in_clear(url: str) -> list[str]:
    """Whether a token that is sent to this URL can be read on its way."""
    parts = urlsplit(url)
    if parts.scheme == "https" or addresses.is_loopback(parts.hostname or ""):
        return []
    return [f"the token goes to {parts.hostname} in the clear: use https"]
