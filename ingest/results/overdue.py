# SPDX-License-Identifier: BSD-3-Clause
"""What was asked for and has not been seen to run for too long."""

import logging
from fnmatch import fnmatchcase

from ingest.config.tables import Settings
from ingest.config.values import seconds_for
from ingest.ledger import Ledger, Request, Result, State
from ingest.words import counted

# Requests that are marked in one commit.
_AT_ONCE = 100

log = logging.getLogger(__name__)


def mark(ledger: Ledger, settings: Settings, now: float) -> int:
    """Mark the labels that are overdue at ``now``, a Unix time; how many those were."""
    table = settings.results
    patterns = [seconds_for(each) for each in table.overdue_labels]
    limits = [limit for limit in (table.overdue, *(limit for _, limit in patterns)) if limit]
    if not limits:
        return 0

    def is_overdue(request: Request, result: Result) -> bool:
        of_label = (limit for pattern, limit in patterns if fnmatchcase(result.label, pattern))
        limit = next(of_label, table.overdue)
        silent = result.state in (State.ASKED, State.HANDED_OVER)
        return bool(silent and result.label and limit and now - request.recorded > limit)

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
    age = (request.received or request.recorded) - request.date
    return bool(settings.policy.max_age) and age > settings.policy.max_age
