# SPDX-License-Identifier: BSD-3-Clause
"""Statements and values as psycopg takes them."""

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from hashlib import sha256

from ingest.ledger.rows import storable

# A place for a list.
_LISTED = re.compile(r"\?(?=::[a-z ]+\[\])")


@lru_cache(maxsize=1000)
def sql(statement: str) -> str:
    """A statement with its places as the driver has them; lists go as they are, for to write their
    texts in quotes takes as long as all else."""
    return _LISTED.sub("%b", statement.replace("%", "%%")).replace("?", "%s")


def as_sent(values: Sequence[object]) -> list[object]:
    """Values as the driver takes them."""
    return list(map(sendable, values))


def key_of(name: str) -> int:
    """What an advisory lock of a name is known by."""
    named = f"recheck-ingest {storable(name)}".encode()
    return int.from_bytes(sha256(named).digest()[:8], signed=True)


def sendable(value: object) -> object:
    """A value as the driver takes it."""
    if type(value) is not str:  # most are
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, bool):
            return int(value)
    return storable(value)
