# SPDX-License-Identifier: BSD-3-Clause
"""What commands print: for a person at a terminal or, with ``--json``, for a program.

Every character goes through ``words.harmless`` or ``words.as_json``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ingest import signs
from ingest.policy import selection
from ingest.story import health
from ingest.story.consumers import BatchState
from ingest.story.feeds import FeedState, Seen
from ingest.story.overview import jsonable
from ingest.story.status import Database, Status
from ingest.words import ago, as_json, counted, harmless, listed, moment, times, utc

if TYPE_CHECKING:
    from rich.text import Text

    from ingest.commands import catch_up
    from ingest.commands.finding import Finding
    from ingest.commands.replay import Rehearsal, Summary
    from ingest.patchwork.dialect import Target

# A text, or a text and its style.
Part = str | tuple[str, str]

# What is not well yet, and not wrong: an orange that can be read on white, too, as yellow cannot.
ATTENTION = "color(166)"

_COLOURS = {
    "done": "green",
    "recorded": "green",
    "handed over": "green",
    "queued": ATTENTION,
    "notice": ATTENTION,
    "waits": ATTENTION,
    "unresolved": "red",
    "failed": "red",
    "rejected": "red",
    "skipped": "red",
    "success": "green",
    "pending": ATTENTION,
    "warning": ATTENTION,
    "fail": "red",
    "cancelled": "red",
    "overdue": "red",
}
_LEVELS = {"ok": "green", "warning": ATTENTION, "problem": "red"}
# What stands before the text of a line: blanks, or a name or time with two blanks behind it.
_BEGINNING = re.compile(r" *(?:\S(?:\S| (?! )){0,27}  +)?")
# Characters that are left for the text, else a line is not wrapped.
_NARROWEST = 30
_MOST_REASONS = 12
_MOST_WARNINGS = 12
_MOST_NOTICES = 5


class Printer:
    """Prints lines on standard output, in colours if that is a terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # what prints JSON has no use for it

        # Mails' ids and reasons are long; they are not to be wrapped in a pipe or a log.
        self._console = Console(highlight=False, soft_wrap=True, emoji=False)

    def line(self, *parts: Part, as_is: bool = False) -> None:
        """Print one line. On a terminal a longer one is wrapped between words, its further lines
        below its text; ``as_is``: it is to be copied, and is left to the terminal."""
        from rich.text import Text

        text = Text()
        for part in parts:
            said, style = (part, "") if isinstance(part, str) else part
            text.append(harmless(said), style)
        for each in [text] if as_is or not self._console.is_terminal else self._wrapped(text):
            self._console.print(each)

    def _wrapped(self, text: "Text") -> "list[Text]":
        from rich.text import Text

        width = self._console.width
        begun = _BEGINNING.match(text.plain)
        indent = begun.end() if begun else 0
        if text.cell_len <= width or width - indent < _NARROWEST:
            return [text]
        head, rest = text.divide([indent]) if indent else (Text(), text)
        hanging = Text(" " * (indent if head.plain.strip() else indent + 2))
        pieces = rest.divide(_breaks(rest.plain, width - len(hanging)))
        for piece in pieces:
            piece.rstrip()
        return [(hanging if number else head) + piece for number, piece in enumerate(pieces)]


def _breaks(text: str, width: int) -> list[int]:
    """Where a text is broken into lines of so many columns: between words only, for what is longer
    than a line is to be copied."""
    from rich.cells import cell_len

    found, column = [], 0
    for word in re.finditer(r"\S+\s*", text):
        if column and column + cell_len(word[0].rstrip()) > width:
            found.append(word.start())
            column = 0
        column += cell_len(word[0])
    return found


def print_json(value: Any) -> None:
    """Print a value, of which ``story`` or ``dataclasses`` may have made the parts."""
    print(as_json(jsonable(value)))


def coloured(word: str, text: str | None = None) -> tuple[str, str]:
    """A word, or a text that stands for it, in the colour of what it means."""
    return text or word, _COLOURS.get(word, "")


def trouble(text: str | None) -> tuple[Part, ...]:
    """What hinders something, behind it in red."""
    return (": ", (text, "red")) if text else ()


def when(at: datetime | None) -> str:
    """A time in this machine's zone, or that there was none."""
    return moment(at.timestamp()) if at else "never"


def replayed(
    summary: "Summary", rehearsals: "Sequence[Rehearsal]" = (), *, in_json: bool = False
) -> None:
    """A replay's summary, in JSON with the requests that a dry run found."""
    if in_json:
        found = {"found": [_rehearsal(each) for each in rehearsals]} if summary.dry else {}
        print_json({**asdict(summary), "reasons": _reasons(summary), **found})
        return
    out = Printer()
    for warning in summary.warnings[:_MOST_WARNINGS]:
        out.line(("warning:", ATTENTION), f" {warning}")
    if (more := len(summary.warnings) - _MOST_WARNINGS) > 0:
        out.line(("warning:", ATTENTION), f" … and {more} more; --json has all")
    out.line(
        f"{counted(summary.mails, 'mail')}, {summary.possible} could hold a request, "
        f"{summary.duplicates} known already"
        + (f", {summary.older} older than --since" if summary.older else "")
    )
    _worked_off(out, summary)


