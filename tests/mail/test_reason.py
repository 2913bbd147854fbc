# SPDX-License-Identifier: BSD-3-Clause
"""Why somebody asks, from the text of a comment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mail import reason
from ingest.mail.recheck import Grammar

ASKS = "Recheck-request: iol-unit, iol-abi\n"

SAID = {
    "a line of its own": (f"{ASKS}Recheck-reason: the lab was down\n", "the lab was down"),
    "above the request": (f"Recheck-reason: flaky\n\n{ASKS}", "flaky"),
    "in other letters": (f"{ASKS}recheck-Reason:flaky test\n", "flaky test"),
    "it goes before a sentence": (f"{ASKS}Please try it.\nRecheck-reason: flaky\n", "flaky"),
    "a sentence": (f"{ASKS}The lab was down yesterday. Sorry.\n", "The lab was down yesterday."),
    "a sentence without a stop": (f"{ASKS}the lab was down\n", "the lab was down"),
    "below an empty line": (f"{ASKS}\nIt is a known failure.\n", "It is a known failure."),
    "on two lines": (f"{ASKS}It fails in\n  a place a.b.c.\n", "It fails in a place a.b.c."),
    "behind the second request": (f"{ASKS}\n{ASKS}once more please", "once more please"),
    "the list goes on": ("Recheck-request: a,\nb\nThe lab was down.", "The lab was down."),
    "a question": (f"{ASKS}Was the lab down? I cannot tell.", "Was the lab down?"),
    "a letter": (f"Hi,\n\n{ASKS}\nApplied the fix.\n\nThanks,\nRobin\n", "Applied the fix."),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SAID.values(), ids=SAID)
def test_the_reason_is_what_the_sender_says(text: str, said: str) -> None:
    assert reason.of(text) == said


SILENT = {
    "no request": "The lab was down.\n",
    "the request alone": ASKS,
    "before the request": f"The lab was down.\n{ASKS}",
    "thanks": f"{ASKS}\nThanks,\nRobin Reviewer\n",
    "thank you": f"{ASKS}\nThank you!\n",
    "regards": f"{ASKS}\nBest regards, Robin\n",
    "a name": f"{ASKS}\nRobin\n",
    "quoted": f"{ASKS}\n> The lab was down.\n",
    "quoted below an attribution": f"{ASKS}\nOn Mon, Sep 4, Kim wrote:\n> The lab was down.\n",
    "Outlook's quote": f"{ASKS}\n-----Original Message-----\nThe lab was down.\n",
    "Outlook's other quote": f"{ASKS}\nFrom: Kim\nSent: Monday\n",
    "a tag": f"{ASKS}Acked-by: Robin Reviewer <r@example.org>\n",
    "labels that were not reached": "Recheck-request: a,  \niol-b, iol-c\n",
    "an empty reason": f"{ASKS}Recheck-reason:  \n",
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_what_is_not_said_of_it_is_not_a_reason(text: str) -> None:
    assert reason.of(text) == ""


def test_it_is_as_the_grammar_reads_lines() -> None:
    text = "Recheck-request:   a b\nThe lab was down.\n"
    assert reason.of(text) == ""
    assert reason.of(text, Grammar.PW_CI) == "The lab was down."


@pytest.mark.parametrize("keyword", [ASKS, "Recheck-reason: "])
@given(st.text(max_size=2000))
def test_whatever_is_said_is_one_line_and_not_long(keyword: str, text: str) -> None:
    found = reason.of(f"{ASKS}{keyword}{text}")
    assert len(found) <= reason.LONGEST
    assert found.isprintable()


def test_what_is_hostile_takes_no_time() -> None:
    for text in (ASKS * 50_000, ASKS + "On " * 300_000, ASKS + "best " * 200_000, "a" * 1_000_000):
        assert len(reason.of(text)) <= reason.LONGEST
