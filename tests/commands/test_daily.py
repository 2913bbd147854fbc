# SPDX-License-Identifier: BSD-3-Clause
"""A mail a day to the operator, with what needs a person."""

import email
import email.policy
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from ingest import look
from ingest.commands import daily
from ingest.config import load as config
from ingest.config.tables import Settings
from ingest.errors import ConfigError
from ingest.ledger import Aside, Cursor, Ledger, Outcome, Pause, Result, State
from tests.support.bad_server import refused_url
from tests.support.clock import DAY, HOUR, Clock
from tests.support.ledger_values import arrival, claimed, finish, record
from tests.support.mail_servers import MailServer

EIGHT = datetime(2026, 11, 26, 8, 0).timestamp()
OPS = "ops@example.org"


class Operator:
    """Whoever gets the mails, and a time that passes when it is told to."""

    def __init__(self, ledger: Ledger, folder: Path, server: MailServer) -> None:
        self.ledger, self.server, self.clock = ledger, server, Clock(EIGHT)
        file = folder / "c.toml"
        file.write_text(
            f'[digest]\nto = "{OPS}"\nmail = "lab"\n[http]\npublic_url = "https://ci.example.org"\n'
            f'[mail.lab]\nsender = "lab@ci.example.org"\nserver = "{server.address}"\n'
            '[command.arm]\nprogram = ["/bin/true"]\n'
        )
        environment = {"HOME": str(folder), "STATE_DIRECTORY": str(folder)}
        self.settings: Settings = config.load(file=str(file), environment=environment)
        for name in ("mail:lab", "command:arm"):
            ledger.begin_cursor(name, EIGHT)

    def looks(self) -> bool:
        return daily.deliver(self.ledger, self.settings, clock=self.clock)

    def fails(self, id: str, outcome: Outcome = Outcome.FAILED, at: float | None = None) -> None:
        """A mail comes to such an end now."""
        at = self.clock() if at is None else at
        self.ledger.accept(arrival(id, at=at))
        finish(self.ledger, claimed(self.ledger, at), outcome, at)
        self.clock += 1

    @property
    def texts(self) -> list[str]:
        return [str(mail.get_content()).replace("\r\n", "\n") for mail in self._mails]

    @property
    def subjects(self) -> list[str]:
        return [mail["Subject"] for mail in self._mails]

    @property
    def _mails(self) -> list[email.message.EmailMessage]:
        parsed = (
            email.message_from_bytes(each.content, policy=email.policy.default)
            for each in self.server.received
        )
        return [each for each in parsed if isinstance(each, email.message.EmailMessage)]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def operator(ledger: Ledger, quick_path: Path, server: MailServer) -> Operator:
    return Operator(ledger, quick_path, server)


def test_with_nothing_to_say_there_is_no_mail(operator: Operator) -> None:
    record(operator.ledger, "1@example.org", EIGHT)
    for name in ("mail:lab", "command:arm"):
        operator.ledger.set_cursor(Cursor(name, 1, EIGHT))
    for _ in range(48):
        assert not operator.looks()
        operator.clock += HOUR
    assert operator.server.received == []


WHOLE = """\
What needs a person:

Mails that became unresolved or failed (recheck-ingest retry queues them again):
  <b@example.org> failed: it is failed
  <a@example.org> unresolved: it is unresolved

Labels that were asked for and never seen to run:
  iol-a of request 1 for series 29430, by Robin Reviewer

Requests that sinks have set aside or skipped (recheck-ingest retry --sink):
  request 1 by command:arm: 404 \\x1b[2J

Sinks that are behind:
  mail:lab at 0, 1 behind, tried twice, next in 58 s: it is down

Sinks that an operator has paused (recheck-ingest resume):
  command:arm since {eight}: the lab moves

"""


def test_what_needs_a_person_is_told(operator: Operator) -> None:
    ledger = operator.ledger
    operator.fails("a@example.org", Outcome.UNRESOLVED)
    operator.fails("b@example.org")
    record(ledger, "1@example.org", EIGHT - DAY)
    ledger.results.tell(Result(1, "iol-a", State.OVERDUE, EIGHT))
    ledger.set_cursor(Cursor("mail:lab", 0, EIGHT, tries=2, due=EIGHT + 60, reason="it is down"))
    ledger.set_cursor(Cursor("command:arm", 1, EIGHT))
    ledger.asides.keep(Aside("command:arm", 1, EIGHT, 1, None, "404\n\x1b[2J"))
    ledger.steering.pause(Pause("command:arm", EIGHT, "the lab moves"))
    assert operator.looks()
    [text] = operator.texts
    eight = datetime.fromtimestamp(EIGHT).astimezone().isoformat(" ", "seconds")
    assert text.startswith(WHOLE.format(eight=eight))
    assert text.endswith("list --attention have all of it.\nhttps://ci.example.org\n")
    [subject] = operator.subjects
    assert subject == (
        "[recheck-ingest] needs a person: 2 unresolved or failed, 1 overdue, 1 not handed over, "
        "1 behind, 1 paused"
    )
    [received] = operator.server.received
    assert (received.sender, received.recipients) == ("<>", (OPS,))
    assert b"Auto-Submitted: auto-generated" in received.content


