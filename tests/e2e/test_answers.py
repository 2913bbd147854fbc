# SPDX-License-Identifier: BSD-3-Clause
"""Answers that a real Postfix is handed: where they arrive, and what comes of those that return."""

import email
from collections.abc import Callable
from contextlib import closing

import pytest

from ingest.config import sink_tables, tables
from ingest.errors import NotTaken
from ingest.ledger import open_ledger
from ingest.sinks.mail import Answer
from tests.e2e.conftest import Lab
from tests.support.parts import eventually
from tests.support.postfix import DOMAIN, Postfix
from tests.support.retest_files import asked

Answering = Callable[[str], str]


@pytest.fixture
def answering(postfix: Postfix) -> Answering:
    """Answers a user of this Postfix; what the sink says of it."""
    table = sink_tables.MailSettings(sender=f"lab@{DOMAIN}", server=f"127.0.0.1:{postfix.port}")
    answer = Answer("lab", table, tables.RequestsSettings())

    def to(user: str) -> str:
        request = asked(1, requester=f"Robin <{user}@{DOMAIN}>", subject="Re: [PATCH] ä: b")
        return answer.give(request, again=False, stop=lambda: False)

    return to


def test_an_answer_arrives(answering: Answering, lab: Lab) -> None:
    told = answering("maildir")
    assert told.startswith(f"sent to maildir@{DOMAIN}: 250 2.0.0 Ok: queued as ")
    (file,) = eventually(lambda: list((lab.paths.spool / "new").iterdir()), "the answer came")
    mail = email.message_from_bytes(file.read_bytes())
    assert mail["Return-Path"] == "<>"
    assert mail["To"] == f"maildir@{DOMAIN}"
    assert mail["In-Reply-To"] == "<1@example.org>"
    assert b"will run" in file.read_bytes()


def test_an_answer_that_comes_back_to_us_is_ignored(
    answering: Answering, postfix: Postfix, lab: Lab
) -> None:
    told = answering("recheck")
    queue_id = told.rpartition(" ")[2]
    assert postfix.fate(queue_id) == "sent"
    with closing(open_ledger(f"sqlite:{lab.paths.state}/ledger.sqlite")) as ledger:
        mails = {state: number for state, number in ledger.totals().mails.items() if number}
    assert mails == {"ignored": 1}
    assert lab.retests() == {}


def test_a_requester_whom_postfix_does_not_know_is_told(answering: Answering) -> None:
    with pytest.raises(NotTaken, match=r"550 5\.1\.1"):
        answering("nobody-of-this-name")
