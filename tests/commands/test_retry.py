# SPDX-License-Identifier: BSD-3-Clause
"""``retry`` names what it queued, and what it did not."""

from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Ledger, Outcome
from tests.support.ledger_values import arrival, claimed, finish


@pytest.fixture
def folder(ledger: Ledger, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger's folder with a mail that failed, one that is ignored, and one without a name."""
    monkeypatch.setenv("HOME", str(quick_path))
    outcomes = {"a": Outcome.FAILED, "b": Outcome.IGNORED, "": Outcome.UNRESOLVED}
    for name, outcome in outcomes.items():
        ledger.accept(arrival(name))
        finish(ledger, claimed(ledger), outcome)
    return quick_path


def lines(folder: Path, capsys: pytest.CaptureFixture[str], *names: str) -> list[str]:
    assert cli.main(["retry", *names, "--state", str(folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_named_mails_are_told_with_what_became_of_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *told = lines(folder, capsys, "a", "<b>", "mail-3", "a")
    assert head.startswith("2 queued;")
    assert told == ["  <a>", "  <b> not queued: it is ignored", "  mail-3"]


def test_all_names_what_is_queued(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, *told = lines(folder, capsys, "--all")
    assert head.startswith("2 queued;")
    assert told == ["  mail-3", "  <a>"]


def test_all_names_no_more_than_a_screen(
    folder: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        ledger.accept(arrival(f"more-{number}"))
    head, *told = lines(folder, capsys, "--all")
    assert head.startswith("32 queued;")
    assert len(told) == 21
    assert told[-1] == "  … and 12 more, see recheck-ingest list --state queued"
