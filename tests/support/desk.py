# SPDX-License-Identifier: BSD-3-Clause
"""A request log and a retest JSON, in a time of their own, for the tests of ``take``."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ingest.config import tables
from ingest.handover import take
from ingest.ledger import Batch, Ledger, open_ledger
from ingest.ledger.masking import sqlite_path
from ingest.retests import document as retests
from ingest.sinks import json_file
from tests.support import ledgers, postgres
from tests.support.clock import Clock
from tests.support.ledger_values import NOON, record
from tests.support.retest_files import contexts

HOLD = 900.0


class Desk:
    """Where requests come in and consumers ask. The ledger is opened for each step, as every
    command does it."""

    def __init__(self, folder: Path, ledger_url: str = "") -> None:
        """``ledger_url``: of an empty ledger, "" for a file in the folder."""
        self.folder = folder
        self.ledger_url = ledger_url or ledgers.sqlite(folder)
        self.retests = folder / "retests.json"
        self.clock = Clock(NOON)
        self.patience = 0.05  # seconds that a lease is waited for
        self.settings = tables.Settings(
            retests=tables.RetestsSettings(file=str(self.retests)),
            take=tables.TakeSettings(hold=HOLD),
        )
        self._recorded = 0

    @contextmanager
    def opened(self) -> Iterator[Ledger]:
        ledger = open_ledger(self.ledger_url)
        try:
            yield ledger
        finally:
            ledger.close()

    def asks(self, *contexts: str, series: int = 1, rebase: str = "", after: float = 0.0) -> int:
        """Record a request; its number. Its mail is ``after`` seconds later than others."""
        self._recorded += 1
        with self.opened() as ledger:
            return record(
                ledger,
                f"{self._recorded}@example.org",
                self.clock(),
                series=series,
                contexts=contexts,
                arguments={"rebase": rebase} if rebase else {},
                leftovers=(),
                date=NOON - 3600 + after,
            ).number

    def publishes(self) -> None:
        """What a sink does that is at work beside."""
        sink = json_file.JsonFile(str(self.retests), mode=0o644, patience=self.patience)
        with self.opened() as ledger:
            sink.deliver(ledger, clock=self.clock, until=None, stop=lambda: False)

    def takes(
        self,
        consumer: str = "default",
        *contexts: str,
        single: bool = False,
        hold: bool = False,
        output: take.Output | None = None,
    ) -> Any:
        """What a consumer gets, as JSON."""
        got: list[str] = []
        order = take.Order(consumer, contexts, single=single, hold=hold)
        with self.opened() as ledger:
            take.take(
                ledger,
                self.settings,
                order,
                output or got.append,
                clock=self.clock,
                patience=self.patience,
            )
        return json.loads(got[0]) if got else None

    def acknowledges(self, id: str) -> bool:
        with self.opened() as ledger:
            return take.acknowledge(
                ledger, self.settings, id, clock=self.clock, patience=self.patience
            )

    def writes(self, series: str, *contexts: str, **arguments: str) -> None:
        """What another program puts into the file."""
        document = self.document() if self.retests.exists() else retests.empty()
        entry = document["retests"].setdefault(series, {"contexts": [], "arguments": {}})
        entry["contexts"] = sorted({*entry["contexts"], *contexts})
        entry["arguments"].update(arguments)
        self.retests.write_text(retests.dump(document))

    def moved_away(self) -> retests.Document:
        """What a consumer gets that moves the file away."""
        if not self.retests.exists():
            return retests.empty()
        document = self.document()
        os.unlink(self.retests)
        return document

    def document(self) -> retests.Document:
        return retests.load(self.retests.read_text())

    def in_file(self) -> set[str]:
        """The contexts in the file."""
        return contexts(self.document()) if self.retests.exists() else set()

    def saves(self) -> str:
        """Make a copy of the ledger as it is; where it is."""
        if path := sqlite_path(self.ledger_url):
            copy = self.folder / "backup"
            with (
                closing(sqlite3.connect(path)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            return str(copy)
        return postgres.shared().copy_of(self.ledger_url)

    def restores(self, copy: str) -> None:
        """Have the ledger be what was saved, as if nothing had come since."""
        if path := sqlite_path(self.ledger_url):
            for name in ("", "-wal", "-shm"):
                Path(f"{path}{name}").unlink(missing_ok=True)
            os.rename(copy, path)
        else:
            self.ledger_url = copy

    def generation(self) -> str:
        with self.opened() as ledger:
            return ledger.generation()

    def batches(self) -> tuple[Batch, ...]:
        with self.opened() as ledger:
            return ledger.batches()


def labels(got: Any) -> list[str]:
    """Every context of what a consumer got, in any form, as often as it is there."""
    if isinstance(got, dict) and "retests" in got:
        return sorted(each for entry in got["retests"].values() for each in entry["contexts"])
    requests = got["requests"] if isinstance(got, dict) else got
    return sorted(each for request in requests for each in request["contexts"])
