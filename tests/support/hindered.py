# SPDX-License-Identifier: BSD-3-Clause
"""A ledger in which not every mail can be kept."""

from collections.abc import Sequence
from typing import Any

from ingest.ledger import Arrival, Ledger


class Hindered:
    """A ledger that some mails hinder, whoever gives them to it together with others."""

    def __init__(self, ledger: Ledger, hindrance: Exception, *ids: str) -> None:
        self._ledger, self._hindrance, self._ids = ledger, hindrance, ids

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        if any(each.message_id in self._ids for each in arrivals):
            raise self._hindrance
        return self._ledger.accept_all(arrivals)

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        return self.accept_all([arrival])[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)
