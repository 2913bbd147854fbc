# SPDX-License-Identifier: BSD-3-Clause
"""What makes a request another one: its id, and what is new of a second one under its name. Pure.

DESIGN.md, One mail, one request.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from ingest.ledger.request_values import Request


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
