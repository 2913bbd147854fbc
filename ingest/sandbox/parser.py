# SPDX-License-Identifier: BSD-3-Clause
"""Raw bytes to a ``Letter``: what Patchwork reads out of a mail before it files it.

Pure. The rules are facts of Patchwork's ``parser.py`` and ``hasher.py``.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import Header, decode_header
from email.message import Message
from email.utils import mktime_tz, parseaddr, parsedate_tz
from typing import Any

from ingest import errors
from ingest.mail import message as mails

# A Message-ID or another stored name is cut here, as the columns of Patchwork's tables are.
COLUMN = 255

_ID = re.compile(r"<[^>]+>")
_REPLY = re.compile(r"re[:\s]", re.IGNORECASE)
_REPLY_OR_FORWARD = re.compile(r"(?:re|fwd?)[:\s]", re.IGNORECASE)
_BRACKETS = re.compile(r"\[([^\]]*)\]\s*(.*)")
_MERCURIAL = re.compile(r"PATCH (\d+ of \d+)")
_MARKER = re.compile(r".*?(\d+)(?:/| of )(\d+)$")
_VERSION = re.compile(r"v(\d+)$", re.IGNORECASE)
_VERSION_IN_NAME = re.compile(r"\(v(\d+)\)", re.IGNORECASE)
# What Patchwork takes for an address: no apostrophe before the @, and a dot behind it.
_ADDRESS = re.compile(r"[\w!#$%&\"*+/=?^`{|}~.-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
_ARCHIVED_SENDER = re.compile(r"(\S+) at (\S+) \((.*)\)")  # as pipermail writes it
_FOOTER = re.compile(r"^(?:-- |_+)\n", re.MULTILINE)
# Two expressions: one for both lines would be quadratic.
_PULL_BEGINS = re.compile(r"^The following changes since commit", re.MULTILINE | re.IGNORECASE)
_PULL_NAMES = re.compile(
    r"^are available in the git repository at:[ \t\r]*\n\s*"
    r"([\w+-]+(?::/|@)\S+(?:[ \t]+\S+)?)[ \t\r]*$",
    re.MULTILINE | re.IGNORECASE,
)
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_FILE_NAME = re.compile(r"(---|\+\+\+) (\S+)")
_NO_NEWLINE = "\\ No newline at end of file"
# git-diff(1), "Generating patch text with -p": the extended header.
_EXTENDED = (
    "old mode ",
    "new mode ",
    "deleted file mode ",
    "new file mode ",
    "copy from ",
    "copy to ",
    "rename from ",
    "rename to ",
    "similarity index ",
    "dissimilarity index ",
    "index ",
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail as Patchwork sees it. Message-IDs keep their angle brackets here."""

    message_id: str
    references: tuple[str, ...]  # In-Reply-To, then References from last to first
    list_ids: tuple[str, ...]
    sender_name: str | None
    sender_address: str
    subject: str
    date: datetime | None  # naive, UTC
    headers: str  # as stored: one "Name: value" after the other, folded
    is_reply: bool
    ignored: bool  # X-Patchwork-Hint: ignore
    action_required: bool
    message: str  # what a patch, cover letter or comment made of it holds
    diff: str | None
    pull_url: str | None


class NotFiled(errors.Permanent):
    """Patchwork makes nothing of this mail."""


def read(raw: bytes) -> Letter:
    """Read one mail.

    ``raw``: the mail, a leading mbox ``From `` line allowed. Raises ``NotFiled`` when a header
    that Patchwork insists on is missing, and ``errors.Unreadable`` as ``mail.parse`` does.
    """
    mails.parse(raw)  # for what it raises: nested mails that no parser survives
    if raw[: raw.find(b"\n") + 1].endswith(b"\r\n"):
        raw = raw.replace(b"\r\n", b"\n")  # as a mail server's pipe gives it
    message = message_from_bytes(raw)
    for name in ("From", "Subject", "Message-Id"):
        if name not in message:
            raise NotFiled(f"no {name} header")
    header = _decoded(message["Message-Id"])
    if not header:
        raise NotFiled("broken Message-Id header")
    sender_name, sender_address = _sender(message)
    subject = _decoded(message["Subject"])
    is_reply = bool(_REPLY.match(subject))
    diff, comment = (None, _comment(message)) if is_reply else _patch_and_comment(message)
    return Letter(
        message_id=_first_id(header)[:COLUMN],
        references=tuple(_references(message)),
        list_ids=tuple(_list_ids(message)),
        sender_name=sender_name,
        sender_address=sender_address,
        subject=subject,
        date=_date(message),
        headers=_stored_headers(message),
        is_reply=is_reply,
        ignored=_decoded(message.get("X-Patchwork-Hint", "")).lower() == "ignore",
        action_required="X-Patchwork-Action-Required" in message,
        message=comment,
        diff=diff,
        pull_url=_pull_url(comment),
    )


