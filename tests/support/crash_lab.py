# SPDX-License-Identifier: BSD-3-Clause
"""The command with its files, again and again from the same beginning, and what it leads to."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, rmtree

from ingest.ledger import Cursor, open_ledger
from ingest.retests import document as retests
from ingest.sources import mbox
from tests.support.crashes import Commands, Ended, Place, Point
from tests.support.mails import reply
from tests.support.places import RECORDED
from tests.support.sqlite_files import is_sound

STANDING = json.dumps(
    {
        "retests": {"29430": {"contexts": ["old"], "by": "hand"}, "7": {"contexts": ["x"]}},
        "last_comment_timestamp": "2023-09-01T08:00:00.000001",
    }
)


@dataclass(frozen=True)
class Result:
    """What there is in the end. Of stories only what must not happen twice."""

    mails: dict[str, list[tuple[str, int]]]  # id: outcome of each mail, "recorded" in its story
    requests: list[tuple[object, ...]]
    cursors: list[tuple[str, int, int]]
    document: str
    files: set[str]


class Lab:
    """The command with all its files in one folder."""

    def __init__(self, folder: Path, url: str, commands: Commands) -> None:
        self.folder = folder
        self.retests = folder / "out" / "retests.json"
        self._url = f"sqlite:{folder}/state/ledger.sqlite"
        self._flags = ["--patchwork", url, "--state", str(folder / "state")]
        self._commands = commands

    def run(
        self,
        *command: str,
        raw: bytes = b"",
        die: Point | int | None = None,
        count_from: Place | None = None,
        retests: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a command, ``raw`` on its standard input; see ``Commands.run``."""
        mail = self.folder / "mail"
        mail.write_bytes(raw)
        return self._commands.run(
            *(*command, *self._flags, "--retests", str(retests or self.retests)),
            mail=mail,
            die=die,
            count_from=count_from,
            environment=environment,
        )

    def pipe(
        self, raw: bytes, die: Point | int | None = None, count_from: Place | None = None
    ) -> Ended:
        return self.run("pipe", raw=raw, die=die, count_from=count_from)

    def queue(self, *mails: bytes) -> None:
        """Take in mails and leave them to a worker."""
        for raw in mails:
            later = {"RECHECK_INGEST_PIPE_BUDGET": "0"}
            assert self.run("pipe", raw=raw, environment=later).code == 0

    def work(self, die: Point | int | None = None, count_from: Place | None = None) -> Ended:
        return self.run("work", "--once", die=die, count_from=count_from)

    def begin(self, sink: str) -> None:
        """Have a sink begin with what is in the log already."""
        with closing(open_ledger(self._url)) as ledger:
            ledger.set_cursor(Cursor(sink))

    def handed_over(self) -> list[int]:
        """How often the story of each mail with a request tells that it was handed over."""
        with closing(open_ledger(self._url)) as ledger:
            records = [each for id in IDS for each in ledger.find(id) if each.requests]
        return [[event.what for event in each.story].count("handed over") for each in records]

    def take(self) -> set[str]:
        """What a consumer gets that moves the file away."""
        batch = self.folder / "batch.json"
        with suppress(FileNotFoundError):
            self.retests.rename(batch)
            return contexts(batch.read_text())
        return set()

    def result(self) -> Result:
        path = self.folder / "state" / "ledger.sqlite"
        ledger = open_ledger(f"sqlite:{path}")
        records = {id: ledger.find(id) for id in IDS}
        totals = ledger.totals()
        assert sum(totals.mails.values()) == sum(len(each) for each in records.values())
        found = [each for part in ("state", "out") for each in self.folder.glob(f"{part}/*")]
        result = Result(
            mails={
                id: [
                    (each.outcome.value, [event.what for event in each.story].count("recorded"))
                    for each in mails
                ]
                for id, mails in records.items()
            },
            requests=[
                (each.number, each.message_id, each.series, each.contexts, each.arguments)
                for each in ledger.requests()
            ],
            cursors=[(each.name, each.position, each.begun) for each in totals.cursors],
            document=unstamped(self.retests.read_text()) if self.retests.exists() else "",
            files={each.name for each in found}
            - {f"ledger.sqlite-{kind}" for kind in ("wal", "shm", "worker.lock")},
        )
        ledger.close()
        assert is_sound(path)
        return result


def unstamped(document: str) -> str:
    """A document without its second, which goes by the clock."""
    return retests.dump({**retests.load(document), "last_comment_timestamp": None})


def contexts(document: str) -> set[str]:
    """Every context that a document asks for."""
    entries = retests.load(document)["retests"].values()
    return {context for entry in entries for context in entry["contexts"]}


FIRST, COVERS, QUOTES = [item.raw for item in mbox.mails(str(RECORDED / "replies.mbox"))]
MISSING = reply("never-comes@example.org", "recheck-4@example.org", list_id="dev.dpdk.org")
NEW = {"iol-unit-amd64-testing", "iol-broadcom-Performance", "github-robot"}
IDS = [f"recheck-{number}@example.org" for number in (1, 2, 3, 4)]


class Labs:
    """Makes labs, one after the other in the same place, so that their results compare."""

    def __init__(self, folder: Path, url: str, commands: Commands) -> None:
        self._place = folder / "lab"
        self._kept = folder / "kept"
        self._lab = Lab(self._place, url, commands)
        self._results: dict[str, Result] = {}

    def empty(self) -> Lab:
        """No state at all, and a file that another program left."""
        rmtree(self._place, ignore_errors=True)
        self._lab.retests.parent.mkdir(parents=True)
        self._lab.retests.write_text(STANDING)
        return self._lab

    def with_queue(self) -> Lab:
        """Four mails wait for the worker."""
        return self._copy("queue", lambda: self._lab.queue(FIRST, COVERS, QUOTES, MISSING))

    def with_requests(self) -> Lab:
        """Two requests are in the log, and not in the file."""

        def prepare() -> None:
            self._lab.queue(FIRST, COVERS)
            self._lab.run("work", "--once", retests=self._place / "another.json")

        return self._copy("requests", prepare)

    def _copy(self, name: str, prepare: Callable[[], None]) -> Lab:
        kept = self._kept / name
        if not kept.exists():
            self.empty()
            prepare()
            copytree(self._place, kept)
        rmtree(self._place, ignore_errors=True)
        copytree(kept, self._place)
        return self._lab

    def undisturbed(self, make: Callable[[], Lab], run: Callable[[Lab], Ended]) -> Result:
        """What a run without a crash leads to."""
        if make.__name__ not in self._results:
            lab = make()
            assert run(lab).code == 0
            self._results[make.__name__] = lab.result()
        return self._results[make.__name__]
