# SPDX-License-Identifier: BSD-3-Clause
"""The schemas in contrib/doc/schemas are those of what commands really print."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ingest import signs
from ingest.commands import cli
from ingest.ledger import (
    Aside,
    Cursor,
    Event,
    Feed,
    Ledger,
    Outcome,
    Pause,
    Result,
    State,
    Waiting,
)
from ingest.patchwork import outage
from ingest.sandbox import Sandbox
from tests.support import schemas
from tests.support.ledger_values import (
    NOON,
    arrival,
    claimed,
    finish,
    put_back,
    record,
)
from tests.support.places import RECORDED

HOOK = "webhook:lab"
MAIL = b"List-Id: <dev.example.org>\n\nhello\n"
# Objects whose keys are names of something, and not fields: labels, arguments, states, sinks.
NAMES = {"arguments", "groups", "mails", "waiting", "details", "retests", "passed_over", "states"}


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger in which everything has happened that there is to tell of."""
    monkeypatch.setenv("HOME", str(quick_path))
    (quick_path / "c.toml").write_text('[webhook.lab]\nurl = "http://127.0.0.1:9/"\n')
    for number in range(1, 5):
        record(ledger, f"{number}@example.org", series=number)
    ledger.results.tell(Result(1, "iol-a", State.FAIL, NOON, "lab", "http://127.0.0.1:9/1", "bad"))
    ledger.steering.cancel_request(4, "why", "operator", NOON)
    for outcome in (Outcome.FAILED, Outcome.IGNORED, Outcome.UNRESOLVED):
        ledger.accept(arrival(outcome.value))
        finish(ledger, claimed(ledger), outcome)
    ledger.accept(arrival("notice", outcome=Outcome.NOTICE, reason="confirm 1"))
    ledger.accept(arrival("waits"))
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
    ledger.set_cursor(Cursor(HOOK, 2, NOON, tries=2, due=NOON, reason="it is down", begun=3))
    ledger.asides.keep(Aside(HOOK, 1, NOON, 4, None, "it says 400"))
    ledger.steering.pause(Pause(HOOK, NOON, "moving house"))
    ledger.set_feed(Feed("inbox.dev", "1", "c0ffee", NOON, NOON, 2, "no network"))
    ledger.set_feed(Feed("inbox.dev", moved=NOON, tries=2, reason="no network"))
    outage.note_down(ledger, "it answers 502", NOON)
    ledger.tell(1, [Event(NOON, "waits", {"reason": "so", "until": NOON})])
    signs.note(str(quick_path), [(MAIL, "pipe")], NOON)
    for flags in (["--consumer", "lab", "--hold"], ["--consumer", "arm"]):
        assert run(quick_path, "take", *flags, "-o", str(quick_path / "taken.json")) == 0
    return quick_path


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as sandbox:
        yield sandbox


def run(folder: Path, *arguments: str) -> int:
    return cli.main([*arguments, "--config", str(folder / "c.toml"), "--state", str(folder)])


def valid(name: str, document: Any) -> list[str]:
    """What is wrong with a document, by its schema."""
    found = Draft202012Validator(schemas.document(name)).iter_errors(document)
    return [f"{'/'.join(map(str, each.absolute_path))}: {each.message[:200]}" for each in found]


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_a_schema_is_written_as_it_must_be_and_is_one(name: str) -> None:
    written = (schemas.FOLDER / f"{name}.json").read_text()
    assert written == schemas.text(name), "run python -m tests.support.schemas"
    Draft202012Validator.check_schema(json.loads(written))


def test_there_are_no_other_schemas() -> None:
    assert {each.stem for each in schemas.FOLDER.iterdir()} == set(schemas.DOCUMENTS)


# What prints each document, and the least that it must hold for the test to mean anything.
PRINTED: dict[str, tuple[str, list[str], int]] = {
    "requests": ("list", ["list", "--json"], 4),
    "mails": ("list", ["list", "--mail", "--json"], 9),
    "attention": ("list", ["list", "--attention", "--json"], 2),
    "status": ("status", ["status", "--json"], 20),
    "check": ("check", ["check", "--json"], 5),
    "config": ("config", ["config", "--json"], 3),
    "stats": ("stats", ["stats", "--json"], 5),
    "consumers": ("consumers", ["consumers", "--json"], 2),
    "policy": ("policy", ["policy", "--replay", "9999d", "--json"], 4),
    "take": ("take", ["take", "--peek", "--consumer", "new"], 2),
    "take, a batch": ("take", ["take", "--peek", "--consumer", "new", "--hold"], 4),
    "take, a batch of requests": (
        "take",
        ["take", "--peek", "--consumer", "new", "--hold", "--requests"],
        3,
    ),
    "take, requests": ("take", ["take", "--peek", "--consumer", "new", "--requests"], 3),
    "take, nothing": ("take", ["take", "--peek", "--consumer", "arm"], 2),
    "the retest JSON": ("retests", ["take", "--peek"], 2),
}


