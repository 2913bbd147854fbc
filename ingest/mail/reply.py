# SPDX-License-Identifier: BSD-3-Clause
"""A reply that asks for a retest and can be read, ready to be sent. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ingest.mail.recheck import KEYWORD
from ingest.words import harmless

_WIDTH = 72
_LONGEST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Ready:
    """The ``text`` of a reply, and the ``commands`` by which a shell sends it."""

    text: str
    commands: tuple[str, ...]


def text(contexts: Sequence[str], arguments: Mapping[str, str]) -> str:
    """A request as ``recheck.parse`` reads it in every grammar. Long lists go on below: a comma may
    be followed by a line end."""
    items = [*contexts, *(f"{name}={value}" for name, value in arguments.items())]
    lines = [KEYWORD]
    for place, item in enumerate(items):
        piece = item + ("," if place + 1 < len(items) else "")
        if lines[-1] not in (KEYWORD, "") and len(lines[-1]) + len(piece) > _WIDTH:
            lines.append("")
        lines[-1] += (" " if lines[-1] not in (KEYWORD, "") else "") + piece
    return "\n".join(lines)


def ready(
    contexts: Sequence[str],
    arguments: Mapping[str, str],
    *,
    to: str,
    in_reply_to: str,
    subject: str,
) -> Ready:
    """The reply. ``to``: the list's address, "" if it is not known; ``in_reply_to``: the Message-ID
    of the patch or cover letter; ``subject``: of the mail that could not be read."""
    body = text(contexts, arguments)
    lines = " ".join(map(shlex.quote, (f"Subject: {_subject(subject)}", "", *body.split("\n"))))
    addressed = f"--to={shlex.quote(to)} " if to else "--to=LIST "
    reply = shlex.quote(harmless(f"<{in_reply_to}>"))
    return Ready(
        text=body,
        commands=(
            f"printf '%s\\n' {lines} > reply.txt",
            f"git send-email --suppress-cc=all {addressed}--in-reply-to={reply} reply.txt",
        ),
    )


def _subject(subject: str) -> str:
    """The subject of the reply. Git asks back about one that is not ASCII."""
    kept = " ".join(subject[:_LONGEST_SUBJECT].split())
    if not kept.isascii() or not kept.isprintable() or not kept:
        return "Re: retest"
    return kept if kept[:3].lower() == "re:" else f"Re: {kept}"
