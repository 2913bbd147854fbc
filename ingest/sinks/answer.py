# SPDX-License-Identifier: BSD-3-Clause
"""The mail that answers a requester, field by field and line by line. Pure.

Whatever in it comes out of the request's own mail is indented, so that no line of it can be read as
a request in its turn. The answer is an automatic response as RFC 3834 has it.
"""

import quopri
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from email.header import Header
from email.utils import formataddr, formatdate
from textwrap import wrap

from ingest.config.sink_tables import MailSettings
from ingest.config.tables import RequestsSettings
from ingest.ledger import Request, Result, State
from ingest.mail import reply, requester
from ingest.mail.reply import Ready
from ingest.patchwork import labels
from ingest.policy import ready
from ingest.story.stats import ENDS
from ingest.words import counted, printable

# What can be named in a field on one line (RFC 5322, sections 2.1.1 and 3.6.4).
_ID = re.compile(r"(?=.{3,900}\Z)[!-;=?-~]+@[!-;=?-~]+")
_REPLY = re.compile(r"re:\s*", re.IGNORECASE)
_LONGEST_SUBJECT, _LONGEST_ITEM, _LONGEST_REASON = 200, 100, 200
_LONGEST_TOLD = 1000
# Whoever forges a sender must not be able to send him a text of any length through us.
_MOST_CONTEXTS, _MOST_LEFTOVERS = 100, 10
_INDENT, _WIDTH = "    ", 72
# Lists may read the answer, too.
_CLAIMED = "A Recheck-request was read that is claimed to be yours; nothing proves that it is."


def unquoted(request: Request, requests: RequestsSettings) -> Request:
    """A request without what its sender made up, so that nobody can send a text of his own to a
    stranger through us: labels that Patchwork or the configuration knows stay, of arguments the
    names; of the rest the mail says how much there was."""
    known = request.contexts
    if not labels.are_asked_for(requests):
        # What a group stands for is Patchwork's, not the sender's.
        ours = {*requests.contexts, *(each for group in request.groups.values() for each in group)}
        known = tuple(each for each in known if each in ours)
    unnamed = len(request.contexts) - len(known)
    others = f"{counted(unnamed, 'label')} that your mail names"
    left = f"{counted(len(request.leftovers), 'thing')} in your mail"
    return replace(
        request,
        subject="",
        contexts=(*known, others) if unnamed else known,
        arguments=dict.fromkeys(request.arguments, "…"),
        leftovers=(left,) if request.leftovers else (),
        reason="",
        parent="",
    )


def ready_reply(
    request: Request, table: MailSettings, requests: RequestsSettings, *, believed: bool
) -> Ready | None:
    """The reply that asks for what was not understood of a request, None if nothing can be. To who
    is not ``believed`` only labels are named that the settings name."""
    if believed:
        return ready.of_request(request, requests)
    known = {*table.labels, *requests.contexts}
    named = tuple(each for each in ready.missed(request, requests).contexts if each in known)
    return Ready(reply.text(named, {}), ()) if named else None


def compose(
    request: Request,
    table: MailSettings,
    requests: RequestsSettings,
    name: str,
    recipients: Sequence[str],
    made: Ready | None = None,
    *,
    believed: bool = True,
    page: str | None = None,
) -> bytes:
    """The answer as it is sent. ``name``: of the sink, by which several have Message-IDs of their
    own; ``made``: see ``ready_reply``; ``believed``: whether who is answered has asked; ``page``:
    of the request. The same request gives the same bytes: its Date is when the request was
    recorded."""
    id = message_id(request, table, name)
    lines = list(text(request, table, requests, made, believed=believed))
    lines += ["", f"What becomes of it: {page}"] if page else []
    lines += _end()
    return _mail(request, table, recipients, id=id, at=request.recorded, lines=lines)


