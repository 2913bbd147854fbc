# SPDX-License-Identifier: BSD-3-Clause
"""The sink that answers by mail, against real and odd mail servers."""

import email
import email.policy
import json
import re
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import addresses
from ingest.config import sink_tables, tables
from ingest.errors import ConfigError
from ingest.ledger import Ledger, Request
from ingest.mail import message as mails
from ingest.mail import recheck
from ingest.mail.trust import Trust
from ingest.policy import selection
from ingest.sinks import smtp
from ingest.sinks.answer import compose, ready_reply, text, unquoted
from ingest.sinks.mail import Answer, is_nobody
from tests.support.bad_server import Answer as Reply
from tests.support.bad_server import Hell, Seen, failing, refused_url, rows
from tests.support.bad_server import text as saying
from tests.support.clock import DAY, HOUR, Clock
from tests.support.handing_over import Giving, told
from tests.support.lab import knows
from tests.support.mail_servers import DRIP, HANG_UP, HOST, SILENCE, MailServer, OddServer, Received
from tests.support.retest_files import asked
from tests.support.service import Service

ROBIN = "Robin Reviewer <robin@example.org>"
US = "lab@ci.example.org"
QUICK = 0.3  # seconds, for a server that says nothing


def by(number: int = 1, **other: Any) -> Request:
    """A request of somebody who can be written to."""
    return asked(number, **{"requester": ROBIN, "subject": "Re: [PATCH] a: fix it", **other})


MakeGiving = Callable[..., Giving]


@pytest.fixture
def giving_to(ledger: Ledger, clock: Clock) -> MakeGiving:
    def make(server: str, **table: Any) -> Giving:
        settings = sink_tables.MailSettings(
            **{"sender": US, "server": server, "verified_senders": True, **table}
        )
        answer = Answer("lab", settings, tables.RequestsSettings())
        return Giving(ledger, clock, answer, settings, once_per_mail=True)

    return make


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def giving(giving_to: MakeGiving, server: MailServer) -> Giving:
    return giving_to(server.address)


