# SPDX-License-Identifier: BSD-3-Clause
"""What makes a request another one."""

from dataclasses import replace
from typing import Any

import pytest

from ingest.ledger import Request, Submission
from ingest.ledger.requests import all_news, first_id, news, request_id
from ingest.mail.requester import Requester

REQUEST = Request(
    number=0,
    mail_id=7,
    message_id="a@example.org",
    series=1,
    submission=Submission("patch", 2),
    project="dpdk",
    contexts=("one", "two"),
    arguments={"rebase": "main"},
    leftovers=(),
    requester=Requester("", "robin@example.org"),
    subject="Re: a",
    date=0.0,
    recorded=0.0,
    received=0.0,
)


def id_of(**changes: Any) -> str:
    return request_id(replace(REQUEST, **changes), "digest")


def test_a_request_without_another_before_it_is_all_new() -> None:
    assert news(REQUEST, [], "digest") == replace(REQUEST, id=id_of())


def test_the_same_request_again_brings_nothing() -> None:
    assert news(REQUEST, [REQUEST], "digest") is None
    assert news(replace(REQUEST, contexts=("two",)), [REQUEST], "digest") is None


def test_of_labels_only_those_are_new_that_no_earlier_request_had() -> None:
    earlier = [replace(REQUEST, contexts=("one",)), replace(REQUEST, contexts=("three",))]
    asked = replace(REQUEST, contexts=("three", "two", "one", "four"))
    new = news(asked, earlier, "digest")
    assert new == replace(REQUEST, contexts=("two", "four"), id=id_of(contexts=("two", "four")))


def test_with_other_arguments_all_of_it_is_new() -> None:
    asked = replace(REQUEST, arguments={"rebase": "next"})
    new = news(asked, [REQUEST], "digest")
    assert new == replace(asked, id=id_of(arguments={"rebase": "next"}))


def test_a_request_of_arguments_alone_is_new_once() -> None:
    asked = replace(REQUEST, contexts=())
    assert news(asked, [], "digest") is not None
    assert news(asked, [asked], "digest") is None


def test_requests_of_one_mail_that_ask_for_the_same_are_entered_once() -> None:
    both = replace(REQUEST, contexts=("two", "three"))
    other = replace(REQUEST, series=9)
    new, had = all_news([REQUEST, both, REQUEST, other], [[], [], [], []], "digest")
    assert [(each.series, each.contexts) for each in new] == [
        (1, ("one", "two")),
        (1, ("three",)),
        (9, ("one", "two")),
    ]
    assert {each.series for each in had} == {1}


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "b@example.org"},
        {"series": 2},
        {"contexts": ("one",)},
        {"arguments": {}},
        {"arguments": {"rebase": "next"}},
    ],
    ids=str,
)
def test_what_is_asked_for_by_whom_makes_the_id(changes: dict[str, Any]) -> None:
    assert id_of(**changes) != id_of()


@pytest.mark.parametrize(
    "changes",
    [{"number": 9}, {"mail_id": 9}, {"contexts": ("two", "one")}, {"recorded": 9.0}],
    ids=str,
)
def test_whichever_installation_hands_it_over_the_id_is_the_same(changes: dict[str, Any]) -> None:
    assert id_of(**changes) == id_of()


def test_of_a_mail_without_message_id_the_mail_itself_makes_the_id() -> None:
    bare = replace(REQUEST, message_id="mail-7")
    assert request_id(bare, "x") != request_id(bare, "y")
    assert request_id(bare, "x") == request_id(replace(bare, mail_id=8, message_id="mail-8"), "x")


def test_an_id_is_made_of_any_text() -> None:
    assert len(id_of(message_id="\udcff\0")) == len(first_id("\udcff", 1)) == len("recheck-") + 32
