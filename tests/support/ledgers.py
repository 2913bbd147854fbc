# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of ledger."""

from collections.abc import Callable
from pathlib import Path

from tests.support import postgres

# Each as a function from an empty folder to the URL of an empty ledger.
LEDGERS: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:{folder}/ledger.sqlite",
    "postgresql": postgres.ledger_url,
}
