# SPDX-License-Identifier: BSD-3-Clause
"""Results on freedesktop's fork, which keeps one of each test of a revision, and tells of newer
revisions."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ingest.config import tables
from ingest.ledger import Ledger, Request, Submission
from ingest.patchwork.lookup import Patchwork
from ingest.results import revisions
from ingest.results.watch import Watch
from ingest.sandbox import Sandbox
from ingest.sandbox.fork_store import TestResult as Result
from tests.support.clock import Clock
from tests.support.ledger_values import record
from tests.support.mails import patch

INTERVAL = 900.0


class Lab:
    """A fork with one series, a request for its first revision, and a watch that looks at it."""

    def __init__(self, ledger: Ledger, clock: Clock, box: Sandbox) -> None:
        self.ledger, self.clock, self.box = ledger, clock, box
        settings = tables.Settings(results=tables.ResultsSettings(interval=INTERVAL))
        table = tables.PatchworkSettings(box.url, kind="freedesktop")
        self.dialect = Patchwork(table, ledger, clock=clock).dialect
        self.watch = Watch(self.dialect, ledger, settings, clock)

    def asks(self, revision: int = 1) -> Request:
        request = record(
            self.ledger,
            f"{revision}@example.org",
            self.clock(),
            contexts=("igt-a", "igt-b"),
            arguments={},
            series=1,
            revision=revision,
            submission=Submission("patch", 1),
        )
        self.watch.begin()
        return request

    def posts(self, name: str, state: str, revision: int = 1) -> None:
        self.clock += 1
        now = self.box.fork.local_now()
        self.box.fork.tell(1, revision, Result(name, state, "https://x.org/1", "so", now))

    def looks(self) -> int:
        self.clock += INTERVAL
        self.watch.begin()
        return self.watch.poll() if self.watch.is_due() else 0

    def states(self, request: Request) -> dict[str, str]:
        return {each.label: str(each.state) for each in self.ledger.results.of([request.number])}


@pytest.fixture(params=["UTC", "America/Los_Angeles"])
def lab(ledger: Ledger, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Lab]:
    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    with Sandbox(kind="freedesktop", time_zone=request.param, clock=now) as box:
        box.file(patch("p@x", "[PATCH] net: fix"))
        yield Lab(ledger, clock, box)


def test_a_result_that_came_after_the_request_counts_and_an_older_one_does_not(lab: Lab) -> None:
    lab.posts("igt-a", "success")
    request = lab.asks()
    assert lab.looks() == 0
    assert lab.states(request) == {"igt-a": "asked", "igt-b": "asked"}
    lab.posts("igt-a", "failure")
    lab.posts("igt-b", "info")
    assert lab.looks() == 2
    assert lab.states(request) == {"igt-a": "fail", "igt-b": "success"}


def test_a_result_of_another_revision_is_not_one(lab: Lab) -> None:
    lab.box.fork.renew(1, 1)
    request = lab.asks()
    lab.posts("igt-a", "success", revision=2)
    lab.looks()
    assert lab.states(request)["igt-a"] == "asked"


def test_a_newer_revision_is_told_once_in_the_story_of_an_open_request(lab: Lab) -> None:
    request = lab.asks()
    lab.clock += 60
    lab.box.fork.renew(1, 1)

    def noted() -> int:
        return revisions.note(lab.dialect, lab.ledger, lab.watch.open(), lab.clock())

    assert (noted(), noted()) == (1, 0)
    [mail] = lab.ledger.find(request.message_id)
    assert [dict(step.details) for step in mail.story if step.what == "newer revision"] == [
        {"series": 1, "revision": 2}
    ]
