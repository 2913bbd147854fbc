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


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def served(port: int, *command: str, stderr: IO[bytes] | None = None) -> Iterator[int]:
    """A server on a port, until the end of the block; its process id."""
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=stderr or subprocess.DEVNULL, cwd=ROOT
    )
    try:
        for _ in range(3000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if server.poll() is not None:
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
