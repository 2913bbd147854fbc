# SPDX-License-Identifier: BSD-3-Clause
"""What ``stats`` prints: requests and results in figures, for a person."""

import argparse
import time
from collections.abc import Iterable, Sequence
from contextlib import closing

from rich.cells import cell_len, set_cell_size

from ingest import look
from ingest.commands.report import Printer, print_json
from ingest.commands.settings import settings_of
from ingest.errors import EX_OK, NothingFound
from ingest.ledger import Opening, State, open_configured
from ingest.story.results import name
from ingest.story.stats import COUNTED, Figures, Share, Stats, Times
from ingest.words import ago, clipped, counted, harmless, listed, moment

# Columns of a label, and weeks and labels that are printed; --json has all.
_LABEL, _MOST_WEEKS, _MOST_LABELS = 40, 12, 30
# What stands in a column where there is nothing.
_NOTHING = frozenset(("0", "0 of 0", "-"))


def run(arguments: argparse.Namespace) -> int:
    """The command ``stats``."""
    settings, now = settings_of(arguments), time.time()
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        stats = look.stats(ledger, settings, arguments.since or 0.0, now)
    if arguments.json:
        print_json(stats)
    elif stats.total.requests:
        show(stats)
    if not stats.total.requests:
        raise NothingFound("there is no request in that time")
    return EX_OK


def show(stats: Stats) -> None:
    """The figures as text."""
    out = Printer()
    total = stats.total
    since = f" since {moment(stats.since.timestamp())}" if stats.since else ""
    labels = counted(total.labels, "label")
    out.line(f"requests     {total.requests}{since}, {labels} asked for")
    out.line(f"results      {_share(total.ended)} have one; in all {_states(total)}")
    if total.states.get(State.ASKED):
        out.line("             asked: not seen to be taken, as by a lab that only reads the file")
    if total.turned.of:
        out.line(f"turned       {_share(total.turned)} that had failed succeeded, same version")
    out.line(f"handed over  {_times(total.handed_over)}")
    out.line(f"result       {_times(total.result)}")
    out.line("")
    shown = stats.labels[:_MOST_LABELS]
    _table(out, "label", ((_label(each.label), each.figures) for each in shown))
    if more := stats.more + len(stats.labels) - len(shown):
        out.line(f"… and {counted(more, 'label')} more")
    out.line("")
    _table(out, "week", ((each.week, each.figures) for each in stats.weeks[-_MOST_WEEKS:]))
    if stats.waiting:
        out.line("")
        out.line("waiting longest")
    for waiting in stats.waiting:
        asked = clipped(listed(waiting.labels) or "arguments", 60)
        long = ago((stats.until - waiting.since).total_seconds())
        who = f"request {waiting.request} for series {waiting.series} by {waiting.requester}"
        out.line(f"  {long:>6}  {who}: {asked}")
    if stats.waited:
        out.line("")
        out.line("waited longest for results")
    for waited in stats.waited:
        out.line(f"  {_ago(waited.result.median):>6}  {waited.requester}, {_often(waited.result)}")


def _label(label: str | None) -> str:
    """A label in so many columns at most."""
    shown = harmless(name(label))
    cut = cell_len(shown) > _LABEL
    return f"{set_cell_size(shown, _LABEL - 1).rstrip()}…" if cut else shown


def _table(out: Printer, head: str, rows: Iterable[tuple[str, Figures]]) -> None:
    """Figures one a line, below the heads of their columns. Columns without any are left out."""
    heads = [head, "asked", *COUNTED, "open", "turned", "handed over", "result"]
    columns_of = zip(heads, *([first, *_cells(figures)] for first, figures in rows), strict=True)
    lines = [*zip(*(each for each in columns_of if not _NOTHING.issuperset(each[1:])), strict=True)]
    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(lines[0]))]
    for first, *others in lines:
        columns = (f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True))
        out.line(f"{set_cell_size(first, widths[0])}  {'  '.join(columns)}")


def _cells(figures: Figures) -> Sequence[str]:
    return [
        str(figures.labels),
        *(str(figures.states.get(state, 0)) for state in COUNTED),
        str(figures.open),
        f"{figures.turned.count} of {figures.turned.of}",
        _ago(figures.handed_over.median),
        _ago(figures.result.median),
    ]


def _states(figures: Figures) -> str:
    return ", ".join(f"{number} {state}" for state, number in figures.states.items())


def _share(share: Share) -> str:
    part = "" if share.share is None else f" ({share.share:.1%})"
    return f"{share.count} of {share.of}{part}"


def _times(times: Times) -> str:
    if times.median is None:
        return "not yet"
    return f"half within {_ago(times.median)}, 9 of 10 within {_ago(times.most)}, {_often(times)}"


def _often(times: Times) -> str:
    return f"of {counted(times.count, 'label')}"


def _ago(seconds: float | None) -> str:
    return "-" if seconds is None else ago(seconds)