def read(received: Received) -> EmailMessage:
    parsed = email.message_from_bytes(received.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


# What is said.

WHOLE = """\
From: lab@ci.example.org
To: robin@example.org
Subject: Re: [PATCH] a: fix it
Date: Wed, 06 Sep 2023 14:20:00 -0000
Message-ID: <recheck-00000000000000000000000000000001.lab@ci.example.org>
Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All
X-Patchwork-Hint: ignore
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
In-Reply-To: <1@example.org>
References: <1@example.org>

Your Recheck-request was read.

For series 29430 (patch 131182 in ci) this will run:

    iol-unit-amd64-testing

with these arguments:

    rebase=3Dmain

Here =E2=80=9Cfailed=E2=80=9D stands for:

    iol-unit-amd64-testing

Your reason:

    The lab was down.

Not understood, or not run here:

    iol-unit-tst (did you mean iol-unit-testing?)
    iol-b iol-c

Labels that there are:

    iol-*, github-robot

This answer was written by a program. If you want no such answers, reply and
say so: its operators put your address on a list.
"""


def test_the_whole_answer() -> None:
    request = by(
        contexts=("iol-unit-amd64-testing",),
        arguments={"rebase": "main"},
        groups={"failed": ("iol-unit-amd64-testing",)},
        reason="The lab was down.",
        leftovers=("iol-unit-tst (did you mean iol-unit-testing?)", "iol-b  iol-c"),
    )
    table = sink_tables.MailSettings(sender=US, verified_senders=True)
    wanted = tables.RequestsSettings(contexts=("iol-*", "github-robot"))
    assert compose(request, table, wanted, "lab", ["robin@example.org"]).decode() == WHOLE


def body(
    request: Request, *, requests: tables.RequestsSettings | None = None, **table: Any
) -> list[str]:
    """The lines of an answer that are not blank, without the first one."""
    lines = text(request, sink_tables.MailSettings(**table), requests or tables.RequestsSettings())
    return [line for line in lines if line][1:]


SPAM = "BUY-PILLS-NOW"


def test_nothing_that_a_sender_made_up_goes_to_an_address_that_was_not_verified(
    giving_to: MakeGiving, server: MailServer
) -> None:
    giving = giving_to(server.address, verified_senders=False)
    giving.records(
        by(
            contexts=(SPAM, "iol-a"),
            arguments={"rebase": SPAM},
            leftovers=(SPAM, SPAM),
            reason=f"{SPAM} https://spam.example.org",
            subject=f"Re: {SPAM}",
            requester=f"{SPAM} <robin@example.org>",
        )
    )
    giving.works()
    (mail,) = server.received
    assert SPAM.encode() not in mail.content
    assert read(mail)["Subject"] == "Re: your Recheck-request"
    lines = read(mail).get_content().splitlines()
    assert "    2 labels that your mail names" in lines
    assert "    rebase=…" in lines
    assert "    2 things in your mail" in lines


@pytest.mark.parametrize(
    ("contexts", "shown"), [(("iol-a", "x-*"), ("iol-a",)), (("patchwork",), ("iol-a", "x-1"))]
)
def test_labels_that_are_known_are_named_to_anybody(
    contexts: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    wanted = tables.RequestsSettings(contexts=contexts)
    assert unquoted(by(contexts=("iol-a", "x-1")), wanted).contexts[: len(shown)] == shown


def test_what_a_group_stands_for_is_named_to_anybody() -> None:
    request = by(contexts=("x-1", "x-2"), groups={"failed": ("x-1",)}, reason="so")
    shown = unquoted(request, tables.RequestsSettings())
    assert shown.contexts == ("x-1", "1 label that your mail names")
    assert (shown.groups, shown.reason) == (request.groups, "")


REPLY = """\
To have that run, too, reply to the patch with:

    Recheck-request: iol-b, iol-c, rebase=main

or by git:

    printf '%s\\n' 'Subject: Re: [PATCH] a: fix it' '' 'Recheck-request: iol-b, iol-c, rebase=main' > reply.txt
    git send-email --suppress-cc=all --to=dev@dpdk.org --in-reply-to='<p@example.org>' reply.txt
"""  # noqa: E501


def left_over(**other: Any) -> Request:
    of = {"contexts": ("iol-a",), "arguments": {"rebase": "main"}, "leftovers": ("iol-b, iol-c",)}
    return by(**{**of, "parent": "p@example.org", "list_id": "dev.dpdk.org", **other})


def test_what_was_not_understood_can_be_asked_for_with_a_ready_reply(
    giving_to: MakeGiving, server: MailServer
) -> None:
    giving = giving_to(server.address)
    giving.records(left_over())
    giving.works()
    [mail] = server.received
    text = read(mail).get_content().replace("\r\n", "\n")
    assert REPLY in text
    assert recheck.parse(text) is None
    (said,) = re.findall(r"^    (Recheck-request.*)$", text, re.MULTILINE)
    asks = recheck.parse(said)
    assert asks
    assert (asks.contexts, asks.arguments) == (("iol-b", "iol-c"), {"rebase": "main"})


def test_who_is_not_believed_is_told_the_labels_that_the_settings_name(
    giving_to: MakeGiving, server: MailServer
) -> None:
    giving = giving_to(server.address, verified_senders=False, labels=("iol-c", "iol-d"))
    giving.records(left_over())
    giving.works()
    [mail] = server.received
    lines = read(mail).get_content().splitlines()
    assert "    Recheck-request: iol-c" in lines
    assert not [line for line in lines if "iol-b" in line or "send-email" in line]


def test_where_nothing_can_be_run_there_is_no_ready_reply() -> None:
    table, wanted = sink_tables.MailSettings(), tables.RequestsSettings(contexts=("iol-a",))
    for believed in (True, False):
        request = left_over(leftovers=("please", "x-1, x-2"))
        assert ready_reply(request, table, wanted, believed=believed) is None


def test_one_address_gets_so_many_answers_a_day(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    table = sink_tables.MailSettings(sender=US, server=server.address, per_day=2, series_interval=0)
    answer = Answer("lab", table, tables.RequestsSettings())
    giving = Giving(ledger, clock, answer, table, once_per_mail=True, manners=answer.manners)
    giving.records(by(1), by(2), by(3), by(4, requester="Alex <alex@example.org>"))
    giving.works()
    assert giving.skipped("3@example.org") == (
        "mail:lab: 2 requests of robin@example.org came within a day before it, which is the most "
        "(per_day)"
    )
    clock += DAY
    giving.records(by(5))
    giving.works()
    to = [read(each)["In-Reply-To"] for each in server.received]
    assert to == [f"<{number}@example.org>" for number in (1, 2, 4, 5)]


def test_one_series_is_answered_once_an_hour_to_one_address(
    ledger: Ledger, clock: Clock, server: MailServer
) -> None:
    table = sink_tables.MailSettings(sender=US, server=server.address)
    answer = Answer("lab", table, tables.RequestsSettings())
    giving = Giving(ledger, clock, answer, table, once_per_mail=True, manners=answer.manners)
    alex = "Alex <alex@example.org>"
    giving.records(by(1, series=7), by(2, series=7), by(3, series=8))
    giving.records(by(4, series=7, requester=alex))
    giving.works()
    assert giving.skipped("2@example.org") == (
        "mail:lab: robin@example.org was told of series 7 just before, by request 1"
    )
    clock += HOUR / 2
    giving.records(by(5, series=7))
    clock += HOUR / 2
    giving.records(by(6, series=7))
    giving.works()
    to = [read(each)["In-Reply-To"] for each in server.received]
    assert to == [f"<{number}@example.org>" for number in (1, 3, 4, 6)]


@pytest.fixture
def lab_with_patchwork(ledger: Ledger, clock: Clock, server: MailServer, hell: Hell) -> Giving:
    """Answers of a lab that knows which checks a patch has."""
    table = sink_tables.MailSettings(sender=US, server=server.address)
    patchwork = tables.PatchworkSettings(hell.url)
    requests = tables.RequestsSettings(contexts=("iol-*",))
    answer = Answer("lab", table, requests, server_of=lambda name: patchwork)
    return Giving(ledger, clock, answer, table, once_per_mail=True)


def checks(*contexts: str) -> Callable[[Seen], Reply | None]:
    """A Patchwork whose every patch has checks of these contexts."""

    series = {"id": 29430, "patches": [{"id": 1}, {"id": 131182}]}
    posted = [
        {"id": id, "context": each, "state": "success"} for id, each in enumerate(contexts, 1)
    ]

    def route(seen: Seen) -> Reply | None:
        if seen.path == "/api/series/29430/":
            return saying(json.dumps(series))
        if seen.path == "/api/patches/131182/checks/":
            return rows(*posted)
        return None

    return route


@pytest.mark.parametrize("submission", ["patch 131182", "cover 9"])
def test_only_labels_that_no_check_on_patchwork_has_are_called_unknown(
    submission: str, lab_with_patchwork: Giving, hell: Hell, server: MailServer
) -> None:
    hell.route(checks("github-robot: build", "unh-a"))
    left = ("unh-a", "unh-typo", "github-robot", "iol.11")
    lab_with_patchwork.records(by(leftovers=left, submission=submission, trust=Trust("", "dkim")))
    lab_with_patchwork.works()
    (mail,) = server.received
    known = "no test of ours; a check of this name is on Patchwork, perhaps another lab's"
    unknown = "no test of ours, and no check on Patchwork has this name"
    told = " ".join(read(mail).get_content().split())
    for each in (f"unh-a ({known})", f"unh-typo ({unknown})", f"github-robot ({known})"):
        assert each in told
    assert "iol.11" in told
    assert "iol.11 (" not in told


def test_where_patchwork_does_not_tell_no_label_is_called_unknown(
    lab_with_patchwork: Giving, hell: Hell, server: MailServer
) -> None:
    hell.route(lambda seen: failing(503))
    lab_with_patchwork.records(by(leftovers=("unh-a",), trust=Trust("", "dkim")))
    lab_with_patchwork.works()
    (mail,) = server.received
    assert "unh-a\r\n" in read(mail).get_content()


def test_an_answer_to_a_request_without_leftovers_asks_patchwork_nothing(
    lab_with_patchwork: Giving, hell: Hell, server: MailServer
) -> None:
    lab_with_patchwork.records(by(trust=Trust("", "dkim")), by(2, leftovers=("x",)))
    lab_with_patchwork.works()
    assert len(server.received) == 2
    assert hell.seen == []


def test_who_wants_no_answer_gets_none(ledger: Ledger, clock: Clock, server: MailServer) -> None:
    table = sink_tables.MailSettings(sender=US, server=server.address)
    answer = Answer("lab", table, tables.RequestsSettings(), ["Robin@example.org"])
    giving = Giving(ledger, clock, answer, table, once_per_mail=True, manners=answer.manners)
    giving.records(by(1), by(2, requester="Alex <alex@example.org>"))
    giving.works()
    assert giving.skipped("1@example.org") == (
        "mail:lab: policy no_answer: robin@example.org is not answered"
    )
    assert [read(each)["To"] for each in server.received] == ["alex@example.org"]


def test_what_a_proved_author_wrote_is_repeated(giving_to: MakeGiving, server: MailServer) -> None:
    giving = giving_to(server.address, verified_senders=False)
    giving.records(by(1, subject="Re: mine", trust=Trust("", "dkim")), by(2, subject="Re: mine"))
    giving.works()
    subjects = [read(each)["Subject"] for each in server.received]
    assert subjects == ["Re: mine", "Re: your Recheck-request"]
    first, second = (read(each).get_content().splitlines()[0] for each in server.received)
    assert first == "Your Recheck-request was read."
    assert second == (
        "A Recheck-request was read that is claimed to be yours; nothing proves that it is."
    )


def test_arguments_alone_are_told_as_such() -> None:
    assert body(by(contexts=(), arguments={"rebase": "main"})) == [
        "For series 29430 it names no labels, and these arguments:",
        "    rebase=main",
    ]


FOR = ["For series 29430 (patch 131182 in ci) this will run:", "    c-1"]
THERE = "Labels that there are:"
ASKED_FOR = "Labels that there are: the contexts of the patch's checks on Patchwork."


@pytest.mark.parametrize(
    ("labels", "contexts", "lines"),
    [
        ((), (), []),
        ((), ("iol-*", "x"), [THERE, "    iol-*, x"]),
        (("iol-a", "iol-b"), ("iol-*",), [THERE, "    iol-a, iol-b"]),
        ((), ("patchwork",), [ASKED_FOR]),
        (("iol-a",), ("patchwork",), [THERE, "    iol-a"]),
    ],
)
def test_the_labels_are_those_of_the_table_else_the_wanted_contexts(
    labels: tuple[str, ...], contexts: tuple[str, ...], lines: list[str]
) -> None:
    requests = tables.RequestsSettings(contexts=contexts)
    assert body(by(), requests=requests, labels=labels) == FOR + lines


def test_long_lists_are_wrapped_and_cut() -> None:
    many = tuple(f"label-{number}" for number in range(1000))
    lines = body(by(contexts=many, leftovers=tuple("x" * 900 for _ in range(50))))
    assert max(map(len, lines)) <= 104
    assert "    … and 900 more" in lines
    assert "    … and 40 more" in lines
    assert len(lines) < 50


def test_the_answer_belongs_to_the_thread_and_says_what_it_is(
    giving: Giving, server: MailServer
) -> None:
    giving.records(by())
    giving.works()
    (mail,) = server.received
    parsed = read(mail)
    assert parsed["In-Reply-To"] == parsed["References"] == "<1@example.org>"
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert (mail.sender, mail.recipients) == ("<>", ("robin@example.org",))
    assert giving.answer() == "sent to robin@example.org: 250 2.0.0 kept"


def test_the_answer_is_no_request_itself_wherever_it_goes(
    giving: Giving, server: MailServer
) -> None:
    giving.records(by(leftovers=("Recheck-request: iol-a",)))
    giving.works()
    raw = server.received[0].content
    assert recheck.parse(mails.parse(raw).text) is None
    reason = "it says X-Patchwork-Hint: ignore"
    assert selection.no_request(mails.parse(raw)) == reason
    unhinted = raw.replace(b"X-Patchwork-Hint: ignore\r\n", b"")
    automatic = "it is automatic mail (Auto-Submitted: auto-replied)"
    assert selection.no_request(mails.parse(unhinted)) == automatic


SUBJECTS = [
    ("Re: [PATCH] a: fix it", "Re: [PATCH] a: fix it"),
    ("[PATCH] a: fix it", "Re: [PATCH] a: fix it"),
    ("RE: re:Re: a", "Re: a"),
    ("", "Re: your Recheck-request"),
    ("Re:", "Re: your Recheck-request"),
    ("Re: café 日本語 🦀", "Re: café 日本語 🦀"),
    ("Re: =?utf-8?q?evil?=", "Re: =?utf-8?q?evil?="),
    ("Re: a\r\nBcc: x@example.org", "Re: a Bcc: x@example.org"),
    ("日本語" * 60, f"Re: {'日本語' * 60}"),
    ("x" * 5000, f"Re: {'x' * 200}"),
    ("\ud83d", "Re: ?"),
]


@pytest.mark.parametrize(("subject", "answered"), SUBJECTS)
def test_the_subject_is_that_of_the_request(
    subject: str, answered: str, giving: Giving, server: MailServer
) -> None:
    table, requests = (
        sink_tables.MailSettings(sender=US, verified_senders=True),
        tables.RequestsSettings(),
    )
    raw = compose(by(subject=subject), table, requests, "lab", ["a@example.org"])
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed["Subject"] == answered


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        (US, US),
        (f"<{US}>", US),
        (f"DPDK lab <{US}>", f"DPDK lab <{US}>"),
        (f'"lab, DPDK" <{US}>', f'"lab, DPDK" <{US}>'),
        (f"Läb <{US}>", f"Läb <{US}>"),
    ],
)
def test_the_sender_is_as_it_is_set(sender: str, shown: str) -> None:
    raw = compose(
        by(),
        sink_tables.MailSettings(sender=sender),
        tables.RequestsSettings(),
        "lab",
        ["a@example.org"],
    )
    assert str(email.message_from_bytes(raw, policy=email.policy.default)["From"]) == shown


@pytest.mark.parametrize(
    "message_id",
    ["mail-17", "", "a b@example.org", "a>@example.org", "x@y\r\nBcc: z", "ü@x", "x" * 999 + "@y"],
)
def test_an_id_that_cannot_be_named_is_not(message_id: str) -> None:
    request = by(message_id=message_id)
    raw = compose(
        request,
        sink_tables.MailSettings(sender=US, verified_senders=True),
        tables.RequestsSettings(),
        "lab",
        ["a@example.org"],
    )
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert parsed["In-Reply-To"] is parsed["References"] is None
    assert parsed["Message-ID"]


ANYTHING = st.text(max_size=300)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, st.lists(ANYTHING, max_size=3))
def test_nothing_in_a_request_makes_a_header_or_a_request(
    subject: str, message_id: str, project: str, value: str, leftovers: list[str]
) -> None:
    hostile = by(
        subject=subject,
        message_id=message_id,
        project=project,
        contexts=(value,),
        arguments={value: value},
        leftovers=tuple(leftovers),
    )
    table = sink_tables.MailSettings(sender=US, verified_senders=True)
    raw = compose(hostile, table, tables.RequestsSettings(), "lab", ["robin@example.org"])
    assert raw.isascii()
    assert max(map(len, raw.split(b"\n"))) < 998
    plain = compose(by(), table, tables.RequestsSettings(), "lab", ["robin@example.org"])
    fields = {line.partition(":")[0] for line in WHOLE.partition("\n\n")[0].splitlines()}
    assert {key for key, _ in email.message_from_bytes(plain).items()} == fields
    parsed = email.message_from_bytes(raw)
    threading = {"In-Reply-To", "References"}
    assert {key for key, _ in parsed.items()} | threading == fields
    assert len(parsed.items()) in (len(fields), len(fields) - 2)
    assert parsed["To"] == "robin@example.org"
    assert recheck.parse(mails.parse(raw).text) is None


