# SPDX-License-Identifier: BSD-3-Clause
"""What the charts show: requests per day, how long they take, and the labels that are asked for
most. Pure: requests and results in, charts out.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from ingest.ledger import Request, Result, State
from ingest.web.charts import Chart

DAYS = 30
_MOST_LABELS = 10
_ENDS = (State.SUCCESS, State.WARNING, State.FAIL, State.CANCELLED)
# Bounds in seconds, and what lies below them.
_RECORD = ((2, "2 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"))
_RESULT = ((600, "10 min"), (3600, "1 h"), (4 * 3600, "4 h"), (86400, "1 d"), (7 * 86400, "7 d"))
_LONGER = "more"


def charts(requests: Sequence[Request], results: Iterable[Result], now: float) -> tuple[Chart, ...]:
    """All charts, of the requests of the last ``DAYS`` days before ``now``, a Unix time."""
    today = datetime.fromtimestamp(now, UTC).date()
    first = today - timedelta(DAYS - 1)
    recent = [each for each in requests if _day(each.recorded) >= first]
    days = Counter(_day(each.recorded) for each in recent)
    per_day = [(first + timedelta(number)) for number in range(DAYS)]
    recorded = {each.number: each.recorded for each in recent}
    to_record = [each.recorded - each.received for each in recent if each.received]
    to_result = [
        each.at - recorded[each.request]
        for each in results
        if each.request in recorded and each.state in _ENDS
    ]
    labels = Counter(label for each in recent for label in each.contexts)
    most = sorted(labels.items(), key=lambda item: (-item[1], item[0]))[:_MOST_LABELS]
    return (
        Chart(
            *("days", "Requests per day", f"of the last {DAYS} days, in UTC", "Day"),
            tuple((day.isoformat(), days[day]) for day in per_day),
        ),
        Chart(
            *("record", "From mail to record", "requests, by the time until recorded", "At most"),
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
