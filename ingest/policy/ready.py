# SPDX-License-Identifier: BSD-3-Clause
"""The reply that asks for what a mail meant, and that can be read. Pure."""

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ingest.config.tables import BY_PATCHWORK, RequestsSettings
from ingest.errors import Unreadable
from ingest.ledger import Request
from ingest.mail import headers, meaning, message, recheck, reply, requester
from ingest.mail.meaning import Meaning
from ingest.mail.recheck import Grammar
from ingest.mail.reply import Ready
from ingest.policy import selection

_MAILTO = re.compile(r"<mailto:([^<>?\s]+@[^<>?\s]+)")
_WILD = frozenset("*?[")


def of_mail(raw: bytes, requests: RequestsSettings) -> Ready | None:
    """The reply for a mail of which nothing was recorded; None if nothing was meant, or if nobody
    knows what it replies to."""
    try:
        mail = message.parse(raw)
    except Unreadable:
        return None
    if selection.no_request(mail) or not mail.candidates:
        return None
    grammar = Grammar(requests.grammar)
    found = recheck.parse(mail.text, grammar)
    if found is None:
        missed = _wanted(meaning.of_text(mail.text, grammar), requests)
    else:
        left = _wanted(meaning.of_leftovers(found.leftovers), requests)
        meant = [near for each in found.contexts if (near := _nearest(each, requests))]
        missed = Meaning((*meant, *left.contexts), {**found.arguments, **left.arguments})
        if not (missed.contexts or left.arguments):
            return None
    head = headers.read(raw)
    post = _MAILTO.search(head.first("list-post"))
    to = post[1] if post else list_address(mail.list_id) or requester.read(head.first("to")).address
    return _ready(missed, to, mail.candidates[0], mail.subject)


def missed(request: Request, requests: RequestsSettings) -> Meaning:
    """What a request left over and can be run."""
    meant = _wanted(meaning.of_leftovers(_telling(request, requests)), requests)
    fresh = tuple(each for each in meant.contexts if each not in request.contexts)
    arguments = {k: v for k, v in meant.arguments.items() if request.arguments.get(k) != v}
    return Meaning(fresh, arguments)


def of_request(request: Request, requests: RequestsSettings) -> Ready | None:
    """The reply for what a request left over; None if nothing that can be run was meant by that, or
    if it is not known what its mail replied to."""
    found = missed(request, requests)
    if not request.parent or not (found.contexts or found.arguments):
        return None
    whole = Meaning(found.contexts, {**request.arguments, **found.arguments})
    return _ready(whole, list_address(request.list_id), request.parent, request.subject)


def list_address(list_id: str) -> str:
    """The address of a list by its List-Id, as list managers make it: dev.dpdk.org is that of
    dev@dpdk.org. "" if the id is not like that."""
    name, _, domain = list_id.partition(".")
    fits = re.fullmatch(r"[\w.+-]+", list_id, re.ASCII) and name and "." in domain
    return f"{name}@{domain}" if fits else ""


def _telling(request: Request, requests: RequestsSettings) -> list[str]:
    """The leftovers that tell what was meant. Where Patchwork decides on labels, one that stands
    alone is mostly one that Patchwork does not know."""
    if requests.contexts != (BY_PATCHWORK,):
        return list(request.leftovers)
    return [each for each in request.leftovers if not re.fullmatch(r"[\w-]+", each)]


def _ready(meant: Meaning, to: str, in_reply_to: str, subject: str) -> Ready | None:
    if not meant.contexts and not meant.arguments:
        return None
    return reply.ready(
        meant.contexts, meant.arguments, to=to, in_reply_to=in_reply_to, subject=subject
    )


def _wanted(meant: Meaning, requests: RequestsSettings) -> Meaning:
    """What can be run here: labels that are wanted, or near one that is, and known arguments."""
    contexts = (
        each if _is_wanted(each, requests) else _nearest(each, requests) for each in meant.contexts
    )
    known = {k: v for k, v in meant.arguments.items() if k in requests.arguments}
    return Meaning(tuple(dict.fromkeys(filter(None, contexts))), known)


def _is_wanted(label: str, requests: RequestsSettings) -> bool:
    patterns = () if requests.contexts == (BY_PATCHWORK,) else requests.contexts
    return not patterns or any(fnmatchcase(label, each) for each in patterns)


def _nearest(label: str, requests: RequestsSettings) -> str:
    """The label that was perhaps meant by one that is not wanted, "" if none is near."""
    if _is_wanted(label, requests):
        return ""
    plain = {each.lower(): each for each in requests.contexts if _WILD.isdisjoint(each)}
    near = get_close_matches(label[:100].lower(), plain, n=1)
    return plain[near[0]] if near else ""
