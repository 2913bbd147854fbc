# SPDX-License-Identifier: BSD-3-Clause
"""What commands print, for a person at a terminal or, with ``--json``, for a program.

Values in, text out; called by ``cli`` and ``demo``.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from ingest import policy, sink_states
from ingest.background import Trouble
from ingest.config.tables import Settings
from ingest.handover import batches
from ingest.ledger import Cursor, Event, Record, Request, Totals
from ingest.sink_states import is_sink
from ingest.sinks import delivery
from ingest.words import ago, asked_for, counted, moment

if TYPE_CHECKING:
    from ingest.commands import catch_up
    from ingest.commands.check import Finding
    from ingest.commands.replay import Rehearsal, Summary

_COLOURS = {
    "done": "green",
    "recorded": "green",
    "handed over": "green",
    "queued": "yellow",
    "waits": "yellow",
    "unresolved": "red",
    "failed": "red",
    "rejected": "red",
    "skipped": "red",
}
_MOST_REASONS = 12


def _console() -> Console:
    # Mails' ids and reasons are long; they are not to be wrapped in a pipe or a log.
    return Console(highlight=False, soft_wrap=True, emoji=False)


def _coloured(word: str, text: str | None = None) -> str:
    colour = _COLOURS.get(word)
    shown = escape(text or word)
    return f"[{colour}]{shown}[/]" if colour else shown


def _json(value: Any) -> None:
    print(json.dumps(value, indent=4, ensure_ascii=False))


def _moment(at: float) -> str:
    return moment(at) if at else "never"


def replayed(
    summary: "Summary", rehearsals: "Sequence[Rehearsal]" = (), *, as_json: bool = False
) -> None:
    """A replay's summary, in JSON with the requests that a dry run found."""
    if as_json:
        found = {"found": [_rehearsal(each) for each in rehearsals]} if summary.dry else {}
        _json({**asdict(summary), **found})
        return
    console = _console()
    for warning in summary.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    console.print(
        f"{counted(summary.mails, 'mail')}, {summary.possible} could hold a request, "
        f"{summary.duplicates} known already"
    )
    _worked_off(console, summary)


def _rehearsal(rehearsal: "Rehearsal") -> dict[str, Any]:
    made = rehearsal.decision
    return {
        "where": rehearsal.where,
        "message_id": rehearsal.message_id or None,
        "outcome": made.outcome,
        "reason": made.reason or None,
        "wanted": asdict(made.wanted) if made.wanted else None,
        "target": asdict(made.target) if made.target else None,
    }


def _worked_off(console: Console, summary: "Summary") -> None:
    would = "would be " if summary.dry else ""
    noun = "request" if summary.recorded == 1 else "requests"
    console.print(f"{_coloured('recorded', str(summary.recorded))} {noun} {would}recorded")
    for outcome, reasons in summary.reasons.items():
        if outcome == "done":
            continue
        shown = "waiting for Patchwork" if outcome == "queued" else outcome
        mails = counted(sum(reasons.values()), "mail")
        console.print(f"{mails} {would}{_coloured(outcome, shown)}")
        frequent = sorted(reasons.items(), key=lambda item: -item[1])[:_MOST_REASONS]
        for reason, count in frequent:
            console.print(f"  {count} × {escape(reason)}")
        if len(reasons) > _MOST_REASONS:
            console.print(f"  … and {len(reasons) - _MOST_REASONS} more reasons (see show)")
    if summary.worker_elsewhere:
        console.print("another worker is running on this ledger and works off what was queued")


