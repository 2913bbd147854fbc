# SPDX-License-Identifier: BSD-3-Clause
"""``config`` prints TOML that is the same configuration again."""

import json
import tomllib
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.config import load

TEXT = """
[patchwork]
url = "https://pw.example.org"

[state]
dir = "/var/lib/recheck-ingest"
mode = 0o640

[requests]
contexts = ["iol-*"]

[check.lab]
token_file = "/etc/token"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "c.toml"
    path.write_text(TEXT)
    return str(path)


def test_the_changed_ones_are_told_with_where_they_come_from(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_TAKE_HOLD", "60")
    monkeypatch.setenv("RECHECK_INGEST_TAEK_HOLD", "60")
    assert cli.main(["config", "--changed", "--config", file, "--retests", "/r.json"]) == 0
    assert capsys.readouterr().out == (
        f"# file: {file}\n"
        "# $RECHECK_INGEST_TAEK_HOLD is not a known setting\n"
        "\n[patchwork]\n"
        f'url = "https://pw.example.org"  # {file}\n'
        "\n[requests]\n"
        f'contexts = ["iol-*"]  # {file}\n'
        "\n[state]\n"
        f'dir = "/var/lib/recheck-ingest"  # {file}\n'
        f'mode = "640"  # {file}\n'
        "\n[retests]\n"
        'file = "/r.json"  # flag\n'
        "\n[take]\n"
        "hold = 60  # $RECHECK_INGEST_TAKE_HOLD\n"
        "\n[check.lab]\n"
        f'token_file = "/etc/token"  # {file}\n'
    )


def test_all_of_it_is_a_configuration_that_means_the_same(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "--config", file]) == 0
    printed = capsys.readouterr().out
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert tomllib.loads(printed)["patchwork"]["url"] == "https://pw.example.org"
    first, second = (vars(load.load(file=str(each))) for each in (file, again))
    assert {**first, "origin": ""} == {**second, "origin": ""}


def test_json_has_each_setting_with_where_it_comes_from(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "--json", "--config", file]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["file"], document["unknown"]) == (file, [])
    [mode] = [each for each in document["settings"] if each["key"] == "mode" and
              each["table"] == "state"]  # fmt: skip
    assert mode == {
        "table": "state",
        "key": "mode",
        "value": "640",
        "origin": "file",
        "source": file,
    }


def test_a_bad_configuration_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text("[worker]\njitter = true\n")
    assert cli.main(["config", "--config", str(tmp_path / "c.toml")]) == 78
    assert "[worker] jitter is True, but must be" in capsys.readouterr().err
