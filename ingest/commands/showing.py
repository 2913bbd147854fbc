# SPDX-License-Identifier: BSD-3-Clause
"""What ``show`` prints: the story of each mail, with where it can be seen and what can be done."""

import shlex
from collections.abc import Sequence

from ingest.commands.report import Printer, coloured, print_json, trouble, when
from ingest.mail.reply import Ready
from ingest.story import results as result_states
from ingest.story.folds import Fold, folded
from ingest.story.overview import Asked, Step, Story
from ingest.story.sinks import Delivery
from ingest.words import asked_for, listed, of_series


def show(stories: Sequence[Story], *, in_json: bool = False) -> None:
    """The whole story of each mail."""
    if in_json:
        print_json(list(stories))
        return
    out = Printer()
    for each in stories:
        _mail(out, each)
        for fold in folded(each.story):
            _fold(out, fold)
        if each.due:
            out.line(f"  {when(each.due)}  next attempt")
        for request in each.requests:
            _request(out, request)
        if each.reply:
            _reply(out, each.reply)


def _fold(out: Printer, fold: Fold) -> None:
    for step in fold.steps:
        _step(out, step)
    if fold.often:
        out.line(f"  {when(fold.last.at)}  … {fold.often} until here: the same answer")


def _mail(out: Printer, story: Story) -> None:
    reason = f": {story.reason}" if story.reason else ""
    number = f" (mail-{story.id})" if story.others else ""
    out.line((story.name, "bold"), f"{number} ", coloured(story.outcome), reason)
    if story.subject or story.author:
        out.line(f"  {story.subject or 'no subject'}, from {story.author or 'unknown'}")
    out.line(f"  list {story.list_id or 'unknown'}, by {story.source}, {story.size} bytes")
    if story.envelope:
        recipients = ", ".join(story.envelope.recipients) or "unknown"
        peer = f", from {story.envelope.peer}" if story.envelope.peer else ""
        out.line(f"  envelope from <{story.envelope.sender}> to {recipients}{peer}")
    if story.filing:
        out.line(f"  filed by Patchwork as {story.filing}")
    if story.archive:
        out.line(f"  archive {story.archive}", as_is=True)
    for other in story.others:
        out.line(f"  another mail of this Message-ID: {other}")


def _step(out: Printer, step: Step) -> None:
    text = f" {step.text}" if step.text else ""
    out.line(f"  {when(step.at)}  ", coloured(step.what), text)


def _request(out: Printer, request: Asked) -> None:
    told = [request.submission, f"in {request.project}" if request.project else None]
    where = " ".join(each for each in told if each)
    out.line(
        f"  request {request.number} for {of_series(request)}{f' ({where})' if where else ''}"
        f" by {request.requester}: {asked_for(request.contexts, request.arguments)}"
    )
    if request.cancelled:
        out.line("    ", coloured("cancelled"), f": {request.cancelled}")
    if request.passage or request.proof:
        out.line(f"    passage {request.passage or 'none'}, author {request.proof or 'none'}")
    for group, labels in request.groups.items():
        out.line(f"    {group} stands for {listed(labels) or 'no label'}")
    if request.reason:
        out.line(f"    reason: {request.reason}")
    if request.leftovers:
        out.line(f"    not read: {', '.join(request.leftovers)}")
    links = request.links
    there = ("patch", links.patch), ("series", links.series), ("mbox", links.mbox)
    for name, url in (*there, ("page", links.page)):
        if url:
            out.line(f"    {name:6} {url}", as_is=True)
    if not request.revision:
        out.line(f"    apply  git-pw series apply {request.series}", as_is=True)
    if "@" in request.message_id:
        out.line(f"    or     b4 am {shlex.quote(request.message_id)}", as_is=True)
    for became in request.results:
        label = result_states.name(became.label)
        state = coloured(became.state)
        out.line(f"    {label}: ", state, result_states.line(became))
    for delivery in request.deliveries:
        _delivery(out, delivery)


def _reply(out: Printer, reply: Ready) -> None:
    out.line("  not all could be read; a reply that can be, and how to send it:")
    for line in (*reply.text.split("\n"), *reply.commands):
        out.line(f"    {line}", as_is=True)


def _delivery(out: Printer, delivery: Delivery) -> None:
    out.line(f"    {delivery.text}", *trouble(delivery.trouble))
