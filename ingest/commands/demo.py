# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest demo``: the real command on shipped mails, against the sandbox Patchwork.

It works in a temporary folder, needs no network and leaves nothing behind.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

from ingest import look
from ingest.commands import report
from ingest.config.tables import RetestsSettings, Settings
from ingest.errors import EX_OK, EX_TEMPFAIL
from ingest.ledger import open_ledger
from ingest.mail import message
from ingest.sandbox import Sandbox
from ingest.sources.mbox import mails

# So many of the replies come by the alias pipe, the others by replaying an archive.
_PIPED = 3
# When the sandbox files the replies: its events bear this time.
_FILED = datetime(2026, 3, 3, 9, 10, tzinfo=UTC)
_FROM_LINE = b"From demo@example.org Tue Mar  3 12:00:00 2026\n"


def main() -> int:
    """Run the demonstration on standard output. The exit code: 0 if all went as it should."""
    data = resources.files("ingest") / "data"
    with (
        resources.as_file(data / "demo-patches.mbox") as patches,
        resources.as_file(data / "demo-replies.mbox") as replies,
        tempfile.TemporaryDirectory(prefix="recheck-ingest-demo-") as folder,
        Sandbox(str(patches), clock=lambda: _FILED) as sandbox,
    ):
        raws = [item.raw for item in mails(str(replies))]
        for raw in raws:  # Patchwork gets the list's mail, too
            sandbox.file(raw)
        return _Demonstration(Path(folder), sandbox.url).run(raws)


class _Demonstration:
    """The steps, each printed when it is done."""

    def __init__(self, folder: Path, url: str) -> None:
        self._out = report.Printer()
        self._folder = folder
        self._url = url
        self._retests = folder / "retests.json"
        self._state = folder / "state"

    def run(self, raws: list[bytes]) -> int:
        self._title("Mail comes in by the alias pipe")
        codes = [self._pipe(raw) for raw in raws[:_PIPED]]
        self._title("More comes in by replaying an archive")
        archive = self._folder / "archive.mbox"
        archive.write_bytes(
            b"".join(_FROM_LINE + raw.rstrip(b"\n") + b"\n\n" for raw in raws[_PIPED:])
        )
        for raw in raws[_PIPED:]:
            self._mail(raw)
        codes.append(self._command(["replay", str(archive)], b""))
        self._title("What was decided, and why")
        ledger = open_ledger(f"sqlite:{self._state / 'ledger.sqlite'}")
        settings = Settings(retests=RetestsSettings(file=str(self._retests)))
        for raw in raws:
            message_id = message.parse(raw).message_id
            if found := ledger.find(message_id):
                report.show(look.stories(ledger, found, settings, time.time()))
            else:
                dropped = "dropped at the door: it cannot hold a request"
                self._out.line((f"<{message_id}>", "bold"), " ", (dropped, "dim"))
        ledger.close()
        self._title("The retest JSON")
        text = self._retests.read_text()
        Console().print(Syntax(text, "json", theme="ansi_dark", background_color="default"))
        return EX_OK if not any(codes) else EX_TEMPFAIL

    def _title(self, text: str) -> None:
        self._out.line()
        self._out.line((text, "bold cyan"))

    def _mail(self, raw: bytes) -> None:
        read = message.parse(raw)
        lines = [line for line in read.text.splitlines() if "Recheck" in line]
        self._out.line((f"<{read.message_id}>", "bold"), f" {read.subject}")
        for line in lines:
            self._out.line((f"    {line}", "magenta"))

    def _pipe(self, raw: bytes) -> int:
        self._mail(raw)
        code = self._command(["pipe"], raw)
        self._out.line((f"    recheck-ingest pipe: exit {code}", "dim"))
        return code

    def _command(self, arguments: list[str], raw: bytes) -> int:
        flags = ["--patchwork", self._url, "--retests", str(self._retests)]
        flags += ["--state", str(self._state)]
        sys.stdout.flush()
        return subprocess.run(
            [sys.executable, "-m", "ingest", *arguments, *flags],
            input=raw,
            check=False,
            # Settings of this machine have no part in a demonstration.
            env={k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")},
        ).returncode
