# SPDX-License-Identifier: BSD-3-Clause
"""Ledgers that may be meant where there is none: those in the usual folders of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "ledger.sqlite"
_SYSTEM = "/var/lib/recheck-ingest"


def elsewhere(environment: Mapping[str, str] = os.environ, system: str = _SYSTEM) -> str:
    """What to tell who looked for a ledger in vain: which others there are, and how they are
    named; "" if there are none. ``system``: the folder that guides and quickstart use."""
    found = others("", environment, system)
    return "".join(f"; there is one in {each}: --state {each}" for each in found)


def others(
    folder: str, environment: Mapping[str, str] = os.environ, system: str = _SYSTEM
) -> list[str]:
    """The usual folders with a ledger, but for this one."""
    home = environment.get("XDG_STATE_HOME") or os.path.join(
        environment.get("HOME") or "/", ".local/state"
    )
    usual = dict.fromkeys([system, os.path.join(home, "recheck-ingest")])
    return [each for each in usual if _is_there(Path(each, _NAME)) and not _are_same(each, folder)]


def _are_same(one: str, other: str) -> bool:
    return bool(other) and os.path.realpath(one) == os.path.realpath(other)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:  # none, or in a folder that we may not enter
        return False
