# SPDX-License-Identifier: BSD-3-Clause
"""How often a person is told of requests. Pure. What anybody may send in somebody's name does not
keep that person from being told of what is proved to be the own.
"""

from collections.abc import Iterable

from ingest.config.values import DAY
from ingest.ledger import Request
from ingest.value import Value


class Manners(Value):
    """``per_day``: of one address's requests within a day, how many are told of, 0 for all;
    ``series_interval``: seconds in which one series is told of once to one address, 0 for always.
    """

    per_day: int = 0
    series_interval: float = 0.0

    def too_many(self, request: Request, before: Iterable[Request]) -> str:
        """Why a request is one too many for a day, "" if it is not. ``before``: those that were
        recorded before it."""
        who = request.requester.address.lower()
        if not self.per_day or not who:
            return ""
        since = request.recorded - DAY
        count = sum(each.recorded > since for each in _alike(request, before))
        if count < self.per_day:
            return ""
        return f"{count} requests of {who} came within a day before it, which is the most (per_day)"

    def too_soon(self, request: Request, before: Iterable[Request]) -> str:
        """Why a request comes too soon after another one for its series, "" if it does not.
        ``before``: the requests for its series that were recorded before it, in order."""
        told: Request | None = None
        for each in _alike(request, before):
            if told is None or each.recorded - told.recorded >= self.series_interval:
                told = each
        if told is None or request.recorded - told.recorded >= self.series_interval:
            return ""
        who, series = request.requester.address, request.series
        return f"{who} was told of series {series} just before, by request {told.number}"


def _alike(request: Request, before: Iterable[Request]) -> Iterable[Request]:
    """The requests of the same address; of one whose author was proved those that are, too."""
    who = request.requester.address.lower()
    return (
        each
        for each in before
        if each.number < request.number
        and each.requester.address.lower() == who
        and (each.trust.author or not request.trust.author)
    )
