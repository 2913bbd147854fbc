# SPDX-License-Identifier: BSD-3-Clause
"""A ledger of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.ledger import Ledger, open_ledger
from tests.support.ledgers import LEDGERS


@pytest.fixture(params=LEDGERS)
def url(request: pytest.FixtureRequest, quick_path: Path) -> str:
    return LEDGERS[request.param](quick_path)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = open_ledger(url)
    yield opened
    opened.close()
