# SPDX-License-Identifier: BSD-3-Clause
"""Whether the Patchwork at an address is the one at which requests were begun, at another address
then: its ids mean the same only if it is.
"""

import math
from collections.abc import Sequence

from ingest.config.values import DAY
from ingest.errors import Unanswered
from ingest.ledger import Ledger, Request
from ingest.patchwork.dialect import Dialect

# Of many requests the newest are asked about.
_MOST_ASKED = 3
_YES, _NO = "yes", "no"


def has_come_from(
    dialect: Dialect, ledger: Ledger, before: str, requests: Sequence[Request], now: float
) -> bool:
    """Whether the server was at the address ``before`` when these requests were begun, oldest
    first. What it says is remembered. Raises as ``Dialect`` does."""
    key = f"{dialect.base} has come from {before}"
    known = ledger.recall(key, now)
    if known is None:
        is_same = any(_knows(dialect, each) for each in requests[: -_MOST_ASKED - 1 : -1])
        known = _YES if is_same else _NO
        ledger.remember(key, known, math.inf if is_same else now + DAY)
    return known == _YES


def _knows(dialect: Dialect, request: Request) -> bool:
    """Whether the server has what a request is about under the very ids that it was recorded with:
    by the comment that asked for it, or by what that replied to."""
    about = request.submission
    if not (about.kind and request.parent):  # of one by hand no other server could be told apart
        return False
    try:
        if dialect.said(about.kind, about.id, request.message_id):
            return True
        found = dialect.find(about.kind, request.parent, ()).target
    except Unanswered:
        return False
    return found is not None and (found.id, found.series) == (about.id, request.series)
