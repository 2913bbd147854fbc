# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest`` processes on one state folder, and waiting for what they do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MAIL = (
    b"From: reviewer@example.org\nSubject: Re: [PATCH 1/1] tools\n"
    b"Date: Wed, 6 Sep 2023 10:00:00 +0000\nMessage-ID: <%s@example.org>\n"
    b"In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
    b"List-Id: DPDK CI discussions <ci.dpdk.org>\n\nRecheck-request: iol-%s\n"
)


class Service:
    """``recheck-ingest`` processes on one state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.retests = folder / "retests.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.wrapper: list[str] = []  # a command that runs the processes

    def start(self, *arguments: str, url: str, **environment: str) -> subprocess.Popen[bytes]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
        flags = ["--patchwork", url, "--state", str(self.folder)]
        process = subprocess.Popen(
            [*self.wrapper, sys.executable, "-m", "ingest", *arguments, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The mails are old.
            env={**clean, "RECHECK_INGEST_POLICY_MAX_AGE": "0", **environment},
        )
        self.processes.append(process)
        return process

    def pipe(self, name: bytes, url: str, **environment: str) -> None:
        process = self.start("pipe", url=url, RECHECK_INGEST_PIPE_BUDGET="0", **environment)
        assert process.communicate(MAIL % (name, name), timeout=60) == (b"", b"")
        assert process.returncode == 0

    def end(self) -> None:
        """Kill what is still running."""
        for process in self.processes:
            process.kill()
            process.communicate()

    def contexts(self) -> list[str]:
        try:
            document = json.loads(self.retests.read_text())
        except FileNotFoundError:
            return []
        contexts: list[str] = document["retests"].get("29430", {}).get("contexts", [])
        return contexts


def eventually(what: Callable[[], bool]) -> None:
    """Wait for something to become true; a limit far above what it takes ends a hang."""
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)
