# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON: what is merged, and what is in the file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ledger import Request
from ingest.retests import document as retests
from tests.support.retest_files import NOON, append, asked

LATER = NOON + 20_000
LABELS = ["iol-a", "iol-b", "github-robot"]
SERIES = [1, 2]

requests = st.lists(
    st.builds(
        lambda series, contexts, arguments, second: (series, contexts, arguments, second),
        st.sampled_from(SERIES),
        st.sets(st.sampled_from(LABELS), max_size=2),
        st.dictionaries(st.sampled_from(["rebase", "x"]), st.sampled_from(["main", "next"])),
        st.integers(0, 3),
    ),
    max_size=8,
).map(
    lambda rows: [
        asked(
            number,
            series=series,
            contexts=tuple(sorted(contexts)),
            arguments=arguments,
            date=NOON + second,
        )
        for number, (series, contexts, arguments, second) in enumerate(rows)
    ]
)

# Values that no request sets.
ODD: st.SearchStrategy[object] = st.sampled_from([["main"], {"a": 1}, None, 7, True, "", [[]]])

# What another program, get_reruns.py among them, may have left.
documents = st.fixed_dictionaries(
    {
        "retests": st.dictionaries(
            st.sampled_from([*map(str, SERIES), "77"]),
            st.fixed_dictionaries(
                {"contexts": st.lists(st.sampled_from([*LABELS, "old"]))},
                optional={
                    "arguments": st.none()
                    | st.dictionaries(st.sampled_from(["rebase", "old"]), ODD | st.just("v23")),
                    "note": st.text(max_size=3),
                },
            ),
        ),
        "last_comment_timestamp": st.none()
        | st.sampled_from(["2001-01-01T00:00:00", "2023-09-06T11:33:20.500000", "soon"]),
    },
    optional={"extra": st.lists(st.integers(), max_size=2)},
)


def merged(document: retests.Document, *log: Request) -> retests.Document:
    return retests.merge(document, log, LATER)


# Merging


@given(requests, st.integers(0, 999_999))
def test_the_order_of_requests_does_not_matter(log: list[Request], seed: int) -> None:
    shuffled = Random(seed).sample(log, len(log))
    assert merged(retests.empty(), *shuffled) == merged(retests.empty(), *log)


@given(requests, documents, st.integers(0, 999_999))
def test_neither_order_nor_portions_nor_repetition_of_requests_matter(
    log: list[Request], document: retests.Document, seed: int
) -> None:
    """As the sink does it: from a cursor on, which may not have moved after a crash."""
    document = merged(document)
    expected = merged(document, *log)
    chance = Random(seed)
    order = chance.sample(log, len(log))
    position = 0
    while position < len(order):
        end = chance.randint(position + 1, len(order))
        document = retests.merge(document, order[position:end], LATER, earlier=order[:position])
        if chance.random() < 0.6:
            position = end
    assert document == expected


@given(requests, documents)
def test_the_same_requests_again_change_nothing(
    log: list[Request], document: retests.Document
) -> None:
    once = merged(document, *log)
    assert merged(once, *log) == once


@given(requests, documents)
def test_nothing_that_was_there_is_lost(log: list[Request], document: retests.Document) -> None:
    result = merged(document, *log)
    for key, value in document.items():
        if key not in ("retests", "last_comment_timestamp"):
            assert result[key] == value
    for series, entry in document["retests"].items():
        after = result["retests"][series]
        assert set(entry["contexts"]) <= set(after["contexts"])
        assert (entry.get("arguments") or {}).keys() <= after["arguments"].keys()
        assert after.get("note") == entry.get("note")


@given(requests, documents)
def test_all_that_is_asked_for_is_there_in_order(
    log: list[Request], document: retests.Document
) -> None:
    result = merged(document, *log)
    for request in log:
        entry = result["retests"][str(request.series)]
        assert set(request.contexts) <= set(entry["contexts"])
        assert request.arguments.keys() <= entry["arguments"].keys()
    for entry in result["retests"].values():
        assert entry["contexts"] == sorted(set(entry["contexts"]))


@given(requests)
def test_of_two_values_that_of_the_later_mail_wins(log: list[Request]) -> None:
    result = merged(retests.empty(), *log)
    for series in {request.series for request in log}:
        values: dict[str, str] = {}
        for request in sorted(log, key=lambda each: (each.date, each.message_id)):
            if request.series == series:
                values.update(request.arguments)
        assert result["retests"][str(series)]["arguments"] == values


def test_a_value_of_unknown_age_gives_way() -> None:
    """One that get_reruns.py or a person put there."""
    document = {"retests": {"29430": {"contexts": [], "arguments": {"rebase": "v22", "x": "y"}}}}
    result = merged(document, asked(arguments={"rebase": "main"}))
    assert result["retests"]["29430"]["arguments"] == {"rebase": "main", "x": "y"}


