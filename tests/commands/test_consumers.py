# SPDX-License-Identifier: BSD-3-Clause
"""``consumers``: who takes requests, and forgetting one."""

import json
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Cursor, Keep, Ledger
from tests.support.ledger_values import NOON, record


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger's folder: ``arm`` has had the first of two requests, ``night`` holds both."""
    monkeypatch.setenv("HOME", str(quick_path))
    record(ledger, "a@example.org")
    assert run(quick_path, "take", "--consumer", "arm") == 0
    record(ledger, "b@example.org")
    assert run(quick_path, "take", "--consumer", "night", "--hold") == 0
    return quick_path


def run(folder: Path, *arguments: str) -> int:
    return cli.main([*arguments, "--state", str(folder)])


def test_each_consumer_is_told_with_what_it_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(folder, "consumers") == 0
    arm, night, held = capsys.readouterr().out.splitlines()
    assert arm.startswith("arm at 1, 1 behind, took last 20")
    assert night.startswith("night at 2, took last 20")
    assert held.startswith("  held: night:1-2-")
    assert run(folder, "consumers", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["lag"], len(each["held"])) for each in told] == [
        ("arm", 1, 0),
        ("night", 0, 1),
    ]


def test_a_consumer_that_is_removed_holds_nothing_back(folder: Path, ledger: Ledger) -> None:
    ledger.set_cursor(Cursor("webhook:lab", 2))
    keep = Keep(raw=0.0, requests=NOON + 50)
    ledger.prune(keep, NOON + 100)
    assert len(ledger.requests()) == 2
    for name in ("arm", "night"):
        assert run(folder, "consumers", "--remove", name) == 0
    assert ledger.consumers() == ledger.batches() == ()
    assert run(folder, "consumers") == 1
    ledger.prune(keep, NOON + 100)
    assert ledger.requests() == []


def test_one_that_is_not_there_and_the_default_one_are_not_removed(
    folder: Path, ledger: Ledger
) -> None:
    assert run(folder, "consumers", "--remove", "arn") == 1
    assert run(folder, "consumers", "--remove", "default") == 64
    assert [each.name for each in ledger.consumers()] == ["arm", "night"]


def test_one_that_was_removed_begins_with_the_first_request(folder: Path) -> None:
    assert run(folder, "consumers", "--remove", "arm") == 0
    out = folder / "out.json"
    assert run(folder, "take", "--consumer", "arm", "--requests", "-o", str(out)) == 0
    assert [each["number"] for each in json.loads(out.read_text())] == [1, 2]
