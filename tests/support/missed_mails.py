# SPDX-License-Identifier: BSD-3-Clause
"""Catching up in a time of its own, from a real Patchwork or one from hell, and what came of it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest import intake
from ingest.commands import catch_up
from ingest.config.tables import CatchUpSettings, PatchworkSettings, Settings
from ingest.ledger import WORKER_LEASE, Feed, Ledger
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from tests.support.bad_server import MOST, Answer, Seen, failing, rows, text
from tests.support.clock import HOUR, Clock
from tests.support.mails import RECHECK, reply

DEV = "dev.dpdk.org"
PATCH = "patch@example.org"
SETTINGS = Settings(catch_up=CatchUpSettings(overlap=HOUR))


def stamp(at: float) -> str:
    """A Unix time as Patchwork writes it."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


@dataclass
class Catching:
    """One ledger and one Patchwork; ``clock`` passes when it is told to."""

    url: str
    ledger: Ledger
    clock: Clock
    settings: Settings = SETTINGS
    timeout: float = 10.0

    def catch_up(
        self, since: float | None = None, stop: Callable[[], bool] = lambda: False
    ) -> catch_up.Summary:
        server = PatchworkSettings(self.url, timeout=self.timeout, max_answer=MOST)
        patchwork = Patchwork(server, self.ledger, clock=self.clock)
        try:
            return catch_up.catch_up(
                self.settings, self.ledger, patchwork, since=since, clock=self.clock, stop=stop
            )
        finally:
            patchwork.close()

    def mail(self, raw: bytes) -> intake.Receipt:
        """It comes by mail."""
        return intake.accept(raw, "lmtp", ledger=self.ledger, now=self.clock(), max_size=1 << 20)

    def state(self) -> Feed:
        return catch_up.state(self.ledger)

    def queued(self) -> list[str]:
        """The Message-IDs of the mails that wait, in order; they are taken up."""
        found = []
        while mail := self.ledger.claim(self.clock() + HOUR, WORKER_LEASE):
            found.append(mail.message_id)
        return found


def fetched(box: Sandbox) -> list[str]:
    """The comments that were asked for, in order."""
    return [each.path for each in box.requests if "/comments/" in each.path]


def answers(*ids: str, to: str = PATCH, body: str = RECHECK, list_id: str = DEV) -> list[bytes]:
    """Comments on a patch, in a time in which nothing else happens."""
    return [reply(to, f"{id}@example.org", body=body, list_id=list_id) for id in ids]


# A Patchwork from hell that has comments


@dataclass(frozen=True)
class Made:
    """A comment on a patch, as events and its own address show it."""

    number: int
    at: float
    body: str = RECHECK

    @property
    def message_id(self) -> str:
        return f"{self.number}@example.org"

    @property
    def path(self) -> str:
        return f"/api/patches/7/comments/{self.number}/"

    def event(self, **changes: Any) -> dict[str, Any]:
        row = {
            "id": 1000 + self.number,
            "category": "patch-comment-created",
            "project": {"id": 1, "link_name": "dpdk", "list_id": DEV},
            "date": stamp(self.at),
            "payload": {
                "patch": {"id": 7, "msgid": f"<{PATCH}>"},
                "comment": {"id": self.number, "msgid": f"<{self.message_id}>"},
            },
        }
        return {**row, **changes}

    def detail(self, **changes: Any) -> dict[str, Any]:
        row = {
            "id": self.number,
            "msgid": f"<{self.message_id}>",
            "content": self.body,
            "headers": {
                "From": "Robin Reviewer <robin@example.org>",
                "Subject": "Re: [PATCH] a: fix it",
                "Message-ID": f"<{self.message_id}>",
                "In-Reply-To": f"<{PATCH}>",
                "List-Id": f"<{DEV}>",
            },
        }
        return {**row, **changes}


def serves(
    made: Iterable[Made], special: dict[str, Answer] | None = None
) -> Callable[[Seen], Answer]:
    """A Patchwork with these comments, which answers some paths otherwise."""
    every = {each.path: each for each in made}

    def route(seen: Seen) -> Answer:
        if special and seen.path in special:
            return special[seen.path]
        if seen.path == "/api/events/":
            of_patches = seen.query["category"] == ["patch-comment-created"]
            return rows(*(each.event() for each in every.values() if of_patches))
        if seen.path in every:
            return text(json.dumps(every[seen.path].detail()))
        if seen.path in ("/api/", "/api/1.3/"):
            return text("{}")
        return failing(404)

    return route
