# SPDX-License-Identifier: BSD-3-Clause
"""Try a line: what would be read of a mail, and why. Pure; Patchwork is not asked, and nothing is
recorded.
"""

import re
from dataclasses import dataclass

from ingest import decision
from ingest.config.tables import Settings
from ingest.decision import Decision
from ingest.ledger import Outcome
from ingest.mail import recheck
from ingest.mail.message import Mail
from ingest.mail.recheck import KEYWORD, Grammar, Recheck
from ingest.patchwork import labels
from ingest.policy import selection
from ingest.words import asked_for

# Bytes of a mail that is tried.
MOST = 64 << 10

# A header has one of these, and begins with a field or an mbox's separator.
_FIELD = re.compile(r"From |(?!Recheck-request:)[!-9;-~]+:", re.IGNORECASE)
_HEADER = re.compile(
    r"^(?:from|subject|date|message-id|in-reply-to|references|received):", re.IGNORECASE | re.M
)
# What a bare text replies to, so that it is read as a reply.
_PARENT = "In-Reply-To: <patch@example.org>\n\n"
_ITEM = re.compile(r"\w[\w-]*")
# The keyword as people write it, and the items behind it.
_KEYWORD = re.compile(r"re-?check\W{0,9}requests?", re.IGNORECASE)
_LISTED = re.compile(r"[\W_]*(\w[\w-]*(?:=\w[\w-]*)?(?:[ \t]*,[ \t]*\w[\w-]*(?:=\w[\w-]*)?)*)")
_LABEL = "LABEL"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a trial. ``is_text``: what was pasted has no header, and was read as the text of
    a reply; ``is_read``: a request was read; ``reason``: why not; ``hint``: the line that comes
    close, and why it is not a request; ``reply``: a mail that asks as it should."""

    is_text: bool
    is_read: bool
    reason: str
    outcome: str
    hint: str
    reply: str
    contexts: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    requester: str = ""
    subject: str = ""
    replies_to: tuple[str, ...] = ()


def tried(pasted: str, settings: Settings) -> Tried:
    """What would be read of a pasted mail, or of its text alone."""
    text = pasted.replace("\r\n", "\n").lstrip("\n")
    is_text = not (_FIELD.match(text) and _HEADER.search(text.partition("\n\n")[0]))
    raw = ((_PARENT if is_text else "") + text).encode("utf-8", "surrogatepass")
    judged = decision.judge(raw, False, settings)
    mail, grammar = judged.mail, Grammar(settings.requests.grammar)
    found = recheck.parse(mail.text, grammar) if mail else None
    near = recheck.near_miss(mail.text, grammar) if mail else None
    asked = judged.wanted or found
    return Tried(
        is_text=is_text,
        is_read=judged.is_open,
        reason=judged.reason,
        outcome=Outcome.DONE.value if judged.is_open else judged.outcome.value,
        hint=str(near) if near and (not found or near.is_meant) else "",
        reply=_reply(judged, None if is_text else mail, found, near, settings),
        contexts=asked.contexts if asked else (),
        arguments=tuple(f"{k}={v}" for k, v in asked.arguments.items()) if asked else (),
        leftovers=asked.leftovers if asked else (),
        requester=str(mail.requester) if mail and not is_text else "",
        subject=mail.subject if mail and not is_text else "",
        replies_to=mail.candidates if mail and not is_text else (),
    )


def _reply(
    judged: Decision,
    mail: Mail | None,
    found: Recheck | None,
    near: recheck.Hint | None,
    settings: Settings,
) -> str:
    """A mail that asks for what seems to have been meant, with the fields that the answer to a
    patch needs; "" where it would change nothing. ``mail``: None if there is no header."""
    if judged.is_open or judged.outcome is Outcome.REJECTED:
        return ""
    line = KEYWORD + _meant(found, near, settings)
    if mail is None or not mail.candidates or mail.submission:
        return line
    subject = mail.subject or "[PATCH] ..."
    subject = subject if subject.lower().startswith("re:") else f"Re: {subject}"
    parents = dict.fromkeys([*reversed(mail.candidates)])
    references = " ".join(f"<{each}>" for each in parents)
    return (
        f"In-Reply-To: <{mail.candidates[0]}>\nReferences: {references}\nSubject: {subject}\n\n"
        f"{line}\n"
    )


def _meant(found: Recheck | None, near: recheck.Hint | None, settings: Settings) -> str:
    """The labels and arguments of a line that should have been written."""
    requests = settings.requests
    patterns = labels.patterns(requests)
    if found:
        wanted, _ = selection.select(
            Recheck(found.contexts, _known(found, settings), ()), patterns, requests.arguments
        )
        if wanted:
            return asked_for(wanted.contexts, wanted.arguments)
    elif near and (listed := _LISTED.match(_KEYWORD.split(near.text, maxsplit=1)[-1])):
        return listed[1]
    return next((each for each in patterns if _ITEM.fullmatch(each)), _LABEL)


def _known(found: Recheck, settings: Settings) -> dict[str, str]:
    known = settings.requests.arguments
    return {name: value for name, value in found.arguments.items() if name in known}
