# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger's rows as values, and values as what is kept in a row. Called by ``sqlite``."""

import json
import sqlite3
import zlib
from collections.abc import Iterable

from ingest.ledger import (
    Cursor,
    Envelope,
    Event,
    Feed,
    Outcome,
    Queued,
    Record,
    Request,
    Wait,
    Waiting,
)


def storable(value: object) -> object:
    """A value that SQLite takes: in text, what is no Unicode (lone surrogates, as in a sender
    or an answer that was garbage) is written out as an escape."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def packed(raw: bytes) -> bytes:
    """A mail's bytes as they are kept."""
    return zlib.compress(raw, 1)


def envelope_text(envelope: Envelope) -> str:
    """An envelope as it is kept."""
    return json.dumps([envelope.sender, list(envelope.recipients), envelope.peer])


def story_text(events: Iterable[Event]) -> str:
    """Events one a line, so that a step is appended without reading the story."""
    return "".join(
        json.dumps([event.at, event.what, dict(event.details)]) + "\n" for event in events
    )


def request_columns(request: Request) -> dict[str, object]:
    """A request as it is kept, all but its number."""
    return {
        "mail": request.mail_id,
        "message_id": request.message_id,
        "series": request.series,
        "submission": request.submission,
        "project": request.project,
        "contexts": json.dumps(request.contexts),
        "arguments": json.dumps(dict(request.arguments)),
        "leftovers": json.dumps(request.leftovers),
        "requester": request.requester,
        "subject": request.subject,
        "date": request.date,
        "recorded": request.recorded,
        "received": request.received,
    }


def queued(row: sqlite3.Row) -> Queued:
    """A mail to be worked on. Raises ``ValueError`` if its bytes are damaged."""
    try:
        raw = zlib.decompress(row["raw"]) if row["raw"] else b""
    except zlib.error as error:
        raise ValueError(f"its bytes in the ledger are damaged: {error}") from error
    return Queued(
        id=row["id"],
        raw=raw,
        message_id=row["message_id"],
        source=row["source"],
        envelope=_envelope(row["envelope"]),
        received=row["received"],
        wait=Wait(
            waiting=Waiting(row["waiting"]),
            since=row["since"],
            tries=row["tries"],
            begun=row["begun"],
            due=row["due"],
            waited=row["waited"],
            missing=row["missing"],
        ),
    )


def record(row: sqlite3.Row, requests: Iterable[Request]) -> Record:
    """A mail as ``show`` tells of it."""
    return Record(
        id=row["id"],
        message_id=row["message_id"],
        list_id=row["list_id"],
        source=row["source"],
        envelope=_envelope(row["envelope"]),
        received=row["received"],
        size=row["size"],
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        due=row["due"],
        tries=row["tries"],
        story=tuple(Event(*json.loads(line)) for line in row["story"].splitlines()),
        requests=tuple(requests),
    )


def request(row: sqlite3.Row) -> Request:
    """An entry of the request log."""
    return Request(
        number=row["number"],
        mail_id=row["mail"],
        message_id=row["message_id"],
        series=row["series"],
        submission=row["submission"],
        project=row["project"],
        contexts=tuple(json.loads(row["contexts"])),
        arguments=json.loads(row["arguments"]),
        leftovers=tuple(json.loads(row["leftovers"])),
        requester=row["requester"],
        subject=row["subject"],
        date=row["date"],
        recorded=row["recorded"],
        received=row["received"],
    )


def cursor(row: sqlite3.Row) -> Cursor:
    """A cursor."""
    return Cursor(**row)


def feed(row: sqlite3.Row) -> Feed:
    """How far a feed has come."""
    return Feed(**row)


def _envelope(text: str) -> Envelope:
    sender, recipients, peer = json.loads(text)
    return Envelope(sender, tuple(recipients), peer)
