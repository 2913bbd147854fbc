# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's comments as mails: each new comment, once, through ``accept``.

For what the mail feed missed, and for installations without one.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Protocol

from ingest import intake
from ingest.config.values import DAY
from ingest.errors import Unanswered, Unreadable
from ingest.ledger import Filing, Ledger
from ingest.mail import headers, message
from ingest.mail.trust import PATCHWORK
from ingest.patchwork.dialect import BadEvent, Comment, CommentEvent
from ingest.policy import selection
from ingest.words import printable

log = logging.getLogger(__name__)

# How long it is remembered that a comment was looked at. One that is forgotten is fetched again,
# and is known then by its Message-ID, or cannot hold a request again.
_REMEMBERED = 30 * DAY
# Comments in a row that cannot be had: it is not they, it is Patchwork.
_MOST_IN_A_ROW = 3

_FIELD_NAME = re.compile(r"[!-9;-~]+")
# They tell how a body is encoded that is not here any more.
_OF_THE_BODY = re.compile(r"content-|mime-version$", re.IGNORECASE)
_REPORT = re.compile(r"\s*multipart/report\b", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
# How Patchwork writes a header's bytes that are not ASCII and do not say what they are. Between
# two such words a blank means nothing (RFC 2047, section 6.2).
_WORD = r"=\?unknown-8bit\?[bq]\?[^?\s]*\?="
_WORDS = re.compile(rf"{_WORD}(?:\s+{_WORD})*", re.IGNORECASE)
# An id that Patchwork shows as it stood in the mail; it cuts others, or has U+FFFD in them.
_PLAIN_ID = re.compile(r"(?!.*=\?)[!-;=?-~]{1,250}")
_TEXT = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
_BOUNDARY = b"=_the_text_of_a_report_="


@dataclass(slots=True)
class Haul:
    """What was found. ``problems``: why comments could not be had, which are asked for again."""

    events: int = 0
    known: int = 0  # looked at before, or their mail is in the ledger
    fetched: int = 0
    deleted: int = 0  # since the event
    dropped: int = 0  # cannot hold a request
    queued: int = 0
    rejected: int = 0  # larger than the limit
    given_up: int = 0
    problems: list[str] = field(default_factory=list)


class Teller(Protocol):
    """Has the comments that events name; a ``Dialect`` is one."""

    @property
    def base(self) -> str: ...

    def comment(self, event: CommentEvent) -> Comment | None: ...


def take_in(
    dialect: Teller,
    ledger: Ledger,
    found: Iterable[CommentEvent | BadEvent],
    haul: Haul,
    *,
    clock: Callable[[], float],
    max_size: int,
    give_up: float,
    each: Callable[[bytes], None],
    stop: Callable[[], bool],
    counted_in: str = "",
    server: str = "",
) -> None:
    """Take in the comments of these events, oldest first, counting in ``haul``. What was taken in
    before something is raised stays.

    ``give_up``: seconds after which a comment is left out that cannot be had while others can;
    ``each`` is given every mail that was queued; ``stop``: asked before each comment whether to
    end; ``counted_in``: see ``intake.accept``; ``server``: see ``Request``. Raises
    ``Unavailable``, ``Unanswered`` or ``StateUnavailable``.
    """
    failed: list[tuple[_Memory, str]] = []
    in_a_row = 0
    for event in sorted(found, key=lambda event: event.id or 0):
        if stop():
            return
        haul.events += 1
        memory = _Memory(ledger, f"{dialect.base} {event.name}")
        if memory.is_done(clock()):
            haul.known += 1
            continue
        if not isinstance(event, CommentEvent):
            failed.append((memory, f"{event.name} is not the event of a comment as we know it"))
            continue
        try:
            comment = dialect.comment(event)
            raw = mail_of(comment) if comment else None
        except Unanswered as error:
            in_a_row += 1
            if in_a_row == _MOST_IN_A_ROW:
                raise
            failed.append((memory, str(error)))
            continue
        in_a_row = 0
        if raw is None:
            # Its event goes with it. As long as that is there it is better asked for again.
            haul.deleted += 1
            log.info("deleted meanwhile <%s>: %s", printable(event.message_id), event.name)
            continue
        haul.fetched += 1
        filing = replace(event.filing, server=server)
        if copies := _copies(raw, ledger):
            haul.known += 1
            for id in copies:
                ledger.file(id, filing, clock())
        else:
            try:
                is_new = _accepted(raw, filing, ledger, clock(), max_size, haul, counted_in)
            except Exception as error:
                if not intake.is_of_one(error):
                    raise
                failed.append((memory, f"{event.name} cannot be taken in: {error!r}"))
                continue
            if is_new:
                each(raw)
        memory.done(clock())
    _put_off(failed, haul, clock, give_up)


def _put_off(
    failed: "list[tuple[_Memory, str]]", haul: Haul, clock: Callable[[], float], give_up: float
) -> None:
    """Leave for the next time what could not be had this time, or give it up."""
    for memory, reason in failed:
        # Where all fail, it is not this one's fault.
        if haul.fetched and memory.failing_for(clock()) >= give_up:
            log.error("gave up a comment that cannot be had: %s", reason)
            haul.given_up += 1
            memory.done(clock())
        else:
            haul.problems.append(reason)


def _copies(raw: bytes, ledger: Ledger) -> list[int]:
    """The mails in the ledger that a comment was made of, by their ids: those of its Message-ID
    and list whose text Patchwork would store as this one. Whoever sends a Message-ID first, and
    even the same text, keeps the genuine mail out if what else decides were not looked at."""
    head = headers.read(raw)
    held = ledger.originals(headers.message_id(head), headers.list_id(head))
    ours: tuple[object, ...] | None = None
    found = []
    for original in held:
        ours = ours or _decides(raw, null_sender=False)
        if ours and _decides(original.raw, original.envelope.sender == "") == ours:
            found.append(original.id)
    return found


def _decides(raw: bytes, null_sender: bool) -> tuple[object, ...] | None:
    """What two copies of a mail have in common, None if it cannot be read."""
    try:
        mail, text = message.parse(raw), message.stored(raw)
    except Unreadable:
        return None
    return text, mail.candidates, mail.address, bool(selection.no_request(mail, null_sender))


def _accepted(
    raw: bytes,
    filing: Filing,
    ledger: Ledger,
    now: float,
    max_size: int,
    haul: Haul,
    counted_in: str,
) -> bool:
    """Take in one mail and count what became of it; whether it is new and may hold a request."""
    receipt = intake.accept(
        raw,
        "events",
        ledger=ledger,
        now=now,
        max_size=max_size,
        filing=filing,
        counted_in=counted_in,
        passage=PATCHWORK,
    )
    haul.known += receipt is intake.Receipt.DUPLICATE
    haul.dropped += receipt is intake.Receipt.DROPPED
    haul.rejected += receipt is intake.Receipt.REJECTED
    haul.queued += receipt is intake.Receipt.QUEUED
    return receipt is intake.Receipt.QUEUED


class _Memory:
    """What the ledger remembers of one comment. It may forget; then the comment is asked for
    once more."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._done = f"{name} is done"
        self._failing = f"{name} fails"

    def is_done(self, now: float) -> bool:
        return self._ledger.recall(self._done, now) is not None

    def done(self, now: float) -> None:
        self._ledger.remember(self._done, "", now + _REMEMBERED)

    def failing_for(self, now: float) -> float:
        """Seconds since this was first asked."""
        first = self._ledger.recall(self._failing, now)
        if first is None:
            self._ledger.remember(self._failing, str(now), now + _REMEMBERED)
        return now - float(first or now)


def mail_of(comment: Comment) -> bytes:
    """The mail that a comment was made of, as far as Patchwork keeps it: its header, and the
    comment's text as its body. ``mail.parse`` finds in it what it would find in the original, but
    that nobody can tell any more what in the text was forwarded or attached.

    Raises ``Unanswered`` if its own header says that it is another mail.
    """
    head = b"".join(
        _field(name, value)
        for name, value in comment.headers
        if _FIELD_NAME.fullmatch(name) and not _OF_THE_BODY.match(name)
    )
    read = headers.read(head)
    message_id, expected = headers.message_id(read), comment.event.message_id
    if not message_id:
        head += _field("Message-ID", f"<{expected}>")
    elif message_id != expected and _is_plain(message_id) and _is_plain(expected):
        raise Unanswered(f"{comment.event.name} has the header of another mail, <{message_id}>")
    if not headers.list_id(read):
        head += _field("List-Id", f"<{comment.event.list_id}>")
    types = [value for name, value in comment.headers if name.lower() == "content-type"]
    body = _TEXT + _body(comment.content)
    if any(map(_REPORT.match, types)):
        # What it is by its type, or it would not be ignored as a bounce.
        body = (
            b'Content-Type: multipart/report; boundary="%b"\n\n--%b\n%b\n--%b--\n'
            % (_BOUNDARY, _BOUNDARY, body, _BOUNDARY)
        )  # fmt: skip
    return head + body


def _is_plain(message_id: str) -> bool:
    return _PLAIN_ID.fullmatch(message_id) is not None


def _field(name: str, value: str) -> bytes:
    """A header field on one line. Bytes in it that were not ASCII and not said to be in any
    charset become themselves again."""
    value = _WORDS.sub(_raw, value.encode("utf-8", "replace").decode())
    line = f"{name}: {_BLANKS.sub(' ', value).strip()}\n"
    return line.encode("utf-8", "surrogateescape")


def _raw(words: re.Match[str]) -> str:
    try:
        parts = [part for part, _ in decode_header(words[0])]
    except HeaderParseError:
        return words[0]
    data = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return data.decode("utf-8", "surrogateescape")


def _body(content: str) -> bytes:
    """A body whose text is this content. Patchwork has stripped the text and cut its
    signature, and what is left must not be stripped or cut again: a signature line that ends in
    CRLF is not taken for one (``mail``), and blanks before a NUL, which vanishes, are kept."""
    edge = "\0" if content != content.strip() or content.endswith("_") else ""
    return f"{edge}{content}{edge}".replace("\n", "\r\n").encode("utf-8", "replace")
