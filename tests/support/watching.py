# SPDX-License-Identifier: BSD-3-Clause
"""Requests that are followed on a sandbox Patchwork, in a time of their own."""

from itertools import count
from typing import Any

from ingest.config import tables
from ingest.ledger import Ledger, Request, Submission
from ingest.patchwork.lookup import Patchwork
from ingest.results.watch import Watch
from ingest.sandbox import Sandbox
from tests.support.clock import Clock
from tests.support.ledger_values import record

INTERVAL = 900.0
# What the recorded mails are: a patch alone, and two patches with a cover letter.
PATCH, FIRST, SECOND = 131182, 131183, 131184
COVER, SERIES = 442, 29431


class Watching:
    """A ledger, a Patchwork, labs that post checks there, and a watch that looks at them."""

    def __init__(self, ledger: Ledger, clock: Clock, box: Sandbox, **table: Any) -> None:
        self.ledger, self.clock, self.box = ledger, clock, box
        results = tables.ResultsSettings(**{"interval": INTERVAL, **table})
        self.settings = tables.Settings(results=results)
        self._numbers = count(1)
        self.begins_anew()

    def begins_anew(self) -> None:
        """A new process with a connection of its own."""
        server = tables.PatchworkSettings(url=self.box.url)
        patchwork = Patchwork(server, self.ledger, clock=self.clock)
        self.watch = Watch(patchwork.dialect, self.ledger, self.settings, self.clock)

    def asks(
        self, *labels: str, on: str = f"patch {PATCH}", noted: bool = True, **other: Any
    ) -> Request:
        """A request comes; unless it is not to be ``noted`` yet, the watch takes note at once."""
        kind, _, id = on.partition(" ")
        request = record(
            self.ledger,
            f"{next(self._numbers)}@example.org",
            self.clock(),
            contexts=labels,
            arguments={},
            **{"submission": Submission(kind, int(id)), "series": SERIES, **other},
        )
        if noted:
            self.watch.note_earlier(self.watch.begin())
        return request

    def posts(
        self,
        state: str,
        label: str = "iol-a",
        patch: int = PATCH,
        *,
        summary: str = "",
        url: str = "",
    ) -> int:
        """A lab posts a check; its id."""
        [user] = self.box.store.users.values()
        of = self.box.store.patches[patch]
        return self.box.store.add_check(of, user, state, url, label, summary).id

    def looks(self) -> int:
        """An interval passes, and the watch looks; how many results that changed."""
        self.clock += INTERVAL
        self.watch.note_earlier(self.watch.begin())
        return self.watch.poll() if self.watch.is_due() else 0

    def states(self, request: Request) -> dict[str, str]:
        """The results of a request by label."""
        return {each.label: str(each.state) for each in self.ledger.results.of([request.number])}

    def questions(self) -> int:
        """How many questions Patchwork was asked since the last time."""
        asked = len(self.box.requests)
        self.box.requests.clear()
        return asked