@pytest.mark.parametrize("case", PRINTED)
def test_what_is_printed_is_as_its_schema_says(
    case: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, arguments, least = PRINTED[case]
    if case == "check":
        arguments = [*arguments, "--patchwork", "http://127.0.0.1:9"]
    run(folder, *arguments)
    document = json.loads(capfd.readouterr().out)
    assert valid(name, document) == []
    assert len(document) >= least
    assert list(bad_times(document)) == []
    assert list(bad_keys(document)) == []


def test_each_mail_and_each_line_is_as_its_schema_says(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "show", "--json", "1", "4", "waits", "notice") == 0
    mails = json.loads(capfd.readouterr().out)
    assert len(mails) == 4
    assert [valid("mail", each) for each in mails] == [[]] * 4
    assert mails[0]["requests"][0]["id"].startswith("recheck-")
    assert run(folder, "log", "--json", "-n", "500") == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [valid("log", each) for each in lines] == [[]] * len(lines)
    assert {each["what"] for each in lines} >= {"accepted", "cancelled", "paused", "taken"}
    assert list(bad_times(lines)) == []


def test_errors_are_as_their_schema_says(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["status", "--json", "--nonsense"], ["show", "--json", "nobody@x"]):
        assert run(folder, *arguments) in (1, 64)
        assert valid("error", json.loads(capfd.readouterr().err)) == []


def test_an_archive_s_summary_is_as_its_schema_says(
    folder: Path, patchwork: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    for flags in (["--dry-run"], []):
        mbox = str(RECORDED / "replies.mbox")
        assert run(folder, "replay", mbox, "--json", "--patchwork", patchwork.url, *flags) == 0
        document = json.loads(capfd.readouterr().out)
        assert valid("replay", document) == []
        assert (document["recorded"] > 0, list(bad_times(document))) == (True, [])
    assert "found" not in document


def test_what_catching_up_came_to_is_as_its_schema_says(
    folder: Path, patchwork: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    patchwork.load(str(RECORDED / "replies.mbox"))
    flags = ["--json", "--since", "1970-01-01", "--patchwork"]
    assert run(folder, "catch-up", *flags, patchwork.url) == 0
    document = json.loads(capfd.readouterr().out)
    assert valid("catch-up", document) == []
    assert (document["fetched"] > 0, list(bad_times(document))) == (True, [])
    assert run(folder, "catch-up", *flags, "http://127.0.0.1:9") == 69
    document = json.loads(capfd.readouterr().out)
    assert valid("catch-up", document) == [] and document["problem"]


STEERED = {
    "retry": ["retry", "failed", "unresolved"],
    "retry, all": ["retry", "--all"],
    "retry, a sink": ["retry", "--sink", HOOK],
    "cancel": ["cancel", "waits", "--reason", "not needed", "--by", "Ada"],
    "pause": ["pause", "retests", "--reason", "moving house"],
    "pause, again": ["pause", HOOK],
    "resume": ["resume", HOOK],
    "consumers": ["consumers", "--remove", "arm"],
}


@pytest.mark.parametrize("case", STEERED)
def test_what_steering_came_to_is_as_its_schema_says(
    case: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, _, _ = case.partition(",")
    assert run(folder, *STEERED[case], "--json") == 0
    document = json.loads(capfd.readouterr().out)
    assert valid(name, document) == []
    assert valid(name, {**document, "more": 1})


def test_a_schema_allows_nothing_else(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(folder, "take", "--peek", "--requests", "--consumer", "new")
    [request, *_] = json.loads(capfd.readouterr().out)
    assert valid("request", request) == []
    assert valid("request", {**request, "new": 1})
    assert valid("request", {key: each for key, each in request.items() if key != "id"})
    assert valid("request", {**request, "recorded": "2023-11-14T22:13:20"})
    assert valid("request", {**request, "recorded": 1_700_000_000})


def walked(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a document, with the key that it stands under."""
    yield at, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from walked(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from walked(each, at)


def bad_times(document: Any) -> Iterator[str]:
    """Times that are not in ISO 8601 with a Z, but for get_reruns.py's."""
    for key, value in walked(document):
        is_time = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+.*", value)
        is_number = isinstance(value, int | float) and abs(value - NOON) < 1e8
        if key != "last_comment_timestamp" and (is_number or (is_time and value[-1] != "Z")):
            yield f"{key}: {value}"


def bad_keys(document: Any) -> Iterator[str]:
    """Keys that are texts and not fields, such as reasons."""
    for at, value in walked(document):
        if isinstance(value, dict) and at not in NAMES:
            yield from (key for key in value if not re.fullmatch(r"[a-z_0-9]+", key))
