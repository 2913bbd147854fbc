# SPDX-License-Identifier: BSD-3-Clause
"""Raw bytes to a ``Mail``: what it replies to, whose it is, and the text Patchwork would store.

Pure: no I/O, and nothing but ``Unreadable`` is raised whatever the bytes.
"""

import codecs
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.utils import mktime_tz, parsedate_tz
from functools import cached_property
from typing import Any

from ingest.errors import Unreadable
from ingest.mail import headers, requester
from ingest.mail.requester import Requester
from ingest.value import Value

# mail-parser takes seconds for a header field of a megabyte; no honest one is this long.
_LONGEST_FIELD = 8192
# A Content-Type longer than this is hostile: the standard parser is quadratic in its quotes.
_LONGEST_CONTENT_TYPE = 2048
# The standard parser's work grows with lines times depth, and with parts. No honest mail has so
# many parts, or nests so deeply; one of a million lines may nest less.
_MOST_PARTS = 1000
_DEEPEST, _DEEP_ENOUGH, _MOST_LINES_TIMES_DEPTH = 30, 2, 1_500_000

# A From and a Subject that everybody reads alike: names of plain words, and no encoded word.
_ADDRESS = r"[\w+-]+(?:\.[\w+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_PLAIN_FROM = re.compile(
    rf"(?:([\w-]+(?: [\w-]+)*) )?<(?P<named>{_ADDRESS})>|(?P<bare>{_ADDRESS})", re.ASCII
)
_PLAIN_SUBJECT = re.compile(r"(?:(?!=\?)[ -~])*")
_REPLY = re.compile(r"re[:\s]", re.IGNORECASE)
_BRACKETS = re.compile(r"(?:fwd?[:\s]\s*)?((?:\[[^\]]*\]\s*)+)", re.IGNORECASE)
# "0/3" at the end of a token, or Mercurial's "PATCH 0 of 3".
_NUMBERED = re.compile(r"(?:\[PATCH ([0-9]+) of [0-9]+|(?<![0-9])([0-9]+)/[0-9]+(?=[,\s\]]))")
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")
# git-diff(1), "Generating patch text with -p".
_EXTENDED_HEADER = (
    *("old mode ", "new mode ", "new file mode ", "deleted file mode ", "copy from ", "copy to "),
    *("rename from ", "rename to ", "similarity index ", "dissimilarity index ", "index "),
)
_PULL_BEGINS = re.compile(r"^The following changes since commit", re.MULTILINE | re.IGNORECASE)
_PULL_NAMES = re.compile(r"^are available in the git repository at:", re.MULTILINE | re.IGNORECASE)
_SIGNATURE = re.compile(r"^(?:-- |_+)\n.*", re.DOTALL | re.MULTILINE)

# It reports undecodable fields of hostile mail, whole, to standard error.
logging.getLogger("mailparser").setLevel(logging.CRITICAL + 1)


class Mail(Value):
    """One mail, as far as this program cares."""

    message_id: str  # without angle brackets, "" if there is none
    in_reply_to: tuple[str, ...]
    candidates: tuple[str, ...]  # what it may reply to, nearest first
    list_id: str  # "ci.dpdk.org", "" if there is none
    sender: str  # the From header on one line
    address: str  # the address in it
    subject: str
    date: datetime | None  # aware, UTC
    submission: str  # "patch" or "cover letter" when the mail is one itself, else ""
    hint: str  # X-Patchwork-Hint
    auto_submitted: str  # Auto-Submitted, without its parameters (RFC 3834, section 5)
    null_sender: bool  # Return-Path is <>
    report: bool  # multipart/report (RFC 6522): a bounce
    has_text: bool  # there is a text/plain part of the sender's own
    text: str  # the comment as Patchwork would store it

    @cached_property
    def requester(self) -> Requester:
        """Who asks, if it asks for something."""
        return requester.of(self.sender, self.address, self.list_id)


