# SPDX-License-Identifier: BSD-3-Clause
"""Notices forwarded to the operator, each as an attachment of a mail of ours ([notices]).

Anybody can send what is a notice: so many go a day and no more, never to a list and never to
ourselves, and nothing ever answers them.
"""

import email
import hashlib
import logging
import quopri
import socket
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from fnmatch import fnmatchcase

from ingest import background, signs
from ingest.background import Trouble
from ingest.config.tables import Settings
from ingest.config.values import DAY
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Event, Ledger, Notice, Record
from ingest.mail import headers, requester
from ingest.sinks import NOTICES, Clock, Stop, lease_name, sendmail, smtp
from ingest.sinks.answer import encoded
from ingest.sinks.mail import server
from ingest.words import harmless, printable

# The field by which we know a notice that we forwarded ourselves.
FIELD = "X-Recheck-Ingest-Notice"

# What list servers append to a list's name for addresses that programs read.
_SUFFIXES = ("request", "bounces", "owner", "join", "leave", "subscribe", "unsubscribe", "confirm")
_LONGEST_SUBJECT = 200

log = logging.getLogger(__name__)


class Forwarder:
    """A ``Sink`` that is the operator's mailbox; what it hands over is notices."""

    name = NOTICES

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._table = settings.notices

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """See ``Sink``."""
        if background.troubles(ledger, [NOTICES], now):  # it rests until that is forgotten
            return False
        pending = ledger.notices.pending(now - DAY)
        return bool(pending) and ledger.notices.forwarded(now - DAY) < self._table.per_day

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""
        count = 0
        with ledger.lease(lease_name(NOTICES)) as held:
            while held and self.is_due(ledger, clock()) and not stop():
                if until is not None and clock() >= until:
                    break
                oldest = ledger.notices.pending(clock() - DAY)[0]
                count += self._forward(ledger, oldest, clock, stop)
        return count

    def _forward(self, ledger: Ledger, notice: Notice, clock: Clock, stop: Stop) -> bool:
        to, now = self._table.forward_to, clock()
        name = f"mail-{notice.mail_id}"
        found = [each for each in ledger.find(name) if each.id == notice.mail_id]
        if not found:  # so many newer ones came meanwhile that it was dropped
            return False
        raw = ledger.raw(notice.mail_id) or b""
        if reason := objection(found[0], raw, self._settings):
            ledger.notices.mark(
                notice.mail_id, Event(now, "not forwarded", {"reason": reason}), sent=False
            )
            return False
        mail = compose(notice, raw, self._sender(), to, ledger.generation())
        try:
            answer = self._send(mail, stop)
        except (SinkUnavailable, NotTaken) as error:
            reason = f"notices are not forwarded to {to}: {error}"
            trouble = Trouble(NOTICES, now, reason)
            background.leave_word(ledger, NOTICES, trouble, now + self._table.retry)
            raise SinkUnavailable(reason) from error
        log.info("forwarded %s to %s: %s", name, to, answer)
        event = Event(now, "forwarded", {"to": to, "by": answer})
        ledger.notices.mark(notice.mail_id, event, sent=True)
        return True

    def _send(self, mail: bytes, stop: Stop) -> str:
        to = self._table.forward_to
        if not self._table.mail:
            return sendmail.send(to, mail, self._table.timeout)
        table = self._settings.mail[self._table.mail]
        return smtp.send(server(table), requester.read(table.sender).address, [to], mail, stop)

    def _sender(self) -> str:
        if self._table.mail:
            return requester.read(self._settings.mail[self._table.mail].sender).address
        return f"recheck-ingest@{socket.gethostname() or 'localhost'}"


def problem(settings: Settings) -> str:
    """Why nothing can be forwarded to where [notices] says, "" if nothing hinders it."""
    to, mail = settings.notices.forward_to, settings.notices.mail
    if mail and mail not in settings.mail:
        return f"mail: there is no [mail.{mail}]"
    lists = [*settings.list, *_seen(settings.state.dir)]
    answered = [each for table in settings.mail.values() for each in table.lists]
    if to.lower() in map(str.lower, answered) or any(_is_of_list(to, each) for each in lists):
        return f"forward_to: {to} is an address of a list"
    patterns = [*settings.smtp.recipients, *settings.lmtp.recipients]
    if any(fnmatchcase(to.lower(), each.lower()) for each in patterns):
        return f"forward_to: {to} is our own address: we take mail for it"
    return ""


