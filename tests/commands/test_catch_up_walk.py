# SPDX-License-Identifier: BSD-3-Clause
"""Catching up with a server that has no events of comments (API 1.2 and before): the comments on
recent submissions are read, within a budget that is told."""

from dataclasses import replace

import pytest

from ingest import look
from ingest.config.tables import CatchUpSettings, Settings
from ingest.errors import ConfigError
from ingest.ledger import Ledger
from ingest.sandbox import Sandbox
from tests.support.clock import DAY, Clock
from tests.support.mails import cover, patch, reply
from tests.support.missed_mails import DEV, Catching, fetched

TODAY = "Tue, 14 Nov 2023 12:00:00 +0000"
NOON = 1_699_963_200.0


def catching(box: Sandbox, ledger: Ledger, **table: float) -> Catching:
    settings = Settings(catch_up=CatchUpSettings(**table))  # type: ignore[arg-type]
    return Catching(box.url, ledger, Clock(NOON + 3600), settings)


def recent(box: Sandbox, count: int) -> None:
    """So many patches, each with a request among its comments."""
    for number in range(count):
        box.file(patch(f"p-{number}@x", f"[PATCH] area{number}: fix", date=TODAY))
        box.file(reply(f"p-{number}@x", f"r-{number}@x", list_id=DEV, date=TODAY))


@pytest.mark.parametrize("api", ["1.1", "1.2"])
def test_comments_on_recent_patches_and_covers_are_caught_up(api: str, ledger: Ledger) -> None:
    with Sandbox(api=api) as box:
        recent(box, 2)
        box.file(cover("c@x", "[PATCH 0/1] all", date=TODAY))
        box.file(reply("c@x", "rc@x", list_id=DEV, date=TODAY))
        catches = catching(box, ledger)
        summary = catches.catch_up()
        assert (summary.walked, summary.recent, summary.problem) == (3, 3, "")
        assert sorted(summary.missed) == ["r-0@x", "r-1@x", "rc@x"]
        assert [each.filing.kind for each in ledger.find("rc@x")] == ["cover"]
        again = catches.catch_up()
        assert (again.missed, again.haul.known) == ([], 3)


def test_status_says_from_then_on_what_the_server_lacks(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        catches = catching(box, ledger)
        catches.catch_up()
        told = look.status(ledger, catches.settings, catches.clock())
    assert [each.cannot for each in told.servers] == [
        ("has no events of comments: catching up reads those on recent patches",)
    ]


def test_what_was_sent_long_ago_is_not_read(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        box.file(patch("old@x", date="Wed, 06 Sep 2023 09:00:00 +0000"))
        box.file(reply("old@x", "r@x", list_id=DEV, date=TODAY))
        assert catching(box, ledger, walk_age=30 * DAY).catch_up().recent == 0
        assert catching(box, ledger, walk_age=90 * DAY).catch_up().missed == ["r@x"]


def test_a_budget_is_kept_and_each_has_its_turn(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        recent(box, 20)
        catches = catching(box, ledger, walk=8)
        runs = []
        for _ in range(6):
            box.requests.clear()
            summary = catches.catch_up()
            assert len(fetched(box)) <= 8
            assert summary.walked < summary.recent == 20
            runs.append(len(summary.missed))
        assert sum(runs) == 20
        assert runs[0] <= 8


def test_the_newest_are_read_each_time(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        recent(box, 20)
        catches = catching(box, ledger, walk=8)
        catches.catch_up()
        box.file(patch("new@x", date=TODAY.replace("12:00", "12:30")))
        box.file(reply("new@x", "news@x", list_id=DEV, date=TODAY))
        assert "news@x" in catches.catch_up().missed


def test_a_comment_whose_mail_came_gives_it_its_filing(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        box.file(patch("p@x", date=TODAY))
        raw = reply("p@x", "r@x", list_id=DEV, date=TODAY)
        box.file(raw)
        catches = catching(box, ledger)
        catches.mail(raw)
        assert catches.catch_up().haul.known == 1
        [record] = ledger.find("r@x")
        assert (record.filing.kind, record.filing.parent) == ("patch", "p@x")


@pytest.mark.parametrize("table", [{"api": "1.0"}, {"kind": "freedesktop"}])
def test_where_no_comments_are_shown_nothing_can_be_caught_up(
    table: dict[str, str], ledger: Ledger
) -> None:
    told = "shows no comments: nothing can be caught up there"
    with (
        Sandbox(**table) as box,  # type: ignore[arg-type]
        pytest.raises(ConfigError, match=told),
    ):
        catching(box, ledger).catch_up()


def test_a_server_that_is_down_is_told_and_nothing_is_lost(ledger: Ledger) -> None:
    with Sandbox(api="1.2") as box:
        recent(box, 2)
        catches = catching(box, ledger)
        box.stop()
        assert catches.catch_up().problem
        box.start()
        summary = replace(catches, url=box.url).catch_up()
        assert len(summary.missed) == 2
