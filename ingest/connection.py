# SPDX-License-Identifier: BSD-3-Clause
"""A connection to an HTTP server that another thread can cut off, and what went wrong on it."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from ingest.words import printable

# requests lets some of its own library's errors through, and ValueErrors of URLs.
ERRORS = (requests.RequestException, HTTPError, ValueError)

_USUAL_HEADERS = requests.utils.default_headers()


class Session:
    """The connections to servers that one client asks, which another thread can cut off. Of what
    requests has in a session, such as cookies, hooks and redirects, nothing is wanted here."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self.made = 0  # connections
        self._surroundings: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self._adapter = _Adapter(self)

    def sent(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        seconds: float,
    ) -> requests.Response:
        """Send a question; its answer as far as the head. Where the server has closed the
        connection of an earlier question, perhaps while this one was under way, a GET is sent once
        more by a new one (RFC 9112, section 9.3.1): that says nothing of the server."""

        def ask() -> requests.Response:
            return self._adapter.send(asked, timeout=seconds, **self._surrounding(url))

        asked = requests.PreparedRequest()
        asked.prepare(
            method,
            url,
            headers={**_USUAL_HEADERS, **headers},
            data=content,
            auth=_authorization(url, headers),
        )
        made = self.made
        try:
            return ask()
        except requests.ConnectionError as error:
            was_closed = self.made == made and isinstance(_innermost(error), ConnectionError)
            if method != "GET" or not was_closed:
                raise
            return ask()

    def _surrounding(self, url: str) -> Mapping[str, Any]:
        """Which proxy and certificates the environment names for a server. It is gone through once:
        that costs half as much as a question."""
        server = urlsplit(url)[:2]
        if server not in self._surroundings:
            with requests.Session() as plain:
                found = plain.merge_environment_settings(url, {}, True, None, None)
            self._surroundings[server] = found
        return self._surroundings[server]

    def note(self, sock: object) -> None:
        """A connection was made."""
        self.made += 1
        if not isinstance(sock, socket.socket):  # TLS inside a proxy's TLS
            return
        with self._guard:
            self._sockets = [each for each in self._sockets if each.fileno() >= 0] + [sock]
            if self._is_cut:
                _shut(sock)

    def cut(self) -> None:
        """End whatever this session's connections are waiting for; it is of no use afterwards."""
        with self._guard:
            self._is_cut = True
            for sock in self._sockets:
                _shut(sock)
        self.close()

    def close(self) -> None:
        """Close the connections that nobody waits for."""
        self._adapter.close()


def _shut(sock: socket.socket) -> None:
    # Not SSLSocket's own method, which is not meant to be called while another thread reads.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells the session of each connection that is made."""

    def __init__(self, session: Session) -> None:
        self._session = session
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if "ConnectionCls" not in vars(pool):
            kind, note = pool.ConnectionCls, self._session.note

            def connect(connection: Any) -> None:
                kind.connect(connection)
                note(connection.sock)

            pool.ConnectionCls = type(kind.__name__, (kind,), {"connect": connect})
        return pool


def _innermost(error: Exception) -> BaseException:
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return inner


def cause(error: Exception) -> str:
    """The innermost cause in a few words; requests' own texts name objects in memory."""
    inner = _innermost(error)
    if isinstance(error, requests.Timeout):
        return "timed out"
    return printable(getattr(inner, "strerror", None) or inner) or type(inner).__name__


def _authorization(url: str, headers: Mapping[str, str]) -> Any:
    """Who we are: what the header says, else user and password of the URL. Without an answer of
    ours requests would read a .netrc, which is meant for other programs."""
    user, password = requests.utils.get_auth_from_url(url)
    if "Authorization" in headers or not (user or password):
        return _as_it_is
    return user, password


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
