# SPDX-License-Identifier: BSD-3-Clause
"""A ledger's rows as values, and values as what is kept in a row."""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from hashlib import sha256
from typing import Any

from ingest.ledger.connection import Row
from ingest.ledger.progress import Batch, Consumer, Cursor, Feed
from ingest.ledger.request_values import Request, Submission
from ingest.ledger.values import (
    Arrival,
    Envelope,
    Event,
    Filing,
    Happening,
    Original,
    Outcome,
    Queued,
    Record,
    Wait,
    Waiting,
)
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from ingest.words import shortened

_DIGEST = "sha256:"

# A mail by its Message-ID, if it has one, or by its number; see ``called``.
NAMED = "message_id = ? AND message_id <> '' OR id = ?"

# Where a filing is kept.
_FILED = {each.name: f"filed_{each.name}" for each in fields(Filing)}


def filing_columns(filing: Filing) -> dict[str, object]:
    """A filing as it is kept."""
    return {column: getattr(filing, name) for name, column in _FILED.items()}


def storable(value: object) -> object:
    """A value that every database takes: in text, NUL and what is not Unicode (lone surrogates,
    as in a sender or an answer that was garbage) are written out as escapes."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def digest(identity: str) -> bytes:
    """What a mail is known by where a whole identity is too long."""
    return sha256(str(storable(identity)).encode()).digest()


def by_digest(identity: str) -> str:
    """What stands in SQLite for an identity of which a ledger in PostgreSQL had the digest."""
    return identity if identity.startswith(_DIGEST) else f"{_DIGEST}{digest(identity).hex()}"


def called(name: str) -> tuple[str, int]:
    """The values that ``NAMED`` takes for a name; no mail has the number 0."""
    number = re.fullmatch(r"mail-([1-9][0-9]{0,17})", name)
    return name, int(number[1]) if number else 0


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
        "id": request.id,
        "mail": request.mail_id,
        "message_id": request.message_id,
        "series": request.series,
        "kind": request.submission.kind,
        "submission": request.submission.id,
        "project": request.project,
        "contexts": json.dumps(request.contexts),
        "arguments": json.dumps(dict(request.arguments)),
        "leftovers": json.dumps(request.leftovers),
        "requester": request.requester.name,
        "mailbox": request.requester.mailbox,
        "of_list": request.requester.of_list,
        "who": request.requester.key,
        "passage": request.trust.passage,
        "proof": request.trust.author,
        "subject": request.subject,
        "date": request.date,
        "received": request.received,
        "recorded": request.recorded,
        "list_id": request.list_id,
        "reason": request.reason,
        "parent": request.parent,
        "groups": json.dumps(dict(request.groups)),
        "server": request.server,
        "revision": request.revision,
        "delegates": json.dumps(request.delegates),
        "rated": int(request.rated),
        "pushed": int(request.pushed),
        "cancelled": request.cancelled,
    }


def folded(*texts: str) -> str:
    """Texts as parts of them are looked for: one text, whatever the case of its letters."""
    return "\n".join(texts).casefold()


def request_search(
    asks: Requester, subject: str, message_id: str, reason: str
) -> dict[str, object]:
    """What a request is found by, all but its number. ``reason``: its mail's."""
    requester = folded(asks.name, asks.mailbox, asks.of_list)
    text = folded(subject, message_id, reason)
    return {"requester": requester, "text": text}


def mail_search(message_id: str, author: str, subject: str, reason: str) -> dict[str, object]:
    """What a mail is found by, all but its id."""
    return {
        "author": folded(author),
        "text": folded(subject, message_id),
        "reason": folded(reason),
    }


def request_shown(asks: Requester, subject: str, message_id: str, reason: str) -> dict[str, object]:
    """What a request is found by among what anybody may see, None where that is all of it."""
    words = request_search(asks, subject, message_id, reason)
    requester = folded(*map(shortened, (asks.name, asks.mailbox, asks.of_list)))
    text = folded(shortened(subject), message_id, shortened(reason))
    return _shown(words, {"requester": requester, "text": text})


def mail_shown(message_id: str, author: str, subject: str, reason: str) -> dict[str, object]:
    """What a mail is found by among what anybody may see, None where that is all of it."""
    words = mail_search(message_id, author, subject, reason)
    text = folded(shortened(subject), message_id)
    shown = {"author": folded(shortened(author)), "text": text, "reason": reason_shown(reason)}
    return _shown(words, shown)


