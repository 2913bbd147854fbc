# SPDX-License-Identifier: BSD-3-Clause
"""Secrets: in files of their own, or credentials of systemd. Each is read anew for each use, so
that a mended file counts at once.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ingest import addresses
from ingest.errors import SinkUnavailable

# As unit files name the folder of systemd's credentials (systemd.unit(5), Specifiers), and the
# variable that says to a service where it is (systemd.exec(5), LoadCredential=).
_CREDENTIAL, _FOLDER = "%d/", "CREDENTIALS_DIRECTORY"


def place(path: str, setting: str) -> Path:
    """The file that a setting names: ``%d/NAME`` is a credential that systemd hands to the
    service. Raises ``SinkUnavailable`` where there are none."""
    if not path.startswith(_CREDENTIAL):
        return Path(path)
    folder = os.environ.get(_FOLDER)
    if not folder:
        raise SinkUnavailable(
            f"{setting} {path} is a credential of systemd, and ${_FOLDER} is not set: name it in "
            f"LoadCredential= of the unit, or set {_FOLDER}=/run/credentials/UNIT to try it by hand"
        )
    return Path(folder, path.removeprefix(_CREDENTIAL))


def read(path: str, setting: str) -> str:
    """The text of a file that may be renewed any time; blanks and line ends around it do not
    count. ``setting``: what names the file. Raises ``SinkUnavailable``."""
    try:
        text = place(path, setting).read_text(encoding="utf-8").strip()
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
    """What keeps secrets from being read, and which of them others can get at. ``files``: their
    paths by setting, "" for none."""
    found = []
    for setting, path in files.items():
        if not path:
            continue
        try:
            if setting in ("token_file", "login_file"):
                token(path, setting)
            else:
                read(path, setting)
        except SinkUnavailable as error:
            found.append(str(error))
            continue
        if danger := loose(place(path, setting)):
            found.append(f"{setting} {danger}")
    return found


def loose(path: Path) -> str:
    """Who may get at a secret besides its owner and its group's readers, and what to do about
    that; "" if nobody, or if there is no such file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    if mode & stat.S_IROTH:
        return f"{path} can be read by everyone: chmod o= {path}"
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "everyone" if mode & stat.S_IWOTH else "its group"
        return f"{path} can be written by {who}: chmod go-w {path}"
    return ""


def in_clear(url: str) -> list[str]:
    """Whether a token that is sent to this URL can be read on its way."""
    parts = urlsplit(url)
    if parts.scheme == "https" or addresses.is_loopback(parts.hostname or ""):
        return []
    return [f"the token goes to {parts.hostname} in the clear: use https"]
