# SPDX-License-Identifier: BSD-3-Clause
"""Whose share of the retest JSON is what."""

from typing import Any

from ingest.retests import document, ownership
from tests.support.retest_files import asked

FIRST = asked(1, contexts=("a", "b"), arguments={"rebase": "main"})
SECOND = asked(2, contexts=("b", "c"), arguments={})
LOG = {"29430": [FIRST, SECOND]}


def holding(contexts: list[str], arguments: Any = None, **others: Any) -> document.Document:
    entry = {"contexts": contexts, "arguments": {} if arguments is None else arguments}
    return {"retests": {"29430": entry, **others}, "last_comment_timestamp": None}


def entry(found: document.Document) -> Any:
    return found["retests"].get("29430")


def test_of_a_request_those_contexts_stand_that_are_in_the_file() -> None:
    there = ownership.part_of(FIRST, {"contexts": ["b", "z"]}, LOG["29430"])
    assert there is not None
    assert there.contexts == ("b",)
    assert ownership.part_of(FIRST, {"contexts": ["z"]}, LOG["29430"]) is None


def test_a_request_of_arguments_alone_stands_while_a_value_of_ours_does() -> None:
    bare = asked(3, contexts=(), arguments={"rebase": "next"})
    log = [FIRST, bare]
    for value, stands in (("next", True), ("main", True), ("of-another-program", False)):
        part = ownership.part_of(bare, {"contexts": [], "arguments": {"rebase": value}}, log)
        assert (part is not None) is stands, value


def test_a_share_that_leaves_takes_what_nobody_else_asks_for() -> None:
    found = ownership.without(holding(["a", "b", "c"]), [FIRST], [SECOND], LOG)
    assert entry(found)["contexts"] == ["b", "c"]


def test_what_no_request_has_asked_for_stays() -> None:
    found = ownership.without(holding(["a", "b", "z"]), [FIRST], [], LOG)
    assert entry(found)["contexts"] == ["z"]


def test_an_entry_of_which_nothing_is_left_goes() -> None:
    found = ownership.without(holding(["a", "b"], {"rebase": "main"}), [FIRST], [], LOG)
    assert found["retests"] == {}


def test_an_argument_leaves_with_its_request() -> None:
    both = holding(["a", "b", "c"], {"rebase": "main"})
    assert entry(ownership.without(both, [FIRST], [SECOND], LOG))["arguments"] == {}


def test_an_argument_that_a_staying_request_needs_stays() -> None:
    other = asked(3, contexts=("c",), arguments={"rebase": "main"})
    both = holding(["a", "b", "c"], {"rebase": "main"})
    found = ownership.without(both, [FIRST], [other], {"29430": [FIRST, other]})
    assert entry(found) == {"contexts": ["c"], "arguments": {"rebase": "main"}}


def test_an_argument_of_another_program_stays() -> None:
    found = ownership.without(holding(["a"], {"rebase": "theirs", "x": 1}), [FIRST], [], LOG)
    assert entry(found) == {"contexts": [], "arguments": {"rebase": "theirs", "x": 1}}


def test_an_argument_stays_with_a_context_from_elsewhere() -> None:
    found = ownership.without(holding(["a", "z"], {"rebase": "main"}), [FIRST], [], LOG)
    assert entry(found) == {"contexts": ["z"], "arguments": {"rebase": "main"}}


def test_other_series_and_odd_entries_are_left_alone() -> None:
    odd = {"contexts": ["a"], "arguments": "not a table", "more": 1}
    found = ownership.without(holding(["a"], **{"7": odd}), [FIRST], [], LOG)
    assert found["retests"] == {"7": odd}


def test_a_share_alone_has_its_contexts_and_arguments_only() -> None:
    whole = holding(["a", "b", "c", "z"], {"rebase": "main", "x": "1"}, **{"7": {"contexts": []}})
    assert ownership.only(whole, [SECOND])["retests"] == {
        "29430": {"contexts": ["b", "c"], "arguments": {}}
    }
    assert entry(ownership.only(whole, [FIRST])) == {
        "contexts": ["a", "b"],
        "arguments": {"rebase": "main"},
    }


def test_a_document_that_was_given_is_never_changed() -> None:
    whole = holding(["a", "b", "c"], {"rebase": "main"})
    before = document.dump(whole)
    ownership.without(whole, [FIRST], [SECOND], LOG)
    ownership.only(whole, [FIRST])
    assert document.dump(whole) == before
