# SPDX-License-Identifier: BSD-3-Clause
"""The head of a request, read as strictly as who is to be let in by it must be."""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ingest import addresses

# Fields that a web server in front of us adds, or a browser.
_OF_BROWSERS = frozenset((b"origin", b"sec-fetch-site", b"sec-fetch-mode"))
_NOT_DIRECT = _OF_BROWSERS | frozenset(
    (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
)
# Parameters of a query that are looked at.
_MOST_PARAMETERS = 1000


class Head:
    """The head of one request, an ASGI scope."""

    __slots__ = ("_fields", "_query", "client", "method")

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope["method"]
        self._query: bytes = scope["query_string"]
        client = scope.get("client")
        # None by a Unix socket.
        self.client: str | None = client[0] if client else None
        fields: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:  # whose names are in small letters
            if name in fields:
                fields[name].append(value)
            else:
                fields[name] = [value]
        self._fields = fields

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field, as they came. Its name is given in small letters."""
        return self._fields.get(name, [])

    def one(self, name: bytes) -> bytes | None:
        """The value of a field, None if it is not there, or is there more than once: then it is
        not known which of them somebody before us has looked at."""
        found = self._fields.get(name)
        return found[0] if found and len(found) == 1 else None

    def query(self) -> dict[str, list[str]]:
        """The parameters of the URL. Raises ``ValueError`` if there are too many."""
        if not self._query:
            return {}
        return parse_qs(
            self._query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
        )

    @property
    def length(self) -> int | None:
        """Bytes of the body, None if the sender does not know yet."""
        value = self.one(b"content-length")
        return int(value) if value and value.isdigit() else None

    @property
    def kind(self) -> bytes:
        """The body's media type, in small letters, without parameters."""
        return (self.one(b"content-type") or b"").partition(b";")[0].strip().lower()

    @property
    def is_direct(self) -> bool:
        """Whether a program on this machine sends it for itself: it came by loopback and was
        meant to, no web server passed it on, and no page in a browser made it, which may be
        anybody's page."""
        return _NOT_DIRECT.isdisjoint(self._fields) and self._is_loopback

    @property
    def is_looking(self) -> bool:
        """Whether a person on this machine looks at a page, or a program does: as ``is_direct``,
        but for what a browser says of a page that it shows by itself or that one of ours leads to.
        What another site's page embeds or fetches is not that (Fetch Metadata, section 2)."""
        if self._fields.keys() & _NOT_DIRECT <= _OF_BROWSERS:
            whose = self.one(b"sec-fetch-site")
            if whose is None:
                return self.is_direct
            opens = self.method == "GET" and self.one(b"sec-fetch-mode") == b"navigate"
            return self._is_loopback and (whose in (b"none", b"same-origin") or opens)
        return False

    @property
    def _is_loopback(self) -> bool:
        """Whether it came by loopback and was meant to."""
        return (self.client is None or _is_loopback(self.client)) and all(
            map(_is_loopback_host, self.all(b"host"))
        )

    def credentials(self) -> tuple[str, bytes]:
        """The scheme of Authorization in small letters, and what follows; "" if there is none.
        Basic credentials are given as user:password (RFC 7617)."""
        scheme, _, rest = (self.one(b"authorization") or b"").strip().partition(b" ")
        name, rest = scheme.decode("latin-1").lower(), rest.strip()
        if name != "basic":
            return name, rest
        try:
            return name, base64.b64decode(rest, validate=True)
        except binascii.Error:
            return name, b""


_is_loopback = lru_cache(maxsize=64)(addresses.is_loopback)


@lru_cache(maxsize=64)
def _is_loopback_host(value: bytes) -> bool:
    """Whether Host (RFC 9110, section 7.2) names this machine by loopback."""
    try:
        return addresses.is_loopback(urlsplit(f"//{value.decode('latin-1')}").hostname or "")
    except ValueError:
        return False
