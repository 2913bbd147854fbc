# SPDX-License-Identifier: BSD-3-Clause
"""``accept``: the one entry of every source. What it keeps is durable when it returns.

It looks at raw bytes only; what a mail means is the worker's business.
"""

import logging
from enum import StrEnum

from ingest.ledger import Arrival, Envelope, Ledger, Outcome
from ingest.mail import headers
from ingest.mail.prefilter import may_hold_request

log = logging.getLogger(__name__)


class Receipt(StrEnum):
    """What became of a mail at the door. After each of them the source may acknowledge it."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"  # this mail, by Message-ID and list, is in the ledger already
    DROPPED = "dropped"  # it cannot hold a request
    REJECTED = "rejected"  # larger than the limit: kept, cut, and not worked on


def accept(
    raw: bytes,
    source: str,
    *,
    ledger: Ledger,
    now: float,
    max_size: int,
    envelope: Envelope = Envelope(),  # noqa: B008  frozen
) -> Receipt:
    """Take in one mail.

    ``raw``: its bytes, with or without an mbox ``From `` line, one more than ``max_size`` if it
    is longer; ``source``: where it came from, for the operator; ``now``: the Unix time of
    reception. Raises ``StateUnavailable`` if it could not be made durable.
    """
    too_large = len(raw) > max_size
    if not too_large and not may_hold_request(raw):
        return Receipt.DROPPED
    head = headers.read(raw)
    message_id = headers.message_id(head)
    arrival = Arrival(
        raw=raw[head.start : max_size],
        identity=headers.identity(raw, head),
        message_id=message_id,
        list_id=headers.list_id(head),
        source=source,
        received=now,
        envelope=envelope,
        outcome=Outcome.REJECTED if too_large else Outcome.QUEUED,
        reason=f"larger than [intake] max_size, {max_size} bytes" if too_large else "",
    )
    _, new = ledger.accept(arrival)
    kept = Receipt.REJECTED if too_large else Receipt.QUEUED
    receipt = kept if new else Receipt.DUPLICATE
    log.info("accepted <%s> from %s: %s", message_id, source, receipt)
    return receipt
