# SPDX-License-Identifier: BSD-3-Clause
"""The rows "copy": a ledger that moves to PostgreSQL and back, against taking its mails in."""

from collections.abc import Iterator
from dataclasses import replace

import ledgers
import postgresql
from measure import Plan, Row, Target, compared, timed

# Mails that ended, for each that has a request.
_ENDED = 19


def measure(plan: Plan) -> Iterator[Row]:
    """One round each way, for it is long."""
    from ingest.config.tables import StateSettings
    from ingest.ledger.moving import move

    mails = plan.size(1_000_000, 2000)
    with postgresql.servers(plan) as made:
        first, server, last = made["sqlite"](), made["postgresql"](), made["sqlite"]()
        took = timed(lambda: _fill(first, mails))
        for name, old, new in (("there", first, server), ("back", server, last)):
            moved = timed(lambda old=old, new=new: move(old, new, StateSettings(), lambda _: None))  # type: ignore[misc]
            kinds = " to ".join(each.partition(":")[0] for each in (old, new))
            yield compared(
                f"copy {name}",
                f"ledger copy of {mails} mails, {kinds}, with their comparison",
                "accepting them in SQLite, 5000 together, and ending one in twenty with a request",
                "s",
                [(moved, took)],
                Target(0.6),
            )


def _fill(url: str, mails: int) -> None:
    from ingest.ledger import Outcome, open_ledger

    ledger = open_ledger(url)
    requests = mails // (_ENDED + 1)
    for first in range(0, mails - requests, 5000):
        those = range(first, min(first + 5000, mails - requests))
        ended = (replace(ledgers.arrival(each), outcome=Outcome.IGNORED) for each in those)
        ledger.accept_all(list(ended))
    ledgers.record(ledger, mails - requests, mails, 997)
    ledger.close()
