# SPDX-License-Identifier: BSD-3-Clause
"""A listener to server-sent events, as a browser reads them."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.loop_thread import PATIENCE


@dataclass(frozen=True)
class Event:
    """An event that a page would see."""

    name: str
    data: Any
    id: str


class Listener:
    """One connection to /api/events. To be used as a context manager."""

    def __init__(self, port: int, last: str = "", token: str = "") -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        lines = "GET /api/events HTTP/1.1\r\nHost: localhost\r\n"
        lines += f"Last-Event-ID: {last}\r\n" if last else ""
        lines += f"Authorization: Bearer {token}\r\n" if token else ""
        self._connection.sendall(f"{lines}\r\n".encode())
        self._stream = self._connection.makefile("rb")
        self.status = int(self._stream.readline().split()[1])
        self.head: dict[str, str] = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().partition(":")
            self.head[name.lower()] = value.strip()
        self.last = ""

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._connection.close()

    def lines(self) -> Iterator[str]:
        """The lines of the body, which comes in pieces (RFC 9112, section 7.1)."""
        rest = b""
        while size := int(self._stream.readline() or b"0", 16):
            rest += self._stream.read(size)
            self._stream.readline()
            *whole, rest = rest.split(b"\n")
            yield from (line.decode() for line in whole)

    def events(self) -> Iterator[Event]:
        """The events, until the stream ends."""
        name, data = "", ""
        for line in self.lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif field == "id":
                self.last = value
            elif not line:
                if data:
                    yield Event(name, json.loads(data), self.last)
                name, data = "", ""

    def hear(self, *names: str) -> list[Event]:
        """The next events, which must have these names."""
        events = self.events()
        heard = [next(events) for _ in names]
        assert [each.name for each in heard] == [*names], heard
        return heard

    def begin(self) -> "Listener":
        """Wait until it is known where the stream begins."""
        for line in self.lines():
            if line.startswith("id: "):
                self.last = line.removeprefix("id: ")
                return self
        raise AssertionError("the stream ended")
