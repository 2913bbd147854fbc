# SPDX-License-Identifier: BSD-3-Clause
"""Several Patchwork servers: which one a mail goes to, and that each is down for itself only."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import intake
from ingest.config import tables
from ingest.config.sink_tables import JsonFileSettings
from ingest.ledger import Filing, Ledger
from ingest.mail import message as mails
from ingest.patchwork import outage
from ingest.patchwork.servers import Servers
from ingest.sandbox import DPDK, Project, Sandbox
from ingest.worker import Worker
from tests.support.bad_server import Hell, html
from tests.support.clock import DAY, HOUR, Clock
from tests.support.mails import patch, reply

OTHER = "other.example.org"
LIST = Project(1, "Other", "other", OTHER, "other@example.org")


@pytest.fixture
def dpdk() -> Iterator[Sandbox]:
    with Sandbox(projects=[DPDK]) as box:
        box.file(patch("p@dpdk", list_id=DPDK.list_id))
        yield box


@pytest.fixture
def other() -> Iterator[Sandbox]:
    """A server whose series has the number of the other server's."""
    with Sandbox(projects=[LIST]) as box:
        box.file(patch("p@other", list_id=OTHER))
        yield box


@pytest.fixture
def settings(dpdk: Sandbox, other: Sandbox, quick_path: Path) -> tables.Settings:
    return tables.Settings(
        patchwork=tables.PatchworkSettings(dpdk.url),
        servers={"other": tables.ServerSettings(other.url, lists=("*.EXAMPLE.org",))},
        retests=tables.RetestsSettings(file=str(quick_path / "retests.json")),
        json_file={"x": JsonFileSettings(file=str(quick_path / "other.json"), patchwork="other")},
    )


def asks(to: str, list_id: str) -> bytes:
    return reply(to, f"recheck-{to}", list_id=list_id)


class Working:
    """A worker of several servers."""

    def __init__(self, settings: tables.Settings, ledger: Ledger, clock: Clock) -> None:
        self.settings, self.ledger, self.clock = settings, ledger, clock

    def works(self, *raws: bytes) -> None:
        for raw in raws:
            intake.accept(raw, "test", ledger=self.ledger, now=self.clock(), max_size=1 << 20)
        with closing(Servers(self.settings, self.ledger, clock=self.clock)) as servers:
            Worker(self.ledger, servers, self.settings, clock=self.clock).work_off()

    def outcome(self, message_id: str) -> str:
        [record] = self.ledger.find(message_id)
        return record.outcome.value


@pytest.fixture
def working(settings: tables.Settings, ledger: Ledger, clock: Clock) -> Working:
    return Working(settings, ledger, clock)


BOTH = (asks("p@dpdk", DPDK.list_id), asks("p@other", OTHER))


def held(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())["retests"]
    return found


def test_a_mail_is_looked_up_at_the_server_of_its_list_and_its_request_says_which(
    working: Working, quick_path: Path
) -> None:
    working.works(*BOTH)
    asked = {each.message_id: (each.server, each.series) for each in working.ledger.requests()}
    assert asked == {"recheck-p@dpdk": ("", 29430), "recheck-p@other": ("other", 29430)}
    assert set(held(quick_path / "retests.json")) == {"29430"}
    assert set(held(quick_path / "other.json")) == {"29430"}


def test_series_of_one_number_of_two_servers_never_meet_in_one_file(
    working: Working, quick_path: Path
) -> None:
    working.works(reply("p@other", "r@other", list_id=OTHER, body="Recheck-request: iol-other\n"))
    assert held(quick_path / "other.json")["29430"] == {"contexts": ["iol-other"], "arguments": {}}
    assert not (quick_path / "retests.json").exists()


def test_while_one_server_is_down_the_other_ones_mail_goes_on(
    working: Working, other: Sandbox, clock: Clock
) -> None:
    other.stop()
    working.works(*BOTH)
    assert working.outcome("recheck-p@dpdk") == "done"
    assert working.outcome("recheck-p@other") == "queued"
    assert outage.broken(working.ledger, clock()) is None
    assert outage.broken(working.ledger, clock(), "other") is not None
    other.start()
    clock.now += HOUR
    working.works()
    assert working.outcome("recheck-p@other") == "done"


def by_project(settings: tables.Settings, url: str) -> dict[str, tables.ServerSettings]:
    return {"other": tables.ServerSettings(url, projects=("other",))}


def test_a_server_is_chosen_by_the_list_of_its_project(
    settings: tables.Settings, other: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    settings = replace(settings, servers=by_project(settings, other.url))
    with closing(Servers(settings, ledger, clock=clock)) as servers:

        def chosen(list_id: str, filing: Filing = Filing()) -> str:  # noqa: B008
            return servers.for_mail(mails.parse(asks("p", list_id)), filing).name

        assert chosen(OTHER) == "other"
        assert chosen(DPDK.list_id) == ""
        assert chosen("") == ""
        assert chosen(DPDK.list_id, Filing("patch", 1, 1, server="other")) == "other"
        other.stop()
        clock.now += 2 * DAY  # the answer is forgotten, and what it said of lists is not
        assert chosen(OTHER) == "other"
        assert chosen(DPDK.list_id) == ""


def test_where_a_server_filed_a_mail_means_nothing_once_its_table_is_gone(
    settings: tables.Settings, dpdk: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    """Its numbers are other patches' at another server."""
    dpdk.file(patch("q@dpdk", list_id=DPDK.list_id))
    filing = Filing("patch", 131183, 1, server="gone")
    mail = mails.parse(asks("p@dpdk", DPDK.list_id))
    with closing(Servers(settings, ledger, clock=clock)) as servers:
        chosen = servers.for_mail(mail, filing)
        assert chosen.name == ""
        assert chosen.resolve(mail, clock(), [], filing).id == 131182


def test_a_server_that_never_told_its_lists_keeps_what_may_be_its_own(
    settings: tables.Settings, other: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    other.stop()
    settings = replace(settings, servers=by_project(settings, other.url))
    with closing(Servers(settings, ledger, clock=clock)) as servers:
        assert servers.for_mail(mails.parse(asks("p", DPDK.list_id)), Filing()).name == "other"


def test_a_server_that_cannot_tell_its_lists_is_asked_now_and_then_and_not_by_every_mail(
    settings: tables.Settings, ledger: Ledger, clock: Clock
) -> None:
    """Each question may take as long as its timeout, at which the mail of the others waits."""
    mail = mails.parse(asks("p", DPDK.list_id))
    with Hell() as hell:
        hell.will(html(502))
        settings = replace(settings, servers=by_project(settings, hell.url))
        with closing(Servers(settings, ledger, clock=clock)) as servers:
            servers.for_mail(mail, Filing())
            asked = len(hell.seen)
            for _ in range(10):
                servers.for_mail(mail, Filing())
            assert asked and len(hell.seen) == asked
            clock.now += HOUR
            servers.for_mail(mail, Filing())
            assert len(hell.seen) > asked