def parse(raw: bytes) -> Mail:
    """A mail from its bytes, with or without an mbox ``From `` line before the header.

    Raises ``Unreadable`` for the little that no parser survives, such as deeply nested parts.
    Unknown charsets, broken MIME, NULs, missing headers all give a ``Mail``.
    """
    raw = _with_bare_ends(raw)
    outer = headers.read(raw)
    message = _message(raw[outer.start :])
    report = message.get_content_type() == "multipart/report"
    head = outer
    inner = _wrapped(message, outer)
    if inner is not None:
        head, message = headers.of(inner.raw_items()), inner
    sender, address, subject = _people(head)
    parts = list(_parts(message, own=True))
    texts = [part for part in parts if part.plain and part.own]

    def either(name: str) -> str:
        return (head.first(name) or outer.first(name)).lower()

    return Mail(
        message_id=headers.message_id(outer),
        in_reply_to=headers.in_reply_to(head) or headers.in_reply_to(outer),
        candidates=headers.candidates(head) or headers.candidates(outer),
        list_id=headers.list_id(outer),
        sender=sender,
        address=address,
        subject=subject,
        date=date_of(head.first("date")),
        submission=_submission(subject, parts),
        hint=either("x-patchwork-hint"),
        auto_submitted=either("auto-submitted").partition(";")[0].strip(),
        null_sender=outer.first("return-path") == "<>",
        report=report,
        has_text=bool(texts),
        text=_own_text(texts),
    )


def stored(raw: bytes) -> str:
    """The text that Patchwork stores of a mail as a comment: with what was forwarded in it or
    attached to it, which is not the sender's own. Raises ``Unreadable``."""
    raw = _with_bare_ends(raw)
    message = _message(raw[headers.read(raw).start :])
    return _comment([part.text for part in _parts(message, own=True) if part.plain])


def is_plain(raw: bytes) -> bool:
    """Whether everybody takes a mail's header apart alike. The standard parser ends a line at a
    bare CR, which a mail server and whoever verifies a signature take for a part of the line: so a
    field that nobody signs could hold another text than the one that was signed."""
    raw = _with_bare_ends(raw)
    head = headers.read(raw)
    parsed = BytesParser().parsebytes(raw[head.start :], headersonly=True)
    return [name.lower() for name in parsed] == [name for name, _ in head.fields]


def _wrapped(message: Message, head: headers.Head) -> Message | None:
    """The mail inside one that its list wrapped whole for DMARC's sake (RFC 7960, section 4.1;
    Mailman's "wrap message"), perhaps with a footer beside it. The outer From is the list's."""
    carriers = [message]
    if message.get_content_type() == "multipart/mixed":
        parts = [part for part in message.get_payload() if isinstance(part, Message)]
        footers = [part for part in parts if part.get_content_type() == "text/plain"]
        if _comment([_decoded(part) for part in footers]):
            return None
        carriers = [part for part in parts if part not in footers]
    if len(carriers) != 1 or carriers[0].get_content_type() != "message/rfc822":
        return None
    inner = carriers[0].get_payload()
    if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], Message):
        return None
    _, address, _ = _people(head)
    return inner[0] if requester.is_list(address, headers.list_id(head)) else None


def _own_text(texts: "list[_Part]") -> str:
    """The comment made of the sender's text parts. What is attached is none of it, unless all
    that is inline is a footer of the list, or nothing: then a mail program attached the body."""
    inline = _comment([part.text for part in texts if not part.attached])
    return inline or _comment([part.text for part in texts if part.attached])


class _Node(Message):
    """A message or a part of one that knows how many levels may lie below it."""

    room = 0

    def attach(self, payload: Message) -> None:  # type: ignore[override]
        """Called by the parser before it reads the part."""
        if isinstance(payload, _Node):
            payload.room = self.room - 1
            if payload.room < 0:
                raise Unreadable("its parts are nested too deeply")
        super().attach(payload)

    def set_raw(self, name: str, value: str) -> None:
        """Called by the parser with each header field: cut to an honest length."""
        if name.lower() in ("content-type", "content-disposition"):
            value = value[:_LONGEST_CONTENT_TYPE]
        super().set_raw(name, value)


