# SPDX-License-Identifier: BSD-3-Clause
"""Tells whoever asked and was refused by the policy why, by [mail.NAME]: only whom the mail is
proved to be of, and once in a while for one series, so that forged mail has nobody written to.
"""

import logging
from dataclasses import replace
from hashlib import sha256

from ingest.config.tables import Settings
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Event, Ledger, Letter, Request
from ingest.policy import rules
from ingest.sinks import Clock, Stop, answer, lease_name, mail, refusals_name
from ingest.sinks.letters import LONGEST_PAUSE, Outbox

log = logging.getLogger(__name__)


def keep(ledger: Ledger, settings: Settings, request: Request, reason: str, now: float) -> None:
    """Keep the mails that say why a request was refused, for ``Refusals`` to send. ``request``: as
    it would have been recorded, its series 0 if that is not known."""
    if rules.by_age(settings.policy.max_age, request):
        return
    for name, table in settings.mail.items():
        first = mail.receiver(name, settings)
        if not table.refusals or not first.believes(request):
            continue
        try:
            to = first.recipients(request)[0]
        except (NotTaken, SinkUnavailable):
            continue
        told = f"{refusals_name(name)} to {to.lower()} of series {request.series}"
        if ledger.recall(told, now) is not None:
            continue
        digest = sha256(f"{request.message_id}\0{request.mail_id}".encode("utf-8", "replace"))
        refused = replace(request, id=f"refused-{digest.hexdigest()[:32]}", recorded=now)
        letter = Letter(
            id=answer.message_id(refused, table, name),
            sink=refusals_name(name),
            request=0,
            at=now,
            recipients=(to,),
            raw=answer.compose_refusal(refused, reason, table, name, [to]),
        )
        if ledger.letters.keep(letter):
            ledger.remember(told, "", now + table.series_interval)
            event = {"to": refusals_name(name), "answer": f"{to} is told by mail"}
            ledger.tell(request.mail_id, [Event(now, "answered", event)])


class Refusals:
    """A ``Sink`` that is whoever was refused. ``name``: of the table [mail.NAME]."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = refusals_name(name)
        self._first = f"mail:{name}"
        self._outbox = Outbox(self.name, settings.mail[name], self._ended)

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """See ``Sink``."""
        return bool(ledger.letters.due(self.name, now, LONGEST_PAUSE))

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""
        with ledger.lease(lease_name(self.name)) as held:
            paused = any(each.sink == self._first for each in ledger.steering.pauses())
            return self._outbox.send(ledger, clock, until, stop) if held and not paused else 0

    def _ended(self, ledger: Ledger, letter: Letter, said: str, now: float) -> None:
        to = ", ".join(letter.recipients)
        if letter.reason:
            log.error("%s: %s was not told: %s", self.name, to, letter.reason)
        else:
            log.info("told %s by %s: %s", to, self.name, said)
        ledger.letters.note(letter)
