# SPDX-License-Identifier: BSD-3-Clause
"""Which mails are no requests by their nature, and which part of a request is wanted here."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mail.message import parse
from ingest.mail.recheck import Recheck
from ingest.policy.selection import no_request, select

REPLY = parse(b"From: a@x\nSubject: Re: b\nIn-Reply-To: <1@x>\n\nRecheck-request: a\n")

NO_REQUEST: dict[str, tuple[dict[str, Any], str]] = {
    "a reply": ({}, ""),
    "a patch": ({"submission": "patch"}, "it is a patch itself"),
    "a cover letter": (
        {"submission": "cover letter", "candidates": ()},
        "it is a cover letter itself",
    ),
    "a cover letter that replies, and may be a comment": ({"submission": "cover letter"}, ""),
    "a hint": ({"hint": "ignore"}, "it says X-Patchwork-Hint: ignore"),
    "another hint": ({"hint": "other"}, ""),
    "automatic": (
        {"auto_submitted": "auto-replied"},
        "it is automatic mail (Auto-Submitted: auto-replied)",
    ),
    "said to be not automatic": ({"auto_submitted": "no"}, ""),
    "a report": ({"report": True}, "it is a bounce or a delivery report"),
    "an empty Return-Path": ({"null_sender": True}, "it is a bounce or a delivery report"),
    "no text": ({"has_text": False}, "it has no text/plain part"),
    "no reply": (
        {"candidates": ()},
        "it replies to nothing (no In-Reply-To, no References)",
    ),
    "of several reasons the first": (
        {"submission": "patch", "report": True, "has_text": False},
        "it is a patch itself",
    ),
}


@pytest.mark.parametrize(("changes", "reason"), NO_REQUEST.values(), ids=NO_REQUEST)
def test_why_a_mail_is_no_request(changes: dict[str, Any], reason: str) -> None:
    assert no_request(replace(REPLY, **changes)) == reason


def test_an_empty_envelope_sender_makes_a_bounce() -> None:
    assert no_request(REPLY, null_sender=True) == "it is a bounce or a delivery report"


IOL = ("iol-*", "github-robot")

# Labels, arguments, leftovers; patterns of wanted contexts; what is wanted.
WANTED: dict[str, tuple[Recheck, tuple[str, ...], Recheck]] = {
    "every context by default": (
        Recheck(("b", "a"), {}, ()), (), Recheck(("b", "a"), {}, ()),
    ),
    "a pattern": (
        Recheck(("iol-b", "intel-a", "iol-a"), {}, ()), IOL,
        Recheck(("iol-b", "iol-a"), {}, ("intel-a",)),
    ),
    "a name": (Recheck(("github-robot",), {}, ()), IOL, Recheck(("github-robot",), {}, ())),
    "case counts": (
        Recheck(("IOL-a", "iol-a"), {}, ()), IOL, Recheck(("iol-a",), {}, ("IOL-a",)),
    ),
    "a pattern is for the whole label": (
        Recheck(("x-iol-a", "iol-"), {}, ()), IOL, Recheck(("iol-",), {}, ("x-iol-a",)),
    ),
    "a set and a question mark": (
        Recheck(("a1", "a2", "a3", "b1"), {}, ()), ("[ab]1", "a?"),
        Recheck(("a1", "a2", "a3", "b1"), {}, ()),
    ),
    "two patterns for one label": (
        Recheck(("iol-a",), {}, ()), ("iol-*", "*-a"), Recheck(("iol-a",), {}, ()),
    ),
    "leftovers of the line come behind unwanted labels": (
        Recheck(("iol-a", "b"), {}, (".11",)), IOL, Recheck(("iol-a",), {}, ("b", ".11")),
    ),
    "a known argument alone": (
        Recheck((), {"rebase": "main"}, ()), IOL, Recheck((), {"rebase": "main"}, ()),
    ),
    "a known argument and unwanted labels": (
        Recheck(("b",), {"rebase": "main"}, ()), IOL, Recheck((), {"rebase": "main"}, ("b",)),
    ),
    "a wanted label and an unknown argument": (
        Recheck(("iol-a",), {"x": "y"}, ()), IOL, Recheck(("iol-a",), {"x": "y"}, ()),
    ),
    "a wanted label, a known and an unknown argument": (
        Recheck(("iol-a",), {"rebase": "m", "x": "y"}, ()), IOL,
        Recheck(("iol-a",), {"rebase": "m", "x": "y"}, ()),
    ),
}  # fmt: skip

UNWANTED: dict[str, tuple[Recheck, str]] = {
    "no wanted label": (
        Recheck(("a", "b"), {}, ()), "no wanted context among a, b",
    ),
    "an unknown argument": (Recheck((), {"x": "y"}, ()), "unknown argument x"),
    "a known and an unknown argument": (
        Recheck((), {"rebase": "main", "x": "y"}, ()), "unknown argument x",
    ),
    "more labels than a person reads": (
        Recheck(tuple(f"{n:04}" for n in range(1000)), {}, ()),
        "no wanted context among " + ", ".join(f"{n:04}" for n in range(1000))[:500] + "…",
    ),
    "neither": (
        Recheck(("a",), {"x": "y", "z": ""}, ()),
        "no wanted context among a and unknown argument x, z",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "patterns", "wanted"), WANTED.values(), ids=WANTED)
def test_what_is_wanted(request_: Recheck, patterns: tuple[str, ...], wanted: Recheck) -> None:
    assert select(request_, patterns, ("rebase",)) == (wanted, "")


@pytest.mark.parametrize(("request_", "reason"), UNWANTED.values(), ids=UNWANTED)
def test_what_is_not_wanted(request_: Recheck, reason: str) -> None:
    assert select(request_, IOL, ("rebase",)) == (None, reason)


def test_arguments_count_only_where_they_are_known() -> None:
    request = Recheck((), {"colour": "red"}, ())
    assert select(request, (), ())[0] is None
    assert select(request, (), ("rebase", "colour"))[0] == Recheck((), {"colour": "red"}, ())


names = st.lists(st.sampled_from(["iol-a", "iol-b", "github-robot", "a", "b"]), unique=True)
some_request = st.builds(
    Recheck,
    names.map(tuple),
    st.dictionaries(st.sampled_from(["rebase", "x"]), st.just("y")),
    st.just(()),
).filter(lambda each: bool(each.contexts or each.arguments))


@given(some_request, st.lists(st.sampled_from(["iol-*", "a", "nothing"]).map(str)))
def test_no_label_is_lost_and_a_refusal_has_a_reason(
    request_: Recheck, patterns: list[str]
) -> None:
    wanted, reason = select(request_, patterns, ("rebase",))
    assert (wanted is None) == bool(reason)
    if wanted:
        assert sorted(wanted.contexts + wanted.leftovers) == sorted(request_.contexts)
        assert wanted.arguments == request_.arguments


def test_of_what_is_not_wanted_a_hundred_are_kept_and_the_rest_is_counted() -> None:
    labels = tuple(f"a{number}" for number in range(200))
    wanted, _ = select(Recheck((*labels, "iol-a"), {}, ("!",)), IOL, ())
    assert wanted
    assert wanted.leftovers == (*labels[:100], "and 101 more")
