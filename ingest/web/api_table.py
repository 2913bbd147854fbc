# SPDX-License-Identifier: BSD-3-Clause
"""The operations of the API, a row each. Routing, checking and the OpenAPI document are made from
this table."""

from typing import Any

from ingest.story.overview import Story
from ingest.web import api_doing as doing
from ingest.web import api_reading as reading
from ingest.web.api_values import (
    Acknowledged,
    BatchName,
    LabResult,
    Metadata,
    Note,
    NoteText,
    Paged,
    RequestItem,
    Retests,
    Since,
    Taken,
    TakeOrder,
    Wanted,
    Wish,
)
from ingest.web.operations import Operation

_NO_REQUEST = {404: "there is no such request"}
_NO_MAIL = {404: "there is no such mail"}
_NOT_SO = {422: "this cannot be done here; the detail says why"}
_REQUESTS: Any = list[RequestItem]  # type: ignore[valid-type]
_MAILS: Any = list[Story]

READING = (
    Operation(
        *("GET", "/api/requests", "list_requests", "Requests, the newest first."),
        *(reading.requests, _REQUESTS, Wanted),
    ),
    Operation(
        *("GET", "/api/requests/{id}", "get_request", "One request, by its number or id."),
        *(reading.request, RequestItem),
        statuses=_NO_REQUEST,
    ),
    Operation(
        *("GET", "/api/series/{id}", "list_series", "The requests for a series."),
        *(reading.series, _REQUESTS, Paged),
    ),
    Operation(
        *("GET", "/api/labels/{name}", "list_label", "The requests for a label."),
        *(reading.label, _REQUESTS, Paged),
    ),
    Operation(
        *("GET", "/api/requesters/{name}", "list_requester"),
        "The requests of whoever has this in name or address.",
        *(reading.requester, _REQUESTS, Paged),
    ),
    Operation(
        *("GET", "/api/mails", "list_mails", "Mails, the newest first."),
        *(reading.mails, _MAILS, Wanted),
    ),
    Operation(
        *("GET", "/api/mails/{message_id}/raw", "get_raw_mail"),
        "A mail as it came.",
        *(reading.raw, bytes),
        deed="raw",
        statuses={**_NO_MAIL, 410: "its bytes are gone"},
        media="message/rfc822",
    ),
    Operation(
        *("GET", "/api/mails/{message_id}", "get_mail"),
        "One mail, by its Message-ID or as mail-N, with its story.",
        *(reading.mail, Story),
        statuses=_NO_MAIL,
    ),
    Operation(
        *("GET", "/api/attention", "list_attention", "The mails that a person must act on."),
        *(reading.attention, _MAILS, Paged),
    ),
    Operation(
        *("GET", "/api/failures", "list_failures", "The mails that could not be worked on."),
        *(reading.failures, _MAILS, Paged),
    ),
    Operation(
        *("GET", "/api/retests", "get_retests"),
        "get_reruns.py's document of what was recorded since a time. Nothing is noted.",
        *(reading.retests, Retests, Since),
    ),
    Operation(
        *("GET", "/api/metadata", "get_metadata", "Labels, states, filters, and what fields mean."),
        *(reading.metadata, Metadata),
    ),
)
DOING = (
    Operation(
        *("POST", "/api/take", "take"),
        "What a consumer has not had, which is held for it until it is acknowledged.",
        *(doing.take, Taken),
        body=TakeOrder,
        deed="take",
        statuses=_NOT_SO,
        atomic=False,
    ),
    Operation(
        *("POST", "/api/ack", "acknowledge", "Confirm a batch."),
        *(doing.acknowledge, Acknowledged),
        body=BatchName,
        deed="take",
        statuses={404: "this ledger has not given such a batch"},
        atomic=False,
    ),
    Operation(
        *("POST", "/api/requests", "ask", "Ask for labels of a series, by hand."),
        *(doing.ask, RequestItem),
        body=Wish,
        deed="ask",
        status=201,
        statuses={**_NOT_SO, 503: "the ledger or Patchwork cannot be asked now; try again later"},
        prepare=doing.target,
    ),
    Operation(
        *("POST", "/api/requests/{id}/results", "tell_result"),
        "Say what became of a label of a request.",
        *(doing.result, RequestItem),
        body=LabResult,
        deed="result",
        statuses=_NO_REQUEST | _NOT_SO,
    ),
    Operation(
        *("POST", "/api/requests/{id}/notes", "add_note"),
        "Leave a remark on a request, in the story of its mail.",
        *(doing.note, Note),
        body=NoteText,
        deed="note",
        status=201,
        statuses=_NO_REQUEST | _NOT_SO,
    ),
)
OPERATIONS = (*READING, *DOING)
# Not answered by a look at the ledger, but for as long as somebody listens.
LISTENING = Operation(
    *("GET", "/api/events", "listen"),
    "What happens, as it happens (server-sent events): request, result, mail, service, reset.",
    *(reading.metadata, str),
    media="text/event-stream",
)
