# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest demo``: the real command on shipped mails, against the sandbox Patchwork.

It works in a temporary folder, needs no network and, unless told to keep it, leaves nothing.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ingest import look
from ingest.commands import showing
from ingest.commands.report import ATTENTION
from ingest.config.tables import RetestsSettings, Settings
from ingest.errors import EX_OK, EX_TEMPFAIL, StateUnavailable
from ingest.ledger import open_ledger
from ingest.mail import message
from ingest.sandbox import Sandbox
from ingest.sources.mbox import Reader
from ingest.story.overview import Story
from ingest.words import harmless, listed

# So many of the replies come by the alias pipe, the others by replaying an archive.
_PIPED = 3
# When the sandbox files the replies: its events bear this time.
_FILED = datetime(2026, 3, 3, 9, 10, tzinfo=UTC)
_FROM_LINE = b"From demo@example.org Tue Mar  3 12:00:00 2026\n"

_PREMISE = """\
Eight mails reach a CI lab by its mailing list. Here is what matters of each,
and what recheck-ingest makes of it. A small Patchwork on this machine knows
the patches."""
# What the lab says of some of the labels that were asked for, for the pages.
_RESULTS = (
    ("success", "12 of 12 tests passed"),
    ("fail", "2 of 40 tests failed"),
    ("pending", "has been running for a minute"),
)
_LISTENING = re.compile(r"listening for HTTP on (\S+)")
# Seconds until the pages must be there.
_PATIENCE = 30.0
_SIGNS = {"done": ("✓", "green"), "queued": ("…", ATTENTION)}
_OTHER = ("–", "dim")
_NO_LINE = "(no such line)"


def main(*, verbose: bool = False, keep: bool = False, web: bool = False) -> int:
    """Run the demonstration on standard output. The exit code: 0 if all went as it should.

    ``verbose``: tell every mail's story; ``keep``: leave Patchwork and state to play with until
    Ctrl-C; ``web``: the same, and show the pages meanwhile.
    """
    data = resources.files("ingest") / "data"
    with (
        resources.as_file(data / "demo-patches.mbox") as patches,
        resources.as_file(data / "demo-replies.mbox") as replies,
        tempfile.TemporaryDirectory(prefix="recheck-ingest-demo-") as folder,
        Sandbox(str(patches), clock=lambda: _FILED) as sandbox,
    ):
        raws = [item.raw for item in Reader(str(replies))]
        for raw in raws:  # Patchwork gets the list's mail, too
            sandbox.file(raw)
        shown = _Demonstration(Path(folder), sandbox.url, keep or web)
        code = shown.run(raws, verbose)
        with shown.pages() if web else nullcontext():
            if keep or web:
                print("  Ctrl-C ends the demo's Patchwork and removes its folder")
                sys.stdout.flush()
                _wait_for_interrupt()
        return code


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        print("\nThe demo's Patchwork and its folder are gone.")


