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
    home = environment.get("XDG_STATE_HOME") or os.path.join(
        environment.get("HOME") or "/", ".local/state"
    )
    folders = dict.fromkeys([system, os.path.join(home, "recheck-ingest")])
    found = [each for each in folders if _is_there(Path(each, _NAME))]
    return "".join(f"; there is one in {each}: --state {each}" for each in found)


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:  # none, or in a folder that we may not enter
        return False
