# SPDX-License-Identifier: BSD-3-Clause
"""A running listener with a hook for every service."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import posted
from tests.support.amazon import Amazon
from tests.support.http_site import LISTEN, Site
from tests.support.ledgers import KINDS, LEDGERS


@pytest.fixture
def amazon(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Amazon]:
    """Amazon, to which every question by HTTPS leads."""
    with Amazon(quick_path) as amazon:
        monkeypatch.setenv("HTTPS_PROXY", amazon.proxy)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(amazon.roots))
        yield amazon


@pytest.fixture
def site(quick_path: Path, amazon: Amazon) -> Iterator[Site]:
    """A listener on loopback with a hook named as each service."""
    with Site(quick_path, LISTEN + posted.hooks(quick_path)) as site:
        yield site


@pytest.fixture(scope="module", params=KINDS)
def ledger_at(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """The URL of an empty ledger, of each kind, for a folder that a module's tests share."""
    return LEDGERS[request.param]
