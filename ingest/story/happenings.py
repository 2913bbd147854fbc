# SPDX-License-Identifier: BSD-3-Clause
"""What happened, mail by mail and to the whole, as the lines of a log. Frozen values; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.ledger import Happening
from ingest.story.overview import step_of
from ingest.words import named


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. ``number``: its place among all, which what was told together
    shares; ``mail``: what its mail is called, and ``mail_id``, None for what is about no mail;
    ``text`` tells the particulars, what of a mail was not read included."""

    number: int
    at: datetime
    what: str
    mail: str | None
    mail_id: int | None
    text: str
    details: Mapping[str, Any]


def line(happening: Happening) -> Line:
    """What happened, as it is told."""
    step = step_of(happening.event)
    # A mail's own story has the request below it.
    text = str(happening.event.details.get("asked") or step.text)
    about = happening.mail_id
    return Line(
        number=happening.number,
        at=step.at,
        what=step.what,
        mail=named(happening.message_id, about) if about else None,
        mail_id=about or None,
        text=text,
        details=step.details,
    )
