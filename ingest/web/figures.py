# SPDX-License-Identifier: BSD-3-Clause
"""What the charts show: requests per day, how long they take, and the labels that are asked for
most. Pure: runs and requests of the ledger in, charts out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from ingest.ledger import Request, Run
from ingest.story.stats import ENDS
from ingest.web.charts import Chart

DAYS = 30
_MOST_LABELS = 10
# Bounds in seconds, and what lies below them.
_RECORD = ((2, "2 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"))
_RESULT = ((600, "10 min"), (3600, "1 h"), (4 * 3600, "4 h"), (86400, "1 d"), (7 * 86400, "7 d"))
_LONGER = "more"


def charts(runs: Sequence[Run], requests: Iterable[Request], now: float) -> tuple[Chart, ...]:
    """All charts. ``runs``: the labels of the requests of the last ``DAYS`` days before ``now``, a
    Unix time; ``requests``: the newest of these."""
    first = _day(now) - timedelta(DAYS - 1)
    recorded = {each.request: each.recorded for each in runs}
    days = Counter(map(_day, recorded.values()))
    to_record = (each.recorded - each.received for each in requests if each.received)
    to_result = (each.at - each.recorded for each in runs if each.state in ENDS)
    labels = Counter(each.label for each in runs if each.label)
    most = sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LABELS]
    return (
        Chart(
            *("days", "Requests per day", "in UTC", "Day"),
            tuple(
                (day.isoformat(), days[day])
                for day in (first + timedelta(number) for number in range(DAYS))
            ),
        ),
        Chart(
            *(
                "record",
                "From mail to record",
                "the newest requests, by the time until recorded",
                "At most",
            ),
            _spread(to_record, _RECORD),
        ),
        Chart(
            *("result", "From record to result", "labels, by the time until a result", "At most"),
            _spread(to_result, _RESULT),
        ),
        Chart(
            *("labels", "Labels asked for most", "how often each was asked for", "Label"),
            tuple(most),
        ),
    )


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _spread(
    seconds: Iterable[float], bounds: Sequence[tuple[int, str]]
) -> tuple[tuple[str, int], ...]:
    """How many times are within each bound and above the one before."""
    counts = Counter(
        next((name for bound, name in bounds if each <= bound), _LONGER) for each in seconds
    )
    return tuple((name, counts[name]) for name in (*(name for _, name in bounds), _LONGER))
