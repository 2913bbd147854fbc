# SPDX-License-Identifier: BSD-3-Clause
"""A Patchwork with a patch and a series of two, and what is watched there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.ledger import Ledger
from ingest.sandbox import Sandbox
from tests.support.clock import Clock
from tests.support.places import RECORDED
from tests.support.watching import Watching

# The fixture ``watching_with``: with these settings of [results].
MakeWatching = Callable[..., Watching]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(
        *(str(RECORDED / f"{name}.mbox") for name in ("patch", "series")),
        tokens={"secret": ("lab", {"ci", "dpdk"})},
    ) as sandbox:
        yield sandbox


@pytest.fixture
def watching_with(ledger: Ledger, clock: Clock, box: Sandbox, quick_path: Path) -> MakeWatching:
    def make(**table: float) -> Watching:
        return Watching(ledger, clock, box, **table)

    return make


@pytest.fixture
def watching(watching_with: MakeWatching) -> Watching:
    return watching_with()