def test_no_date_in_the_future_outlasts_a_later_mail() -> None:
    """A mail's date is the earlier of its Date and its reception."""
    ahead = asked(1, arguments={"rebase": "old"}, date=NOON + 1e9, received=NOON + 10)
    honest = asked(2, arguments={"rebase": "new"}, date=NOON + 60, received=NOON + 70)
    for log in ([ahead, honest], [honest, ahead]):
        result = merged(retests.empty(), *log)
        assert result["retests"]["29430"]["arguments"] == {"rebase": "new"}


def test_where_the_reception_is_not_known_the_time_of_recording_bounds_a_date() -> None:
    ahead = asked(1, arguments={"rebase": "old"}, date=NOON + 1e9, recorded=NOON + 10)
    honest = asked(2, arguments={"rebase": "new"}, date=NOON + 60, recorded=NOON + 70)
    result = merged(retests.empty(), honest, ahead)
    assert result["retests"]["29430"]["arguments"] == {"rebase": "new"}


@pytest.mark.parametrize("value", [["main"], {"a": 1}, None, 7, True, "", [[]]], ids=repr)
def test_an_odd_value_stays_until_a_request_sets_its_name(value: object) -> None:
    entry = {"contexts": [], "arguments": {"rebase": value, "x": value}}
    document = {"retests": {"29430": entry}}
    other = merged(document, asked(arguments={"y": "z"}))
    assert other["retests"]["29430"]["arguments"] == {"rebase": value, "x": value, "y": "z"}
    same = merged(document, asked(arguments={"rebase": "main"}))
    assert same["retests"]["29430"]["arguments"] == {"rebase": "main", "x": value}


@pytest.mark.parametrize("odd", [["a"], "a", 7, True, []], ids=repr)
def test_arguments_that_are_no_object_stay_until_a_request_sets_one(odd: object) -> None:
    document = retests.load(json.dumps({"retests": {"29430": {"contexts": [], "arguments": odd}}}))
    assert merged(document, asked())["retests"]["29430"]["arguments"] == odd
    again = merged(document, asked(arguments={"rebase": "main"}))
    assert again["retests"]["29430"]["arguments"] == {"rebase": "main"}


def test_a_merged_document_is_a_new_one() -> None:
    document = {"retests": {"29430": {"contexts": ["b"]}}, "last_comment_timestamp": None}
    before = json.dumps(document)
    merged(document, asked())
    assert json.dumps(document) == before


# The timestamp


@given(st.integers(-62_000_000_000, 253_000_000_000))
def test_a_second_is_written_as_naive_utc_with_six_decimals(at: int) -> None:
    text = retests.stamp(at)
    assert text.endswith(".000000")
    assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp() == at
    assert retests.stamped({"last_comment_timestamp": text}) == at


@pytest.mark.parametrize(
    ("standing", "at"),
    {
        None: 0.0,
        "2023-09-06T11:33:20.500000": NOON + 0.5,
        "2023-09-06T11:33:20": NOON,
        "2023-09-06T13:33:20+02:00": NOON,
        "2023-09-06T11:33:20Z": NOON,
        "yesterday": 0.0,
        "": 0.0,
        7: 0.0,
    }.items(),
)
def test_the_second_of_another_programs_document_is_read(standing: object, at: float) -> None:
    assert retests.stamped({"last_comment_timestamp": standing}) == at
    assert retests.stamped({}) == 0.0


@pytest.mark.parametrize("date", [NOON - 1e9, NOON, NOON + 1e9])
def test_the_document_carries_the_promised_second_whatever_a_mail_s_date(date: float) -> None:
    document = {"retests": {}, "last_comment_timestamp": "2030-01-01T00:00:00"}
    given = retests.merge(document, [asked(date=date)], NOON + 7)
    assert given["last_comment_timestamp"] == "2023-09-06T11:33:27.000000"


def test_without_a_promised_second_the_standing_one_stays() -> None:
    document = {"retests": {}, "last_comment_timestamp": "2023-09-06T11:33:20.5"}
    assert retests.merge(document, [], 0.0) == document


def test_without_requests_there_is_no_timestamp() -> None:
    assert json.loads(retests.dump(retests.empty())) == {
        "retests": {},
        "last_comment_timestamp": None,
    }


# The bytes

GOLDEN = b"""{
    "retests": {
        "29430": {
            "contexts": [
                "iol-broadcom-Performance",
                "iol-unit-amd64-testing"
            ],
            "arguments": {
                "rebase": "main"
            }
        },
        "7": {
            "contexts": [
                "\\u00fcbung"
            ],
            "arguments": {}
        }
    },
    "last_comment_timestamp": "2023-09-06T17:06:40.000000"
}"""
REQUESTS = (
    asked(
        contexts=("iol-unit-amd64-testing", "iol-broadcom-Performance"),
        arguments={"rebase": "main"},
        date=1693990860.0,
    ),
    asked(2, series=7, contexts=("übung",), date=1693990860.0),
)


def test_the_file_is_written_as_its_consumers_read_it(tmp_path: Path) -> None:
    path = tmp_path / "retests.json"
    append(path, *REQUESTS)
    assert path.read_bytes() == GOLDEN


