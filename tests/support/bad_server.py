# SPDX-License-Identifier: BSD-3-Clause
"""A Patchwork from hell: an HTTP server on loopback that answers each request as it is told to,
down to the bytes. What can be wrong with an answer is tabled in ``faults``.

Raw sockets, because a proper server library would refuse to be this bad.
"""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
MEGABYTE = 1 << 20
# What tests allow a question to take and an answer to weigh.
TIMEOUT = 0.2
MOST = MEGABYTE
# Between two bytes of a drip: far below the timeout, so that only the whole of it is too long.
_DRIP = 0.02
_AT_MOST = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came."""

    target: str
    headers: dict[str, str]  # names in lower case
    connection: int  # the number of the connection it came by
    method: str = "GET"
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


class Line:
    """The server's end of one connection, while one request is answered."""

    def __init__(self, connection: socket.socket, seen: Seen, over: threading.Event) -> None:
        self.seen = seen
        self.is_open = True
        self._connection = connection
        self._over = over

    def send(self, data: bytes) -> None:
        """Raises ``OSError`` once the client has gone."""
        self._connection.sendall(data)

    def pause(self, seconds: float = _DRIP) -> None:
        """Raises ``TimeoutError`` when the server stops meanwhile."""
        if self._over.wait(seconds):
            raise TimeoutError

    def stall(self) -> None:
        """Say nothing more until the client goes."""
        while self._connection.recv(4096):
            pass
        raise ConnectionResetError

    def close(self) -> None:
        self.is_open = False

    def reset(self) -> None:
        """End the connection with RST, so that the client's next read fails."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.is_open = False


Answer = Callable[[Line], None]


class Hell:
    """The server, as a context manager. ``seen``: the requests in order; ``left``: how many
    answers the client did not wait for to the end. With ``tls`` it speaks TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.seen: list[Seen] = []
        self.left = 0
        self._answers: list[Answer] = []
        self._route: Callable[[Seen], Answer | None] = lambda seen: None
        # To neutral questions, of the API's root and versions; None leaves them to ``will``, too.
        self.root: Answer | None = text("{}")
        self._connections: dict[int, socket.socket] = {}
        self._guard = threading.Condition()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening: socket.socket | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self._port}"

    def will(self, *answers: Answer) -> None:
        """What the next requests are answered, in turn; the last answer is given for ever."""
        self._answers = list(answers)

    def route(self, route: Callable[[Seen], Answer | None]) -> None:
        """What is answered by request; None leaves it to ``will``."""
        self._route = route

    def was_left(self, times: int) -> bool:
        """Whether so many answers were given up by the client; it is given time to do so."""
        with self._guard:
            return self._guard.wait_for(lambda: self.left >= times, _AT_MOST)

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._over = threading.Event()
        self._listening = socket.create_server((HOST, self._port), backlog=64)
        self._port = self._listening.getsockname()[1]
        self._begin(self._listen, self._listening)

    def stop(self) -> None:
        """Refuse connections, and end those that are open."""
        self._over.set()
        if self._listening:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
        with self._guard:
            for connection in self._connections.values():
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_AT_MOST)
        self._threads.clear()
        if self._listening:
            self._listening.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin(self, work: Callable[..., None], *values: Any) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self, listening: socket.socket) -> None:
        for number in count(len(self.seen)):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._guard:
                self._connections[number] = connection
            self._begin(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), self._encrypted(connection, number) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (seen := _read(line, number)) and self._answer(line, seen):
                pass  # until the client goes between two requests
        with self._guard:
            self._connections.pop(number, None)

    def _encrypted(self, connection: socket.socket, number: int) -> socket.socket:
        if not self._tls:
            return connection
        with connection:
            encrypted = self._tls.wrap_socket(connection, server_side=True)
        with self._guard:
            self._connections[number] = encrypted
        return encrypted

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        with self._guard:
            self.seen.append(seen)
            answer = self._route(seen)
            if answer is None and re.fullmatch(r"/api/(\d\.\d/)?", seen.path):
                answer = self.root
            if answer is None:
                answer = self._answers[0]
                self._answers = self._answers[1:] or self._answers
        line = Line(connection, seen, self._over)
        try:
            answer(line)
        except OSError:
            with self._guard:
                self.left += not self._over.is_set()
                self._guard.notify_all()
            return False
        return line.is_open


def _read(connection: socket.socket, number: int) -> Seen | None:
    """One request, None at the connection's end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
    }
    while len(body) < int(headers.get("content-length", 0)):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    method, target, _ = first.split(" ")
    return Seen(target, headers, number, method, body)


# Answers, the good ones first.


def http(
    status: int = 200,
    body: bytes = b"",
    *headers: str,
    kind: str = "application/json",
    phrase: str = "Whatever",
    version: str = "1.1",
    length: int | None = None,
) -> bytes:
    """An answer's bytes. ``length``: what Content-Length says, where that is not true."""
    told = len(body) if length is None else length
    lines = [f"HTTP/{version} {status} {phrase}", f"Content-Type: {kind}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {told}", "", ""]).encode("latin-1") + body


def says(data: bytes) -> Answer:
    """These bytes and nothing else."""
    return lambda line: line.send(data)


def then_ends(data: bytes) -> Answer:
    """These bytes, and the connection is closed."""

    def answer(line: Line) -> None:
        line.send(data)
        line.close()

    return answer


def rows(*content: Any, headers: tuple[str, ...] = ()) -> Answer:
    """A list as JSON."""
    return says(http(200, json.dumps(content).encode(), *headers))


def text(body: str | bytes) -> Answer:
    """An answer whose body is said to be JSON."""
    return says(http(200, body.encode() if isinstance(body, str) else body))


def html(status: int, *headers: str) -> Answer:
    """A page for people."""
    return says(http(status, b"<html><h1>Sorry</h1></html>", *headers, kind="text/html"))


def failing(status: int, *headers: str) -> Answer:
    """An error as Patchwork tells it."""
    return says(http(status, b'{"detail": "Sorry."}', *headers))


def redirect(to: Callable[[Line], str], status: int = 302, body: bytes = b"") -> Answer:
    return lambda line: line.send(http(status, body, f"Location: {to(line)}"))


def patch_row(message_id: str, **changes: Any) -> dict[str, Any]:
    """A patch as a list of patches has it, as far as this program looks."""
    row = {
        "id": 131182,
        "msgid": f"<{message_id}>",
        "project": {"id": 5, "link_name": "ci", "list_id": "ci.dpdk.org"},
        "series": [{"id": 29430, "version": 1}],
    }
    return {**row, **changes}


# Answers that never come to an end.


def stalls(before: bytes = b"") -> Answer:
    def answer(line: Line) -> None:
        line.send(before)
        line.stall()

    return answer


def drips(before: bytes, drop: bytes) -> Answer:
    """So slowly that no read ever waits for long, for ever."""

    def answer(line: Line) -> None:
        line.send(before)
        while True:
            line.send(drop)
            line.pause()

    return answer


def floods(before: bytes, piece: bytes, most: int = 1 << 34) -> Answer:
    """As fast as the client reads."""

    def answer(line: Line) -> None:
        line.send(before)
        for _ in range(most // len(piece)):
            line.send(piece)

    return answer


def resets(before: bytes) -> Answer:
    def answer(line: Line) -> None:
        line.send(before)
        line.pause()  # the client has read that much
        line.reset()

    return answer


def refused_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server((HOST, 0)) as listening:
        return f"http://{HOST}:{listening.getsockname()[1]}"
