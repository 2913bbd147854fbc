# SPDX-License-Identifier: BSD-3-Clause
"""What was asked for and has not been seen to run for too long, and when nothing more is waited
for."""

import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase

from ingest.config.tables import ResultsSettings, Settings
from ingest.config.values import seconds_for
from ingest.ledger import Ledger, Request, Result, State
from ingest.words import counted

# Requests that are marked in one commit.
_AT_ONCE = 100

log = logging.getLogger(__name__)


def limit(label: str, table: ResultsSettings) -> float:
    """Seconds after which a label is overdue, 0 for never."""
    patterns = map(seconds_for, table.overdue_labels)
    of_label = (seconds for pattern, seconds in patterns if fnmatchcase(label, pattern))
    return next(of_label, table.overdue)


def is_settled(
    request: Request, results: Iterable[Result], table: ResultsSettings, now: float
) -> bool:
    """Whether nobody waits any more at ``now`` for these results of a request: each is known, or
    overdue, or has been pending for so long that it would be."""

    def is_over(result: Result) -> bool:
        if result.state is State.PENDING:
            longest = limit(result.label, table)
            return bool(longest) and now - max(request.recorded, result.at) > longest
        return result.state not in (State.ASKED, State.HANDED_OVER)

    return all(map(is_over, results))


def mark(ledger: Ledger, settings: Settings, now: float) -> int:
    """Mark the labels that are overdue at ``now``, a Unix time; how many those were."""
    table = settings.results
    patterns = map(seconds_for, table.overdue_labels)
    limits = list(filter(None, (table.overdue, *(seconds for _, seconds in patterns))))
    if not limits:
        return 0

    def is_overdue(request: Request, result: Result) -> bool:
        if result.state not in (State.ASKED, State.HANDED_OVER) or not result.label:
            return False
        longest = limit(result.label, table)
        return bool(longest) and now - request.recorded > longest

    marked, after, since, before = 0, 0, now - table.follow, now - min(limits)
    while page := ledger.results.open(since, before=before, after=after, limit=_AT_ONCE):
        after = page[-1].number
        judged = {each.number: each for each in page if not _was_old(each, settings)}
        late = [
            result
            for result in ledger.results.of(judged)
            if is_overdue(judged[result.request], result)
        ]
        if late:
            with ledger.batch():
                for each in late:
                    overdue = Result(each.request, each.label, State.OVERDUE, now, each.author)
                    marked += ledger.results.tell(overdue)
    if marked:
        log.warning("%s overdue: asked for, and not seen to run", counted(marked, "result"))
    return marked


def _was_old(request: Request, settings: Settings) -> bool:
    """Whether the mail was so old when it came, as those of archives are, that no lab was to run
    what it asks for."""
    if not request.pushed:
        return True
    age = (request.received or request.recorded) - request.date
    return bool(settings.policy.max_age) and age > settings.policy.max_age