def test_it_comes_once_a_day_whatever_restarts(operator: Operator) -> None:
    for day in range(3):
        operator.fails(f"{day}@example.org")
        for _ in range(24):
            operator.looks()
            operator.clock += HOUR
    assert operator.subjects == ["[recheck-ingest] needs a person: 1 unresolved or failed"] * 3
    assert ["2@example.org" in text for text in operator.texts] == [False, False, True]


def test_it_comes_from_its_time_on(operator: Operator) -> None:
    operator.settings = replace(
        operator.settings, digest=replace(operator.settings.digest, at="09:30")
    )
    operator.fails("a@example.org")
    assert not operator.looks()
    operator.clock += 1.5 * HOUR
    assert operator.looks()


def test_what_came_after_the_last_one_is_new_and_what_stands_in_the_way_is_told_again(
    operator: Operator,
) -> None:
    operator.ledger.steering.pause(Pause("command:arm", EIGHT))
    operator.fails("a@example.org")
    operator.looks()
    operator.clock += HOUR
    operator.fails("b@example.org")
    assert not operator.looks()
    operator.clock += DAY
    assert operator.looks()
    assert "1 unresolved or failed, 1 paused" in operator.subjects[1]
    assert "b@example.org" in operator.texts[1]


def test_a_mail_that_came_a_week_before_it_failed_is_new(operator: Operator) -> None:
    operator.ledger.accept(arrival("a@example.org", at=EIGHT - 7 * DAY))
    operator.looks()
    operator.clock += DAY
    finish(operator.ledger, claimed(operator.ledger, EIGHT), Outcome.FAILED, operator.clock())
    operator.clock += DAY
    assert operator.looks()


def test_a_sink_that_is_behind_for_a_moment_is_not_told(operator: Operator) -> None:
    record(operator.ledger, "1@example.org", EIGHT)
    operator.clock += HOUR / 2
    assert not operator.looks()
    operator.clock += DAY
    assert operator.looks()
    assert operator.subjects == ["[recheck-ingest] needs a person: 2 behind"]


def test_of_very_many_the_first_are_told(operator: Operator) -> None:
    for number in range(30):
        operator.fails(f"{number}-{'x' * 400}@example.org")
    operator.looks()
    [text] = operator.texts
    assert text.count("failed: it is failed") == 0
    assert text.count("…\n") == 20
    assert "  … and 10 more\n" in text


def test_a_server_that_is_down_is_tried_again_and_the_mail_stays_the_same(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    there = operator.settings
    down = replace(there.mail["lab"], server=refused_url().removeprefix("http://"))
    operator.settings = replace(there, mail={"lab": down})
    operator.fails("a@example.org")
    assert not operator.looks()
    assert "the digest is not sent to ops@example.org" in caplog.text
    [trouble] = look.status(operator.ledger, there, operator.clock()).troubles
    assert trouble.reason.startswith("the digest is not sent to ops@example.org: ")
    operator.fails("b@example.org")
    operator.settings = there
    assert not operator.looks(), "before its time"
    operator.clock += 300
    assert operator.looks()
    [text] = operator.texts
    assert "b@example.org" not in text
    assert look.status(operator.ledger, there, operator.clock()).troubles == ()


def test_who_died_before_it_was_noted_sends_the_same_bytes_again(operator: Operator) -> None:
    operator.fails("a@example.org")
    operator.looks()
    sent = operator.ledger.letters.newest("digest")
    assert sent
    raw = operator.server.received[0].content.replace(b"\r\n", b"\n")
    operator.ledger.letters.note(replace(sent, raw=raw, sent=0.0))
    operator.looks()
    first, second = operator.server.received
    assert first == second


def test_nobody_who_is_named_gets_none(operator: Operator) -> None:
    operator.settings = replace(operator.settings, digest=replace(operator.settings.digest, to=""))
    operator.fails("a@example.org")
    assert not operator.looks()


def test_a_mail_table_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"\[digest\] mail: there is no table \[mail.lab\]"):
        config.load({("digest", "mail"): "lab"}, environment={"HOME": "/tmp"})
