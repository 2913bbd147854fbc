# SPDX-License-Identifier: BSD-3-Clause
"""The mail itself, as DATA carries it: where it ends, how much of it there may be, its bytes."""

import asyncio
import re

from ingest.sources.admission import Live, Service

_END = b"\r\n.\r\n"
# The line end of the DATA command: an end of data may follow it at once.
BEGIN = _END[:2]

_LINE_END = re.compile(rb"\r\n|\r|\n")
# More than a StreamReader ever holds: one read takes all of it.
_ALL = 1 << 22

# Nobody's small mail is refused for the large ones that others send.
_SMALL = 1 << 16

_TOO_LARGE = "552 5.3.4 The mail is larger than the limit"
_TOO_MUCH_AT_ONCE = "452 4.3.1 Too much mail is being received at once, try again later"


async def receive(
    reader: asyncio.StreamReader, body: bytearray, live: Live, service: Service
) -> str:
    """Read up to the end of data into ``body``, which holds ``BEGIN``. A refusal, "" for none.

    ``body`` is counted in ``live.receiving``, however this ends. Lines may be as long as the mail.
    Only <CR><LF>.<CR><LF> ends a mail, whatever else looks like it (SMTP smuggling). Raises
    ``ConnectionResetError``.
    """
    live.receiving += len(body)
    refusal = ""
    searched = 0
    while (end := body.find(_END, searched)) < 0:
        searched = max(0, len(body) - len(_END) + 1)
        if not refusal and len(body) > service.max_size + len(_END):
            refusal = _TOO_LARGE
        if not refusal and len(body) > _SMALL and live.receiving > service.limits.memory:
            refusal = _TOO_MUCH_AT_ONCE
        if refusal:  # the rest is read all the same: a client listens at the end only
            live.receiving -= searched
            del body[:searched]
            searched = 0
        piece = await reader.read(_ALL)
        if not piece:
            raise ConnectionResetError
        body += piece
        live.receiving += len(piece)
    # The reader is empty, so that what the client sent ahead goes in front of what follows.
    if ahead := bytes(body[end + len(_END) :]):
        reader.feed_data(ahead)
    live.receiving -= len(body) - (end + len(BEGIN))
    del body[end + len(BEGIN) :]
    return refusal or (_TOO_LARGE if end > service.max_size else "")


def content(body: bytearray) -> bytes:
    """The mail in what was received: without ``BEGIN`` and the dots that hide dots (RFC 5321,
    section 4.5.2), every line ending in <CR><LF>."""
    first = len(BEGIN) + body.startswith(b".", len(BEGIN))
    with memoryview(body) as received:
        content = bytes(received[first:])
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", BEGIN)
    ends = content.count(b"\r\n")
    if ends != content.count(b"\n") or ends != content.count(b"\r"):
        content = _LINE_END.sub(b"\r\n", content)
    return content
