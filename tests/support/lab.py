# SPDX-License-Identifier: BSD-3-Clause
"""A worker on a real ledger in a time of its own, and a Patchwork that is well."""

import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ingest import intake
from ingest.config import tables
from ingest.ledger import Ledger, Outcome, Record
from ingest.patchwork.lookup import Patchwork
from ingest.worker import Worker
from tests.support.bad_server import MOST, Answer, Seen, patch_row, rows
from tests.support.clock import HOUR, Clock
from tests.support.mails import reply


class Lab:
    """A worker on a real ledger, with a clock that passes when it is told to."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        clock: Clock,
        folder: Path,
        timeout: float,
        until: float | None,
        questions: int,
        **others: Any,
    ) -> None:
        """``others``: tables of ``Settings``."""
        self.ledger = ledger
        self.clock = clock
        self.chance = 0.0
        self.retests = folder / "retests.json"
        retests = tables.RetestsSettings(file=str(self.retests))
        settings = tables.Settings(retests=retests, **others)
        self.settings = settings
        server = tables.PatchworkSettings(
            url, timeout=timeout, max_answer=MOST, questions=questions
        )
        self.patchwork = Patchwork(server, ledger, until=until, clock=clock)
        self.worker = Worker(
            ledger, self.patchwork, settings, clock=clock, chance=lambda: self.chance
        )

    def arrives(self, *mails: bytes) -> None:
        for raw in mails:
            receipt = intake.accept(
                raw, "test", ledger=self.ledger, now=self.clock(), max_size=1 << 20
            )
            assert receipt is intake.Receipt.QUEUED

    def works(self) -> None:
        """One schedule step: whatever is due now."""
        self.worker.work_off()

    def works_when_due(self) -> None:
        """Time passes until a mail is due, and that step is taken."""
        due = self.ledger.next_due()
        assert due is not None
        self.clock.now = max(self.clock.now, due)
        self.works()

    def works_until(self, moment: float) -> None:
        while (due := self.ledger.next_due()) is not None and due <= moment:
            self.works_when_due()
        self.clock.now = moment

    def record(self, message_id: str = "recheck@example.org") -> Record:
        (found,) = self.ledger.find(message_id)
        return found

    def outcome(self, message_id: str = "recheck@example.org") -> Outcome:
        return self.record(message_id).outcome

    def waiting(self) -> dict[str, int]:
        """How many mails wait for what."""
        return {what: n for what, n in self.ledger.totals().waiting.items() if n}

    def document(self) -> dict[str, dict[str, list[str]]]:
        found: dict[str, dict[str, list[str]]] = json.loads(self.retests.read_text())["retests"]
        return found


# Tries seldom, for tests of what happens in the end.
SELDOM = tables.WorkerSettings(retry=(6 * HOUR,))

# The fixture ``lab_at``: a lab for a Patchwork's URL.
MakeLab = Callable[..., Lab]


def knows(
    message_ids: Sequence[str] | None = None, series: bool = False
) -> Callable[[Seen], Answer | None]:
    """A Patchwork that is well and has these patches, or every patch it is asked for; ``series``:
    each in a series of its own."""

    def route(seen: Seen) -> Answer | None:
        if re.fullmatch(r"/api/(\d\.\d/)?", seen.path):
            return None
        asked = seen.query.get("msgid", [""])[0]
        found = seen.path == "/api/patches/" and (message_ids is None or asked in message_ids)
        own = {"series": [{"id": 1 + zlib.crc32(asked.encode()), "version": 1}]} if series else {}
        return rows(patch_row(asked, **own)) if found else rows()

    return route


def replies(number: int) -> list[bytes]:
    """Requests for as many patches."""
    return [reply(f"patch-{n}@example.org", f"recheck-{n}@example.org") for n in range(number)]


def attempts(lab: Lab, most: int = 1000) -> list[float]:
    """When the mail was tried, as seconds after its first attempt, until it comes to an end."""
    begun = lab.clock()
    lab.works()
    tried = [0.0]
    while lab.outcome() is Outcome.QUEUED:
        assert len(tried) < most
        lab.works_when_due()
        tried.append(lab.clock() - begun)
    return tried