def compose_results(
    request: Request,
    results: Sequence[Result],
    table: MailSettings,
    name: str,
    recipients: Sequence[str],
    *,
    at: float,
    page: str | None,
    believed: bool = True,
    answered: Request | None = None,
) -> bytes:
    """The second answer, with the results. ``at``: its Date, a Unix time; ``page`` and
    ``believed``: see ``compose``; ``answered``: the request that had the first answer, if that
    was another one of the same mail."""
    id = results_id(request, table, name)
    lines = [*results_text(request, results, page, believed=believed), *_end()]
    first = message_id(answered or request, table, name)
    return _mail(request, table, recipients, id=id, at=at, lines=lines, references=[first])


def compose_refusal(
    request: Request, reason: str, table: MailSettings, name: str, recipients: Sequence[str]
) -> bytes:
    """The answer to a request that the policy refuses, which has an id of its own. ``reason``: with
    the rule's name."""
    lines = [*refusal_text(request, reason), *_end()]
    id = message_id(request, table, name)
    return _mail(request, table, recipients, id=id, at=request.recorded, lines=lines)


def refusal_text(request: Request, reason: str) -> Iterator[str]:
    """The lines of a refusal, without its end."""
    what = f" for series {request.series}" if request.series else ""
    yield f"Your Recheck-request{what} was read, but nothing will run. Why:"
    yield ""
    yield from _items([reason], 1, _LONGEST_TOLD)


def results_id(request: Request, table: MailSettings, name: str) -> str:
    """The Message-ID of the second answer to a request."""
    return message_id(request, table, f"{name}.results")


def message_id(request: Request, table: MailSettings, name: str) -> str:
    """The Message-ID of the answer to a request."""
    return f"{request.id}.{name}@{requester.read(table.sender).address.partition('@')[2]}"


def _mail(
    request: Request,
    table: MailSettings,
    recipients: Sequence[str],
    *,
    id: str,
    at: float,
    lines: Iterable[str],
    references: Sequence[str] = (),
) -> bytes:
    """A mail in a request's thread. ``at``: its Date, a Unix time; ``references``: further mails of
    the thread."""
    us = requester.read(table.sender).address
    shown = _line(table.sender.partition("<")[0]) if "<" in table.sender else ""
    fields = {
        "From": formataddr((shown.strip('"'), us)),
        "To": ",\n ".join(recipients),
        "Subject": encoded(_subject(request.subject)),
        "Date": formatdate(at),
        "Message-ID": f"<{id}>",
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        # On a list, Patchwork would file it as a comment.
        "X-Patchwork-Hint": "ignore",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "quoted-printable",
    }
    if _ID.fullmatch(request.message_id):
        fields["In-Reply-To"] = f"<{request.message_id}>"
        fields["References"] = "\n ".join(f"<{each}>" for each in (request.message_id, *references))
    head = "".join(f"{field}: {value}\n" for field, value in fields.items())
    body = "\n".join(lines) + "\n"
    return head.encode("ascii") + b"\n" + quopri.encodestring(body.encode("utf-8", "replace"))


def text(
    request: Request,
    table: MailSettings,
    requests: RequestsSettings,
    made: Ready | None = None,
    *,
    believed: bool = True,
) -> Iterator[str]:
    """The lines of the answer, without its end. ``made`` and ``believed``: see ``compose``."""
    project = f" in {_line(request.project)}" if request.project else ""
    yield "Your Recheck-request was read." if believed else _CLAIMED
    yield from _part(
        f"For series {request.series} ({request.submission}{project}) this will run",
        _items(request.contexts, _MOST_CONTEXTS),
    )
    arguments = [f"{name}={value}" for name, value in request.arguments.items()]
    alone = f"For series {request.series} it names no labels, and these arguments"
    yield from _part(
        "with these arguments" if request.contexts else alone, _items(arguments, _MOST_CONTEXTS)
    )
    leftovers = [line for each in request.leftovers[:_MOST_LEFTOVERS] for line in _items([each], 1)]
    for group, meant in request.groups.items():
        yield from _part(f"Here “{_line(group)}” stands for", _items(meant, _MOST_CONTEXTS))
    yield from _part("Your reason", _items(filter(None, [request.reason]), 1, _LONGEST_REASON))
    yield from _part(
        "Not understood, or not run here",
        [*leftovers, *_more(len(request.leftovers) - _MOST_LEFTOVERS)],
    )
    if made:
        yield from _part("To have that run, too, reply to the patch with", _indented(made.text))
        yield from _part("or by git", (f"{_INDENT}{each}" for each in made.commands))
    known = table.labels or labels.patterns(requests)
    yield from _part("Labels that there are", _items(known, len(known)))
    if labels.are_asked_for(requests) and not known:
        yield ""
        yield "Labels that there are: the contexts of the patch's checks on Patchwork."