def _rehearsal(rehearsal: "Rehearsal") -> dict[str, Any]:
    made = rehearsal.decision
    return {
        "where": rehearsal.where,
        "message_id": rehearsal.message_id or None,
        "outcome": made.outcome,
        "reason": made.reason or None,
        "wanted": made.wanted,
        "target": made.target and _target(made.target),
    }


def _target(target: "Target") -> dict[str, Any]:
    return {
        "series": target.series,
        "revision": target.revision or None,
        "server": target.server or None,
        "kind": target.kind,
        "id": target.id,
        "project": target.project or None,
    }


def _reasons(summary: "Summary") -> list[dict[str, Any]]:
    return [
        {"outcome": outcome, "reason": reason, "mails": number}
        for outcome, reasons in summary.reasons.items()
        for reason, number in reasons.items()
    ]


def _worked_off(out: Printer, summary: "Summary") -> None:
    would = "would be " if summary.dry else ""
    noun = "request" if summary.recorded == 1 else "requests"
    out.line(coloured("recorded", str(summary.recorded)), f" {noun} {would}recorded")
    for sink, number in summary.passed_over.items():
        old = "is older than [policy] max_age" if number == 1 else "are older than [policy] max_age"
        out.line(f"  {number} {old}: {sink} passes over, unless you run: retry --sink {sink}")
    for outcome, reasons in summary.reasons.items():
        if outcome == "done":
            continue
        shown = "waiting for Patchwork" if outcome == "queued" else outcome
        mails = counted(sum(reasons.values()), "mail")
        out.line(f"{mails} {would}", coloured(outcome, shown))
        frequent = sorted(reasons.items(), key=lambda item: -item[1])[:_MOST_REASONS]
        for reason, count in frequent:
            out.line(f"  {count} × {reason}")
        if len(reasons) > _MOST_REASONS:
            out.line(f"  … and {len(reasons) - _MOST_REASONS} more reasons (see show)")
    if summary.worker_elsewhere:
        out.line("another worker is running on this ledger; it works off what was queued")


def caught_up(summary: "catch_up.Summary", *, in_json: bool = False) -> None:
    """What catching up came to."""
    haul, work = summary.haul, summary.work
    if in_json:
        own = {key: value for key, value in asdict(summary).items() if key not in ("haul", "work")}
        print_json(
            {
                **own,
                "since": utc(summary.since),
                "problem": summary.problem or None,
                **asdict(haul),
                "recorded": work.recorded,
                "reasons": _reasons(work),
                "worker_elsewhere": work.worker_elsewhere,
            }
        )
        return
    out = Printer()
    out.line(f"{counted(haul.events, 'comment event')} since {moment(summary.since)}")
    if summary.recent:
        part = f"of {summary.walked} of {counted(summary.recent, 'recent submission')}"
        rest = "; the others have their turn in later runs" * (summary.walked < summary.recent)
        out.line(f"this server has no events of comments: those {part} were read{rest}")
    known = f"{haul.known} known already, {haul.fetched} fetched"
    seldom = (
        (haul.deleted, "deleted meanwhile"),
        (haul.rejected, "too large"),
        (len(haul.problems), "to be asked for again"),
        (haul.given_up, "given up"),
    )
    out.line(", ".join([known, *(f"{count} {what}" for count, what in seldom if count)]))
    out.line(f"{haul.dropped} cannot hold a request, ", coloured("queued", f"{haul.queued} queued"))
    if not (summary.moved or summary.problem):
        out.line("the next run begins no later: what was filed before --since is still open")
    _worked_off(out, work)


def rehearsed(rehearsal: "Rehearsal") -> None:
    """One line of a dry run."""
    made = rehearsal.decision
    if made.wanted is None:
        return
    name = f"<{rehearsal.message_id}>" if rehearsal.message_id else rehearsal.where
    reason = f" ({made.outcome}: {made.reason})" if made.reason and not made.target else ""
    Printer().line(f"{name} {selection.summary(made.wanted, made.target)}{reason}")


def checked(findings: "Iterable[Finding]", *, in_json: bool = False) -> "list[Finding]":
    """Findings, each as soon as it is there; all of them, for the exit code."""
    out = Printer()
    seen = []
    for each in findings:
        seen.append(each)
        if not in_json:
            out.line((f"{each.level:8}", _LEVELS[each.level]), f" {each.what}: {each.text}")
    if in_json:
        print_json([{"level": f.level, "what": f.what, "text": f.text} for f in seen])
    return seen


def _database(out: Printer, database: Database) -> None:
    missing = database.streaming < database.wanted
    streaming = counted(database.streaming, "synchronous standby")
    said = f"{streaming} streaming, {database.wanted} wanted"
    out.line(f"database   PostgreSQL {database.version}; ", (said, "red" if missing else ""))
    for each in database.standbys:
        kind = "synchronous" if each.synchronous else "asynchronous"
        how = "streams" if each.streaming else "does not stream"
        behind = f"{counted(each.behind, 'byte')} behind"
        out.line(f"           standby {each.name}: {kind}, {how}, {behind}")
    if apart := health.clocks_apart(database.clock_ahead):
        out.line("clock      ", (apart, ATTENTION))