def _message(raw: bytes) -> Message:
    """The MIME structure. Raises ``Unreadable``."""
    parts = 0
    lines = 1 + raw.count(b"\n") + raw.count(b"\r")
    room = max(_DEEP_ENOUGH, min(_DEEPEST, _MOST_LINES_TIMES_DEPTH // lines))

    def node(**policy: Any) -> _Node:
        nonlocal parts
        parts += 1
        if parts > _MOST_PARTS:
            raise Unreadable(f"it has more than {_MOST_PARTS} parts")
        made = _Node(**policy)
        made.room = room
        return made

    try:
        return BytesParser(node).parsebytes(raw)
    except (LookupError, TypeError, ValueError) as error:  # RFC 2231 pieces that lie
        raise Unreadable("the parameters of a multipart make no sense") from error


def _with_bare_ends(raw: bytes) -> bytes:
    """The mail with LF line ends, as Patchwork gets it from its mail server. One that came by
    SMTP has CRLF throughout; CRLF inside a transfer encoding is the sender's and stays."""
    first = raw.find(b"\n")
    return raw.replace(b"\r\n", b"\n") if first > 0 and raw[first - 1] == 0x0D else raw


def _people(head: headers.Head) -> tuple[str, str, str]:
    """From, the address in it and Subject, decoded by mail-parser, which is not asked where there
    is nothing to be decided."""
    wanted = {name: head.first(name)[:_LONGEST_FIELD] for name in ("from", "subject")}
    plain = _PLAIN_FROM.fullmatch(wanted["from"])
    if plain and _PLAIN_SUBJECT.fullmatch(wanted["subject"]):
        address = plain["named"] or plain["bare"]
        sender = wanted["from"] if plain[1] else address
        return sender, address, wanted["subject"]
    return _decoded_people(wanted)


def _decoded_people(wanted: Mapping[str, str]) -> tuple[str, str, str]:
    """As ``_people``. mail-parser is given the two fields alone, and shortened: it may take many
    times the time and the memory of the standard parser for a whole mail, and it raises on some
    hostile ones."""
    import mailparser

    block = "".join(f"{name}: {value}\n" for name, value in wanted.items())
    try:
        parsed = mailparser.parse_from_bytes(f"{block}\n".encode("utf-8", "replace"))
        subject = _line(parsed.subject) or wanted["subject"]
        name, address = next(((_line(n), _line(a)) for n, a in parsed.from_), ("", ""))
    except Exception:  # noqa: BLE001  it raises undocumented errors; the fields still count
        return wanted["from"], "", wanted["subject"]
    if "@" not in address:  # pipermail writes addresses as "robin at example.org (Robin)"
        at = re.match(r"(\S+) at (\S+)(?: \((.*)\))?$", wanted["from"])
        name, address = (at[3] or "", f"{at[1]}@{at[2]}") if at else (name, address)
    sender = f"{name} <{address}>" if name and address else address or wanted["from"]
    return sender, address, subject


def _line(value: object) -> str:
    """Text on one line, storable: no control characters, no lone surrogates."""
    text = str(value[0] if isinstance(value, list) and value else value or "")
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.encode("utf-8", "replace").decode().split())


def date_of(value: str) -> datetime | None:
    """An RFC 5322 date in UTC, or None for one that is missing or impossible."""
    try:
        parsed = parsedate_tz(value[:200])
        return datetime.fromtimestamp(mktime_tz(parsed), UTC) if parsed else None
    except (ValueError, OverflowError, OSError, TypeError, IndexError):
        return None


class _Part(Value):
    """A text part: whether it is text/plain, a patch by its type, the sender's own, attached."""

    plain: bool
    patch: bool
    own: bool
    attached: bool
    text: str


def _parts(message: Message, own: bool) -> Iterator[_Part]:
    """The text parts in order; ``own`` turns false inside a message/* part."""
    if message.is_multipart():
        own = own and message.get_content_maintype() != "message"
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _parts(part, own)
        return
    kind = message.get_content_type()
    if kind in ("text/plain", "text/x-patch", "text/x-diff"):
        disposition = str(message.get("content-disposition", ""))
        yield _Part(
            plain=kind == "text/plain",
            patch=kind != "text/plain",
            own=own,
            attached=disposition.partition(";")[0].strip().lower() == "attachment",
            text=_decoded(message),
        )


def _decoded(part: Message) -> str:
    """A part's text: by its declared charset if Python knows that, else by the
    first that fits; bytes that do not decode are replaced, so that no part is dropped."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    text = _by_charset(data, _charset(part))
    try:
        text.encode()
    except UnicodeEncodeError:  # some charsets give halves of surrogate pairs
        text = text.encode("utf-8", "replace").decode()
    return text


def _charset(part: Message) -> str:
    try:
        return part.get_content_charset() or ""
    except (ValueError, LookupError, TypeError, AttributeError):  # RFC 2231 pieces that lie
        return ""


def _by_charset(data: bytes, charset: str) -> str:
    if charset:
        try:
            # Decoding punycode, no charset of mail, takes time by the square of the length.
            if codecs.lookup(charset).name != "punycode":
                return data.decode(charset, "replace")
        except (LookupError, ValueError, UnicodeError):
            pass  # unknown, no text encoding, or one that will not replace: as if undeclared
    for guess in ("utf-8", "windows-1252"):
        try:
            return data.decode(guess)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _comment(texts: list[str]) -> str:
    """The text parts as Patchwork joins and cuts them into a comment. It makes CRLF to LF last
    (models.py), and so finds no signature behind CRLF."""
    joined = "".join(f"{text.strip()}\n" for text in texts if text)
    cut = _SIGNATURE.sub("", joined, count=1).strip()
    return cut.replace("\0", "").replace("\r\n", "\n")


def _submission(subject: str, parts: list[_Part]) -> str:
    """Whether the mail is itself a patch or a cover letter (Patchwork's parser.py, parse_mail):
    its subject does not begin with "Re:", and it has a diff or a pull request, or is numbered
    0/N. Whether it replies to something does not matter."""
    if _REPLY.match(subject):
        return ""
    if any(part.patch or _has_diff(part.text) or _is_pull(part.text) for part in parts):
        return "patch"
    return "cover letter" if cover_number(subject) else ""


def _has_diff(text: str) -> bool:
    """Whether Patchwork finds a diff in a text (its parser.py, parse_patch): old and new name,
    then a hunk or another old name; or, anywhere after a line ``diff`` or ``Index:``, an
    extended header with a second one, an old name or a binary patch right behind it."""
    before = ""
    for line in text.split("\n"):
        if before == "old name":
            before = "new name" if line.startswith("+++ ") else ""
        elif before == "new name":
            if line.startswith("--- ") or _HUNK.match(line):
                return True
            before = ""
        elif before == "extended header" and line.startswith(
            (*_EXTENDED_HEADER, "--- ", "GIT binary patch")
        ):
            return True
        elif line.startswith("--- "):
            before = "old name"
        elif before:
            before = "extended header" if line.startswith(_EXTENDED_HEADER) else "diff"
        elif line.startswith(("diff ", "Index: ")):
            before = "diff"
    return False


def _is_pull(text: str) -> bool:
    """Whether a text is a pull request. Two searches: one expression for both is quadratic."""
    begins = _PULL_BEGINS.search(text)
    return bool(begins and _PULL_NAMES.search(text, begins.end()))


def cover_number(subject: str) -> bool:
    """Whether the brackets before a subject, with or without "Re:", say ``0/N``."""
    rest = _REPLY.sub("", subject, count=1).strip() if _REPLY.match(subject) else subject
    brackets = _BRACKETS.match(rest)
    if not brackets:
        return False
    number = _NUMBERED.search(brackets[1])
    return number is not None and not (number[1] or number[2]).strip("0")
