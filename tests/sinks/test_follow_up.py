# SPDX-License-Identifier: BSD-3-Clause
"""The second answer: the results, by mail, once."""

import email
import email.policy
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ingest.background import troubles
from ingest.config import sink_tables, tables
from ingest.config.web_tables import HttpSettings
from ingest.ledger import Aside, Ledger, Pause, Request, Result, State
from ingest.mail import recheck
from ingest.mail.trust import Trust
from ingest.results import overdue
from ingest.sinks import delivery, follow_up
from ingest.sinks.follow_up import FollowUp
from ingest.sinks.mail import receiver
from tests.support.bad_server import Hell, refused_url
from tests.support.clock import DAY, HOUR, Clock
from tests.support.handing_over import Giving
from tests.support.lab import knows
from tests.support.mail_servers import MailServer, Received
from tests.support.retest_files import asked
from tests.support.service import Service

US = "lab@ci.example.org"
ROBIN = "Robin Reviewer <robin@example.org>"
PAGES = "https://ci.example.org"


def by(number: int = 1, **other: Any) -> Request:
    values = {"contexts": ("iol-a", "iol-b"), "requester": ROBIN, "subject": "Re: [PATCH] a"}
    return asked(number, **{**values, **other})


class Answering:
    """Both answers of a sink on a real ledger, in a time of their own."""

    def __init__(self, ledger: Ledger, clock: Clock, server: str, **table: Any) -> None:
        self.ledger, self.clock = ledger, clock
        values = {"sender": US, "server": server, "results": True, "verified_senders": True}
        values["series_interval"] = 0
        self.settings = tables.Settings(
            mail={"lab": sink_tables.MailSettings(**{**values, **table})},
            http=HttpSettings(public_url=PAGES),
        )
        follow_up.begin(ledger, self.settings, clock())
        self.begins_anew()

    def begins_anew(self) -> None:
        """A new process."""
        first, table = receiver("lab", self.settings), self.settings.mail["lab"]
        self.first = Giving(
            self.ledger, self.clock, first, table, once_per_mail=True, manners=first.manners
        )
        self.second = FollowUp("lab", first, self.settings)

    def asks(self, *requests: Request) -> None:
        """Requests come and get their first answers."""
        self.first.records(*requests)
        self.first.works()

    def tells(self, label: str = "iol-a", state: str = "success", request: int = 1) -> None:
        made = Result(request, label, State(state), self.clock())
        if state == "fail":
            made = replace(made, author="lab", url="https://lab.example.org/1")
        assert self.ledger.results.tell(made)

    def looks(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Time passes, and the sink of second answers looks at the results."""
        self.clock += 60
        assert self.second.is_due(self.ledger, self.clock())
        delivery.deliver(self.second, self.ledger, clock=self.clock, until=None, stop=stop)

    def story(self, what: str, message_id: str = "1@example.org") -> list[str]:
        [record] = self.ledger.find(message_id)
        events = [each.details for each in record.story if each.what == what]
        return [str(each.get("answer") or each.get("reason")) for each in events]


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def answering(ledger: Ledger, clock: Clock, server: MailServer) -> Answering:
    return Answering(ledger, clock, server.address)


def read(received: Received) -> EmailMessage:
    parsed = email.message_from_bytes(received.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def text(received: Received) -> str:
    return str(read(received).get_content()).replace("\r\n", "\n")


WHOLE = """\
The results of your Recheck-request: 1 fail, 1 overdue.

For series 29430 (patch 131182 in ci):

    iol-a: fail, by lab
        https://lab.example.org/1
    iol-b: nobody has seen it run

https://ci.example.org/requests/1

This answer was written by a program. If you want no such answers, reply and
say so: its operators put your address on a list.
"""


def test_when_all_is_known_or_overdue_the_results_come_in_the_same_thread(
    answering: Answering, server: MailServer
) -> None:
    answering.asks(by())
    answering.looks()
    answering.tells("iol-a", "fail")
    answering.looks()
    assert len(server.received) == 1
    answering.clock += 2 * DAY
    overdue.mark(answering.ledger, answering.settings, answering.clock())
    answering.looks()
    first, second = map(read, server.received)
    assert text(server.received[1]) == WHOLE
    assert "\nWhat becomes of it: https://ci.example.org/requests/1\n" in text(server.received[0])
    assert second["Message-ID"] != first["Message-ID"]
    assert second["In-Reply-To"] == first["In-Reply-To"] == "<1@example.org>"
    assert second["References"].split() == ["<1@example.org>", first["Message-ID"]]
    for field in ("To", "Subject", "Auto-Submitted", "X-Patchwork-Hint", "From"):
        assert second[field] == first[field]
    assert server.received[1].sender == "<>"
    assert server.received[1].recipients == ("robin@example.org",)
    [told] = answering.story("answered")
    assert told.startswith("results sent to robin@example.org: 250 ")


def test_they_come_once_whatever_is_learnt_later(answering: Answering, server: MailServer) -> None:
    answering.asks(by(contexts=("iol-a",)))
    answering.tells(state="overdue")
    for state in ("fail", "success", "warning"):
        answering.looks()
        answering.begins_anew()
        answering.tells(state=state)
    answering.looks()
    assert len(server.received) == 2


def test_each_request_has_its_own_and_one_that_waits_holds_up_no_other(
    answering: Answering, server: MailServer
) -> None:
    answering.asks(*(by(n, contexts=("iol-a",)) for n in (1, 2, 3)))
    for number in (3, 1):
        answering.tells(request=number)
        answering.looks()
    answering.begins_anew()
    answering.looks()
    to = [read(each)["In-Reply-To"] for each in server.received[3:]]
    assert to == ["<3@example.org>", "<1@example.org>"]
    answering.tells(request=2)
    answering.looks()
    assert read(server.received[-1])["In-Reply-To"] == "<2@example.org>"
    assert len(server.received) == 6


ENDS = ("success", "warning", "fail", "cancelled", "overdue")


@pytest.mark.parametrize("state", State)
def test_it_is_waited_for_what_is_still_to_come(
    answering: Answering, server: MailServer, state: State
) -> None:
    answering.asks(by(contexts=("iol-a",)))
    answering.ledger.results.tell(Result(1, "iol-a", state, answering.clock(), "lab"))
    answering.looks()
    assert len(server.received) == 1 + (state in ENDS)


def test_what_has_run_for_as_long_as_would_be_overdue_is_told_as_running(
    answering: Answering, server: MailServer
) -> None:
    answering.asks(by())
    answering.tells("iol-a")
    answering.tells("iol-b", "pending")
    answering.clock += 2 * DAY
    answering.looks()
    assert "    iol-a: success\n    iol-b: still running\n" in text(server.received[1])


def test_arguments_alone_have_a_result_too(answering: Answering, server: MailServer) -> None:
    answering.asks(by(contexts=(), arguments={"rebase": "main"}))
    answering.tells("", "success")
    answering.looks()
    assert "    arguments: success\n" in text(server.received[1])


def test_a_request_that_an_operator_cancels_is_told_so(
    answering: Answering, server: MailServer
) -> None:
    answering.asks(by())
    answering.ledger.steering.cancel_request(1, "not now", "operator", answering.clock())
    answering.looks()
    assert "iol-a: cancelled" in text(server.received[1])


def test_what_came_before_second_answers_were_wanted_has_none(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    before = Answering(ledger, clock, server.address, results=False)
    before.asks(by(contexts=("iol-a",)))
    after = Answering(ledger, clock, server.address)
    after.asks(by(2, contexts=("iol-a",)))
    for number in (1, 2):
        after.tells(request=number)
    after.looks()
    assert [read(each)["In-Reply-To"] for each in server.received[2:]] == ["<2@example.org>"]


# The same manners as the first one.


def test_who_had_no_first_answer_has_no_second(answering: Answering, server: MailServer) -> None:
    answering.asks(by(requester="Robin <no-reply@example.org>"))
    for label in ("iol-a", "iol-b"):
        answering.tells(label)
    answering.looks()
    assert server.received == []


def test_one_mail_has_one_answer_and_the_results_of_each_series(
    answering: Answering, server: MailServer
) -> None:
    """All of them stand in the thread of that answer."""
    answering.asks(by(contexts=("iol-a",)))
    answering.asks(by(2, message_id="1@example.org", series=7, contexts=("iol-a",)))
    for number in (2, 1):
        answering.tells(request=number)
        answering.looks()
    first, *results = server.received
    assert ["series 7" in text(each) for each in results] == [True, False]
    assert ["series 29430" in text(each) for each in results] == [False, True]
    answer = read(first)["Message-ID"]
    assert all(read(each)["References"].split()[-1] == answer for each in results)
    assert len({read(each)["Message-ID"] for each in server.received}) == 3


def test_of_a_mail_without_an_answer_no_series_has_results(
    answering: Answering, server: MailServer
) -> None:
    """Also if only the first of its requests was turned away."""
    answering.asks(by(contexts=("iol-a",)))
    answering.ledger.asides.keep(Aside("mail:lab", 1, answering.clock(), 1, None, "it says 550"))
    answering.asks(by(2, message_id="1@example.org", series=7, contexts=("iol-a",)))
    answering.tells(request=2)
    answering.looks()
    assert len(server.received) == 1


def test_only_the_labels_that_the_sink_is_for_are_waited_for(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    answering = Answering(ledger, clock, server.address, contexts=("*-a",))
    answering.asks(by())
    answering.tells("iol-a")
    answering.looks()
    said = text(server.received[1])
    assert "iol-a: success" in said
    assert "iol-b" not in said


def test_to_who_is_not_believed_nothing_of_his_own_is_said(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    answering = Answering(ledger, clock, server.address, verified_senders=False)
    spam = "BUY-PILLS-NOW"
    answering.asks(by(contexts=(spam, "iol-b"), subject=spam, reason=spam))
    answering.tells(spam)
    answering.tells("iol-b", "fail")
    answering.looks()
    said = text(server.received[1])
    assert said.startswith(
        "The results of a Recheck-request: 1 success, 1 fail.\n"
        "It is claimed to be yours; nothing proves that it is.\n"
    )
    assert spam not in said + read(server.received[1])["Subject"]
    assert "Of the labels that your mail names:\n\n    1 success\n    1 fail\n" in said
    answering.asks(by(2, contexts=(spam,), trust=Trust("", "dkim")))
    answering.tells(spam, request=2)
    answering.looks()
    assert f"    {spam}: success\n" in text(server.received[3])


def test_nothing_in_it_is_a_request(answering: Answering, server: MailServer) -> None:
    answering.asks(by(contexts=("iol-a",)))
    summary = "Recheck-request: iol-b\nRecheck-request: iol-c"
    answering.ledger.results.tell(
        Result(1, "iol-a", State.FAIL, answering.clock(), summary=summary)
    )
    answering.looks()
    assert recheck.parse(text(server.received[1])) is None


# A mail server that is down, and a process that is killed.


def test_a_server_that_is_down_is_tried_again_and_the_mail_stays_the_same(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    answering = Answering(ledger, clock, server.address)
    answering.asks(by(contexts=("iol-a",)))
    answering.tells(state="fail")
    there = answering.settings
    down = replace(there.mail["lab"], server=refused_url().removeprefix("http://"))
    answering.settings = replace(there, mail={"lab": down})
    answering.begins_anew()
    answering.looks()
    [letter] = ledger.letters.due(answering.second.name, clock() + HOUR, DAY)
    assert (letter.tries, letter.due) == (1, clock() + 10)
    [trouble] = troubles(ledger, ["mail:lab results"], clock())
    assert "Connection refused" in trouble.reason
    answering.tells(state="success")
    answering.settings = there
    answering.begins_anew()
    answering.looks()
    assert "iol-a: fail" in text(server.received[1])
    assert len(answering.story("answered")) == 1
    assert troubles(ledger, ["mail:lab results"], clock()) == []


def test_it_is_given_up_in_the_end(ledger: Ledger, clock: Clock) -> None:
    nobody = refused_url().removeprefix("http://")
    answering = Answering(ledger, clock, nobody, give_up=HOUR, retry=(60.0,))
    answering.first.records(by(contexts=("iol-a",)))
    ledger.set_cursor(replace(ledger.cursor("mail:lab"), position=1))
    answering.tells()
    answering.looks()
    assert answering.story("skipped") == []
    answering.clock += HOUR
    answering.looks()
    [told] = answering.story("skipped")
    assert told.startswith("mail:lab results: gave up: ")
    answering.looks()
    assert len(answering.story("skipped")) == 1


def test_who_died_before_it_was_noted_sends_the_same_bytes_again(
    answering: Answering, server: MailServer
) -> None:
    answering.asks(by(contexts=("iol-a",)))
    answering.tells(state="fail")
    answering.looks(stop=lambda: bool(answering.ledger.letters.newest("mail:lab results")))
    [letter] = answering.ledger.letters.due("mail:lab results", answering.clock(), DAY)
    answering.begins_anew()
    answering.tells(state="success")
    answering.looks()
    answering.ledger.letters.note(letter)  # killed before it noted that it was sent
    answering.begins_anew()
    answering.looks()
    answering.looks()
    assert len(server.received) == 3
    assert server.received[1] == server.received[2]
    assert b"fail" in server.received[1].content


def test_while_the_sink_is_paused_nothing_is_sent(answering: Answering, server: MailServer) -> None:
    answering.asks(by(contexts=("iol-a",)))
    answering.tells()
    answering.ledger.steering.pause(Pause("mail:lab", answering.clock()))
    answering.looks()
    assert len(server.received) == 1
    answering.ledger.steering.resume("mail:lab", answering.clock())
    answering.looks()
    assert len(server.received) == 2


def test_the_configured_sink_has_a_second_one_if_it_is_to(answering: Answering) -> None:
    names = [each.name for each in delivery.receivers(answering.settings)]
    assert names == ["mail:lab", "mail:lab results"]
    table = replace(answering.settings.mail["lab"], results=False)
    without = replace(answering.settings, mail={"lab": table})
    assert [each.name for each in delivery.receivers(without)] == ["mail:lab"]


@pytest.mark.slow
def test_a_process_killed_before_it_noted_the_results_sends_the_same_once_more(
    hell: Hell, tmp_path: Path
) -> None:
    def kill() -> None:
        if len(server.received) == 2:
            working.kill()
            working.wait(60)

    hell.route(knows())
    service = Service(tmp_path)
    with MailServer(kept=kill) as server:
        lab = {
            "RECHECK_INGEST_MAIL_LAB_SENDER": US,
            "RECHECK_INGEST_MAIL_LAB_SERVER": server.address,
            "RECHECK_INGEST_MAIL_LAB_RESULTS": "true",
            "RECHECK_INGEST_MAIL_LAB_RETRY": "1",
        }
        service.pipe(b"a", hell.url)
        service.start("work", "--once", url=hell.url, **lab).communicate(timeout=60)
        said = ["result", "1", "iol-a", "success"]
        service.start(*said, url=hell.url, **lab).communicate(timeout=60)
        working = service.start("work", "--once", url=hell.url, **lab)
        working.communicate(timeout=60)
        assert working.returncode == -signal.SIGKILL
        for _ in range(2):
            service.start("work", "--once", url=hell.url, **lab).communicate(timeout=60)
        _, first, second = server.received
    assert first == second
    assert b"success" in first.content
