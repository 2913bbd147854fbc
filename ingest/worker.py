# SPDX-License-Identifier: BSD-3-Clause
"""One queued mail to one outcome, by way of mail → recheck → policy → Patchwork, and the retry
schedule. Called by ``work``, ``serve``, ``replay`` and, for a few seconds, by ``pipe``.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ingest import policy
from ingest.config.tables import Settings
from ingest.config.values import DAY
from ingest.errors import NotFound, OutOfTime, Permanent, Refused, Unavailable
from ingest.ledger import Event, Ledger, Outcome, Queued, Request, Waiting
from ingest.mail import message as mails
from ingest.mail import recheck, requester
from ingest.patchwork import labels, outage
from ingest.patchwork.lookup import Lookup, Memory, Patchwork, Target
from ingest.sinks import delivery

log = logging.getLogger(__name__)

# Seconds between two looks at the queue.
POLL = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a mail came to without Patchwork: a request to be resolved, or an end."""

    mail: mails.Mail | None
    wanted: policy.Wanted | None
    outcome: Outcome
    reason: str


def judge(raw: bytes, null_sender: bool, settings: Settings) -> Verdict:
    """What a mail's own bytes say of it. Pure; ``wanted`` is set if Patchwork is to be asked."""
    try:
        mail = mails.parse(raw)
    except Permanent as error:
        return Verdict(None, None, Outcome.FAILED, str(error))
    reason = policy.no_request(mail, null_sender)
    if reason:
        return Verdict(mail, None, Outcome.IGNORED, reason)
    found = recheck.parse(mail.text)
    if not found:
        near = recheck.near_miss(mail.text)
        nearly = f"; this is none by the grammar: {near!r}" if near else ""
        return Verdict(mail, None, Outcome.IGNORED, f"it has no Recheck-request line{nearly}")
    patterns = labels.patterns(settings.requests)
    wanted, reason = policy.select(found, patterns, settings.requests.arguments)
    return Verdict(mail, wanted, Outcome.DONE if wanted else Outcome.IGNORED, reason)


def connect(settings: Settings, memory: Memory, budget: float | None = None) -> Patchwork:
    """The configured Patchwork, remembering in the ledger or elsewhere.

    ``budget``: seconds from now after which it is not asked any more.
    """
    until = None if budget is None else time.monotonic() + budget
    return Patchwork(settings.patchwork, memory, until=until)


