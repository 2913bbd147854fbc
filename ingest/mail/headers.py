# SPDX-License-Identifier: BSD-3-Clause
"""The header fields of a mail: ids and identity, read from raw bytes without a mail parser.

A parser that drops undecodable bytes can make two Message-IDs one.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from ingest.value import Value

# RFC 5322, section 2.2: a name of printable ASCII without a colon; then continuation lines.
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_FROM_LINE = re.compile(rb"(?:>*From [^\n]*\n)+")
_BRACKETED = re.compile(r"<([^<>]+)>")
# No honest list of references is longer, and a decoder of encoded words may take its time.
_LONGEST_ENCODED = 64 << 10


class Head(Value):
    """A mail's header: ``fields`` as (lower-case name, unfolded value) in order, ``end`` the
    offset at which they end, ``start`` the offset behind any mbox ``From `` lines."""

    fields: tuple[tuple[str, str], ...]
    start: int
    end: int

    def all(self, name: str) -> list[str]:
        """The values of every field of this name, which is given in lower case."""
        return [value for key, value in self.fields if key == name]

    def first(self, name: str) -> str:
        """The first non-empty value of this name, else an empty string."""
        return next((value for value in self.all(name) if value), "")

    def decoded(self, name: str) -> list[str]:
        """The values of this name with their encoded words decoded (RFC 2047), as Patchwork
        does for ids, too: Python's own EmailMessage encodes long ones."""
        return [decoded(value) for value in self.all(name) if value]


def read(raw: bytes) -> Head:
    """The header of a mail. Any bytes at all give a ``Head``; it ends at the first line that is
    no header field."""
    lines = _FROM_LINE.match(raw)
    start = at = lines.end() if lines else 0
    fields = []
    while field := _FIELD.match(raw, at):
        name = field[1].decode("ascii").lower()
        fields.append((name, _text(field[2])))
        at = field.end()
    return Head(tuple(fields), start, at)


def of(fields: Iterable[tuple[str, str]]) -> Head:
    """The header of a mail in a mail, from the names and raw values that the standard parser
    gives: undecodable bytes stand in them as surrogates."""
    raws = [(name.lower(), value.encode("utf-8", "surrogateescape")) for name, value in fields]
    return Head(tuple((name, _text(raw)) for name, raw in raws), 0, 0)


def _text(value: bytes) -> str:
    """One line of text. Undecodable bytes stay visible and distinct, never dropped."""
    return _joined(value.decode("utf-8", "backslashreplace"))


def _joined(text: str) -> str:
    return " ".join(text.split()).replace("\0", "")


def decoded(value: str) -> str:
    """A value with its encoded words decoded; as it stands if a word makes no sense."""
    if "=?" not in value or len(value) > _LONGEST_ENCODED:
        return value
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        decoded = str(make_header(decode_header(value)))
        decoded.encode()
    except (HeaderParseError, LookupError, ValueError):
        return value
    return _joined(decoded)


def message_id(head: Head) -> str:
    """The Message-ID without its angle brackets (RFC 5322, section 3.6.4), "" without one.

    An id that is not bracketed is taken as it stands, as Patchwork does.
    """
    value = next(iter(head.decoded("message-id")), "")
    bracketed = _BRACKETED.search(value)
    return bracketed[1].strip() if bracketed else value


def in_reply_to(head: Head) -> tuple[str, ...]:
    """The ids in In-Reply-To: see ``_ids_in``."""
    return _unique([each for value in head.decoded("in-reply-to") for each in _ids_in(value)])


def candidates(head: Head) -> tuple[str, ...]:
    """What this mail may reply to, nearest first: In-Reply-To, then References from last to
    first, without repeats."""
    references = [each for value in head.decoded("references") for each in _ids_in(value)]
    return _unique([*in_reply_to(head), *reversed(references)])


def _ids_in(value: str) -> list[str]:
    """The bracketed ids among other words; without brackets the words with an @; else all."""
    ids = _BRACKETED.findall(value) or [
        each for each in value.replace(",", " ").split() if "@" in each
    ]
    return ids or [value]


def _unique(ids: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for each in ids if (stripped := each.strip())))


def list_id(head: Head) -> str:
    """The list a mail came by: the id in List-Id (RFC 2919), in lower case, "" without one.

    Of several bracketed texts the last is the id. X-Mailing-List and X-List are read after it.
    Both as Patchwork does (parser.py, find_project).
    """
    for name in ("list-id", "x-mailing-list", "x-list"):
        value = next(iter(head.decoded(name)), "")
        bracketed = _BRACKETED.findall(value)
        if bracketed or (value and " " not in value):
            return (bracketed[-1].strip() if bracketed else value).lower()
    return ""


def with_list(raw: bytes, id: str) -> bytes:
    """A mail with this List-Id, if it has none; as it stands for ""."""
    if not id:
        return raw
    head = read(raw)
    if list_id(head):
        return raw
    return raw[: head.start] + f"List-Id: <{id.strip('<>')}>\n".encode() + raw[head.start :]


# The fields by which anything about a mail is decided, trust in its sender included. What a mail
# server adds on the way (Received, Delivered-To, From_) differs between copies of one mail.
_DECIDING = frozenset(
    (
        *("message-id", "list-id", "x-mailing-list", "x-list", "in-reply-to", "references"),
        *("from", "sender", "reply-to", "x-original-from", "date", "subject"),
        *("mime-version", "content-type", "content-transfer-encoding", "content-disposition"),
        *("auto-submitted", "x-patchwork-hint", "x-list-administrivia"),
        *("authentication-results", "dkim-signature", "arc-seal", "arc-message-signature"),
        "arc-authentication-results",
    )
)


def identity(raw: bytes, head: Head, *, null_sender: bool, passage: str = "") -> str:
    """What makes two copies the same mail: a digest of the body as it came, and of every field
    that decides anything (DESIGN.md, One mail, one request). So nobody can keep a mail out by
    sending another one of its Message-ID first. ``null_sender``: the envelope said so;
    ``passage``: which way it is known to have come, for a copy that came any other way must not
    keep out one that came so."""
    # Alike however it was handed over: SMTP's line ends or a pipe's, with or without the last one.
    body = raw[head.end :].replace(b"\r\n", b"\n").strip(b"\n")
    parts = [b"1" if null_sender or head.first("return-path") == "<>" else b"", body]
    for name, value in head.fields:
        if name in _DECIDING:
            parts += [name.encode(), value.encode()]
    if passage:
        parts.append(passage.encode())
    # With its length, so that no part can imitate two.
    digest = sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts]))
    return urlsafe_b64encode(digest.digest()[:18]).decode()


def sender(head: Head) -> str:
    """Whose mail it is when senders take turns: the address before a list has replaced it, as it
    stands in From, else the first such field. It is claimed, not proved."""
    for name in ("x-original-from", "from", "reply-to", "sender"):
        value = head.first(name)
        bracketed = _BRACKETED.search(value)
        address = (bracketed[1] if bracketed else value).strip().lower()
        local, _, domain = address.partition("@")
        if address and f"{local}.{domain}" != list_id(head):
            return address
    return ""


def author(head: Head) -> str:
    """What From says, with its encoded words decoded, for a person."""
    return next(iter(head.decoded("from")), "")


def subject(head: Head) -> str:
    """What Subject says, with its encoded words decoded, for a person."""
    return next(iter(head.decoded("subject")), "")
