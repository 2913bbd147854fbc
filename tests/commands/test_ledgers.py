# SPDX-License-Identifier: BSD-3-Clause
"""Who looks for a ledger where there is none is told of the others."""

import json
from pathlib import Path

import pytest

from ingest.commands import cli, ledgers
from tests.support.sqlite_files import opened


def test_a_ledger_in_a_usual_folder_is_named_with_the_flag_that_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    opened(tmp_path / "recheck-ingest" / "ledger.sqlite").close()
    assert cli.main(["status", "--state", str(tmp_path / "none")]) == 1
    told = capsys.readouterr().err
    assert f"there is no ledger {tmp_path}/none/ledger.sqlite" in told
    assert f"--state {tmp_path}/recheck-ingest\n" in told


def test_where_there_are_no_others_nothing_is_said(tmp_path: Path) -> None:
    assert ledgers.elsewhere({"HOME": str(tmp_path)}, system=str(tmp_path / "var")) == ""


def test_status_names_the_other_ledger_and_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    usual, own = tmp_path / "recheck-ingest", tmp_path / "own"
    for folder in (usual, own):
        opened(folder / "ledger.sqlite").close()
    assert cli.main(["status", "--state", str(own)]) == 0
    assert f"there is another ledger: --state {usual}\n" in capsys.readouterr().out
    assert cli.main(["status", "--state", str(own), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["other_ledgers"] == [str(usual)]
    assert cli.main(["status", "--state", str(usual)]) == 0
    assert "another ledger" not in capsys.readouterr().out