# Who gets it.

LISTS = ("dev@dpdk.example.org",)
MUNGED = "Robin via dev (by way of dev@dpdk.example.org)"


@pytest.mark.parametrize(
    ("requester", "lists", "recipients"),
    [
        (ROBIN, (), ("robin@example.org",)),
        ("robin@example.org", (), ("robin@example.org",)),
        (ROBIN, LISTS, ("robin@example.org", *LISTS)),
        (MUNGED, LISTS, LISTS),
        ("Robin via dev <DEV@dpdk.example.org>", LISTS, ("DEV@dpdk.example.org",)),
        ("<dev@dpdk.example.org>", LISTS, LISTS),
    ],
)
def test_the_answer_goes_to_the_requester_and_to_the_lists_that_are_to_have_it(
    requester: str,
    lists: tuple[str, ...],
    recipients: tuple[str, ...],
    giving_to: MakeGiving,
    server: MailServer,
) -> None:
    giving = giving_to(server.address, lists=lists)
    giving.records(by(requester=requester))
    giving.works()
    (mail,) = server.received
    assert mail.recipients == recipients
    assert read(mail)["To"] == ", ".join(recipients)


@pytest.mark.parametrize(
    ("requester", "why"),
    [
        (MUNGED, "the sender's address is the list's, dev@dpdk.example.org"),
        (
            "Robin via dev <dev@dpdk.example.org>",
            "the sender's address is the list's, dev@dpdk.example.org",
        ),
        (f"Lab <{US.upper()}>", f"{US.upper()} is our own address"),
        ("Lab <lab+iol-a@ci.example.org>", "lab+iol-a@ci.example.org is our own address"),
        ("", "there is no address in ''"),
        ("Robin Reviewer", "there is no address in 'Robin Reviewer'"),
        ("Robin <robin>", "there is no address in 'Robin <robin>'"),
        ("Robin <robin@localhost>", "there is no address in"),
        ("Robin <robin@example.org\r\nBcc: x@example.org>", "there is no address in"),
        ("Robin <robin@example.org, x@example.org>", "there is no address in"),
        ('Robin <"robin x"@example.org>', "there is no address in"),
        ("Robin <robin@[192.0.2.1]>", "there is no address in"),
        ("Robin <röbin@example.org>", "there is no address in"),
        ("Robin <robin@exämple.org>", "there is no address in"),
        ("Robin <@a.example.org:robin@example.org>", "there is no address in"),
        ("Robin <robin%x@a@example.org>", "there is no address in"),
        (f"Robin <{'x' * 65}@example.org>", "there is no address in"),
        (f"Robin <robin@{'x.' * 130}org>", "there is no address in"),
        ("<MAILER-DAEMON@example.org>", "nobody reads the mail of MAILER-DAEMON@example.org"),
        ("GitHub <noreply@github.example.com>", "nobody reads the mail of"),
        ("Robin <robin@example.org.invalid>", "nobody reads the mail of"),
    ],
)
def test_nobody_else_is_answered(
    requester: str, why: str, giving: Giving, server: MailServer
) -> None:
    giving.records(by(requester=requester))
    giving.works()
    assert giving.skipped().startswith(f"mail:lab: no answer: {why}")
    assert server.received == []
    assert giving.cursor.position == 1


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("robin@example.org", False),
        ("nora@example.org", False),
        ("casino.reply@example.org", False),
        ("ownership@example.org", False),
        ("bouncer@example.org", False),
        ("invalid@example.org", False),
        ("mailer-daemon@example.org", True),
        ("Postmaster@example.org", True),
        ("no-reply@example.org", True),
        ("noreply-2023@example.org", True),
        ("do_not_reply@example.org", False),
        ("donotreply@example.org", True),
        ("do-not-reply@example.org", True),
        ("ci_noreply@example.org", True),
        ("dev-bounces@example.org", True),
        ("dev-bounces+robin=example.org@example.org", True),
        ("bounce@example.org", True),
        ("owner-dev@example.org", True),
        ("dev-owner@example.org", True),
        ("dev-request@example.org", True),
        ("majordomo@example.org", True),
        ("robin@host.invalid", True),
        ("robin@x.test", True),
    ],
)
def test_some_addresses_are_read_by_nobody(address: str, is_one: bool) -> None:
    assert is_nobody(address) is is_one


