# SPDX-License-Identifier: BSD-3-Clause
"""Requests and their results in figures: by label, by week and by requester.

Pure: runs of the ledger in, frozen values out. Beside every share stand the counts that it is of.
Durations are seconds, weeks are ISO 8601's in UTC.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.ledger import Run, State
from ingest.words import utc

# States that are the end of a label.
ENDS = (State.SUCCESS, State.WARNING, State.FAIL, State.CANCELLED)
# States that are counted one by one; what is in none of them is open.
COUNTED = (*ENDS, State.OVERDUE)
# Anybody can ask for labels of any name, under any name of his own.
_MOST_LABELS, _MOST_WAITING = 100, 10


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, and the share that this is, None of nothing."""

    count: int
    of: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, so often: the half of all took ``median`` seconds at most, and nine
    of ten ``most``; both None of nothing."""

    count: int
    median: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """So many ``requests`` asked for so many ``labels``. ``states``: what became of them;
    ``ended``: those that have come to an end; ``turned``: of those that had failed before they
    were asked for and ended since, the ones that succeeded, without a new version of the series;
    ``handed_over`` and ``result``: how long after its recording a request was handed over, and had
    its result."""

    requests: int
    labels: int
    states: Mapping[str, int]
    ended: Share
    turned: Share
    handed_over: Times
    result: Times

    @property
    def open(self) -> int:
        """How many labels have a result still to come, and are not overdue."""
        return self.labels - sum(self.states.get(state, 0) for state in COUNTED)


@dataclass(frozen=True, slots=True)
class OfWeek:
    """The figures of the requests of one week, such as "2026-W48"."""

    week: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class OfLabel:
    """The figures of one label, None for arguments alone, in all and week by week."""

    label: str | None
    figures: Figures
    weeks: tuple[OfWeek, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for results of these ``labels``, since it was recorded."""

    request: int
    series: int
    requester: str
    labels: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Waited:
    """How long one requester waited for results."""

    requester: str
    result: Times


@dataclass(frozen=True, slots=True)
class Stats:
    """All figures of the requests from ``since`` (None: the first) to ``until``. ``labels``: the
    most asked for first, with ``more`` that are left out; ``waiting``: the requests that have
    waited longest and wait still; ``waited``: who waited longest for results."""

    since: datetime | None
    until: datetime
    total: Figures
    weeks: tuple[OfWeek, ...]
    labels: tuple[OfLabel, ...]
    more: int
    waiting: tuple[Waiting, ...]
    waited: tuple[Waited, ...]


def of(runs: Sequence[Run], since: float, now: float, follow: float) -> Stats:
    """The figures of these runs, which are in the order of their requests' numbers. ``since``: the
    Unix time from which on they are, 0 for all; ``follow``: seconds for which a request is
    followed: nobody waits any more for what is older."""
    earlier = _earlier(runs)
    by_label: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_label[run.label].append(run)
    order = sorted(by_label, key=lambda label: (-len(by_label[label]), label))
    return Stats(
        since=utc(since) if since else None,
        until=utc(now),
        total=_figures(runs, earlier),
        weeks=_weeks(runs, earlier),
        labels=tuple(
            OfLabel(
                label=each or None,
                figures=_figures(by_label[each], earlier),
                weeks=_weeks(by_label[each], earlier),
            )
            for each in order[:_MOST_LABELS]
        ),
        more=max(len(order) - _MOST_LABELS, 0),
        waiting=_waiting(runs, now - follow),
        waited=_waited(runs),
    )


# Which run it is, by request and label, and what its label's checks said before it.
_Earlier = Mapping[tuple[int, str], str]


def _earlier(runs: Iterable[Run]) -> _Earlier:
    """What each label's result was before its request: what its checks said, or where nobody
    looked, how the request before it for the same revision of the series ended."""
    found: dict[tuple[int, str], str] = {}
    last: dict[tuple[object, ...], str] = {}
    for run in runs:
        version = run.server, run.series, run.revision, run.label
        found[run.request, run.label] = run.earlier or last.get(version, "")
        if run.state in ENDS:
            last[version] = run.state.value
    return found


def _figures(runs: Sequence[Run], earlier: _Earlier) -> Figures:
    ended = [each for each in runs if each.state in ENDS]
    had_failed = [each for each in ended if earlier[each.request, each.label] == State.FAIL]
    states = Counter(each.state.value for each in runs)
    return Figures(
        requests=len({each.request for each in runs}),
        labels=len(runs),
        states={state.value: states[state.value] for state in State if states[state.value]},
        ended=_share(len(ended), len(runs)),
        turned=_share(sum(e.state is State.SUCCESS for e in had_failed), len(had_failed)),
        handed_over=_times(e.handed - e.recorded for e in runs if e.handed),
        result=_times(e.at - e.recorded for e in ended),
    )


def _weeks(runs: Iterable[Run], earlier: _Earlier) -> tuple[OfWeek, ...]:
    by_week: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        year, week, _ = utc(run.recorded).isocalendar()
        by_week[f"{year}-W{week:02}"].append(run)
    return tuple(OfWeek(week, _figures(those, earlier)) for week, those in sorted(by_week.items()))


def _waiting(runs: Iterable[Run], since: float) -> tuple[Waiting, ...]:
    those: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        if run.state not in ENDS and run.recorded >= since:
            those[run.request].append(run)
    longest = sorted(those.values(), key=lambda runs: (runs[0].recorded, runs[0].request))
    return tuple(
        Waiting(
            request=first.request,
            series=first.series,
            requester=first.requester,
            labels=tuple(each.label for each in (first, *rest) if each.label),
            since=utc(first.recorded),
        )
        for first, *rest in longest[:_MOST_WAITING]
    )


def _waited(runs: Iterable[Run]) -> tuple[Waited, ...]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if run.state in ENDS:
            seconds[run.requester].append(run.at - run.recorded)
    made = [Waited(requester, _times(those)) for requester, those in seconds.items()]
    made.sort(key=lambda each: (-(each.result.median or 0.0), each.requester))
    return tuple(made[:_MOST_WAITING])


def _share(count: int, of: int) -> Share:
    return Share(count, of, count / of if of else None)


def _times(seconds: Iterable[float]) -> Times:
    """The nearest rank of each quantile: a time that really was."""
    ordered = sorted(max(each, 0.0) for each in seconds)  # a clock may have been set back

    def quantile(part: float) -> float | None:
        return ordered[math.ceil(part * len(ordered)) - 1] if ordered else None

    return Times(len(ordered), quantile(0.5), quantile(0.9))
