# SPDX-License-Identifier: BSD-3-Clause
"""The HTTP listener in a thread of its own, as ``serve`` runs it, and a client that may be rude."""

import contextlib
import http.client
import socket
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

from ingest.config import load as config
from ingest.config.tables import Settings
from ingest.ledger import WORKER_LEASE, Queued, Record, open_ledger
from ingest.sources.writer import Writer
from ingest.web.inbound import Accept
from ingest.web.server import Http
from tests.support import ledgers
from tests.support.loop_thread import PATIENCE, LoopThread, T

LISTEN = '[http]\nlisten = ["127.0.0.1:0"]\n'


def request(name: str, body: bytes = b"") -> bytes:
    """A mail that may hold a request, and so is kept; ``body`` goes below it."""
    return (
        b"From: robin@example.org\nMessage-ID: <%s@example.org>\n"
        b"In-Reply-To: <patch@example.org>\n\nRecheck-request: a\n%s" % (name.encode(), body)
    )


class Site:
    """A running listener; ``accept`` instead of the writer's, if given; ``ledger_url``: another
    ledger than a file in the folder."""

    def __init__(
        self,
        folder: Path,
        toml: str = LISTEN,
        accept: Accept | None = None,
        *,
        ledger_url: str = "",
    ) -> None:
        self.folder = folder
        self.is_well = True
        self._accept = accept
        self._stopped = False
        self.ledger_url = ledger_url or ledgers.sqlite(folder)
        self._toml = toml
        self._loop = LoopThread("site")

    def __enter__(self) -> Self:
        self._loop.begin(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.run(self._writer.close())
        self._loop.end()

    def stop(self) -> None:
        """Stop listening, as at the end."""
        if not self._stopped:
            self._stopped = True
            self.run(self.http.stop())

    def settings(self, toml: str) -> Settings:
        file = self.folder / "settings.toml"
        file.write_text(toml)
        flags = {("state", "dir"): str(self.folder), ("state", "ledger"): self.ledger_url}
        return config.load(flags, file=str(file), environment={})

    async def _open(self) -> None:
        settings = self.settings(self._toml)
        opened = lambda: open_ledger(self.ledger_url)  # noqa: E731
        self._writer = Writer(opened, settings.intake.max_size)
        self.http = Http(self._accept or self._writer.accept, opened, lambda: self.is_well)
        try:
            await self.http.configure(settings)
        except BaseException:
            await self.http.stop()
            await self._writer.close()
            raise

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the site's loop."""
        return self._loop.run(what)

    def configure(self, toml: str) -> None:
        """Reload."""
        self.run(self.http.configure(self.settings(toml)))

    @property
    def port(self) -> int:
        return int(self.http.addresses()[0].rpartition(":")[2])

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, str]:
        """The status and the text of an answer; 0 if the connection ends without one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, body, dict(headers or {}))
                answer = connection.getresponse()
            except (ConnectionError, http.client.RemoteDisconnected):
                return 0, ""
            return answer.status, answer.read().decode()

    def get(self, path: str) -> tuple[int, str]:
        return self.post(path, b"", method="GET")

    def open(self) -> socket.socket:
        """A connection, to say what no client would."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def say(self, *pieces: bytes) -> bytes:
        """What comes back for these bytes, up to the end of the connection."""
        with self.open() as connection:
            heard = b""
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
                while piece := connection.recv(1 << 16):
                    heard += piece
            return heard

    def kept(self, message_id: str) -> Record:
        """The one mail of this Message-ID."""
        ledger = open_ledger(self.ledger_url)
        with contextlib.closing(ledger):
            (found,) = ledger.find(message_id)
            return found

    def queued(self) -> list[Queued]:
        """What the worker would work on."""
        found = []
        ledger = open_ledger(self.ledger_url)
        with contextlib.closing(ledger):
            while mail := ledger.claim(float("inf"), WORKER_LEASE):
                found.append(mail)
        return found
