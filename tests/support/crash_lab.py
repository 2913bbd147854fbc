# SPDX-License-Identifier: BSD-3-Clause
"""The command with its files, again and again from the same beginning, and what it leads to."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ingest.ledger import Cursor, open_ledger
from ingest.mail import headers
from ingest.retests import document as retests
from ingest.sandbox import Sandbox
from ingest.sinks import json_file
from ingest.sources import mbox
from tests.support import postgres
from tests.support.crashes import Commands, Ended, Place, Point
from tests.support.leftovers import memory
from tests.support.mails import reply
from tests.support.places import RECORDED
from tests.support.sqlite_files import is_sound

# With this variable set, the tests of every line take every line: that takes minutes.
EVERY_LINE = "RECHECK_TEST_EVERY_LINE"
SAMPLES = 24

# What this machine is called where several share a ledger.
HOST = "lab"

# Where the ledger in a file writes what is for good.
FILE, MAILS = "ledger/database.py", "ledger/sqlite_mails.py"
COMMIT = Place(FILE, 'self._db.execute("COMMIT")')
COMMITTED = Place(FILE, "if self._unproven:")
CLAIMS = Place(MAILS, "UPDATE mail SET starts")
WAITS = Place(MAILS, "columns, text = asdict(wait)")
TAKEN_BACK = Place("ledger/sqlite_log.py", "names = ((each.message_id")
ENDING = Place("ledger/sqlite_log.py", "self._end(*ending)")

# The same places of the ledger in PostgreSQL. Some transactions end with their last statements.
SESSION, QUEUE, LOG = "ledger/session.py", "ledger/postgres_queue.py", "ledger/postgres_log.py"
_ON_POSTGRES = {
    COMMIT: Place(SESSION, 'self._refuse_not_kept(self.run("COMMIT"))'),
    COMMITTED: Place(SESSION, 'if ended.statusmessage != "COMMIT":'),
    CLAIMS: Place(QUEUE, 'f"WITH next AS ({which})"'),
    WAITS: Place(QUEUE, "columns, text = asdict(wait)"),
    TAKEN_BACK: Place(LOG, "return [list(map(made.request, each.fetchall()"),
    ENDING: Place(LOG, "_, *found = self._session.end_with("),
}
_AT_ONCE = {
    Point(COMMIT, CLAIMS): Point(_ON_POSTGRES[CLAIMS]),
    Point(COMMIT, ENDING): Point(
        Place(SESSION, "*found, ended = self.run_all("), _ON_POSTGRES[ENDING]
    ),
    Point(COMMIT, WAITS): Point(
        Place(SESSION, "*found, ended = self.run_all("), _ON_POSTGRES[WAITS]
    ),
}

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
    """The command with all its files in one folder, and a ledger there or in a database."""

    def __init__(self, folder: Path, url: str, commands: Commands, database: str = "") -> None:
        """``database``: in the cluster of this process, "" for a file."""
        self.folder = folder
        self.retests = folder / "out" / "retests.json"
        self.database = database
        self.ledger_url = f"sqlite:{folder}/state/ledger.sqlite"
        self._environment: dict[str, str] = {}
        if database:
            self.ledger_url = postgres.shared().url(database)
            self._environment["RECHECK_INGEST_STATE_LEDGER"] = self.ledger_url
            self._environment["RECHECK_INGEST_STATE_HOST"] = HOST
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
        ended = self._commands.run(
            *(*command, *self._flags, "--retests", str(retests or self.retests)),
            mail=mail,
            die=self._here(die) if isinstance(die, Point) else die,
            count_from=count_from,
            environment={**self._environment, **(environment or {})},
        )
        if self.database and ended.killed:
            postgres.shared().wait_until_left(self.database)
        return ended

    def _here(self, point: Point) -> Point:
        """The point in this kind of ledger."""
        if not self.database or point in _AT_ONCE:
            return _AT_ONCE[point] if self.database else point
        after = point.after and _ON_POSTGRES.get(point.after, point.after)
        return Point(_ON_POSTGRES.get(point.before, point.before), after)

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
        with closing(open_ledger(self.ledger_url)) as ledger:
            ledger.set_cursor(Cursor(sink))

    def handed_over(self) -> list[int]:
        """How often the story of each mail with a request tells that it was handed over."""
        with closing(open_ledger(self.ledger_url)) as ledger:
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
        ledger = open_ledger(self.ledger_url)
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
            - {f"ledger.sqlite-{kind}" for kind in ("wal", "shm", "worker.lock")}
            - {f"spool.sqlite-{kind}" for kind in ("wal", "shm", "forwarder.lock")},
        )
        ledger.close()
        assert self.database or is_sound(self.folder / "state" / "ledger.sqlite")
        return result


# The kinds of ledger, each with every how manieth point of a table is tried in it.
_EVERY = {"sqlite": 1, "postgresql": 6}
KINDS = tuple(_EVERY)


def over_both(points: Iterable[object], *others: object) -> list[Any]:
    """Each of these for a ledger in a file, and some, as slow tests, for one in PostgreSQL: the
    kind, the others and it, as parameters of a test."""
    tried = list(points)
    return [
        pytest.param(kind, *others, each, marks=() if kind == "sqlite" else pytest.mark.slow)
        for kind, every in _EVERY.items()
        for each in tried[::every]
    ]


def samples(total: int, labs: "Labs") -> range:
    """The lines to die before, of so many: all where that is wanted, else a sample."""
    assert total > 500, "the program was not watched"
    every_line = os.environ.get(EVERY_LINE)
    return range(1, total + 1, 1 if every_line else total // (SAMPLES // _EVERY[labs.kind]))


def unstamped(document: str) -> str:
    """A document without its second, which goes by the clock."""
    return retests.dump({**retests.load(document), "last_comment_timestamp": None})


def contexts(document: str) -> set[str]:
    """Every context that a document asks for."""
    entries = retests.load(document)["retests"].values()
    return {context for entry in entries for context in entry["contexts"]}


FIRST, COVERS, QUOTES = [item.raw for item in mbox.Reader(str(RECORDED / "replies.mbox"))]
MISSING = reply("never-comes@example.org", "recheck-4@example.org", list_id="dev.dpdk.org")
NEW = {"iol-unit-amd64-testing", "iol-broadcom-Performance", "github-robot"}
IDS = [f"recheck-{number}@example.org" for number in (1, 2, 3, 4)]


class Labs:
    """Makes labs, one after the other in the same place, so that their results compare."""

    def __init__(self, folder: Path, url: str, commands: Commands, kind: str = "sqlite") -> None:
        """``kind``: of ledger."""
        self.kind = kind
        self._place = folder / "lab"
        self._kept = folder / "kept"
        database = f"lab_{folder.name}" if kind == "postgresql" else ""
        self._lab = Lab(self._place, url, commands, database)
        self._results: dict[str, Result] = {}

    def empty(self) -> Lab:
        """No state at all, and a file that another program left."""
        rmtree(self._place, ignore_errors=True)
        if self._lab.database:
            postgres.shared().begin_database(self._lab.database)
        self._lab.retests.parent.mkdir(parents=True)
        self._lab.retests.write_text(STANDING)
        return self._lab

    def with_queue(self) -> Lab:
        """Four mails wait for the worker."""
        return self._copy("queue", lambda: self._lab.queue(FIRST, COVERS, QUOTES, MISSING))

    def with_several(self) -> Lab:
        """Three mails wait for the worker, of which it can decide without asking Patchwork."""

        def prepare() -> None:
            assert self._lab.pipe(FIRST).code == 0
            head = headers.read(FIRST)
            patch, by = headers.candidates(head)[0], headers.list_id(head)
            more = (reply(patch, id, list_id=by) for id in (IDS[1], IDS[3]))
            self._lab.queue(QUOTES, *more)

        return self._copy("several", prepare)

    def with_requests(self) -> Lab:
        """Two requests are in the log, and not in the file."""

        def prepare() -> None:
            self._lab.queue(FIRST, COVERS)
            self._lab.run("work", "--once", retests=self._place / "another.json")
            if self._lab.database:  # a file of one of several machines begins at the log's end
                self._lab.begin(json_file.name(str(self._lab.retests), HOST))

        return self._copy("requests", prepare)

    def _copy(self, name: str, prepare: Callable[[], None]) -> Lab:
        kept, database = self._kept / name, self._lab.database
        if not kept.exists():
            self.empty()
            prepare()
            copytree(self._place, kept)
            if database:
                postgres.shared().begin_database(f"{database}_{name}", like=database)
        rmtree(self._place, ignore_errors=True)
        copytree(kept, self._place)
        if database:
            postgres.shared().begin_database(database, like=f"{database}_{name}")
        return self._lab

    def undisturbed(self, make: Callable[[], Lab], run: Callable[[Lab], Ended]) -> Result:
        """What a run without a crash leads to."""
        if make.__name__ not in self._results:
            lab = make()
            assert run(lab).code == 0
            self._results[make.__name__] = lab.result()
        return self._results[make.__name__]


@contextmanager
def labs_of(*mboxes: str) -> Iterator[Callable[[str], Labs]]:
    """What gives the labs of a kind of ledger, made once each. Their Patchwork has these of the
    recorded mboxes."""
    files = [str(RECORDED / f"{name}.mbox") for name in mboxes]
    with Sandbox(*files) as sandbox, Commands() as commands, ExitStack() as stack:

        @cache
        def of(kind: str) -> Labs:
            folder = stack.enter_context(TemporaryDirectory(dir=memory()))
            return Labs(Path(folder), sandbox.url, commands, kind)

        yield of
