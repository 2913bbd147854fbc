# SPDX-License-Identifier: BSD-3-Clause
"""Try a line: what would be read of a mail, and why. Pure; Patchwork is not asked, and nothing is
recorded.
"""

import re
from dataclasses import dataclass

from ingest import decision
from ingest.config.tables import Settings
from ingest.ledger import Outcome
from ingest.mail import recheck, reply
from ingest.mail.recheck import Grammar
from ingest.policy import ready

# Bytes of a mail that is tried.
MOST = 64 << 10

# A header has one of these, and begins with a field or an mbox's separator.
_FIELD = re.compile(r"From |(?!Recheck-request:)[!-9;-~]+:", re.IGNORECASE)
_HEADER = re.compile(
    r"^(?:from|subject|date|message-id|in-reply-to|references|received):", re.IGNORECASE | re.M
)
# What a bare text replies to, so that it is read as a reply.
_PARENT = "In-Reply-To: <patch@example.org>\n\n"
# What stands for a label where nobody knows one.
_LABEL = "LABEL"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a trial. ``is_text``: what was pasted has no header, and was read as the text of
    a reply; ``is_read``: a request was read; ``reason``: why not; ``hint``: the line that comes
    close, and why it is not a request; ``reply``: lines that would be read, for what was meant and
    was not; ``commands``: how a shell sends them, if it is known where to."""

    is_text: bool
    is_read: bool
    reason: str
    outcome: str
    hint: str
    reply: str
    commands: tuple[str, ...] = ()
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
    made = None if judged.outcome is Outcome.REJECTED else ready.of_mail(raw, settings.requests)
    example = reply.text((_LABEL,), {}) if judged.outcome is Outcome.IGNORED else ""
    return Tried(
        is_text=is_text,
        is_read=judged.is_open,
        reason=judged.reason,
        outcome=Outcome.DONE.value if judged.is_open else judged.outcome.value,
        hint=str(near) if near and (not found or near.is_meant) else "",
        reply=made.text if made else example,
        commands=made.commands if made and not is_text else (),
        contexts=asked.contexts if asked else (),
        arguments=tuple(f"{k}={v}" for k, v in asked.arguments.items()) if asked else (),
        leftovers=asked.leftovers if asked else (),
        requester=str(mail.requester) if mail and not is_text else "",
        subject=mail.subject if mail and not is_text else "",
        replies_to=mail.candidates if mail and not is_text else (),
    )