def status(status: Status, *, in_json: bool = False) -> None:
    """The ledger at a glance."""
    if in_json:
        print_json(status)
        return
    out = Printer()
    out.line(f"ledger     {status.ledger}")
    if status.database:
        _database(out, status.database)
    for folder in status.other_ledgers:
        out.line("           ", (f"there is another ledger: --state {folder}", ATTENTION))
    for server in status.servers:
        name = f"{server.name} " if server.name else ""
        since = f"down since {when(server.down)}: {server.reason}"
        down: tuple[Part, ...] = (", ", (since, "red")) if server.down else ()
        out.line(f"patchwork  {name}{server.url}", *down)
        for lacks in server.cannot:
            out.line(f"           it {lacks}")
    _mails(out, status)
    if status.spooled and status.spooled.mails:
        since = when(status.spooled.oldest)
        said = f"{counted(status.spooled.mails, 'mail')} not in the ledger yet, since {since}"
        out.line("spool      ", (said, "red"))
    out.line(f"last mail  {when(status.last_received)}")
    for server in status.servers:
        if server.answered:
            out.line(f"answered   by {server.name or 'Patchwork'} {when(server.answered)}")
    if status.worked:
        out.line(f"worked     {when(status.worked)}")
    for seen in status.seen:
        _seen(out, seen, status.now)
    for notice in status.notices[:_MOST_NOTICES]:
        out.line("notice     ", (f"{when(notice.received)} {notice.text}", ATTENTION))
        out.line(f"           {notice.name}")
    if (more := len(status.notices) - _MOST_NOTICES) > 0:
        out.line(f"           … and {counted(more, 'older notice')}")
    for each in status.troubles:
        said = f"{each.name} since {when(each.since)}: {each.reason}"
        out.line("trouble    ", (said, "red"))
    out.line(f"requests   {status.requests}")
    if status.overdue:
        late = counted(status.overdue, "label")
        out.line("overdue    ", (f"{late} asked for and not seen to run", "red"))
    if status.catch_up:
        out.line(f"caught up  {when(status.catch_up.moved)}", *trouble(status.catch_up.reason))
    for feed in status.feeds:
        out.line(f"feed       {_fed(feed, status.now)}", *trouble(feed.trouble))
    for sink in status.sinks:
        out.line(f"sink       {sink.name} {sink.state}", *trouble(sink.trouble))
    for consumer in status.consumers:
        out.line(f"consumer   {consumer.name} {consumer.state}")
    for batch in status.held:
        out.line(f"held       {_held(batch, status.now)}")


def _held(batch: BatchState, now: datetime) -> str:
    left = (batch.due - now).total_seconds()
    again = f"due again in {ago(left)}" if left > 0 else "due again now"
    return f"{batch.id} given {times(batch.given)}, {again}"


def consumers(status: Status, *, in_json: bool = False) -> None:
    """Who takes requests, how far each has come, and what it has not confirmed."""
    held = {
        each.name: [batch for batch in status.held if batch.consumer == each.name]
        for each in status.consumers
    }
    if in_json:
        print_json([jsonable(each) | {"held": held[each.name]} for each in status.consumers])
        return
    out = Printer()
    for each in status.consumers:
        out.line((each.name, "bold"), f" {each.state}, took last {when(each.moved)}")
        for batch in held[each.name]:
            out.line(f"  held: {_held(batch, status.now)}")


def _seen(out: Printer, seen: Seen, now: datetime) -> None:
    """A sign of life."""
    name = {None: "other lists", "": "no list"}.get(seen.list) or f"list {seen.list}"
    if seen.source == signs.ARCHIVES:
        name = "archives"
    said = f"{seen.source}, {name}: last mail {ago((now - seen.last).total_seconds())} ago"
    silent = ("silent for longer than ever", "red")
    out.line(f"seen       {said}, seen {seen.mails}", *((", ", silent) if seen.silent else ()))


def _fed(feed: FeedState, now: datetime) -> str:
    read = f"read {ago((now - feed.read).total_seconds())} ago" if feed.read else "never read"
    at = f", epoch {feed.part}" if feed.part else ""
    return f"{feed.name} {read}{at}{f', failed {times(feed.failures)} since' * (feed.failures > 0)}"


def _mails(out: Printer, status: Status) -> None:
    parts: list[Part] = []
    for name, number in status.mails.items():
        if number:
            parts += [", ", coloured(name, f"{number} {name}")]
    out.line("mails      ", *(parts[1:] or ["none yet"]))
    if status.oldest and status.due:
        left = (status.due - status.now).total_seconds()
        waiting = listed(f"{n} {name}" for name, n in status.waiting.items() if n)
        out.line(
            f"queue      oldest {ago((status.now - status.oldest).total_seconds())} old, "
            f"next due {f'in {ago(left)}' if left > 0 else 'now'}"
            + (f", waiting: {waiting}" if waiting else "")
        )
