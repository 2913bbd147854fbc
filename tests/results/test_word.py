# SPDX-License-Identifier: BSD-3-Clause
"""What a lab says of a request, and what is made of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.commands.entries import handing_over
from ingest.errors import UsageError
from ingest.ledger import Request, Result, State
from ingest.results import word
from tests.support.retest_files import asked

NOW = 1_700_000_000.0
TWO = asked(7, contexts=("iol-a", "github-robot"))
ALONE = asked(8, contexts=(), arguments={"rebase": "main"})


def said(label: str, request: Request = TWO, **other: str) -> Result:
    return word.result(request, label, State.FAIL, author="lab", now=NOW, **other)


def test_the_command_line_takes_what_a_lab_may_say() -> None:
    assert handing_over.RESULTS == word.STATES


MEANT = {
    "iol-a": "iol-a",
    "github-robot": "github-robot",
    "github-robot: build": "github-robot",
}


@pytest.mark.parametrize(("label", "meant"), MEANT.items(), ids=MEANT)
def test_a_label_is_understood_as_it_is_elsewhere(label: str, meant: str) -> None:
    assert said(label) == Result(7, meant, State.FAIL, NOW, "lab")


def test_a_request_of_arguments_alone_has_one_result() -> None:
    assert said("", ALONE).label == ""


REFUSED = {
    "another case": ("IOL-A", TWO, "not for IOL-A (did you mean iol-a?)"),
    "nothing near": ("xyz", TWO, "request 7 asks for iol-a, github-robot, not for xyz"),
    "no label": ("", TWO, "not for its arguments alone"),
    "a label where none is": ("iol-a", ALONE, "has no labels: give its result for the label ''"),
    "something evil": ("\x1b[31m\n", TWO, "not for [31m"),
}


@pytest.mark.parametrize(("label", "request_", "told"), REFUSED.values(), ids=REFUSED)
def test_an_unknown_label_is_refused_with_the_nearest(
    label: str, request_: Request, told: str
) -> None:
    with pytest.raises(UsageError) as raised:
        said(label, request_)
    assert str(raised.value).endswith(told)


@pytest.mark.parametrize(
    "url", ["lab.example.org", "javascript:alert(1)", "https://", "http://a b"]
)
def test_what_is_not_a_link_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not a link"):
        said("iol-a", url=url)


def test_every_text_is_one_line_and_not_long() -> None:
    made = said("iol-a", summary="a\n\x1b b " + "c" * 10_000)
    assert made.summary.startswith("a b ccc")
    assert len(made.summary) == 500
    assert made.summary.isprintable()


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


IGNORED = {
    "text": (b"ok 1 - works", "'ok 1 - works' is not JSON"),
    "a list": (b"[]", "'[]' is not an object"),
    "another type": (line(label=1, state="fail"), "holds something that is not a text"),
    "no state": (line(label="iol-a"), "'' is not a state"),
    "a state that we give": (line(label="iol-a", state="overdue"), "'overdue' is not a state"),
    "an unknown label": (line(label="iol-b", state="fail"), "not for iol-b (did you mean iol-a?)"),
    "a bad link": (line(label="iol-a", state="fail", url="ftp:x"), "ftp:x is not a link"),
    "bytes": (b"\xff\xfe", "is not JSON"),
    "deep": (b"[" * 60_000, "is not JSON"),
}


@pytest.mark.parametrize(("wrong", "told"), IGNORED.values(), ids=IGNORED)
def test_a_line_that_is_not_a_result_is_told_and_hides_no_other(wrong: bytes, told: str) -> None:
    good = line(label="iol-a", state="success")
    for output in (wrong + b"\n" + good, good + b"\n\n" + wrong + b"\n"):
        read = word.read(output, TWO, author="command:lab", now=NOW)
        assert read.results == (Result(7, "iol-a", State.SUCCESS, NOW, "command:lab"),)
        assert told in read.told


def test_of_two_results_for_a_label_the_later_one_counts() -> None:
    output = line(label="iol-a", state="pending") + b"\n" + line(label="iol-a", state="fail")
    [result] = word.read(output, TWO, author="lab", now=NOW).results
    assert result.state == "fail"


def test_of_many_bad_lines_a_few_are_told() -> None:
    read = word.read(b"x\n" * 1000, TWO, author="lab", now=NOW)
    assert read.told.count("is not JSON") == 3
    assert read.told.endswith("and 997 more lines")


@given(st.binary(max_size=400))
def test_no_output_of_a_program_is_too_strange(output: bytes) -> None:
    read = word.read(output, TWO, author="lab", now=NOW)
    assert all(each.label in TWO.contexts for each in read.results)
    assert read.told.isprintable()