def test_a_file_of_get_reruns_is_merged_into(tmp_path: Path) -> None:
    path = tmp_path / "rerun_requests.json"
    old = {
        "retests": {"29430": {"contexts": ["iol-b", "iol-a"]}, "5": {"contexts": ["x"]}},
        "last_comment_timestamp": "2023-09-01T08:00:00.000001",
    }
    path.write_text(json.dumps(old, indent=4))
    append(path, asked(contexts=("iol-c",)))
    assert json.loads(path.read_text()) == {
        "retests": {
            "29430": {"contexts": ["iol-a", "iol-b", "iol-c"], "arguments": {}},
            "5": {"contexts": ["x"], "arguments": {}},
        },
        "last_comment_timestamp": "2023-09-06T17:06:40.000000",
    }


def test_keys_that_are_not_ours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "retests.json"
    old = {
        "lab": {"name": ["x", 1.5, None]},
        "retests": {"29430": {"contexts": [], "priority": 3}, "5": {"contexts": [], "by": "hand"}},
        "last_comment_timestamp": None,
    }
    path.write_text(json.dumps(old))
    append(path, asked())
    new = json.loads(path.read_text())
    assert new["lab"] == old["lab"]
    assert new["retests"]["29430"]["priority"] == 3
    assert new["retests"]["5"]["by"] == "hand"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "retests.json"
    path.write_text('{"retests": {"5": {"contexts": ["x"]}}}', encoding="utf-8-sig")
    append(path, asked())
    assert set(json.loads(path.read_bytes())["retests"]) == {"5", "29430"}


GARBAGE = {
    "nothing": b"",
    "blanks": b" \n",
    "binary": bytes(range(256)),
    "not UTF-8": b'{"retests": {"\xff": {"contexts": []}}}',
    "half a document": GOLDEN[:100],
    "two documents": GOLDEN * 2,
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "no retests": b"{}",
    "retests a list": b'{"retests": []}',
    "retests null": b'{"retests": null}',
    "an entry a list": b'{"retests": {"1": []}}',
    "an entry without contexts": b'{"retests": {"1": {}}}',
    "contexts a text": b'{"retests": {"1": {"contexts": "abc"}}}',
    "contexts of numbers": b'{"retests": {"1": {"contexts": [1]}}}',
    "contexts nested": b'{"retests": {"1": {"contexts": [["a"]]}}}',
    "NaN": b'{"retests": {}, "x": NaN}',
    "a number that is infinite": b'{"retests": {}, "x": 1e999}',
    "a number of 5000 digits": b'{"retests": {}, "x": ' + b"1" * 5000 + b"}",
    "nested too deeply": b'{"retests": {}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_file_that_is_no_retest_json_is_set_aside(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "retests.json"
    path.write_bytes(GARBAGE[kind])
    append(path, *REQUESTS, now=LATER)
    assert path.read_bytes() == GOLDEN
    [aside] = tmp_path.glob("retests.json.corrupt-*")
    assert aside.name == "retests.json.corrupt-20230906T170640.000000"
    assert aside.read_bytes() == GARBAGE[kind]
    assert str(aside) in caplog.text, "it is reported"


@pytest.mark.parametrize("depth", range(700, 1100, 25))
def test_a_file_that_is_nested_to_the_limit_is_merged_into_or_set_aside(
    tmp_path: Path, depth: int
) -> None:
    path = tmp_path / "retests.json"
    path.write_text('{"retests": {}, "x": ' + "[" * depth + "]" * depth + "}")
    append(path, asked())
    assert b'"c-1"' in path.read_bytes()


def test_what_was_set_aside_before_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "retests.json"
    for number in range(4):
        path.write_bytes(b"garbage %d" % number)
        append(path, asked(), now=LATER)
    kept = {each.read_bytes() for each in tmp_path.glob("retests.json.corrupt-*")}
    assert kept == {b"garbage %d" % number for number in range(4)}


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("retests"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["retests", "contexts", "arguments", "1"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_in_a_file_is_a_document_or_is_refused(content: bytes) -> None:
    try:
        document = retests.load(content.decode())
    except ValueError:
        return
    result = merged(document, asked())
    assert json.loads(retests.dump(result)) == result


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
OURS = st.fixed_dictionaries(
    {
        "contexts": st.lists(st.text(max_size=5) | ANYTHING, max_size=3),
        "arguments": st.dictionaries(st.text(max_size=5), st.text(max_size=5) | ANYTHING),
    },
    optional={"more": ANYTHING},
)


@given(
    st.dictionaries(st.text(max_size=5), ANYTHING),
    st.dictionaries(st.text(max_size=5), OURS | ANYTHING) | ANYTHING,
)
@pytest.mark.slow
def test_it_is_written_as_json_dumps_writes_it(others: retests.Document, entries: object) -> None:
    document = {"before": None, "retests": entries, **others}
    assert retests.dump(document) == json.dumps(document, indent=4)