class _Demonstration:
    """The mails go in by the real command; then the ledger tells what became of each."""

    def __init__(self, folder: Path, url: str, keep: bool) -> None:
        self._console = Console(highlight=False, emoji=False)
        self._url = url
        self._keep = keep
        self._folder = folder
        self._retests = folder / "retests.json"
        self._state = folder / "state"

    def run(self, raws: list[bytes], verbose: bool) -> int:
        archive = self._folder / "archive.mbox"
        archive.write_bytes(
            b"".join(_FROM_LINE + raw.rstrip(b"\n") + b"\n\n" for raw in raws[_PIPED:])
        )
        codes = [self._command("pipe", stdin=raw) for raw in raws[:_PIPED]]
        codes.append(self._command("replay", str(archive)))
        self._console.print(_PREMISE, style="bold", soft_wrap=True)
        self._console.print()
        with closing(open_ledger(f"sqlite:{self._state / 'ledger.sqlite'}")) as ledger:
            settings = Settings(retests=RetestsSettings(file=str(self._retests)))
            stories = {
                each.message_id: each
                for raw in raws
                for each in look.stories(
                    ledger, ledger.find(message.parse(raw).message_id), settings, time.time()
                )
            }
        self._console.print(_side_by_side(raws, stories))
        if verbose:
            self._console.print("\nThe stories, as recheck-ingest show tells them:", style="bold")
            showing.show(list(stories.values()))
        self._console.print("\nThe retest JSON, which labs read:", style="bold")
        print(self._retests.read_text())
        self._next_steps()
        return EX_OK if not any(codes) else EX_TEMPFAIL

    @contextmanager
    def pages(self) -> Iterator[None]:
        """Have ``serve`` show the pages, with results of some labels."""
        with closing(open_ledger(f"sqlite:{self._state / 'ledger.sqlite'}")) as ledger:
            asked = [(each.number, label) for each in ledger.requests() for label in each.contexts]
        for (number, label), (state, said) in zip(asked, _RESULTS, strict=False):
            self._command("result", str(number), label, state, "--summary", said)
        log = self._folder / "serve.log"
        with log.open("w") as stderr:
            serving = subprocess.Popen(
                [*self._line("serve"), "--http", "127.0.0.1:0", "-v"],
                stderr=stderr,
                env=_clean_environment(),
            )
        try:
            print(f"  http://{_address(log, serving)}/   the pages, for a browser")
            yield
        finally:
            serving.terminate()
            serving.wait()

    def _next_steps(self) -> None:
        self._console.print("\nWhat to do next:", style="bold")
        if self._keep:
            flags = f"--state {self._state} --patchwork {self._url} --retests {self._retests}"
            print(f"  recheck-ingest status {flags}")
            print(f"  recheck-ingest take {flags}")
            return
        print("  recheck-ingest demo --verbose   every mail's story; --web: the pages")
        print("  recheck-ingest quickstart       the commands that set up this machine")
        print("  recheck-ingest help             the guides")

    def _command(self, *arguments: str, stdin: bytes = b"") -> int:
        return subprocess.run(
            self._line(*arguments),
            input=stdin,
            stdout=subprocess.DEVNULL,
            check=False,
            env=_clean_environment(),
        ).returncode

    def _line(self, *arguments: str) -> list[str]:
        flags = ["--patchwork", self._url, "--retests", str(self._retests)]
        flags += ["--state", str(self._state)]
        return [sys.executable, "-m", "ingest", *arguments, *flags]


def _clean_environment() -> dict[str, str]:
    """Settings of this machine have no part in a demonstration."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}


def _address(log: Path, serving: "subprocess.Popen[bytes]") -> str:
    """Where ``serve`` listens, which stands in its log. Raises ``StateUnavailable``."""
    end = time.monotonic() + _PATIENCE
    while not (found := _LISTENING.search(log.read_text())):
        if serving.poll() is not None or time.monotonic() > end:
            raise StateUnavailable(f"the pages cannot be shown: {harmless(log.read_text())}")
        time.sleep(0.05)
    return found[1]


def _side_by_side(raws: list[bytes], stories: dict[str | None, Story]) -> Table:
    """Each mail's line, and what was decided."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(ratio=4)
    table.add_column(ratio=3)
    for raw in raws:
        read = message.parse(raw)
        lines = [line for line in read.text.splitlines() if "Recheck" in line]
        story = stories.get(read.message_id)
        sign, style = _SIGNS.get(story.outcome, _OTHER) if story else _OTHER
        came = Text(harmless(lines[0]) if lines else _NO_LINE, "" if lines else "dim")
        table.add_row(Text(sign, style), came, _decided(story))
    return table


def _decided(story: Story | None) -> Text:
    """What became of a mail, in a few words; a label that was not read draws the eye."""
    if story is None:
        return Text("dropped at once: it cannot hold a request", "dim")
    if story.outcome == "queued":
        return Text("waiting until Patchwork knows the patch", ATTENTION)
    if not story.requests:
        why = (story.reason or "").partition(";")[0]
        return Text(harmless(f"{story.outcome}: {why}"), "dim")
    text = Text()
    for request in story.requests:
        text.append(f"recorded for series {request.series}", "green")
        if request.leftovers:
            text.append(f"\nnot read: {harmless(listed(request.leftovers))}", "bold red")
    return text