def caught_up(summary: "catch_up.Summary", *, as_json: bool = False) -> None:
    """What catching up came to."""
    haul, work = summary.haul, summary.work
    if as_json:
        own = {key: value for key, value in asdict(summary).items() if key not in ("haul", "work")}
        of_work = ("recorded", "reasons", "worker_elsewhere")
        _json({**own, **asdict(haul), **{key: asdict(work)[key] for key in of_work}})
        return
    console = _console()
    found = counted(haul.events, "comment event")
    console.print(f"{found} since {_moment(summary.since)}")
    known = f"{haul.known} known already, {haul.fetched} fetched"
    seldom = (
        (haul.deleted, "deleted meanwhile"),
        (haul.rejected, "too large"),
        (len(haul.problems), "to be asked for again"),
        (haul.given_up, "given up"),
    )
    console.print(", ".join([known, *(f"{count} {what}" for count, what in seldom if count)]))
    queued = _coloured("queued", f"{haul.queued} queued")
    console.print(f"{haul.dropped} cannot hold a request, {queued}")
    if not (summary.moved or summary.problem):
        console.print("the next run begins no later for it: what came before --since is still open")
    _worked_off(console, work)


def rehearsed(rehearsal: "Rehearsal") -> None:
    """One line of a dry run."""
    made = rehearsal.decision
    if made.wanted is None:
        return
    series = made.target.series if made.target else None
    name = f"<{rehearsal.message_id}>" if rehearsal.message_id else rehearsal.where
    reason = f" ({made.outcome}: {made.reason})" if made.reason and not made.target else ""
    _console().print(escape(f"{name} {policy.summary(made.wanted, series)}{reason}"))


def status(
    totals: Totals,
    settings: Settings,
    answered: float,
    troubles: Sequence[Trouble] = (),
    *,
    now: float,
    as_json: bool = False,
) -> None:
    """The ledger at a glance. ``answered``: the Unix time of Patchwork's last usable answer;
    ``troubles``: what keeps parts of the service from their work."""
    sinks = delivery.wanted(settings)
    if as_json:
        _json(
            {
                **asdict(totals),
                "cursors": [
                    {
                        **asdict(cursor),
                        "lag": totals.last_request - cursor.position,
                        **({"configured": cursor.name in sinks} if is_sink(cursor) else {}),
                    }
                    for cursor in _of_requests(totals.cursors)
                ],
                "held": [
                    {"id": batch.id, **asdict(batch)} for batch in batches.every(totals.cursors)
                ],
                "catch_up": next((asdict(each) for each in _of_catching_up(totals)), None),
                "troubles": [asdict(each) for each in troubles],
                "ledger": settings.state.ledger,
                "patchwork": settings.patchwork.url,
                "patchwork_answered": answered,
                "now": now,
            }
        )
        return
    console = _console()
    console.print(f"ledger     {escape(settings.state.ledger)}")
    console.print(f"patchwork  {escape(settings.patchwork.url)}")
    counts = ", ".join(f"{_coloured(name, f'{n} {name}')}" for name, n in totals.mails.items() if n)
    console.print(f"mails      {counts or 'none yet'}")
    if totals.mails["queued"]:
        waiting = ", ".join(f"{n} {name}" for name, n in totals.waiting.items() if n)
        console.print(
            f"queue      oldest {ago(now - totals.oldest)} old, "
            f"next due {'now' if totals.due <= now else 'in ' + ago(totals.due - now)}"
            + (f", waiting: {waiting}" if waiting else "")
        )
    console.print(f"last mail  {_moment(totals.last_received)}")
    if answered:
        console.print(f"answered   by Patchwork {_moment(answered)}")
    for each in troubles:
        told = escape(f"{each.name} since {moment(each.since)}: {each.reason}")
        console.print(f"trouble    [red]{told}[/]")
    console.print(f"requests   {totals.requests}")
    for cursor in _of_catching_up(totals):
        trouble = f" [red]{escape(cursor.reason)}[/]" if cursor.reason else ""
        console.print(f"caught up  {_moment(cursor.moved)}{trouble}")
    for cursor in _of_requests(totals.cursors):
        _cursor(console, cursor, totals, sinks, now)
    for batch in batches.every(totals.cursors):
        given = "once" if batch.given == 1 else f"{batch.given} times"
        again = f"due again in {ago(batch.due - now)}" if batch.due > now else "due again now"
        console.print(f"held       {escape(batch.id)} given {given}, {again}")