def name_and_prefixes(subject: str, dropped: tuple[str, ...] = ()) -> tuple[str, tuple[str, ...]]:
    """The name Patchwork gives to a patch, and the words it found in leading brackets.

    ``dropped``: words left out besides ``PATCH``, in any case. ``[PATCH v2 1/3] a: b`` gives
    ``[v2,1/3] a: b`` and ``("v2", "1/3")``.
    """
    unwanted = {"patch", *(word.lower() for word in dropped)}
    rest = (
        _REPLY_OR_FORWARD.sub("", subject, count=1) if _REPLY_OR_FORWARD.match(subject) else subject
    )
    rest = rest.strip()
    prefixes: list[str] = []
    while found := _BRACKETS.match(rest):
        inside, rest = found.groups()
        words = []
        if mercurial := _MERCURIAL.match(inside):
            words, inside = [mercurial[1]], inside[mercurial.end() :]
        words += [word for word in re.split(r"[,\s]+", inside) if word]
        prefixes += [word for word in words if word.lower() not in unwanted]
    name = " ".join(rest.split())
    return (f"[{','.join(prefixes)}] {name}" if prefixes else name), tuple(prefixes)


def series_marker(prefixes: tuple[str, ...]) -> tuple[int | None, int | None]:
    """Number and total of a ``1/3`` (or ``1 of 3``) among the prefixes, or two ``None``."""
    for prefix in prefixes:
        if found := _MARKER.match(prefix):
            return int(found[1]), int(found[2])
    return None, None


def version(name: str, prefixes: tuple[str, ...]) -> int:
    """The series version: ``v2`` among the prefixes, ``(v2)`` in the name, else 1."""
    for prefix in prefixes:
        if found := _VERSION.match(prefix):
            return int(found[1])
    found = _VERSION_IN_NAME.search(name)
    return int(found[1]) if found else 1


def diff_hash(diff: str) -> str:
    """Patchwork's hash of a diff: SHA-1 that line numbers and other prose do not change."""
    digest = hashlib.sha1(usedforsecurity=False)
    for line in f"{diff.replace(chr(13), '').strip()}\n".split("\n"):
        if found := _FILE_NAME.match(line):
            side = "a" if found[1] == "---" else "b"
            line = f"{found[1]} {side}/{found[2].partition('/')[2]}"
        elif found := _HUNK.match(line):
            line = f"@@ -{int(found[1] or 1)} +{int(found[2] or 1)} @@"
        elif not line.startswith(("-", "+", " ")):
            continue
        digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _pull_url(text: str) -> str | None:
    begins = _PULL_BEGINS.search(text)
    names = _PULL_NAMES.search(text, begins.end()) if begins else None
    return " ".join(names[1].split()) if names else None


def split_diff(text: str) -> tuple[str, str]:
    """Part a patch mail's text into its diff and what stands around it; either may be "".

    A diff begins at a ``diff`` or ``Index:`` line, or at ``---`` and ``+++`` lines, as soon as a
    hunk or two extended header lines follow; a hunk ends by its own line counts.
    """
    lines = [line + "\n" for line in text.split("\n")]
    diff: list[str] = []
    around: list[str] = []
    at, held = 0, -1  # lines[held:at] belong to the diff if more of it comes
    while at < len(lines):
        line = lines[at]
        if held < 0 and (line.startswith(("diff ", "Index: ")) or _names_a_file(lines, at)):
            held = at
        end = at
        if _HUNK.match(line) and (
            _names_a_file(lines, at - 2) or (diff and held == at and lines[at - 1] == diff[-1])
        ):
            end = _past_hunk(lines, at)
        elif line.startswith(_EXTENDED) and lines[at - 1].startswith(_EXTENDED):
            end = at + 1
        elif line.startswith("GIT binary patch") and lines[at - 1].startswith(_EXTENDED):
            end = _past_binary(lines, at)
        if held >= 0 and end > at:
            diff += lines[held:end]
            at = held = end
            continue
        if held < 0:
            around.append(line)
        at += 1
    if held >= 0:
        around += lines[held:]
    return "".join(diff), "".join(around)


def _names_a_file(lines: list[str], at: int) -> bool:
    return (
        0 <= at <= len(lines) - 3
        and lines[at].startswith("--- ")
        and lines[at + 1].startswith("+++ ")
        and _HUNK.match(lines[at + 2]) is not None
    )


