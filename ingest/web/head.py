# SPDX-License-Identifier: BSD-3-Clause
"""The head of a request, read as strictly as who is to be let in by it must be."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ingest import addresses

# Fields that a web server in front of us adds, or a browser.
_NOT_DIRECT = (
    *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"),
    *(b"origin", b"sec-fetch-site", b"sec-fetch-mode"),
)
# Parameters of a query that are looked at.
_MOST_PARAMETERS = 1000


class Head:
    """The head of one request, an ASGI scope."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.method: str = scope["method"]
        self._fields: list[tuple[bytes, bytes]] = scope["headers"]
        self._query: bytes = scope["query_string"]
        # None by a Unix socket.
        self.client: str | None = (scope.get("client") or (None,))[0]

    def all(self, name: str) -> list[bytes]:
        """The values of a field, as they came."""
        wanted = name.lower().encode()
        return [value for key, value in self._fields if key == wanted]

    def one(self, name: str) -> bytes | None:
        """The value of a field, None if it is not there, or is there more than once: then it is
        not known which of them somebody before us has looked at."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None

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
        value = self.one("content-length")
        return int(value) if value and value.isdigit() else None

    @property
    def kind(self) -> bytes:
        """The body's media type, in small letters, without parameters."""
        return (self.one("content-type") or b"").partition(b";")[0].strip().lower()

    @property
    def is_direct(self) -> bool:
        """Whether a program on this machine sends it for itself: it came by loopback and was
        meant to, no web server passed it on, and no page in a browser made it, which may be
        anybody's page."""
        try:
            hosts = [urlsplit(f"//{each.decode('latin-1')}").hostname for each in self.all("host")]
        except ValueError:
            return False
        ends = [self.client or "localhost", *(host or "" for host in hosts)]
        return all(map(addresses.is_loopback, ends)) and not any(
            key in _NOT_DIRECT for key, _ in self._fields
        )

    def credentials(self) -> tuple[str, bytes]:
        """The scheme of Authorization in small letters, and what follows; "" if there is none.
        Basic credentials are given as user:password (RFC 7617)."""
        scheme, _, rest = (self.one("authorization") or b"").strip().partition(b" ")
        name, rest = scheme.decode("latin-1").lower(), rest.strip()
        if name != "basic":
            return name, rest
        try:
            return name, base64.b64decode(rest, validate=True)
        except binascii.Error:
            return name, b""
