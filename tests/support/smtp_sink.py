# SPDX-License-Identifier: BSD-3-Clause
"""The listeners in a thread of their own, and a client that says raw lines to them."""

import contextlib
import socket
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.config import load as config
from ingest.config.tables import Settings
from ingest.ledger import WORKER_LEASE, Queued, open_ledger
from ingest.sources.admission import Accept
from ingest.sources.listeners import Listeners
from ingest.sources.writer import Writer
from tests.support.loop_thread import PATIENCE, LoopThread, T

LOCAL = "127.0.0.1:0"
TABLE = {"listen": [LOCAL]}


def request(name: str, body: bytes = b"") -> bytes:
    """A mail that may hold a request, and so is kept; ``body`` goes below it."""
    return (
        b"From: robin@example.org\r\nMessage-ID: <%s@example.org>\r\n"
        b"In-Reply-To: <patch@example.org>\r\n\r\nRecheck-request: a\r\n%s" % (name.encode(), body)
    )


def settings(folder: Path, **tables: dict[str, Any]) -> Settings:
    """Settings as from a file with these tables, the ledger in ``folder``."""
    flags = {
        (name, key): tuple(value) if isinstance(value, list) else value
        for name, table in tables.items()
        for key, value in table.items()
    }
    return config.load({("state", "dir"): str(folder), **flags}, environment={})


class Sink:
    """Running listeners, as ``serve`` runs them; ``accept`` instead of the writer's, if given."""

    def __init__(
        self, folder: Path, accept: Accept | None = None, ledger: str = "", **tables: dict[str, Any]
    ) -> None:
        if not tables:
            tables = {"smtp": {"listen": [LOCAL]}}
        self._folder = folder
        self._tables = tables
        self._ledger = ledger or f"sqlite:{folder}/ledger.sqlite"
        self._accept = accept
        self._loop = LoopThread("sink")
        self._stopped = False

    def __enter__(self) -> "Sink":
        self._loop.begin(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(0.0)
        self.run(self._writer.close())
        self._loop.end()

    async def _open(self) -> None:
        self._writer = Writer(lambda: open_ledger(self._ledger), 40 << 20)
        self.listeners = Listeners(self._accept or self._writer.accept)
        try:
            await self.listeners.configure(settings(self._folder, **self._tables))
        except BaseException:
            await self._writer.close()
            raise

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the listeners' loop."""
        return self._loop.run(what)

    def configure(self, **tables: dict[str, Any]) -> None:
        """Reload."""

        async def configure() -> None:
            await self.listeners.configure(settings(self._folder, **tables))

        self.run(configure())

    def stop(self, timeout: float) -> None:
        if not self._stopped:
            self._stopped = True
            self.run(self.listeners.stop(timeout))

    def address(self, name: str = "smtp") -> str:
        """Where it listens, with the real port."""
        return next(label for kind, label in self.listeners.addresses() if kind == name)

    @property
    def port(self) -> int:
        return int(self.address().rpartition(":")[2])

    def client(self, name: str = "smtp", greeting: bool = True) -> "Client":
        """A connection to it, greeted and introduced."""
        client = Client(connect(self.address(name)))
        if greeting:
            assert client.reply().startswith("220 ")
            hello = "LHLO" if name == "lmtp" else "EHLO"
            assert client.say(f"{hello} client.example.org").startswith("250")
        return client

    def kept(self) -> list[Queued]:
        """The mails in the ledger, in order; they are taken out of the queue."""
        ledger = open_ledger(self._ledger)
        mails = []
        while mail := ledger.claim(time.time(), WORKER_LEASE):
            mails.append(mail)
        ledger.close()
        return mails


def connect(address: str) -> socket.socket:
    """A connection to an address as it is written in the configuration."""
    if address.startswith("unix:"):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(PATIENCE)
        try:
            connected.connect(address.partition(":")[2])
        except OSError:
            connected.close()
            raise
        return connected
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)


@contextlib.contextmanager
def serving(folder: Path, **smtp: Any) -> Iterator[Sink]:
    """An SMTP listener with these settings."""
    with Sink(folder, smtp={**TABLE, **smtp}) as sink:
        yield sink


class Client:
    """A dialogue, line by line."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._lines = connected.makefile("rb")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        """The next reply, its lines joined; "" if the connection has ended."""
        lines = []
        try:
            while line := self._lines.readline().decode():
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    break
        except ConnectionError:
            return ""
        return "\n".join(lines)

    def replies(self, count: int) -> list[str]:
        return [self.reply() for _ in range(count)]

    def rest(self) -> list[str]:
        """All replies until the connection ends."""
        return list(iter(self.reply, ""))

    def say(self, line: str) -> str:
        """One command, and the reply to it."""
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def data(self, *recipients: str, sender: str = "<robin@example.org>") -> None:
        """Up to the 354."""
        assert self.say(f"MAIL FROM:{sender}").startswith("250 2.1.0")
        for each in recipients or ("ci@example.org",):
            assert self.say(f"RCPT TO:<{each}>").startswith("250 2.1.5")
        assert self.say("DATA").startswith("354 ")

    def deliver(self, mail: bytes, *recipients: str, sender: str = "<robin@example.org>") -> str:
        """A whole mail, as it goes over the wire without the end of data; the first reply."""
        self.data(*recipients, sender=sender)
        self.send(mail + b".\r\n")
        return self.reply()


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a table of dialogues: what is said, and how the last reply begins."""

    name: str
    lines: tuple[str, ...]
    reply: str

    def __str__(self) -> str:
        return self.name
