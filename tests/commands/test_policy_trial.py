# SPDX-License-Identifier: BSD-3-Clause
"""The command that tells what a policy would have done."""

import json
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import open_ledger
from ingest.mail.requester import Requester
from tests.support.ledger_values import record

ALEX = Requester("Alex", "alex@example.com")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    ledger = open_ledger(f"sqlite:{tmp_path}/ledger.sqlite")
    record(ledger, "1@example.org", series=1)
    record(ledger, "2@example.org", series=2, requester=ALEX)
    ledger.close()
    (tmp_path / "new.toml").write_text(
        '[policy.group.all]\nsenders = ["@example.org"]\nlabels = ["iol-a"]\n'
    )
    return tmp_path


def run(state: Path, *more: str) -> int:
    return cli.main(
        [
            "policy",
            "--replay",
            "9999d",
            "--state",
            str(state),
            "--config",
            f"{state}/new.toml",
            *more,
        ]
    )


def test_what_would_have_been_rejected_or_narrowed_is_printed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(state) == 0
    out = capsys.readouterr().out
    assert "narrowed <1@example.org> for series 1: iol-a, iol-b, rebase=main (without iol-b)" in out
    assert "rejected <2@example.org> for series 2" in out
    assert "policy senders: Alex <alex@example.com> may not ask for iol-a, iol-b" in out
    assert out.splitlines()[-1].endswith("1 narrowed, 1 rejected")


def test_programs_get_the_same(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(state, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["outcome"], row["left_out"]) for row in rows] == [
        ("narrowed", ["iol-b"]),
        ("rejected", []),
    ]


def test_what_was_asked_for_by_hand_is_not_judged(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ask", "1", "iol-z", "--by", "Ada", "--state", str(state)]
    assert cli.main(arguments) == 0
    capsys.readouterr()
    assert run(state, "--json") == 0
    assert [row["number"] for row in json.loads(capsys.readouterr().out)] == [1, 2]


def test_nothing_found_is_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["policy", "--replay", "1d", "--state", str(state)]
    assert cli.main(arguments) == 1
    assert "nothing was asked since" in capsys.readouterr().err
