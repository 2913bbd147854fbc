# SPDX-License-Identifier: BSD-3-Clause
"""What makes a request another one: its id, and what is new of a second one under its name. Pure.

DESIGN.md, One mail, one request.
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

from ingest.ledger.request_values import Request
from ingest.value import replace


def news(request: Request, earlier: Iterable[Request], identity: str) -> Request | None:
    """What is new of a request, with its id; None if nothing is.

    ``earlier``: the requests of the same Message-ID, server and series, whose labels are not
    handed over again, unless the arguments differ; ``identity``: the mail's, which stands for a
    Message-ID that it lacks.
    """
    alike = [each for each in earlier if dict(each.arguments) == dict(request.arguments)]
    if alike:
        had = {label for each in alike for label in each.contexts}
        contexts = tuple(each for each in request.contexts if each not in had)
        if not contexts:
            return None
        request = replace(request, contexts=contexts)
    return replace(request, id=request_id(request, identity))


def all_news(
    asked: Iterable[Request], earlier: Iterable[Sequence[Request]], identity: str
) -> tuple[list[Request], list[Request]]:
    """What is new of the requests of one mail, each as ``news`` has it; and those that had asked
    for the rest before. ``earlier``: what ``news`` takes, for each request."""
    new: list[Request] = []
    had: list[Request] = []
    for request, before in zip(asked, earlier, strict=True):
        own = (each for each in new if _name(each) == _name(request))
        namesakes = [*before, *own]
        fresh = news(request, namesakes, identity)
        if fresh is None:
            had += namesakes
        else:
            new.append(fresh)
    return new, had


def _name(request: Request) -> tuple[str, str, int]:
    return request.message_id, request.server, request.series


def request_id(request: Request, identity: str) -> str:
    """By what a receiver knows a request again, whichever installation hands it over: a hash of
    Message-ID (or the mail's identity), series, labels and arguments, and the server's name if it
    has one, for two servers may have series of one number."""
    named = request.message_id
    if named == f"mail-{request.mail_id}":
        named = identity
    parts = [named, request.series, sorted(request.contexts), sorted(request.arguments.items())]
    if request.server:
        parts.append(request.server)
    return _id(json.dumps(parts))


def first_id(message_id: str, series: int) -> str:
    """The id that requests of schema 2 and before were handed over with."""
    return _id(f"{message_id}\0{series}")


def _id(text: str) -> str:
    return f"recheck-{sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
