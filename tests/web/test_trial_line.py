# SPDX-License-Identifier: BSD-3-Clause
"""Try a line: what is said of a pasted mail, and the reply that would ask as it should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.policy_tables import PolicySettings
from ingest.config.tables import RequestsSettings, Settings
from ingest.mail import recheck
from ingest.web.trial_line import Tried, tried

HEAD = """\
From: Robin Reviewer <robin@example.org>
Message-ID: <mine@example.org>
In-Reply-To: <2@example.org>
References: <1@example.org> <2@example.org>
Subject: [PATCH] net/a: fix it

"""
ASK = HEAD + "Recheck-request: iol-a, rebase=main, what else?\n"


def of(pasted: str, **requests: object) -> Tried:
    return tried(pasted, Settings(requests=RequestsSettings(**requests)))  # type: ignore[arg-type]


def test_what_would_be_read_of_a_mail() -> None:
    found = of(ASK)
    assert found == Tried(
        is_text=False,
        is_read=True,
        reason="",
        outcome="done",
        hint="",
        reply="",
        contexts=("iol-a", "what"),
        arguments=("rebase=main",),
        leftovers=("else?",),
        requester="Robin Reviewer <robin@example.org>",
        subject="[PATCH] net/a: fix it",
        replies_to=("2@example.org", "1@example.org"),
    )


@pytest.mark.parametrize(
    "text", ["Recheck-request: iol-a", "\r\n\r\nHi\r\nRecheck-request: iol-a\r\n"]
)
def test_a_text_without_a_header_is_the_text_of_a_reply(text: str) -> None:
    found = of(text)
    assert (found.is_text, found.is_read, found.contexts) == (True, True, ("iol-a",))
    assert found.replies_to == ()


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("> Recheck-request: iol-a, iol-b\n", "it is quoted", "iol-a, iol-b"),
        ("recheck request: iol-a,rebase=main thanks\n", "spelled", "iol-a, rebase=main"),
        ("**Recheck-request:** iol-a\n", "marked up", "iol-a"),
        ("Recheck-request:\n", "no label", "LABEL"),
        ("Hello\n", "", "LABEL"),
    ],
)
def test_where_nothing_is_read_the_reason_and_a_reply_that_would_be(
    text: str, says: str, line: str
) -> None:
    found = of(HEAD + text)
    assert (found.is_read, found.outcome) == (False, "ignored")
    assert says in found.hint
    assert found.reply == f"Recheck-request: {line}"
    assert bool(found.commands) == (line != "LABEL")
    assert of(text).commands == ()  # nobody knows what a bare text replies to


def test_what_was_left_over_has_a_reply_of_its_own() -> None:
    found = of(HEAD + "Recheck-request: iol-a iol-b\n")
    assert (found.is_read, found.reply) == (True, "Recheck-request: iol-b")


def test_a_mail_that_replies_to_nothing_says_so() -> None:
    found = of("From: a@example.org\n\nRecheck-request: iol-a\n")
    assert "replies to nothing" in found.reason


def test_what_the_policy_rejects_no_reply_mends() -> None:
    settings = Settings(policy=PolicySettings(lists=("dev.example.org",)))
    found = tried(ASK, settings)
    assert (found.outcome, found.reply) == ("rejected", "")
    assert found.reason == "policy lists: it came by no list"


PIECES = st.sampled_from(
    [
        *(
            "Recheck-request",
            "recheck request",
            ": ",
            ":",
            "> ",
            "- ",
            "*",
            " ",
            ",",
            "=",
            "a",
            "-",
        ),
        *("iol-a", "rebase", "main", "\n", "\r", "\0", "é", "‮", "\ud800", "/", "_"),
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join), st.booleans())
def test_whatever_is_pasted_the_reply_asks_for_something(text: str, whole: bool) -> None:
    found = of((HEAD if whole else "") + text)
    assert found.is_read or found.reply
    if found.reply:
        assert recheck.parse(found.reply)
        again = of(found.reply)
        assert again.is_read and not again.leftovers, again