def _past_hunk(lines: list[str], at: int) -> int:
    header = _HUNK.match(lines[at])
    assert header is not None
    old, new = (int(count or 1) for count in header.groups())
    at += 1
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith(_NO_NEWLINE)):
        first = lines[at][0]
        old -= first not in "+\\"
        new -= first not in "-\\"
        at += 1
    return at


def _past_binary(lines: list[str], at: int) -> int:
    while at < len(lines) and not lines[at].startswith("diff"):
        at += 1
    return at


def _patch_and_comment(message: Message) -> tuple[str | None, str]:
    diff: str | None = None
    comment = ""
    for text, subtype in _texts(message):
        if subtype in ("x-patch", "x-diff"):
            diff = text
        elif subtype == "plain":
            if diff:
                comment += text.strip() + "\n"
            else:
                found, around = split_diff(text)
                diff = found or None
                comment += around.strip() + "\n"
    return (diff.replace("\0", "") if diff else None), _cleaned(comment)


def _comment(message: Message) -> str:
    """What a reply says: every text/plain part, those of a forwarded or attached mail, too."""
    texts = (text for text, subtype in _texts(message) if text and subtype == "plain")
    return _cleaned("".join(f"{text.strip()}\n" for text in texts))


def _cleaned(text: str) -> str:
    footer = _FOOTER.search(text)
    text = text[: footer.start()] if footer else text
    return text.strip().replace("\0", "").replace("\r\n", "\n")


def _texts(message: Message) -> Iterator[tuple[str, str]]:
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        try:
            charset = part.get_content_charset()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise NotFiled("a charset that makes no sense") from error
        for candidate in (charset, "utf-8", "windows-1252", "latin-1"):
            try:
                yield payload.decode(candidate or "utf-8"), part.get_content_subtype()
                break
            except UnicodeDecodeError:
                if candidate and candidate == charset:
                    break  # a part that is not in its own charset is dropped
            except (LookupError, ValueError):
                continue


def _header(value: object, name: str | None = None) -> Header | None:
    try:
        chunks = decode_header(value)  # type: ignore[arg-type]
    except HeaderParseError:
        return None
    try:
        return _joined(chunks, name)
    except (LookupError, ValueError):
        # One word in a charset that it is not in, or that nobody knows, spoils the others too.
        return _joined([(chunk, "unknown-8bit") for chunk, _ in chunks], name)


def _joined(chunks: list[tuple[Any, str | None]], name: str | None) -> Header:
    header = Header(header_name=name, continuation_ws="\t")
    for chunk, charset in chunks:
        header.append(chunk, charset)
    return header


def _decoded(value: object) -> str:
    header = _header(value)
    return " ".join(str(header).replace("\0", "").split()) if header is not None else ""


def _stored_headers(message: Message) -> str:
    lines = []
    for name, value in message.items():
        header = _header(value, name)
        try:
            lines.append(f"{name}: {header.encode()}" if header is not None else "")
        except (HeaderParseError, IndexError):
            continue
    return "\n".join(line for line in lines if line).replace("\0", "")


def _first_id(value: str) -> str:
    found = _ID.search(value)
    return found[0] if found else value.strip()


def _references(message: Message) -> Iterator[str]:
    seen = set()
    for header in message.get_all("In-Reply-To", []):
        if value := _decoded(header):
            seen.add(_first_id(value))
            yield _first_id(value)[:COLUMN]
    for header in message.get_all("References", []):
        for found in reversed(_ID.findall(_decoded(header))):
            if found not in seen:
                seen.add(found)
                yield found[:COLUMN]


def _list_ids(message: Message) -> Iterator[str]:
    for name in ("List-Id", "X-Mailing-List", "X-list"):
        value = _decoded(message.get(name, ""))
        if found := re.search(r".*<([^>]+)>", value):
            yield found[1]
        elif value and " " not in value:
            yield value


def _sender(message: Message) -> tuple[str | None, str]:
    value = _decoded(message["From"])
    name, address = parseaddr(value)
    if archived := _ARCHIVED_SENDER.fullmatch(value):
        name, address = archived[3], f"{archived[1]}@{archived[2]}"
    if not _ADDRESS.fullmatch(address):
        raise NotFiled("no address in the From header")
    return (name[:COLUMN] if name or "<" in value else None), address[:COLUMN]


def _date(message: Message) -> datetime | None:
    parsed = parsedate_tz(_decoded(message.get("Date", "")))
    if parsed is None:
        return None
    try:
        return datetime.fromtimestamp(mktime_tz(parsed), UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return None
