# SPDX-License-Identifier: BSD-3-Clause
"""HTTP questions, by GET or POST, that end within one deadline and one size limit, whatever the
server does. Errors call the server Patchwork unless the client was given another name.

A timeout of requests bounds the wait for the next byte only: it never cuts off a server that sends
one byte now and then, nor a resolver that hangs.
"""

import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from ingest.errors import Unavailable
from ingest.value import Value
from ingest.words import printable

_PIECE = 1 << 16
# Seconds. However long a server asks us to wait, a day later it is asked again.
_LONGEST_PAUSE = 86400.0


class Reply(Value):
    """An answer, whatever its status. ``headers`` are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Question(Value):
    """One question. ``target``: whom it goes to, as errors tell it."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    seconds: float
    most: int
    server: str
    target: str


def retry_after(reply: Reply, now: float) -> float | None:
    """The Retry-After header in seconds from ``now``, a Unix time (RFC 9110, section 10.2.3); a
    day at most, None if it says nothing."""
    value = reply.headers.get("Retry-After")
    if not value:
        return None
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            moment = parsedate_to_datetime(value)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


class Client:
    """Asks one question at a time and keeps the connection open for the next.

    ``headers`` go with each; ``max_answer``: bytes of a body, also of one that is compressed.
    ``server``: what errors call it; ``shown``: how they tell a URL, for one that holds secrets.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        max_answer: int,
        server: str = "Patchwork",
        shown: Callable[[str], str] = str,
    ) -> None:
        self._headers = headers
        self._max_answer = max_answer
        self._server = server
        self._shown = shown
        self._session = _Session()

    def get(self, url: str, seconds: float, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to a GET; redirects are not followed. Raises ``Unavailable``, after
        ``seconds`` at the latest."""
        return self._ask("GET", url, headers or {}, None, seconds)

    def post(
        self, url: str, content: bytes, seconds: float, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The answer to a POST of ``content``, with further headers that say what it is;
        otherwise as ``get``. What raises ``Unavailable`` may have reached the server."""
        return self._ask("POST", url, headers or {}, content, seconds)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        seconds: float,
    ) -> Reply:
        question = _Question(
            method=method,
            url=url,
            headers={**self._headers, **headers},
            content=content,
            seconds=seconds,
            most=self._max_answer,
            server=self._server,
            target=self._shown(url),
        )
        answer: Future[Reply] = Future()
        session = self._session
        asking = (session, question, answer)
        threading.Thread(target=_ask, args=asking, name="question", daemon=True).start()
        try:
            return answer.result(seconds)
        except TimeoutError as error:
            raise _unreachable(question, "timed out") from error
        finally:
            if not answer.done():
                session.cut()
                self._session = _Session()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def cut(self) -> None:
        """End the question that another thread waits for, and any further one."""
        self._session.cut()


def _ask(session: "_Session", question: _Question, answer: Future[Reply]) -> None:
    try:
        answer.set_result(_answer(session, question))
    except BaseException as error:  # noqa: BLE001  raised again where the question was asked
        answer.set_exception(error)


def _answer(session: "_Session", question: _Question) -> Reply:
    try:
        with _sent(session, question) as response:
            response.raw.enforce_content_length = True  # older releases of urllib3 do not
            body = bytearray()
            for piece in response.raw.stream(_PIECE, decode_content=False):
                body += piece
                if len(body) > question.most:
                    raise _too_large(question)
            coding = response.headers.get("Content-Encoding", "").strip().lower()
            return Reply(
                response.status_code, response.headers, _decoded(bytes(body), coding, question)
            )
    # requests lets some of its own library's errors through, and ValueErrors of URLs.
    except (requests.RequestException, HTTPError, ValueError) as error:
        cause = _cause(error).replace(question.url, question.target)
        raise _unreachable(question, cause) from error


def _sent(session: "_Session", question: _Question) -> requests.Response:
    """The head of the answer. Where the server has closed the connection of an earlier question,
    perhaps while this one was under way, a GET is sent once more by a new one (RFC 9112, section
    9.3.1): that says nothing of the server."""
    made = session.made
    try:
        return session.ask(question)
    except requests.ConnectionError as error:
        was_closed = session.made == made and isinstance(_innermost(error), ConnectionError)
        if question.method != "GET" or not was_closed:
            raise
        return session.ask(question)


def _authorization(question: _Question) -> Any:
    """Who we are: what the header says, else user and password of the URL. Without an answer of
    ours requests would read a .netrc, which is meant for other programs."""
    user, password = requests.utils.get_auth_from_url(question.url)
    if "Authorization" in question.headers or not (user or password):
        return _as_it_is
    return user, password


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _decoded(body: bytes, coding: str, question: _Question) -> bytes:
    """A body without its compression. Done here because libraries unpack all that was read at
    once, a thousand times as much."""
    if coding in ("", "identity"):
        return body
    answer = f"{question.server}'s answer to {question.target}"
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
    try:
        text = unpacker.decompress(body, question.most + 1)
    except zlib.error as error:
        raise Unavailable(f"{answer} is not valid {printable(coding)}") from error
    if len(text) > question.most:
        raise _too_large(question)
    if not unpacker.eof:
        raise Unavailable(f"{answer} is cut short")
    return text


def _too_large(question: _Question) -> Unavailable:
    return Unavailable(
        f"{question.server}'s answer to {question.target} is over {question.most} bytes"
    )


def _unreachable(question: _Question, cause: str) -> Unavailable:
    return Unavailable(f"{question.server} at {question.target} cannot be reached: {cause}")


class _Session(requests.Session):
    """A session that another thread can cut off, and that carries nothing from one answer into
    the next question."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self.made = 0  # connections
        self._settings: dict[tuple[str, ...], Any] = {}
        adapter = _Adapter(self)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def ask(self, question: _Question) -> requests.Response:
        """Send a question; its answer as far as the head."""
        return self.request(
            question.method,
            question.url,
            headers=dict(question.headers),
            data=question.content,
            auth=_authorization(question),
            timeout=question.seconds,
            stream=True,
            allow_redirects=False,
        )

    def merge_environment_settings(self, url: Any, *arguments: Any) -> Any:
        """Which proxy and certificates the environment names for a server. It is gone through once:
        that costs half as much as a question."""
        server = urlsplit(url)[:2]
        if server not in self._settings:
            self._settings[server] = super().merge_environment_settings(url, *arguments)
        return dict(self._settings[server])

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None ever: requests would read the whole body of a redirect, of any size, in order to
        prepare a next request that is not asked for."""

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


def _innermost(error: Exception) -> BaseException:
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__ or inner
    return inner


def _cause(error: Exception) -> str:
    """The innermost cause in a few words; requests' own texts name objects in memory."""
    inner = _innermost(error)
    if isinstance(error, requests.Timeout):
        return "timed out"
    return printable(getattr(inner, "strerror", None) or inner) or type(inner).__name__