class Worker:
    """Works off a ledger's queue. Make and use it while holding the ledger's lease only."""

    def __init__(
        self,
        ledger: Ledger,
        patchwork: Patchwork,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        told: Callable[[Queued, Outcome, str], None] = lambda queued, outcome, reason: None,
        publish: Callable[[float | None], None] | None = None,
    ) -> None:
        """``told`` is called with what each attempt came to. ``chance`` gives the jitter, from 0
        to 1. ``publish`` is called when there may be requests for the sinks, with a Unix time
        after which they are not to be waited for, if there is one; by default it has them at work
        once."""
        self._ledger = ledger
        self._patchwork = patchwork
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._told = told
        self._publish = publish or self._deliver
        self._recovered = False
        delivery.begin(ledger, settings)

    def work_off(self, until: float | None = None, stop: Callable[[], bool] = lambda: False) -> int:
        """Work on every due mail, and publish; how many mails were worked on.

        ``until``: a Unix time after which no further mail is begun; ``stop``: asked before each
        mail whether to end.
        """
        if not self._recovered:
            self._ledger.recover(self._clock())
            self._recovered = True
        worked, published = 0, self._clock()
        while not stop() and (until is None or self._clock() < until):
            queued = self._ledger.claim(self._clock())
            if queued is None:
                break
            try:
                self.work_on(queued)
            except OutOfTime:
                break
            worked += 1
            # A long queue does not hold up what is known already.
            if self._clock() >= published + POLL:
                self._publish(until)
                published = self._clock()
        self._publish(until)
        now = self._clock()
        if dropped := self._ledger.prune(now - self._settings.state.keep_days * DAY, now):
            log.info("dropped the raw bytes of %d old mails", dropped)
        return worked

    def _deliver(self, until: float | None) -> None:
        delivery.once(self._ledger, self._settings, clock=self._clock, until=until)

    def work_on(self, queued: Queued) -> Outcome:
        """One attempt at a mail: its outcome, or ``QUEUED`` if it is to be tried again.

        Raises ``OutOfTime`` if there was not enough time for one; the mail is due as before.
        """
        null_sender = queued.envelope.sender == ""
        verdict = judge(queued.raw, null_sender, self._settings)
        if verdict.mail is None or verdict.wanted is None:
            return self._end(queued, verdict.outcome, verdict.reason, [])
        trail: list[Lookup] = []
        down = outage.broken(self._ledger, self._clock())
        if down is not None:
            return self._spare(queued, *down)
        try:
            target = self._patchwork.resolve(verdict.mail, queued.received, trail)
            wanted, reason = labels.known(
                verdict.wanted, target, self._patchwork, self._settings.requests, trail
            )
        except OutOfTime as error:
            self._put_back(queued, queued.waiting, self._clock(), str(error))
            raise
        except NotFound as error:
            outage.note_answer(self._ledger, self._clock())
            return self._later(queued, Waiting.MISSING, str(error), trail)
        except Unavailable as error:
            pause = self._settings.worker.retry[0]
            outage.trip(self._ledger, error, self._clock(), pause)
            return self._later(queued, Waiting.DOWN, str(error), trail, error.retry_after)
        except Refused as error:
            return self._end(queued, Outcome.FAILED, str(error), trail)
        outage.note_answer(self._ledger, self._clock())
        if wanted is None:
            return self._end(queued, Outcome.IGNORED, reason, trail)
        return self._record(queued, verdict.mail, wanted, target, trail)

    def _spare(self, queued: Queued, until: float, reason: str) -> Outcome:
        """Put a mail back without asking a Patchwork that was down a moment ago. That is no
        attempt: the first mail that is due when the pause is over makes one for all."""
        return self._put_back(queued, Waiting.DOWN, until, reason)

    def _put_back(self, queued: Queued, waiting: Waiting, due: float, reason: str) -> Outcome:
        """Put a mail back as if it had not been tried."""
        same, now = queued.waiting is waiting, self._clock()
        since = queued.since if same else now
        tries = queued.tries if same else 0
        # The story has to know when an outage began: it does not count as missing (_missed).
        events = [] if same else [_waits(now, waiting, reason, due)]
        self._ledger.wait(queued, waiting, due, since, tries, reason, events)
        self._told(queued, Outcome.QUEUED, reason)
        log.debug("waits <%s>: %s", queued.message_id, reason)
        return Outcome.QUEUED

    def _record(
        self,
        queued: Queued,
        mail: mails.Mail,
        wanted: policy.Wanted,
        target: Target,
        trail: list[Lookup],
    ) -> Outcome:
        now = self._clock()
        request = Request(
            number=0,
            mail_id=queued.id,
            message_id=queued.message_id or f"mail-{queued.id}",
            series=target.series,
            submission=f"{target.kind} {target.id}",
            project=target.project,
            contexts=wanted.contexts,
            arguments=wanted.arguments,
            leftovers=wanted.leftovers,
            requester=requester.told(mail),
            subject=mail.subject,
            date=mail.date.timestamp() if mail.date else queued.received,
            recorded=now,
        )
        asked = ", ".join([*wanted.contexts, *(f"{k}={v}" for k, v in wanted.arguments.items())])
        reason = f"series {target.series}: {asked}"
        events = [*_events(now, trail), Event(now, "recorded", {"series": target.series})]
        new = self._ledger.finish(queued, Outcome.DONE, reason, events, [request])
        self._told(queued, Outcome.DONE, reason)
        log.info("recorded <%s>: %s%s", queued.message_id, reason, "" if new else " (known)")
        return Outcome.DONE

    def _end(self, queued: Queued, outcome: Outcome, reason: str, trail: list[Lookup]) -> Outcome:
        now = self._clock()
        events = [*_events(now, trail), Event(now, outcome.value, {"reason": reason})]
        self._ledger.finish(queued, outcome, reason, events)
        self._told(queued, outcome, reason)
        level = logging.INFO if outcome is Outcome.IGNORED else logging.WARNING
        log.log(level, "%s <%s>: %s", outcome, queued.message_id, reason)
        return outcome

    def _later(
        self,
        queued: Queued,
        waiting: Waiting,
        reason: str,
        trail: list[Lookup],
        retry_after: float | None = None,
    ) -> Outcome:
        """Put a mail back, or give it up when it has waited long enough for the same thing."""
        now = self._clock()
        schedule = self._settings.worker
        same = queued.waiting is waiting
        since = queued.since if same else now
        tries = queued.tries + 1 if same else 1
        if waiting is Waiting.MISSING and queued.waiting is Waiting.DOWN:
            # A Patchwork that goes up and down must not keep a mail waiting for ever.
            since -= self._missed(queued)
        limit, outcome = (
            (schedule.give_up_missing, Outcome.UNRESOLVED)
            if waiting is Waiting.MISSING
            else (schedule.give_up_down, Outcome.FAILED)
        )
        if now - since >= limit:
            return self._end(queued, outcome, f"gave up: {reason}", trail)
        pause = schedule.retry[min(tries, len(schedule.retry)) - 1]
        pause *= 1 + schedule.jitter * self._chance()
        due = min(now + max(pause, retry_after or 0.0), since + limit)
        events = [*_events(now, trail), _waits(now, waiting, reason, due)]
        self._ledger.wait(queued, waiting, max(due, now + 1), since, tries, reason, events)
        self._told(queued, Outcome.QUEUED, reason)
        log.info("waits <%s>: %s", queued.message_id, reason)
        return Outcome.QUEUED

    def _missed(self, queued: Queued) -> float:
        """Seconds for which Patchwork, while it was up, has not known what a mail replies to:
        from each such answer to the next attempt."""
        missed = 0.0
        before: Event | None = None
        for record in self._ledger.find(queued.message_id):
            for event in record.story if record.id == queued.id else ():
                if event.what == "queued again":
                    missed, before = 0.0, None
                if event.what == "waits":
                    if before and before.details.get("waiting") == Waiting.MISSING:
                        missed += event.at - before.at
                    before = event
        return missed


def _waits(now: float, waiting: Waiting, reason: str, until: float) -> Event:
    return Event(now, "waits", {"reason": reason, "until": until, "waiting": waiting.value})


def _events(now: float, trail: list[Lookup]) -> list[Event]:
    return [Event(now, "asked", {"question": each.asked, "answer": each.answer}) for each in trail]