def mail_columns(arrival: Arrival) -> dict[str, Any]:
    """What is kept of a mail that comes in the columns that both ledgers have."""
    ended = None if arrival.outcome is Outcome.QUEUED else arrival.received
    return {
        "identity": arrival.identity,
        "message_id": arrival.message_id,
        "list_id": arrival.list_id,
        "source": arrival.source,
        "envelope": envelope_text(arrival.envelope),
        "received": arrival.received,
        "size": len(arrival.raw),
        "outcome": arrival.outcome,
        "reason": arrival.reason,
        "ended": ended,
        "sender": arrival.sender,
        "passage": arrival.passage,
        **filing_columns(arrival.filing),
        "author": arrival.author,
        "subject": arrival.subject,
        "cut": ended is not None,
    }


def accepted(arrival: Arrival) -> str:
    """How the story of a mail begins."""
    return story_text([Event(arrival.received, "accepted", {"source": arrival.source})])


def searched(arrival: Arrival) -> dict[str, object]:
    """What a mail that comes is found by, all but its id."""
    texts = arrival.message_id, arrival.author, arrival.subject, arrival.reason
    return {**mail_search(*texts), **mail_shown(*texts)}


def reason_shown(reason: str) -> str:
    """A reason as it is looked for among what anybody may see."""
    return folded(shortened(reason))


def _shown(words: Mapping[str, object], shown: Mapping[str, object]) -> dict[str, object]:
    return {
        f"shown_{name}": None if shown[name] == text else shown[name]
        for name, text in words.items()
    }


def queued(row: Row) -> Queued:
    """A mail to be worked on. Raises ``ValueError`` if its bytes are damaged."""
    return Queued(
        id=row["id"],
        raw=unpacked(row["raw"]),
        identity=row["identity"],
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
        holder=row["holder"],
        sender=row["sender"],
        filing=_filing(row),
        passage=row["passage"],
        proof=row["proof"],
    )


def original(row: Row) -> Original:
    """A mail as it came. Raises ``ValueError`` as ``queued``."""
    return Original(row["id"], unpacked(row["raw"]), _envelope(row["envelope"]))


def unpacked(raw: bytes | None) -> bytes:
    """A mail's bytes out of what is kept, b"" if they were dropped. Raises ``ValueError``."""
    try:
        return zlib.decompress(raw) if raw else b""
    except zlib.error as error:
        raise ValueError(f"its bytes in the ledger are damaged: {error}") from error


def record(row: Row, requests: Iterable[Request], others: tuple[int, ...]) -> Record:
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
        filing=_filing(row),
        others=others,
        author=row["author"],
        subject=row["subject"],
    )


def request(row: Row) -> Request:
    """An entry of the request log."""
    return Request(
        number=row["number"],
        mail_id=row["mail"],
        message_id=row["message_id"],
        series=row["series"],
        submission=Submission(row["kind"], row["submission"]),
        project=row["project"],
        contexts=_texts(row["contexts"]),
        arguments=_by_name(row["arguments"]),
        leftovers=_texts(row["leftovers"]),
        requester=Requester(row["requester"], row["mailbox"], row["of_list"]),
        subject=row["subject"],
        date=row["date"],
        received=row["received"],
        recorded=row["recorded"],
        id=row["id"],
        trust=Trust(row["passage"], row["proof"]),
        list_id=row["list_id"],
        server=row["server"],
        revision=row["revision"],
        delegates=_texts(row["delegates"]),
        rated=bool(row["rated"]),
        pushed=bool(row["pushed"]),
        reason=row["reason"],
        parent=row["parent"],
        groups={name: tuple(labels) for name, labels in _by_name(row["groups"]).items()},
        cancelled=row["cancelled"],
    )


# Of most requests these are empty, and many requests are read at once.


def _texts(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def _by_name(text: str) -> dict[str, Any]:
    return {} if text == "{}" else dict(json.loads(text))


def happenings(row: Row) -> list[Happening]:
    """The events that were told together."""
    return [
        Happening(
            row["number"],
            Event(*json.loads(line)),
            row["mail"] or 0,
            row["message_id"] or "",
            row["outcome"] == Outcome.NOTICE,
        )
        for line in row["text"].splitlines()
    ]


def cursor(row: Row) -> Cursor:
    """A sink's cursor."""
    return Cursor(**row)


def consumer(row: Row) -> Consumer:
    """A consumer."""
    return Consumer(**row)


def batch(row: Row) -> Batch:
    """A batch."""
    return Batch(**{**dict(row), "contexts": tuple(json.loads(row["contexts"]))})


def batch_columns(batch: Batch) -> dict[str, object]:
    """A batch as it is kept."""
    return {**asdict(batch), "contexts": json.dumps(batch.contexts)}


def feed(row: Row) -> Feed:
    """How far a feed has come."""
    return Feed(**row)


def _filing(row: Row) -> Filing:
    return Filing(**{name: row[column] for name, column in _FILED.items()})


def _envelope(text: str) -> Envelope:
    sender, recipients, peer = json.loads(text)
    return Envelope(sender, tuple(recipients), peer)