def _of_requests(cursors: Sequence[Cursor]) -> list[Cursor]:
    """The cursors that say how far in the request log somebody has come."""
    return [
        cursor
        for cursor in cursors
        if cursor.name != sink_states.CATCH_UP and not batches.batch_of(cursor)
    ]


def _of_catching_up(totals: Totals) -> list[Cursor]:
    """The cursor of catching up, if there is one."""
    return [cursor for cursor in totals.cursors if cursor.name == sink_states.CATCH_UP]


def _cursor(
    console: Console, cursor: Cursor, totals: Totals, sinks: sink_states.Sinks, now: float
) -> None:
    if is_sink(cursor):
        state, trouble = sink_states.of_cursor(cursor, totals.last_request, sinks, now)
    else:
        lag = totals.last_request - cursor.position
        state, trouble = f"at {cursor.position}" + (f", {lag} behind" if lag > 0 else ""), ""
    console.print(f"cursor     {escape(cursor.name)} {state}{_trouble(trouble)}")


def _trouble(text: str) -> str:
    return f": [red]{escape(text)}[/]" if text else ""


def checked(findings: "Iterable[Finding]", *, as_json: bool = False) -> "list[Finding]":
    """Findings, each as soon as it is there; all of them, for the exit code."""
    console = _console()
    colours = {"ok": "green", "warning": "yellow", "problem": "red"}
    seen = []
    for each in findings:
        seen.append(each)
        if not as_json:
            level = f"[{colours[each.level]}]{each.level:8}[/]"
            console.print(f"{level} {escape(each.what)}: {escape(each.text)}")
    if as_json:
        _json([asdict(each) for each in seen])
    return seen


def show(
    records: Sequence[Record],
    cursors: Sequence[Cursor],
    settings: Settings,
    *,
    now: float,
    as_json: bool = False,
) -> None:
    """The whole story of each mail, with what became of its requests in the sinks."""
    if as_json:
        _json([asdict(record) for record in records])
        return
    console = _console()
    for record in records:
        reason = f": {record.reason}" if record.reason else ""
        console.print(
            f"[bold]<{escape(record.message_id)}>[/] "
            f"{_coloured(record.outcome.value)}{escape(reason)}"
        )
        origin = f"list {record.list_id or 'unknown'}, by {record.source}, {record.size} bytes"
        console.print(f"  {escape(origin)}")
        envelope = record.envelope
        if envelope.sender is not None:
            recipients = ", ".join(envelope.recipients) or "unknown"
            peer = f", from {envelope.peer}" if envelope.peer else ""
            console.print(
                f"  envelope from <{escape(envelope.sender)}> to {escape(recipients + peer)}"
            )
        for event in record.story:
            console.print(f"  {_moment(event.at)}  {_event(event)}")
        if record.due is not None:
            console.print(f"  {_moment(record.due)}  next attempt")
        for request in record.requests:
            _request(console, request)
            for told, trouble in sink_states.of_request(
                request,
                record.story,
                cursors,
                delivery.wanted(settings),
                settings.requests.arguments,
                now,
            ):
                console.print(f"    {escape(told)}{_trouble(trouble)}")
            for told in batches.of_request(cursors, request.number):
                console.print(f"    {escape(told)}")


def _event(event: Event) -> str:
    details = event.details
    if event.what == "asked":
        text = f"{details['question']} → {details['answer']}"
    elif "reason" in details:
        text = str(details["reason"])
    else:
        text = ", ".join(f"{name} {value}" for name, value in details.items())
    return f"{_coloured(event.what)} {escape(text)}".rstrip()


def _request(console: Console, request: Request) -> None:
    console.print(
        f"  request {request.number} for series {request.series} ({escape(request.submission)}"
        f"{' in ' + escape(request.project) if request.project else ''})"
        f" by {escape(request.requester)}: {escape(asked_for(request.contexts, request.arguments))}"
    )
    if request.leftovers:
        console.print(f"    not read: {escape(', '.join(request.leftovers))}")
