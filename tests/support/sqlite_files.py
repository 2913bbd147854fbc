# SPDX-License-Identifier: BSD-3-Clause
"""Looking at SQLite ledgers from outside."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ingest.ledger import Ledger, open_ledger


def opened(path: Path, busy_timeout: float = 20.0, mode: int = 0o660) -> Ledger:
    """The ledger in this file."""
    return open_ledger(f"sqlite:{path}", busy_timeout=busy_timeout, mode=mode)


def pragma(path: Path, name: str) -> object:
    """What SQLite says of a file."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"PRAGMA {name}").fetchone()[0]


def is_sound(path: Path) -> bool:
    """Whether SQLite finds nothing wrong with a file."""
    return pragma(path, "integrity_check") == "ok"
