# SPDX-License-Identifier: BSD-3-Clause
"""Who is told by mail why the policy refused a request, and who is not."""

import email
import email.policy
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ingest import intake
from ingest.config import tables
from ingest.config.policy_tables import PolicySettings
from ingest.config.sink_tables import MailSettings
from ingest.config.values import HOUR
from ingest.errors import StateUnavailable
from ingest.ledger import Outcome
from ingest.sinks import delivery
from ingest.worker import Worker
from tests.support.bad_server import Hell
from tests.support.lab import Lab, MakeLab, knows
from tests.support.mail_servers import MailServer
from tests.support.mails import reply
from tests.support.signing import keys, name_server, signed

US = "lab@ci.example.org"
NOW = "Tue, 14 Nov 2023 22:13:00 +0000"  # the tests' clock begins then
LONG_AGO = "Tue, 31 Oct 2023 22:13:00 +0000"
WHOLE = """\
Your Recheck-request for series 29430 was read, but nothing will run. Why:

    policy rate_sender: there were 1 per day of Robin Reviewer
    <robin@example.org> already; the next one may come from
    2023-11-15T22:13:20Z on

This answer was written by a program. If you want no such answers, reply and
say so: its operators put your address on a list.
"""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def dns() -> Iterator[str]:
    with name_server(keys("example.org")) as address:
        yield address


def lab_of(hell: Hell, lab_at: MakeLab, dns: str, to: str, **table: Any) -> Lab:
    hell.route(knows())
    policy = PolicySettings(dkim=True, dns=(dns,), rate_sender=("1 per day",))
    return lab_at(
        hell.url, policy=policy, mail={"lab": MailSettings(sender=US, server=to, **table)}
    )


def asks(number: int, label: str = "", date: str = NOW) -> bytes:
    body = f"Recheck-request: {label or f'iol-{number}'}\n"
    return reply("patch@example.org", f"{number}@example.org", body=body, date=date)


def told(server: MailServer) -> list[EmailMessage]:
    """The refusals that came, without the answers."""
    parsed = (
        email.message_from_bytes(each.content, policy=email.policy.default)
        for each in server.received
    )
    return [each for each in parsed if "<refused-" in each["Message-ID"]]


def test_who_is_proved_is_told_the_rule_and_the_time(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    lab = lab_of(hell, lab_at, dns, server.address)
    lab.arrives(signed(asks(1)), signed(asks(2)))
    lab.works()
    lab.works()
    (mail,) = told(server)
    assert mail.get_content().replace("\r\n", "\n") == WHOLE
    assert (mail["To"], mail["In-Reply-To"]) == ("robin@example.org", "<2@example.org>")
    assert mail["Auto-Submitted"] == "auto-replied"
    steps = [each.details for each in lab.record("2@example.org").story if each.what == "answered"]
    assert steps == [{"to": "mail:lab refusals", "answer": "robin@example.org is told by mail"}]


def test_a_mail_that_cannot_be_told_of_is_judged_again(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer, quick_path: Path
) -> None:
    lab = lab_of(hell, lab_at, dns, server.address)
    lab.arrives(signed(asks(1)), signed(asks(2)))
    with closing(sqlite3.connect(quick_path / "ledger.sqlite")) as file:
        file.execute(
            "CREATE TRIGGER full BEFORE INSERT ON letter BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        with pytest.raises(StateUnavailable):
            lab.works()
        assert lab.outcome("2@example.org") is Outcome.QUEUED
        file.execute("DROP TRIGGER full")
    lab.worker = Worker(lab.ledger, lab.patchwork, lab.settings, clock=lab.clock)
    lab.works()
    assert lab.outcome("2@example.org") is Outcome.REJECTED
    assert len(told(server)) == 1


def test_who_is_not_proved_is_not_written_to(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    lab = lab_of(hell, lab_at, dns, server.address)
    lab.arrives(asks(1), asks(2))
    lab.works()
    lab.works()
    assert lab.outcome("2@example.org") is Outcome.REJECTED
    assert told(server) == []


def test_one_series_is_told_of_once_an_hour(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    lab = lab_of(hell, lab_at, dns, server.address)
    lab.arrives(*(signed(asks(number)) for number in range(1, 5)))
    lab.works()
    lab.clock += HOUR + 1
    lab.arrives(signed(asks(5)))
    lab.works()
    lab.works()
    assert [each["In-Reply-To"] for each in told(server)] == ["<2@example.org>", "<5@example.org>"]


def test_a_mail_server_that_is_down_has_it_wait(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    down = lab_of(hell, lab_at, dns, "127.0.0.1:9")
    down.arrives(signed(asks(1)), signed(asks(2)))
    down.works()
    up = lab_of(hell, lab_at, dns, server.address)
    up.clock += HOUR
    up.works()
    assert len(told(server)) == 1
    up.clock += HOUR
    up.works()
    assert len(told(server)) == 1


def test_mail_that_is_old_is_not_answered(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    lab = lab_of(hell, lab_at, dns, server.address)
    lab.arrives(signed(asks(1)), signed(asks(2, date=LONG_AGO)))
    lab.works()
    lab.works()
    assert lab.outcome("2@example.org") is Outcome.REJECTED
    assert told(server) == []


def test_an_archive_has_nobody_written_to(
    hell: Hell, lab_at: MakeLab, dns: str, server: MailServer
) -> None:
    hell.route(knows())
    policy = PolicySettings(dkim=True, dns=(dns,), senders=("alex@example.org",))
    mail = {"lab": MailSettings(sender=US, server=server.address)}
    lab = lab_at(hell.url, policy=policy, mail=mail)
    for number, source in enumerate(("replay a.mbox", "smtp"), 1):
        intake.accept(
            signed(asks(number)), source, ledger=lab.ledger, now=lab.clock(), max_size=1 << 20
        )
    lab.works()
    lab.works()
    assert [each["In-Reply-To"] for each in told(server)] == ["<2@example.org>"]


def test_it_can_be_turned_off(hell: Hell, lab_at: MakeLab, dns: str, server: MailServer) -> None:
    lab = lab_of(hell, lab_at, dns, server.address, refusals=False)
    lab.arrives(signed(asks(1)), signed(asks(2)))
    lab.works()
    lab.works()
    assert told(server) == []


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        (PolicySettings(), ["mail:lab"]),
        (PolicySettings(dkim=True, no_answer=("a@b.org",)), ["mail:lab"]),
        (PolicySettings(rate=("1 per day",)), ["mail:lab", "mail:lab refusals"]),
        (PolicySettings(require=("list",)), ["mail:lab", "mail:lab refusals"]),
    ],
)
def test_where_nobody_is_refused_nobody_is_told(policy: PolicySettings, names: list[str]) -> None:
    settings = tables.Settings(policy=policy, mail={"lab": MailSettings(sender=US)})
    assert [each.name for each in delivery.receivers(settings)] == names
