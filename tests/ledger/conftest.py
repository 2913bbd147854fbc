# SPDX-License-Identifier: BSD-3-Clause
"""Every ledger implementation, each as a function from an empty folder to a URL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.ledger import Ledger, open_ledger
from tests.support import postgres

LEDGERS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:{folder}/ledger.sqlite",
    "postgresql": postgres.ledger_url,
}


@pytest.fixture(params=LEDGERS)
def url(request: pytest.FixtureRequest, quick_path: Path) -> str:
    return LEDGERS[request.param](quick_path)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = open_ledger(url)
    yield opened
    opened.close()
