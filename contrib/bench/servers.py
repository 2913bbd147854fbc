# SPDX-License-Identifier: BSD-3-Clause
"""Servers in processes of their own, so that what they use is not counted as ours."""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import letters
from measure import ROOT

# Seconds that a server is given to start.
_PATIENCE = 60.0
# The state of a socket in /proc/net/tcp (TCP_LISTEN in Linux's tcp_states.h).
_LISTEN = "0A"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def is_listened_on(port: int) -> bool:
    """Whether a process listens on this port of loopback. Nobody connects: the server would count
    that connection, perhaps until after the first ones of the bench have come."""
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == _LISTEN for row in rows)


@contextlib.contextmanager
def served(port: int, *command: str, stderr: IO[bytes] | None = None) -> Iterator[int]:
    """A server on a port, until the end of the block; its process id."""
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=stderr or subprocess.DEVNULL, cwd=ROOT
    )
    try:
        until = time.monotonic() + _PATIENCE
        while not is_listened_on(port):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[1:4]} did not start")
            time.sleep(0.02)
        yield server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


@dataclass(frozen=True, slots=True)
class Patchwork:
    """A sandbox Patchwork: its address, and how many questions it was asked so far."""

    url: str
    asked: Callable[[], int]


@contextlib.contextmanager
def patchwork(folder: Path, series: int) -> Iterator[Patchwork]:
    """The sandbox with so many series of one patch each, until the end of the block."""
    with (
        tempfile.NamedTemporaryFile(dir=folder, suffix=".mbox") as mbox,
        tempfile.NamedTemporaryFile(dir=folder, suffix=".log") as log,
    ):
        mbox.write(b"".join(letters.patch(number) for number in range(series)))
        mbox.flush()
        port = free_port()
        command = (sys.executable, "-m", "ingest.sandbox", mbox.name, "--port", str(port))
        asked = lambda: Path(log.name).read_bytes().count(b'"GET ')  # noqa: E731
        with served(port, *command, "--verbose", stderr=log.file):
            yield Patchwork(f"http://127.0.0.1:{port}", asked)
