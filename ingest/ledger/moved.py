# SPDX-License-Identifier: BSD-3-Clause
"""A ledger that was moved, or is being moved, takes no writes and says where it is now."""

from ingest.errors import StateUnavailable
from ingest.ledger.values import Opening

# What is said while a ledger moves, and when it has.
MOVING, MOVED = "the ledger is being moved to", "the ledger was moved to"


def refuse_moved(why: str, name: str, opening: Opening) -> None:
    """Raise ``StateUnavailable`` for a ledger that takes no writes any more, unless it is opened
    to look at it, or to go on with a move that was broken off."""
    if opening is Opening.LOOK or (opening is Opening.MOVE and why.startswith(MOVING)):
        return
    todo = "run that ledger copy again" if why.startswith(MOVING) else "see [state] ledger"
    raise StateUnavailable(f"nothing is written to {name}: {why}; {todo}")
