# SPDX-License-Identifier: BSD-3-Clause
"""What stands between the ledger and its PostgreSQL, counts what is asked, and loses an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

_SOCKET = ".s.PGSQL.5432"


class Relay:
    """Passes on what a client and the server say, and cuts the connection when it is told to."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server / _SOCKET
        self._lost: bytes | None = None
        self.asked = 0  # how often the client has said something
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / _SOCKET))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def lose(self, answer: bytes) -> None:
        """Cut the connection on which the server next says this, before the client hears it."""
        self._lost = answer

    def has_lost(self) -> bool:
        """Whether that has happened."""
        return self._lost is None

    def close(self) -> None:
        """Take no more clients, and wait until all are gone."""
        self._listening.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join()
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                for ends in ((client, server, False), (server, client, True)):
                    self._threads.append(threading.Thread(target=self._pass_on, args=ends))
                    self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while said := source.recv(1 << 16):
                if answers and self._lost and self._lost in said:
                    self._lost = None
                    break
                self.asked += not answers
                target.sendall(said)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def relayed(url: str, folder: Path) -> Iterator[tuple[str, Relay]]:
    """The URL of a database by way of a relay in an empty folder, and the relay. Whoever uses the
    URL is gone when the block is left."""
    host = str(conninfo_to_dict(url)["host"])
    with closing(Relay(folder, Path(host))) as relay:
        yield url.replace(host, str(folder)), relay