# What is said of a label that has no result.
_WAITS = {
    State.OVERDUE: "nobody has seen it run",
    State.PENDING: "still running",
    State.ASKED: "nobody has been handed it",
    State.HANDED_OVER: "handed over, and not seen to run",
}


def results_text(
    request: Request, results: Sequence[Result], page: str | None, *, believed: bool = True
) -> Iterator[str]:
    """The lines of the second answer, without its end. What is not among the request's labels is
    counted only: of a sender who is not believed they were left out, see ``unquoted``."""
    project = f" in {_line(request.project)}" if request.project else ""
    counts = Counter(each.state for each in results)
    said = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    yield f"The results of {'your' if believed else 'a'} Recheck-request: {said}."
    if not believed:
        yield "It is claimed to be yours; nothing proves that it is."
    named = [each for each in results if each.label in request.contexts or not each.label]
    yield from _part(
        f"For series {request.series} ({request.submission}{project})",
        [line for each in named[:_MOST_CONTEXTS] for line in _result(each)]
        + list(_more(len(named) - _MOST_CONTEXTS)),
    )
    others = Counter(each.state for each in results if each not in named)
    yield from _part(
        "Of the labels that your mail names",
        (f"{_INDENT}{n} {state}" for state, n in others.items()),
    )
    if page:
        yield ""
        yield page


def _result(result: Result) -> Iterator[str]:
    label = _line(result.label)[:_LONGEST_ITEM] or "arguments"
    state = _WAITS.get(result.state, result.state.value)
    by = f", by {_line(result.author)}" if result.author and result.state in ENDS else ""
    summary = f": {_line(result.summary)}" if result.summary else ""
    yield f"{_INDENT}{label}: {state}{by}{summary}"
    if result.url:
        yield f"{_INDENT}{_INDENT}{_line(result.url)}"


def _end() -> Iterator[str]:
    yield ""
    yield "This answer was written by a program. If you want no such answers, reply and"
    yield "say so: its operators put your address on a list."


def _indented(text: str) -> list[str]:
    return [f"{_INDENT}{line}" for line in text.split("\n")]


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines below a title; nothing if there are none."""
    shown = list(lines)
    if shown:
        yield from ("", f"{title}:", "", *shown)


def _items(items: Iterable[str], most: int, longest: int = _LONGEST_ITEM) -> Iterator[str]:
    """Items with commas between, wrapped and indented."""
    shown = [_line(each)[:longest] for each in items]
    yield from wrap(
        ", ".join(shown[:most]),
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from _more(len(shown) - most)


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"{_INDENT}… and {count} more"


def _subject(subject: str) -> str:
    """The subject of an answer: one "Re:", whatever there was before."""
    rest = _line(subject)
    while reply := _REPLY.match(rest):
        rest = rest[reply.end() :]
    return f"Re: {rest[:_LONGEST_SUBJECT].strip() or 'your Recheck-request'}"


def encoded(subject: str) -> str:
    """A text for a header field (RFC 2047). One in which a reader would find an encoded word is
    encoded itself."""
    plain = subject.isascii() and "=?" not in subject
    return subject if plain else Header(subject, "utf-8", header_name="Subject").encode()


def _line(value: str) -> str:
    return printable(value.encode("utf-8", "replace").decode())
