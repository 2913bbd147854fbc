# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of ledger."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ingest.ledger import open_ledger
from tests.support import postgres


@cache
def _empty() -> tuple[bytes, int]:
    """The file of a SQLite ledger that was never used, and its mode."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "ledger.sqlite")
        open_ledger(f"sqlite:{made}").close()
        return made.read_bytes(), made.stat().st_mode


def sqlite(folder: Path) -> str:
    """The URL of the ledger in a folder. An empty one is there unless any was: to copy it takes a
    tenth of the time that it takes to make one."""
    file = folder / "ledger.sqlite"
    if not file.exists():
        content, mode = _empty()
        file.write_bytes(content)
        file.chmod(mode)
    return f"sqlite:{file}"


# The name of the machine that uses a shared one.
HOST = "here"

# Each as a function from an empty folder to the URL of an empty ledger.
LEDGERS: dict[str, Callable[[Path], str]] = {
    "sqlite": sqlite,
    "postgresql": postgres.ledger_url,
}
# Their names, of which a test is one each. That PostgreSQL does what is asked of it is said by
# tests/ledger; elsewhere it is one more test of the same that takes its time.
KINDS = [pytest.param(each, marks=() if each == "sqlite" else pytest.mark.slow) for each in LEDGERS]


def in_environment(url: str, retests: Path) -> dict[str, str]:
    """What has the program use a ledger, and write the retest JSON as it does where it has the
    ledger alone."""
    return {
        "RECHECK_INGEST_STATE_LEDGER": url,
        "RECHECK_INGEST_STATE_HOST": HOST,
        "RECHECK_INGEST_RETESTS_FILE": str(retests),
    }
