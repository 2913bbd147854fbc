# SPDX-License-Identifier: BSD-3-Clause
"""``accept``: the one entry of every source. What it keeps is durable when it returns.

It looks at raw bytes only; what a mail means is the worker's business.
"""

import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from ingest import signs
from ingest.errors import NoRoom, Temporary
from ingest.ledger import Arrival, Envelope, Filing, Outcome
from ingest.ledger.parts import Keeper
from ingest.mail import headers, notice, peek
from ingest.mail.prefilter import may_hold_request
from ingest.value import Value
from ingest.words import clipped

# Characters kept of what a mail or its sender says. Longer ids cannot be Patchwork's.
_LONGEST_ID = 1000
_LONGEST_NAME = 320
_MOST_RECIPIENTS = 100
# Bytes kept of a mail that is not worked on.
BEGINNING = 64 << 10

log = logging.getLogger(__name__)

_Given = TypeVar("_Given")
_Kept = TypeVar("_Kept")


class Receipt(StrEnum):
    """What became of a mail at the door. After each of them the source may acknowledge it."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"  # this very mail is in the ledger already
    DROPPED = "dropped"  # it cannot hold a request
    NOTICED = "noticed"  # for the operator: kept, cut, and not worked on
    REJECTED = "rejected"  # larger than the limit: kept, cut, and not worked on


_FIRST = {
    Outcome.QUEUED: Receipt.QUEUED,
    Outcome.REJECTED: Receipt.REJECTED,
    Outcome.NOTICE: Receipt.NOTICED,
}


class Delivered(Value):
    """A mail as its source has it. ``raw``: its bytes, with or without an mbox ``From `` line, one
    more than the limit if it is longer; ``source``: where it came from, for the operator; ``now``:
    the Unix time of reception; ``in_order``: it is worked on in the order in which it came, as
    those of an archive are, and not when it is its sender's turn; ``passage``: which way the mail
    is known to have come, see ``Trust``."""

    raw: bytes
    source: str
    now: float
    envelope: Envelope = Envelope()
    filing: Filing = Filing()
    in_order: bool = False
    passage: str = ""


def accept(
    raw: bytes,
    source: str,
    *,
    ledger: Keeper,
    now: float,
    max_size: int,
    envelope: Envelope = Envelope(),  # noqa: B008  frozen
    filing: Filing = Filing(),  # noqa: B008  frozen
    counted_in: str = "",
    passage: str = "",
) -> Receipt:
    """Take in one mail, see ``Delivered``. ``max_size``: bytes; ``counted_in``: the folder of the
    state, for the signs of life of a live source. Raises ``StateUnavailable`` if the mail could not
    be made durable."""
    mail = Delivered(raw, source, now, envelope, filing, passage=passage)
    return accept_all([mail], ledger=ledger, max_size=max_size, counted_in=counted_in)[0]


def accept_all(
    mails: Sequence[Delivered], *, ledger: Keeper, max_size: int, counted_in: str = ""
) -> list[Receipt]:
    """Take in mails, all or none of them. Raises as ``accept``."""
    receipts = keep([arrival(mail, max_size) for mail in mails], ledger)
    if counted_in and mails:
        signs.note(counted_in, ((mail.raw, mail.source) for mail in mails), mails[-1].now)
    return receipts


def keep(arrivals: Sequence[Arrival | None], ledger: Keeper) -> list[Receipt]:
    """Keep what ``arrival`` gave of mails, all or none of it. Raises as ``accept``."""
    held = [each for each in arrivals if each]
    kept = iter(ledger.accept_all(held) if held else [])
    receipts = []
    for each in arrivals:
        if each is None:
            receipts.append(Receipt.DROPPED)
            continue
        _, new = next(kept)
        receipts.append(_FIRST[each.outcome] if new else Receipt.DUPLICATE)
        log.info("accepted <%s> from %s: %s", each.message_id, each.source, receipts[-1])
    return receipts


def is_of_one(error: BaseException) -> bool:
    """Whether an error is about the mail that met it: other mails may be taken in."""
    return isinstance(error, NoRoom) or not isinstance(error, Temporary)


def apart(
    take: Callable[[Sequence[_Given]], Sequence[_Kept]], mails: Sequence[_Given]
) -> list[_Kept | Exception]:
    """What taking in mails gives for each: they are taken together, and in ever smaller parts if
    that fails, so that what one of them meets holds up no other. In place of a receipt stands the
    error of a mail that cannot be taken. ``take``: takes all or none of what it is given. Raises
    ``StateUnavailable`` if nothing can be taken now; some may have been taken until then."""
    try:
        return list(take(mails))
    except Exception as error:
        if not is_of_one(error):
            raise
        if len(mails) < 2:
            return [error] * len(mails)
    half = len(mails) // 2
    return apart(take, mails[:half]) + apart(take, mails[half:])


def arrival(mail: Delivered, max_size: int) -> Arrival | None:
    """What the ledger is to keep of a mail, None if the mail cannot hold a request and is not for
    the operator. ``max_size``: bytes."""
    noticed = "" if mail.in_order else notice.kind(peek.header(mail.raw))
    too_large = len(mail.raw) > max_size
    possible = too_large or may_hold_request(mail.raw)
    if not possible and not noticed:
        return None
    head = headers.read(mail.raw)
    outcome, reason = Outcome.QUEUED, ""
    # What could hold a request is the worker's to judge, unless the list itself has written it.
    if noticed == notice.ADMINISTRIVIA or (noticed and not possible):
        outcome, reason = Outcome.NOTICE, clipped(notice.reason(noticed, head), _LONGEST_ID)
    elif too_large:
        outcome = Outcome.REJECTED
        reason = f"larger than [intake] max_size, {max_size} bytes"
    is_cut = outcome is not Outcome.QUEUED
    null_sender = mail.envelope.sender == ""
    return Arrival(
        raw=mail.raw[head.start : min(max_size, head.start + BEGINNING) if is_cut else None],
        identity=headers.identity(mail.raw, head, null_sender=null_sender, passage=mail.passage),
        message_id=clipped(headers.message_id(head), _LONGEST_ID),
        list_id=clipped(headers.list_id(head), _LONGEST_NAME),
        source=clipped(mail.source, _LONGEST_NAME),
        received=mail.now,
        envelope=_bounded(mail.envelope),
        outcome=outcome,
        reason=reason,
        sender="" if mail.in_order else clipped(headers.sender(head), _LONGEST_NAME),
        filing=mail.filing,
        author=clipped(headers.author(head), _LONGEST_NAME),
        subject=clipped(headers.subject(head), _LONGEST_ID),
        passage=mail.passage,
    )


def _bounded(envelope: Envelope) -> Envelope:
    sender = envelope.sender and clipped(envelope.sender, _LONGEST_NAME)
    recipients = tuple(clipped(each, _LONGEST_NAME) for each in envelope.recipients)
    return Envelope(sender, recipients[:_MOST_RECIPIENTS], clipped(envelope.peer, _LONGEST_NAME))