def objection(record: Record, raw: bytes, settings: Settings) -> str:
    """Why a notice is not to be forwarded, "" if nothing speaks against it."""
    if found := problem(settings):
        return found
    to = settings.notices.forward_to
    if any(_is_same(to, each) for each in record.envelope.recipients):
        return f"{to} is our own address: this notice came to it"
    if _is_of_list(to, record.list_id):
        return f"{to} is an address of the list that this notice came by"
    head = headers.read(raw)
    if head.first(FIELD.lower()):
        return "it was forwarded by recheck-ingest before"
    posted = {*head.decoded("x-beenthere"), *head.decoded("list-post")}
    if any(to.lower() in each.lower() for each in posted):
        return f"{to} is an address of the list that this notice came by"
    return ""


def _seen(folder: str) -> list[str]:
    try:
        return [each.name for each in signs.read(folder) if each.name]
    except OSError:
        return []


def _is_of_list(address: str, list_id: str) -> bool:
    local, _, domain = address.lower().partition("@")
    names = [local, local.removeprefix("owner-")]
    names += [local.removesuffix(f"-{each}") for each in _SUFFIXES]
    return any(requester.is_list(f"{each}@{domain}", list_id.lower()) for each in names)


def _is_same(to: str, recipient: str) -> bool:
    """Whether a mail to ``to`` may come to the same mailbox: extensions tell those of one user
    apart, and a name without a domain is one of this machine."""
    name, _, domain = to.lower().partition("@")
    other, _, of = recipient.lower().partition("@")
    is_same_name = name.partition("+")[0] == other.partition("+")[0]
    return is_same_name and (domain == of or not domain or not of)


def compose(notice: Notice, raw: bytes, sender: str, to: str, generation: str) -> bytes:
    """The mail to the operator: what the notice says, and the notice as an attachment. The same
    notice gives the same bytes. ``generation``: the ledger's."""
    notice_text = seven_bits(raw)
    boundary = hashlib.sha256(notice_text).hexdigest()[:32]
    name = f"mail-{notice.mail_id}"
    fields = {
        "From": f"recheck-ingest <{sender}>",
        "To": to,
        "Subject": _subject(raw),
        "Date": formatdate(notice.received),
        "Message-ID": f"<{name}.{generation}@{sender.partition('@')[2]}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        # Should it ever get to a list, Patchwork does not file it.
        "X-Patchwork-Hint": "ignore",
        FIELD: name,
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/mixed; boundary="{boundary}"',
    }
    head = "".join(f"{field}: {value}\n" for field, value in fields.items()).encode("ascii")
    said = quopri.encodestring("\n".join(_text(notice)).encode("utf-8", "replace"))
    return b"".join(
        (
            head,
            f"\n--{boundary}\nContent-Type: text/plain; charset=utf-8\n".encode(),
            b"Content-Transfer-Encoding: quoted-printable\n\n",
            said,
            f"\n--{boundary}\nContent-Type: message/rfc822\n"
            f'Content-Disposition: attachment; filename="{name}.eml"\n\n'.encode(),
            notice_text.rstrip(b"\n"),
            f"\n\n--{boundary}--\n".encode(),
        )
    )


def _text(notice: Notice) -> Iterator[str]:
    yield "This mail came to recheck-ingest and is for a person. Nobody has verified it: anybody"
    yield "can send such a mail. Confirm only what you have asked for yourself."
    yield ""
    yield from _wrapped(notice.reason)
    yield ""
    yield f"It is attached, and recheck-ingest show mail-{notice.mail_id} --raw prints it."
    yield ""


def _wrapped(text: str) -> Iterable[str]:
    from textwrap import wrap

    return wrap(harmless(text), 78, break_on_hyphens=False)


def _subject(raw: bytes) -> str:
    found = next(iter(headers.read(raw).decoded("subject")), "")
    text = found.encode("utf-8", "replace").decode()[:_LONGEST_SUBJECT]
    subject = f"[recheck-ingest] notice: {printable(text) or 'without a subject'}"
    return encoded(subject)


def seven_bits(raw: bytes) -> bytes:
    """A mail as a message/rfc822 part may hold it everywhere (RFC 2046, section 5.2.1): its line
    ends LF, without NUL, each text that is not of ASCII encoded anew."""
    plain = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    if plain.isascii():
        return plain
    try:
        text = email.message_from_bytes(plain).as_string()
    except (LookupError, ValueError, TypeError, RecursionError, AssertionError):
        text = plain.decode("ascii", "replace")
    return text.encode("ascii", "replace")
