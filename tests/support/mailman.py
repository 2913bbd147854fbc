# SPDX-License-Identifier: BSD-3-Clause
"""What a list does to a mail before it sends it on: Mailman's own rules, made again."""

from email.header import decode_header, make_header
from email.utils import formataddr

ADDRESS, LIST_ID = "dev@lists.example", "dev.lists.example"
FOOTER = b"_______________________________________________\ndev mailing list\ndev@lists.example\n"


def _parted(raw: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = raw.partition(b"\n\n")
    return head.split(b"\n"), body


def _joined(head: list[bytes], body: bytes) -> bytes:
    return b"\n".join(head) + b"\n\n" + body


def listed(raw: bytes) -> bytes:
    """A mail as the list sends every mail: with its own header fields."""
    head, body = _parted(raw)
    kept = [line for line in head if not line.lower().startswith(b"list-id:")]
    return _joined([*kept, f"List-Id: <{LIST_ID}>".encode(), b"Precedence: list"], body)


def prefixed(raw: bytes) -> bytes:
    """With the list's prefix before the subject."""
    return raw.replace(b"Subject: Re: ", b"Subject: Re: [dev] ", 1)


def footed(raw: bytes) -> bytes:
    """With the list's footer below the text (handlers/decorate.py)."""
    return raw + FOOTER


def munged(raw: bytes) -> bytes:
    """With the list's address as From, and the author's in Reply-To, in addition to what was there
    (handlers/dmarc.py, munge_from)."""
    head, body = _parted(raw)
    [author] = [line for line in head if line.lower().startswith(b"from:")]
    sender = author.partition(b":")[2].strip()
    shown = sender.decode().partition("<")[0].strip().strip('"')
    name = str(make_header(decode_header(shown)))
    answers = [
        line.partition(b":")[2].strip() for line in head if line.lower().startswith(b"reply-to:")
    ]
    if sender not in answers:
        answers.append(sender)
    kept = [line for line in head if not line.lower().startswith((b"from:", b"reply-to:"))]
    by = f"From: {formataddr((f'{name} via dev', ADDRESS))}".encode()
    return _joined([by, *kept, b"Reply-To: " + b", ".join(answers)], body)


def wrapped(raw: bytes, message_id: str = "wrapped@lists.example") -> bytes:
    """As a part of a mail of the list's own (handlers/dmarc.py, wrap_message)."""
    head, _ = _parted(raw)
    subject = next(line for line in head if line.lower().startswith(b"subject:"))
    date = next(line for line in head if line.lower().startswith(b"date:"))
    return _joined(
        [
            b"From: Robin Reviewer via dev <%b>" % ADDRESS.encode(),
            subject,
            date,
            b"Message-ID: <%b>" % message_id.encode(),
            f"List-Id: <{LIST_ID}>".encode(),
            b"MIME-Version: 1.0",
            b"Content-Type: message/rfc822",
            b"Content-Disposition: inline",
        ],
        raw,
    )