def test_a_mail_is_answered_once_however_many_series_it_is_for(
    giving: Giving, server: MailServer
) -> None:
    giving.records(by(), by(series=29431, submission="patch 5"), by(2))
    giving.works()
    assert [read(each)["In-Reply-To"] for each in server.received] == [
        "<1@example.org>",
        "<2@example.org>",
    ]
    first, second = (record.story[-1] for record in giving.ledger.find("1@example.org"))
    assert first.details["answer"] == "sent to robin@example.org: 250 2.0.0 kept"
    assert second.details["answer"] == "nothing, for the same mail came as request 1"


def test_a_copy_that_is_not_for_this_sink_does_not_keep_the_answer_back(
    giving_to: MakeGiving, server: MailServer
) -> None:
    giving = giving_to(server.address, contexts=("iol-*",))
    giving.records(by(contexts=("other",)), by(series=29431, contexts=("iol-a", "other")))
    giving.works()
    (mail,) = server.received
    assert "    other\n" in read(mail).get_content().replace("\r\n", "\n")


def test_after_a_crash_the_same_mail_is_sent_by_which_readers_know_it(
    giving: Giving, server: MailServer
) -> None:
    giving.records(by())
    giving.works()
    giving.dies_before_it_is_confirmed()
    giving.clock += HOUR
    giving.works()
    first, second = server.received
    assert first.content == second.content


