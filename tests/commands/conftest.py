# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.command_line import Command
from tests.support.ledgers import in_environment
from tests.support.places import RECORDED


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as sandbox:
        yield sandbox


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def configured(ledger_url: str, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that this process runs use the ledger, of whichever kind it is."""
    for name, value in in_environment(ledger_url, quick_path / "retests.json").items():
        monkeypatch.setenv(name, value)
