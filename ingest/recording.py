# SPDX-License-Identifier: BSD-3-Clause
"""The request that a decision makes of a mail, with what is kept of what the mail says of itself.
Pure.
"""

from ingest.config.tables import Settings
from ingest.decision import Decision
from ingest.ledger import Queued, Request, Submission
from ingest.mail import reason as why
from ingest.mail import recheck
from ingest.mail.requester import Requester
from ingest.patchwork.dialect import Target
from ingest.words import clipped

# Characters kept of what a mail says of itself.
_LONGEST_SUBJECT, _LONGEST_NAME = 500, 320

# In the place of what is not known of a request that is refused before Patchwork is asked.
_UNKNOWN = Target(0, "patch", 0, "")


def request(
    queued: Queued, made: Decision, target: Target, now: float, settings: Settings
) -> Request:
    """What is recorded at a Unix time of a mail that asks for something of a target."""
    assert made.mail and made.wanted
    mail, wanted = made.mail, made.wanted
    return Request(
        number=0,
        mail_id=queued.id,
        message_id=queued.message_id or f"mail-{queued.id}",
        series=target.series,
        submission=Submission(target.kind, target.id),
        project=target.project,
        contexts=wanted.contexts,
        arguments=wanted.arguments,
        leftovers=wanted.leftovers,
        requester=bounded(mail.requester),
        subject=clipped(mail.subject, _LONGEST_SUBJECT),
        date=mail.date.timestamp() if mail.date else queued.received,
        recorded=now,
        received=queued.received,
        trust=made.trust,
        list_id=clipped(mail.list_id, _LONGEST_SUBJECT),
        delegates=made.delegates,
        rated=not queued.is_archived,
        pushed=not queued.is_unpushed,
        reason=why.of(mail.text, recheck.Grammar(settings.requests.grammar)),
        groups=made.groups,
        parent=clipped(mail.candidates[0], _LONGEST_SUBJECT) if mail.candidates else "",
        server=target.server,
        revision=target.revision,
    )


def refused(queued: Queued, made: Decision, now: float, settings: Settings) -> Request:
    """What a mail asks for that is refused, perhaps before it was looked up."""
    return request(queued, made, made.target or _UNKNOWN, now, settings)


def bounded(asks: Requester) -> Requester:
    """Who asks, cut to the length that is kept."""
    said = (asks.name, asks.mailbox, asks.of_list)
    return Requester(*(clipped(each, _LONGEST_NAME) for each in said))
