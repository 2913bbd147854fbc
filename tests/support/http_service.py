# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest serve`` processes that listen for HTTP, and a client that needs no library."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from ingest.ledger import open_ledger
from tests.support.loop_thread import PATIENCE

NOWHERE = "http://127.0.0.1:9"  # no Patchwork: mails stay queued
ASK = b"POST /mail HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
LISTENING = r"listening for HTTP on (\S+)"


class HttpService:
    """``recheck-ingest serve`` processes on one state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []

    def start(
        self, *flags: str, before: tuple[str, ...] = (), keep: tuple[int, ...] = ()
    ) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
        run = before or (sys.executable, "-m", "ingest")
        own = ("--state", str(self.folder), "--patchwork", NOWHERE, "-v")
        process = subprocess.Popen(
            [*run, "serve", *own, *flags], stderr=subprocess.PIPE, text=True, env=clean,
            pass_fds=keep,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Kill what is still running."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def read(self, address: str, path: str) -> str:
        """What is answered to a GET, at host:port."""
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text

    def times_kept(self, message_id: str) -> int:
        with contextlib.closing(open_ledger(f"sqlite:{self.folder}/ledger.sqlite")) as ledger:
            return len(ledger.find(message_id))


def told(process: subprocess.Popen[str], pattern: str) -> str:
    """What a pattern catches in the next line on standard error that it matches."""
    assert process.stderr
    for line in process.stderr:
        if match := re.search(pattern, line):
            return match[1]
    raise AssertionError(f"it ended without telling {pattern}")


def exchange(address: str, mail: bytes) -> bytes:
    """The answer to a mail that is posted to host:port or unix:PATH; nothing if there is none."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host, int(port)))
    with connection, contextlib.suppress(ConnectionError):
        connection.settimeout(PATIENCE)
        connection.sendall(ASK % (len(mail), mail))
        return hear(connection)
    return b""


def hear(connection: socket.socket) -> bytes:
    """One answer, whose text ends with a line end; nothing if the connection ends before."""
    heard = b""
    while b"\r\n\r\n" not in heard or heard.endswith(b"\r\n\r\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        heard += piece
    return heard
