# SPDX-License-Identifier: BSD-3-Clause
"""The operations of the API that change something: each is the command of its name, by a token."""

import json
from typing import Any

from ingest.errors import NothingFound, StateUnavailable, Temporary, UsageError
from ingest.handover import by_hand
from ingest.handover import take as handover
from ingest.handover.take import Order
from ingest.ledger import Request, State
from ingest.results import word
from ingest.web import lookups
from ingest.web.api_values import (
    Acknowledged,
    BatchName,
    LabResult,
    Note,
    NoteText,
    TakeOrder,
    Wish,
    request_item,
)
from ingest.web.operations import Answer, Call
from ingest.web.problems import Problem
from ingest.words import instant, utc

# Seconds to wait for another taker: whoever asks may ask again.
_PATIENCE = 2.0


def take(call: Call) -> dict[str, Any]:
    """POST take. What is given is held until it is acknowledged."""
    asked: TakeOrder = call.body
    given: list[str] = []
    try:
        order = Order(
            asked.consumer,
            tuple(asked.contexts),
            asked.requests,
            hold=True,
            server=asked.server,
            key=call.key,
        )
        settings = call.reader.settings
        handover.take(call.ledger, settings, order, given.append, patience=_PATIENCE)
    except UsageError as error:
        raise Problem(422, f"{error}.") from error
    answer: dict[str, Any] = json.loads(given[0])
    return answer


def acknowledge(call: Call) -> Acknowledged:
    """POST ack."""
    asked: BatchName = call.body
    settings = call.reader.settings
    try:
        is_new = handover.acknowledge(call.ledger, settings, asked.batch, patience=_PATIENCE)
    except UsageError as error:
        raise Problem(404, f"{error}.") from error
    return Acknowledged(asked.batch, is_new)


def target(call: Call) -> by_hand.Target:
    """What POST requests has to know of Patchwork."""
    try:
        return by_hand.target(call.ledger, call.reader.settings, _wish(call))
    except (UsageError, NothingFound) as error:
        raise Problem(422, f"{error}.") from error
    except StateUnavailable:
        raise
    except Temporary as error:
        raise Problem(503, f"{error}.", {"Retry-After": "60"}) from error


def ask(call: Call) -> Answer:
    """POST requests."""
    try:
        made, _ = by_hand.ask(
            call.ledger,
            call.reader.settings,
            _wish(call),
            call.reader.now,
            key=call.key,
            target=call.prepared,
        )
    except UsageError as error:
        raise Problem(422, f"{error}.") from error
    return Answer(_item(call, made), 201, {"Location": f"/api/requests/{made.number}"})


def _wish(call: Call) -> by_hand.Wish:
    asked: Wish = call.body
    way = f"token {call.token}" if asked.author else "token"
    return by_hand.Wish(
        asked.series,
        tuple(asked.labels),
        asked.arguments,
        asked.author or call.token,
        way,
        asked.reason,
        asked.server,
    )


def result(call: Call) -> Any:
    """POST requests/ID/results."""
    asked: LabResult = call.body
    request = _request(call)
    try:
        told = word.result(
            request,
            asked.label,
            State(asked.state),
            author=call.token,
            now=call.reader.now,
            url=asked.url,
            summary=asked.summary,
        )
    except UsageError as error:
        raise Problem(422, f"{error}.") from error
    call.ledger.results.tell(told)
    return _item(call, request)


def note(call: Call) -> Answer:
    """POST requests/ID/notes."""
    asked: NoteText = call.body
    request = _request(call)
    author = f"{asked.author} (token {call.token})" if asked.author else f"{call.token} (token)"
    try:
        remark = by_hand.note(call.ledger, request.mail_id, asked.text, author, call.reader.now)
    except UsageError as error:
        raise Problem(422, f"{error}.") from error
    made = Note(
        f"mail-{request.mail_id}",
        instant(utc(remark.at)),
        remark.details["by"],
        remark.details["text"],
    )
    return Answer(made, 201, {"Location": f"/api/mails/{made.mail}"})


def _request(call: Call) -> Request:
    found = call.ledger.results.request(call.path["id"])
    if found is None:
        raise Problem(404, "There is no request of this number or id.")
    return found


def _item(call: Call, request: Request) -> Any:
    found = lookups.request(call.reader, str(request.number))
    if found is None:
        raise Problem(404, f"Request {request.number} was dropped meanwhile.")
    return request_item(found)