@pytest.mark.slow
def test_a_process_killed_before_it_noted_the_answer_sends_the_same_once_more(
    hell: Hell, tmp_path: Path
) -> None:
    def kill() -> None:
        if len(server.received) == 1:
            working.kill()
            working.wait(60)

    hell.route(knows())
    service = Service(tmp_path)
    with MailServer(kept=kill) as server:
        lab = {
            "RECHECK_INGEST_MAIL_LAB_GIVE_UP": "1e12",  # the mail is of 2023
            "RECHECK_INGEST_MAIL_LAB_SENDER": US,
            "RECHECK_INGEST_MAIL_LAB_SERVER": server.address,
        }
        service.pipe(b"a", hell.url)
        working = service.start("work", "--once", url=hell.url, **lab)
        working.communicate(timeout=60)
        assert working.returncode == -signal.SIGKILL
        for _ in range(2):
            service.start("work", "--once", url=hell.url, **lab).communicate(timeout=60)
        first, second = server.received
    assert first == second


def test_two_sinks_have_message_ids_of_their_own() -> None:
    table, requests = (
        sink_tables.MailSettings(sender=US, verified_senders=True),
        tables.RequestsSettings(),
    )
    ids = {
        email.message_from_bytes(compose(by(n), table, requests, name, ["a@example.org"]))[
            "Message-ID"
        ]
        for n in (1, 2)
        for name in ("one", "two")
    }
    assert len(ids) == 4


