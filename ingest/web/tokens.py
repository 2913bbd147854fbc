# SPDX-License-Identifier: BSD-3-Clause
"""Tokens: who holds one, and what it allows."""

import os
from collections.abc import Mapping

from ingest.config import secret
from ingest.config.web_tables import TokenSettings
from ingest.web import proofs
from ingest.web.head import Head

# What an answer says to who has no token: a password does as well.
CHALLENGE = {"WWW-Authenticate": 'Basic realm="recheck-ingest"'}

# Authorization: Token token="…", as Ruby's clients write it.
_RUBY = b'token="'


class Tokens:
    """The tokens of the settings. Their files are read again when they change."""

    def __init__(self, tables: Mapping[str, TokenSettings]) -> None:
        self._tables = tables
        self._read: dict[str, tuple[tuple[int, int, int], tuple[bytes, ...]]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._tables)

    def holder(self, head: Head, deed: str) -> str | None:
        """The name of the token that came with a request, if it allows this; None otherwise.
        Raises ``SinkUnavailable`` if a file cannot be read."""
        given = _given(head)
        found = None
        for name, table in self._tables.items():
            is_it = proofs.any_equal(given, self._values(table.file))
            if is_it and deed in table.may:
                found = name
        return found

    def is_known(self, head: Head) -> bool:
        """Whether a token came with a request, whatever it allows. Raises as ``holder``."""
        given = _given(head)
        is_it = [proofs.any_equal(given, self._values(each.file)) for each in self._tables.values()]
        return True in is_it

    def _values(self, path: str) -> tuple[bytes, ...]:
        try:
            stat = os.stat(secret.place(path, "file"))
            known = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            known = (0, 0, 0)
        if path not in self._read or self._read[path][0] != known:
            text = secret.read(path, "file")
            values = tuple(each.strip().encode() for each in text.splitlines() if each.strip())
            self._read[path] = known, values
        return self._read[path][1]


def _given(head: Head) -> bytes:
    """The token that came: Bearer (RFC 6750), Token (mail_room), a password (Action Mailbox's
    relays), or Api-Key (Discourse's mail-receiver)."""
    scheme, value = head.credentials()
    if scheme == "basic":
        return value.partition(b":")[2]
    if scheme == "token" and value.startswith(_RUBY):
        return value.removeprefix(_RUBY).rstrip(b'"')
    if scheme in ("bearer", "token"):
        return value
    return head.one(b"api-key") or b""
