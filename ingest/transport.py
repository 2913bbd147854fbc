# SPDX-License-Identifier: BSD-3-Clause
"""HTTP questions, by GET or POST, that end within one deadline and one size limit, whatever the
server does. Errors call the server Patchwork unless the client was given another name.

A timeout of requests bounds the wait for the next byte only: it never cuts off a server that sends
one byte now and then, nor a resolver that hangs.
"""

import threading
import weakref
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ingest.errors import Unavailable
from ingest.value import Value
from ingest.words import printable

if TYPE_CHECKING:
    from ingest.connection import Session

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
        self._session = _session()
        self._asker = _Asker()

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
        answer = self._asker.ask(self._session, question)
        try:
            return answer.result(seconds)
        except TimeoutError as error:
            raise _unreachable(question, "timed out") from error
        finally:
            if not answer.done():
                self.cut()
                self._session, self._asker = _session(), _Asker()

    def close(self) -> None:
        """Close the connection."""
        self._asker = _Asker()
        self._session.close()

    def cut(self) -> None:
        """End the question that another thread waits for, and any further one."""
        self._session.cut()


_Asked = tuple["Session", _Question, Future[Reply]]


class _Asker:
    """A thread that asks one question after the other, so that whoever waits for an answer can
    leave it behind with a resolver that hangs. It ends when nobody has the asker any more."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        weakref.finalize(self, self._asked.put, None)

    def ask(self, session: "Session", question: _Question) -> Future[Reply]:
        """Have a question asked."""
        answer: Future[Reply] = Future()
        self._asked.put((session, question, answer))
        if not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(
                target=_ask_all, args=(self._asked,), name="question", daemon=True
            )
            self._thread.start()
        return answer


def _session() -> "Session":
    from ingest.connection import Session  # imports requests, which only who asks has to wait for

    return Session()


def _ask_all(asked: "SimpleQueue[_Asked | None]") -> None:
    while one := asked.get():
        session, question, answer = one
        try:
            answer.set_result(_answer(session, question))
        except BaseException as error:  # noqa: BLE001  raised again where the question was asked
            answer.set_exception(error)
        del session, question, answer, one


def _answer(session: "Session", question: _Question) -> Reply:
    from ingest import connection

    try:
        with session.sent(
            question.method, question.url, question.headers, question.content, question.seconds
        ) as response:
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
    except connection.ERRORS as error:
        cause = connection.cause(error).replace(question.url, question.target)
        raise _unreachable(question, cause) from error


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
