# SPDX-License-Identifier: BSD-3-Clause
"""What ``list`` prints: two lines for each request or mail, as wide as the terminal, or JSON."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

from rich.cells import cell_len, set_cell_size

from ingest.commands.report import Part as Text
from ingest.commands.report import Printer, coloured, print_json
from ingest.config.tables import Settings
from ingest.ledger import Request, Result
from ingest.sinks.request_json import shape
from ingest.story.attention import Part, held_up
from ingest.story.overview import Story, jsonable
from ingest.story.results import Became, of_request
from ingest.words import harmless, person, short_series, utc

# Columns of a requester's name.
_NAME = 18
# What only says that a result is still to come.
_EXPECTED = ("asked", "handed over")


class Form(IntEnum):
    """How a list is printed: for a person, as one JSON array, as one JSON object a line."""

    TEXT = 0
    ARRAY = 1
    LINES = 2


def requests(
    requests: Sequence[Request], results: Sequence[Result], settings: Settings, form: Form
) -> None:
    """Requests, with what became of their labels."""
    if form is not Form.TEXT:
        _json([listed(each, settings) for each in requests], form)
        return
    out = Printer()
    digits = len(str(max((each.number for each in requests), default=0)))
    series = max((len(short_series(each)) for each in requests), default=0)
    for each in requests:
        of = f"{short_series(each):>{series}}"
        head = f"{each.number:{digits}}  {_when(utc(each.recorded))}  {of}  "
        name = each.requester.name or each.requester.mailbox
        _line(out, (head, ""), (_column(name, _NAME), "cyan"), (f"  {each.subject}", ""))
        asked = [*_labels(each, of_request(each.number, results)), *_arguments(each)]
        reason = [(f"  “{each.reason}”", "dim")] if each.reason else []
        _line(out, (" " * (digits + 2), ""), *asked, *reason)


def listed(request: Request, settings: Settings) -> dict[str, Any]:
    """A request as receivers are handed it, and why nobody is any more, if it was cancelled."""
    return {**shape(request, settings), "cancelled": request.cancelled or None}


def mails(stories: Sequence[Story], form: Form) -> None:
    """Mails, with what a person must know of their requests."""
    if form is not Form.TEXT:
        _json([jsonable(each) for each in stories], form)
        return
    out = Printer()
    width = max((len(f"mail-{each.id}") for each in stories), default=0)
    state = max((len(each.outcome) for each in stories), default=0)
    for each in stories:
        _, style = coloured(each.outcome)
        _line(
            out,
            (f"{f'mail-{each.id}':{width}}  {_when(each.received)}  ", ""),
            (f"{each.outcome:{state}}", style),
            (f"  {_column(person(each.author or 'unknown'), _NAME)}", "cyan"),
            (f"  {each.subject or each.message_id or ''}", ""),
        )
        if each.reason:
            _line(out, (" " * (width + 2) + each.reason, ""))
        for text in held_up(each):
            _line(out, (" " * (width + 2), ""), (text, "red"))


def attention(parts: Sequence[Part], stories: Sequence[Story], form: Form) -> None:
    """What a person must act on: parts of the whole, then mails."""
    if form is Form.ARRAY:
        print_json({"parts": parts, "mails": stories})
        return
    if form is Form.LINES:
        _json([jsonable(each) for each in (*parts, *stories)], form)
        return
    out = Printer()
    for part in parts:
        since = f"since {_when(part.since)}  " if part.since else ""
        head = f"{part.kind}  {part.name}  "
        _line(out, (head, "red"), (f"{since}{part.text}", ""))
    mails(stories, form)


def _labels(request: Request, results: Sequence[Became]) -> list[tuple[str, str]]:
    """The labels, each with its result, if it has one."""
    became = {each.label: each.state for each in results}
    parts: list[tuple[str, str]] = []
    for label in request.contexts:
        state = became.get(label, "")
        told = "" if state in _EXPECTED else state
        _, style = coloured(state)
        parts += [(", " if parts else "", ""), (f"{label} {told}".rstrip(), style if told else "")]
    return parts


def _arguments(request: Request) -> Iterable[tuple[str, str]]:
    for place, (name, value) in enumerate(request.arguments.items()):
        yield f"{', ' if place or request.contexts else ''}{name}={value}", ""


def _when(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def _column(text: str, width: int) -> str:
    """A text in so many columns of a terminal."""
    shown = harmless(text)
    if cell_len(shown) > width:
        shown = f"{set_cell_size(shown, width - 1).rstrip()}…"
    return set_cell_size(shown, width)


def _line(out: Printer, *parts: tuple[str, str]) -> None:
    """Print a line, on a terminal cut where it ends."""
    left = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    shown: list[Text] = []
    for text, style in parts:
        clear = harmless(text)
        if cell_len(clear) > left:
            clear = f"{set_cell_size(clear, left - 1).rstrip()}…" if left > 1 else ""
        left -= cell_len(clear)
        shown.append((clear, style))
    out.line(*shown, as_is=True)


def _json(values: list[Any], form: Form) -> None:
    if form is Form.ARRAY:
        print_json(values)
    else:
        sys.stdout.writelines(f"{json.dumps(each)}\n" for each in values)
