# SPDX-License-Identifier: BSD-3-Clause
"""HTTP questions that end within one deadline and one size limit, whatever the server does.

A timeout of requests bounds the wait for the next byte; a server that sends one byte now and then
is never cut off by it, nor is a resolver that hangs. Used by ``patchwork`` alone.
"""

import socket
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from ingest.errors import Unavailable

_PIECE = 1 << 16
_LONGEST_CAUSE = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. ``headers`` are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Asks one question at a time and keeps the connection open for the next.

    ``headers`` go with each; ``max_answer``: bytes of a body, also of one that is compressed.
    """

    def __init__(self, headers: Mapping[str, str], *, max_answer: int) -> None:
        self._headers = headers
        self._max_answer = max_answer
        self._session = _Session()

    def get(self, url: str, seconds: float) -> Reply:
        """The answer to a GET; redirects are not followed. Raises ``Unavailable``, after
        ``seconds`` at the latest."""
        answer: Future[Reply] = Future()
        session = self._session
        asking = (session, self._headers, url, seconds, self._max_answer, answer)
        threading.Thread(target=_ask, args=asking, name="question", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError as error:
            raise Unavailable(f"Patchwork at {url} cannot be reached: timed out") from error
        finally:
            if not answer.done():
                session.cut()
                self._session = _Session()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


def _ask(
    session: "_Session",
    headers: Mapping[str, str],
    url: str,
    seconds: float,
    most: int,
    answer: Future[Reply],
) -> None:
    try:
        answer.set_result(_answer(session, headers, url, seconds, most))
    except BaseException as error:  # noqa: BLE001  raised again where the question was asked
        answer.set_exception(error)


def _answer(
    session: "_Session", headers: Mapping[str, str], url: str, seconds: float, most: int
) -> Reply:
    try:
        with session.get(
            url, headers=dict(headers), timeout=seconds, stream=True, allow_redirects=False
        ) as response:
            response.raw.enforce_content_length = True  # older releases of urllib3 do not
            body = bytearray()
            for piece in response.raw.stream(_PIECE, decode_content=False):
                body += piece
                if len(body) > most:
                    raise _too_large(url, most)
            coding = response.headers.get("Content-Encoding", "").strip().lower()
            return Reply(
                response.status_code, response.headers, _decoded(bytes(body), coding, url, most)
            )
    # requests lets some of its own library's errors through, and ValueErrors of URLs.
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise Unavailable(f"Patchwork at {url} cannot be reached: {_cause(error)}") from error


def _decoded(body: bytes, coding: str, url: str, most: int) -> bytes:
    """A body without its compression. Done here because libraries unpack all that was read at
    once, a thousand times as much."""
    if coding in ("", "identity"):
        return body
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    try:
        text = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Unavailable(f"Patchwork's answer to {url} is no {printable(coding)}") from error
    if len(text) > most:
        raise _too_large(url, most)
    if not unpacker.eof:
        raise Unavailable(f"Patchwork's answer to {url} is cut short")
    return text


def _too_large(url: str, most: int) -> Unavailable:
    return Unavailable(f"Patchwork's answer to {url} is over {most} bytes")


class _Session(requests.Session):
    """A session that another thread can cut off, and that carries nothing from one answer into
    the next question."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        adapter = _Adapter(self)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None ever: requests would read the whole body of a redirect, of any size, in order to
        prepare a next request that is not asked for."""

    def note(self, sock: object) -> None:
        """A connection was made."""
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


def _shut(sock: socket.socket) -> None:
    # Not SSLSocket's own method, which is not meant to be called while another thread reads.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Tells the session of each connection that is made."""

    def __init__(self, session: _Session) -> None:
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


def _cause(error: Exception) -> str:
    """The innermost cause in a few words; requests' own texts name objects in memory."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    if isinstance(error, requests.Timeout):
        return "timed out"
    return printable(getattr(inner, "strerror", None) or inner) or type(inner).__name__


def printable(value: object) -> str:
    """What a server says, fit for a terminal, a log and a database: one line, not a long one."""
    text = "".join(each if each.isprintable() else " " for each in str(value)[:_LONGEST_CAUSE])
    return " ".join(text.split())