# What a server may say.


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a table of servers: what one says, and what becomes of the request."""

    name: str
    answers: dict[str, bytes | list[bytes]]
    becomes: str  # "skipped" or "tried again"
    told: str

    def __str__(self) -> str:
        return self.name


def odd(name: str, becomes: str, told: str, **answers: bytes | list[bytes]) -> Case:
    return Case(name, answers, becomes, told)


SKIPPED, AGAIN = "skipped", "tried again"
CASES = (
    odd("MAIL 550", SKIPPED, "refuses it: 550 5.1.8 no", MAIL=b"550 5.1.8 no\r\n"),
    odd("RCPT 550", SKIPPED, "refuses robin@example.org: 550 no", RCPT=b"550 no\r\n"),
    odd("RCPT 554", SKIPPED, "refuses robin@example.org: 554 no", RCPT=b"554-no\r\n554 no\r\n"),
    odd("DATA 554", SKIPPED, "refuses it: 554 no", DATA=b"554 no\r\n"),
    odd("end 552", SKIPPED, "refuses it: 552 5.3.4 no", end=b"552 5.3.4 no\r\n"),
    odd("escapes", SKIPPED, "refuses it: 550 [31m x", MAIL=b"550 \x1b[31m\x07 x\r\n"),
    odd("connect 421", AGAIN, "answers 421 busy", connect=b"421 busy\r\n"),
    odd("connect 554", AGAIN, "answers 554 go away", connect=b"554 go away\r\n"),
    odd("connect HTTP", AGAIN, "answers -1", connect=b"HTTP/1.1 400 Bad Request\r\n"),
    odd("EHLO and HELO 550", AGAIN, "answers 550", EHLO=b"550 x\r\n", HELO=b"550 x\r\n"),
    odd("MAIL 451", AGAIN, "answers 451 later", MAIL=b"451 later\r\n"),
    odd("MAIL 421", AGAIN, "answers 421 later", MAIL=b"421 later\r\n"),
    odd("RCPT 450, greylisting", AGAIN, "answers 450 4.2.0 later", RCPT=b"450 4.2.0 later\r\n"),
    odd("DATA 451", AGAIN, "answers 451 later", DATA=b"451 later\r\n"),
    odd("DATA 250", AGAIN, "answers 250 what", DATA=b"250 what\r\n"),
    odd("end 452", AGAIN, "answers 452 full", end=b"452 full\r\n"),
    odd("nonsense", AGAIN, "answers -1", MAIL=b"\xff\xfe\r\n"),
    odd("a line without end", AGAIN, "", MAIL=b"250 " + b"x" * 100_000 + b"\r\n"),
    *(
        odd(f"{at} hangs up", AGAIN, "cannot be used: ", **{at: HANG_UP})
        for at in ("connect", "EHLO", "MAIL", "RCPT", "DATA", "end")
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_becomes_of_a_refusal(case: Case, giving_to: MakeGiving) -> None:
    with OddServer(**case.answers) as server:
        giving = giving_to(server.address)
        giving.records(by())
        giving.works()
    cursor = giving.cursor
    assert cursor.reason.isprintable()
    assert case.told in cursor.reason
    if case.becomes is SKIPPED:
        assert giving.skipped() == f"mail:lab: {cursor.reason}"
        assert (cursor.position, cursor.tries) == (1, 0)
    else:
        assert f"the mail server {server.address} " in cursor.reason
        assert (cursor.position, cursor.tries) == (0, 1)
        assert cursor.due > giving.clock()


@pytest.mark.parametrize("answer", [SILENCE, DRIP])
@pytest.mark.parametrize("at", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "end"])
def test_a_server_that_does_not_answer_is_left_in_time(
    at: str, answer: bytes, giving_to: MakeGiving
) -> None:
    with OddServer(**{at: answer}) as server:
        giving = giving_to(server.address, timeout=QUICK)
        giving.records(by())
        giving.works()
        assert f"the mail server {server.address} " in giving.cursor.reason
        assert (giving.cursor.position, giving.cursor.tries) == (0, 1)


def test_a_server_that_is_slow_to_say_goodbye_is_not_waited_for(giving_to: MakeGiving) -> None:
    with OddServer(QUIT=SILENCE) as server:
        giving = giving_to(server.address, timeout=20.0)
        giving.records(by())
        giving.works()
        assert giving.answer() == "sent to robin@example.org: 250 2.0.0 kept"


def test_it_ends_when_it_is_to(giving_to: MakeGiving) -> None:
    with OddServer(DATA=SILENCE) as server:
        giving = giving_to(server.address, timeout=60.0)
        giving.records(by())
        giving.works(stop=lambda: "DATA" in server.verbs())
        assert giving.cursor.position == 0
        assert "was not waited for" in giving.cursor.reason


def test_nobody_listens(giving_to: MakeGiving) -> None:
    giving = giving_to(refused_url().removeprefix("http://"))
    giving.records(by())
    giving.works()
    assert "cannot be used: Connection refused" in giving.cursor.reason


def test_a_host_that_is_not_found_is_told(
    giving_to: MakeGiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    giving = giving_to("mail.example.org:25")
    giving.records(by())
    giving.works()
    assert "mail.example.org:25 cannot be used: Name or service not known" in giving.cursor.reason


def test_a_server_that_takes_no_mail_without_a_sender_is_given_ours(
    giving_to: MakeGiving,
) -> None:
    with OddServer(MAIL=[b"550 5.7.60 not you\r\n", b"250 ok\r\n"]) as server:
        giving = giving_to(server.address)
        giving.records(by())
        giving.works()
    said = [line.lower() for line in server.said]  # smtplib's spelling depends on the Python
    assert [line for line in said if line.startswith("mail ")] == [
        "mail from:<>",
        f"mail from:<{US}>",
    ]
    assert giving.answer() == "sent to robin@example.org: 250 2.0.0 kept"


def test_of_several_recipients_one_that_is_refused_keeps_out_no_other(
    giving_to: MakeGiving,
) -> None:
    with OddServer(RCPT=[b"250 ok\r\n", b"550 5.7.1 members only\r\n"]) as server:
        giving = giving_to(server.address, lists=LISTS)
        giving.records(by())
        giving.works()
    assert giving.answer() == (
        f"sent to robin@example.org, {LISTS[0]}: 250 2.0.0 kept; "
        f"refused {LISTS[0]}: 550 5.7.1 members only"
    )


def test_one_recipient_that_is_to_be_tried_again_has_none_get_it_twice(
    giving_to: MakeGiving,
) -> None:
    with OddServer(RCPT=[b"250 ok\r\n", b"451 later\r\n", b"250 ok\r\n"]) as server:
        giving = giving_to(server.address, lists=LISTS)
        giving.records(by())
        giving.works()
        assert server.mails == []
        giving.works_when_due()
        assert len(server.mails) == 1


def test_it_introduces_itself_by_the_domain_of_its_address(giving_to: MakeGiving) -> None:
    with OddServer() as server:
        giving = giving_to(server.address)
        giving.records(by())
        giving.works()
    assert server.said[0] == "ehlo ci.example.org"


def test_a_mail_keeps_its_dots_and_has_the_line_ends_of_the_wire() -> None:
    with OddServer() as server:
        host, port = addresses.server(server.address, smtp.PORT)
        sending = smtp.Server(host, port, "ci.example.org", 20.0)
        mail = b"A: b\n\n.\n..x\nend"
        smtp.send(sending, US, ["robin@example.org"], mail, lambda: False)
    assert server.mails == [b"A: b\r\n\r\n..\r\n...x\r\nend\r\n"]


# TLS and passwords.


@pytest.fixture
def tls(certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificate)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """mail.example.org is another machine, as far as its name tells."""
    known = socket.getaddrinfo

    def resolved(host: str, *rest: Any, **more: Any) -> Any:
        return known(HOST if host == "mail.example.org" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture
def password(tmp_path: Path) -> str:
    (tmp_path / "password").write_text("s3cret \n")
    return str(tmp_path / "password")


@pytest.mark.usefixtures("trusted")
def test_with_starttls_the_mail_is_encrypted(giving_to: MakeGiving, tls: ssl.SSLContext) -> None:
    with MailServer(tls) as server:
        giving = giving_to(server.address, starttls=True)
        giving.records(by())
        giving.works()
        assert [each.encrypted for each in server.received] == [True]


def test_a_certificate_that_is_not_trusted_gets_nothing(
    giving_to: MakeGiving, tls: ssl.SSLContext
) -> None:
    with MailServer(tls) as server:
        giving = giving_to(server.address, starttls=True)
        giving.records(by())
        giving.works()
        assert server.received == []
    assert "certificate verify failed" in giving.cursor.reason


@pytest.mark.usefixtures("trusted")
def test_nor_does_one_of_another_host(giving_to: MakeGiving, tls: ssl.SSLContext) -> None:
    with MailServer(tls) as server:
        giving = giving_to(server.address.replace(HOST, "localhost"), starttls=True)
        giving.records(by())
        giving.works()
        assert server.received == []
    assert "certificate is not valid for 'localhost'" in giving.cursor.reason


def test_a_server_without_tls_gets_nothing_where_it_is_required(giving_to: MakeGiving) -> None:
    with OddServer() as server:
        giving = giving_to(server.address, starttls=True)
        giving.records(by())
        giving.works()
    assert "it offers no STARTTLS" in giving.cursor.reason
    assert "MAIL" not in server.verbs()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"454 not now\r\n", "answers 454 not now"),
        (b"220 go ahead\r\nno TLS\r\n", "cannot be used"),
    ],
)
def test_tls_that_cannot_be_begun_is_tried_again(
    answer: bytes, why: str, giving_to: MakeGiving
) -> None:
    hello = b"250-mail.example.org\r\n250 STARTTLS\r\n"
    with OddServer(EHLO=hello, STARTTLS=answer) as server:
        giving = giving_to(server.address, starttls=True)
        giving.records(by())
        giving.works()
        assert why in giving.cursor.reason
        assert giving.cursor.tries == 1
    assert "MAIL" not in server.verbs()


def test_a_handshake_that_hangs_is_left_in_time(giving_to: MakeGiving) -> None:
    hello = b"250-mail.example.org\r\n250 STARTTLS\r\n"
    with OddServer(EHLO=hello) as server:
        giving = giving_to(server.address, starttls=True, timeout=QUICK)
        giving.records(by())
        giving.works()
        assert giving.cursor.tries == 1
    assert "MAIL" not in server.verbs()


@pytest.mark.usefixtures("trusted", "elsewhere")
def test_a_password_is_given_to_another_machine_encrypted(
    giving_to: MakeGiving, tls: ssl.SSLContext, password: str
) -> None:
    with MailServer(tls, {"lab": "s3cret"}) as server:
        there = server.address.replace(HOST, "mail.example.org")
        giving = giving_to(there, user="lab", password_file=password)
        giving.records(by())
        giving.works()
        assert [(each.user, each.encrypted) for each in server.received] == [("lab", True)]


@pytest.mark.usefixtures("elsewhere")
def test_and_not_at_all_where_that_cannot_be(giving_to: MakeGiving, password: str) -> None:
    with OddServer(EHLO=b"250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n") as server:
        there = server.address.replace(HOST, "mail.example.org")
        giving = giving_to(there, user="lab", password_file=password)
        giving.records(by())
        giving.works()
    assert "it offers no STARTTLS" in giving.cursor.reason
    assert "AUTH" not in server.verbs()


def test_this_machine_gets_it_in_the_clear(giving_to: MakeGiving, password: str) -> None:
    with MailServer(logins={"lab": "s3cret"}, auth_in_clear=True) as server:
        giving = giving_to(server.address, user="lab", password_file=password)
        giving.records(by())
        giving.works()
        assert [(each.user, each.encrypted) for each in server.received] == [("lab", False)]


def test_a_wrong_password_is_tried_again_and_the_file_is_read_anew(
    giving_to: MakeGiving, password: str
) -> None:
    with MailServer(logins={"lab": "another"}, auth_in_clear=True) as server:
        giving = giving_to(server.address, user="lab", password_file=password)
        giving.records(by())
        giving.works()
        assert "answers 535 5.7.8" in giving.cursor.reason
        assert "s3cret" not in giving.cursor.reason
        Path(password).write_text("another")
        giving.works_when_due()
        assert len(server.received) == 1


def test_a_server_that_knows_no_login_gets_nothing(giving_to: MakeGiving, password: str) -> None:
    with OddServer() as server:
        giving = giving_to(server.address, user="lab", password_file=password)
        giving.records(by())
        giving.works()
    assert "AUTH extension not supported" in giving.cursor.reason
    assert "MAIL" not in server.verbs()


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"user": "lab", "password_file": "/nowhere/file"}, "password_file /nowhere/file cannot"),
        ({"user": "lab"}, "password_file  cannot be read"),
        ({"sender": "nobody"}, "sender 'nobody' is not an address"),
        ({"server": "mail.example.org:smtp"}, "'mail.example.org:smtp' is not a mail server"),
        ({"lists": ("dev",)}, "'dev' in lists is not an address"),
    ],
)
def test_settings_that_cannot_be_worked_with_are_told_and_lose_nothing(
    table: dict[str, Any], why: str, giving_to: MakeGiving, server: MailServer
) -> None:
    giving = giving_to(**{"server": server.address, **table})
    giving.records(by())
    giving.works()
    assert giving.cursor.reason.startswith(why)
    assert giving.cursor.position == 0


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost", "localhost", 25),
        ("mail.example.org:587", "mail.example.org", 587),
        ("127.0.0.1:2525", "127.0.0.1", 2525),
        ("[::1]", "::1", 25),
        ("[2001:db8::1]:587", "2001:db8::1", 587),
    ],
)
def test_a_mail_server_is_a_host_and_perhaps_a_port(text: str, host: str, port: int) -> None:
    assert addresses.server(text, smtp.PORT) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":25", "a:0", "a:70000", "a:b", "a/b", "x@a:25", "[::1", "::1", "a?b", "a:25#"]
)
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        addresses.server(text, smtp.PORT)


# What is told meanwhile.


def test_status_and_show_tell_of_a_server_that_is_down_and_of_a_refusal(
    giving_to: MakeGiving,
    server: MailServer,
    quick_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_MAIL_LAB_SENDER", US)
    down = giving_to(refused_url().removeprefix("http://"))
    down.records(by(requester="no-reply@example.org"), by(2))
    down.works()
    down.works()
    status = told(quick_path, capsys, "status")
    assert "mail:lab at 1, 1 behind" in status
    assert "Connection refused" in status
    why = "mail:lab: no answer: nobody reads the mail of no-reply@example.org"
    assert f"skipped {why}" in told(quick_path, capsys, "show", "1@example.org")
    assert "not yet in mail:lab" in told(quick_path, capsys, "show", "2@example.org")
    giving_to(server.address).works_when_due()
    assert "Connection refused" not in told(quick_path, capsys, "status")
    answer = "handed over to mail:lab, answer sent to robin@example.org: 250 2.0.0 kept"
    assert answer in told(quick_path, capsys, "show", "2@example.org")
