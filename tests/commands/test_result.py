# SPDX-License-Identifier: BSD-3-Clause
"""The command ``result``: a lab says what became of a request."""

import json
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Ledger, Request
from tests.support.handing_over import told
from tests.support.ledger_values import record


@pytest.fixture
def asked(ledger: Ledger) -> Request:
    return record(ledger, "a@example.org")


def says(folder: Path, *arguments: str) -> int:
    return cli.main(["result", *arguments, "--state", str(folder)])


def test_a_result_by_number_or_id_is_shown(
    asked: Request, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = ["--url", "https://lab.example.org/1", "--summary", "3 of 12 failed", "--by", "iol"]
    assert says(quick_path, "1", "iol-a", "fail", *link) == 0
    assert says(quick_path, asked.id, "iol-b", "pending") == 0
    shown = told(quick_path, capsys, "show", "a@example.org")
    assert "    iol-a: fail by iol: 3 of 12 failed (https://lab.example.org/1)\n" in shown
    assert "    iol-b: pending by lab\n" in shown
    assert "result iol-a fail, by iol: 3 of 12 failed (https://lab.example.org/1)\n" in shown
    [story] = json.loads(told(quick_path, capsys, "show", "--json", "a@example.org"))
    [first, second] = story["requests"][0]["results"]
    assert (first["label"], first["state"], first["by"]) == ("iol-a", "fail", "iol")
    assert (second["state"], second["url"], second["summary"]) == ("pending", None, None)


def test_what_is_said_twice_is_told_once(
    asked: Request, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert says(quick_path, "1", "iol-a", "fail") == 0
    assert "the same was said before" in capsys.readouterr().err
    assert told(quick_path, capsys, "show", "a@example.org").count("result iol-a fail") == 1


REFUSED = {
    "no such request": (("2", "iol-a", "fail"), 1, "there is no request 2 in the ledger"),
    "no such label": (("1", "iol-c", "fail"), 64, "not for iol-c (did you mean iol-b?)"),
    "no such state": (("1", "iol-a", "good"), 64, "invalid choice: 'good'"),
    "no link": (("1", "iol-a", "fail", "--url", "x"), 64, "x is not a link"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    asked: Request,
    quick_path: Path,
    ledger: Ledger,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert says(quick_path, *arguments) == code
    assert said in capsys.readouterr().err
    assert {each.state for each in ledger.results.of([1])} == {"asked"}
