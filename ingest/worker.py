# SPDX-License-Identifier: BSD-3-Clause
"""The worker: claims a queued mail, has it decided, and records the decision.

It owns what follows from a decision in the ledger: the outcome, the request, the next attempt.
"""

import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import astuple, replace

from ingest import background, decision, schedule
from ingest.config.tables import Settings, StateSettings
from ingest.config.values import DAY
from ingest.decision import Decision
from ingest.errors import LostClaim, OutOfTime, StateUnavailable, Unavailable
from ingest.ledger import (
    WORKER_LEASE,
    Event,
    Keep,
    Ledger,
    Outcome,
    Queued,
    Request,
    Submission,
    Wait,
    Waiting,
)
from ingest.mail import reason as why
from ingest.mail import recheck
from ingest.mail.message import Mail
from ingest.mail.requester import Requester
from ingest.mail.trust import PATCHWORK, Trust
from ingest.patchwork import outage
from ingest.patchwork.attempt import Memory
from ingest.patchwork.dialect import Target
from ingest.patchwork.servers import Chooser, Servers
from ingest.policy import rules
from ingest.results import overdue
from ingest.sinks import Sink, delivery
from ingest.trust import verify
from ingest.trust.signature import CannotVerify
from ingest.words import clipped, counted, named

log = logging.getLogger(__name__)

# Characters kept of what a mail says of itself.
_LONGEST_SUBJECT, _LONGEST_NAME = 500, 320
# Characters of what is asked for in the step that tells of it; the request has all.
_LONGEST_ASKED = 2000

# In the place of what is not known of a request that is refused before Patchwork is asked.
_UNKNOWN = Target(0, "patch", 0, "")

# Seconds between two looks at the queue.
POLL = 1.0
# Seconds between two looks for what is overdue.
_JUDGED_EVERY = 60.0


def connect(settings: Settings, memory: Memory, budget: float | None = None) -> Servers:
    """The configured Patchwork servers, remembering in the ledger or elsewhere.

    ``budget``: seconds from now after which it is not asked any more.
    """
    until = None if budget is None else time.monotonic() + budget
    return Servers(settings, memory, until=until)


def _ignore(queued: Queued, outcome: Outcome, reason: str) -> None:
    """Nobody wants to know what an attempt came to."""


class Worker:
    """Works off a ledger's queue. Make and use it while holding the ledger's lease only."""

    def __init__(
        self,
        ledger: Ledger,
        patchwork: Chooser,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        report: Callable[[Queued, Outcome, str], None] = _ignore,
        publish: Callable[[float | None], None] | None = None,
        holder: str = WORKER_LEASE,
    ) -> None:
        """``report`` is called with what each attempt came to. ``chance`` gives the jitter, from
        0 to 1. ``publish`` is called when there may be requests for the sinks, with a Unix time
        after which nobody waits for them, if there is one; by default each sink delivers once.
        ``holder``: the lease that is held."""
        self._ledger = ledger
        self._patchwork = patchwork
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._report = report
        self._publish = publish or self._deliver
        self._holder = holder
        self._recovered = False
        self._files: list[Sink] = []
        self._tidied = self._judged = -math.inf
        delivery.begin(ledger, settings)

    def work_off(self, until: float | None = None, stop: Callable[[], bool] = lambda: False) -> int:
        """Work on every due mail, and publish; how many mails were worked on.

        ``until``: a Unix time after which no further mail is begun; ``stop``: asked before each
        mail whether to end. Raises ``StateUnavailable``.
        """
        if not self._recovered:
            self._ledger.recover(self._clock(), self._holder)
            self._recovered = True
        if early := self._ledger.hasten(self._clock()):
            log.warning("the clock was set back: %s tried now", counted(early, "waiting mail"))
        worked, published = 0, self._clock()
        while not stop() and (until is None or self._clock() < until):
            queued = self._ledger.claim(self._clock(), self._holder)
            if queued is None:
                break
            try:
                self.work_on(queued)
            except OutOfTime:
                break
            worked += 1
            # A long queue does not hold up what is known already. A clock that is set back does
            # not hold it up for long either.
            if not published <= self._clock() < published + POLL:
                self._publish(until)
                published = self._clock()
        self._publish(until)
        self._tidy(self._clock())
        return worked

    def _tidy(self, now: float) -> None:
        """What has time."""
        if 0 <= now - self._tidied < POLL:  # below 0 the clock was set back
            return
        self._tidied = now
        background.note_work(self._ledger, now)
        if dropped := self._ledger.prune(_kept(self._settings.state, now), now):
            log.info("dropped what is old of %s", counted(dropped, "mail"))
        if not 0 <= now - self._judged < _JUDGED_EVERY:
            overdue.mark(self._ledger, self._settings, now)
            self._judged = now

    def _deliver(self, until: float | None) -> None:
        self._files = self._files or list(delivery.files(self._settings))
        delivery.once(
            self._ledger, self._settings, clock=self._clock, until=until, known=self._files
        )

    def work_on(self, queued: Queued) -> Outcome:
        """One attempt at a mail: its outcome, or ``QUEUED`` if it is to be tried again.

        Raises ``OutOfTime`` if there was not enough time for one (the mail is due as before), and
        ``StateUnavailable``. Nothing else gets out: one mail must not end the worker.
        """
        try:
            outcome, reason = self._attempt(queued)
        except (OutOfTime, StateUnavailable):
            raise
        except LostClaim as error:
            outcome, reason = Outcome.QUEUED, str(error)
            self._tell(logging.WARNING, "left", queued, reason)
        except Exception as error:  # a mail that we cannot cope with waits, and others go on
            name = named(queued.message_id, queued.id)
            log.exception("an error of ours while working on %s; it is tried again", name)
            what = f"an error of ours: {type(error).__name__}: {error}"
            made = Decision(Outcome.QUEUED, what, waiting=Waiting.FAILING)
            outcome, reason = self._later(queued, made)
        self._report(queued, outcome, reason)
        return outcome

    def _attempt(self, queued: Queued) -> tuple[Outcome, str]:
        made = decision.judge(queued.raw, queued.envelope.sender == "", self._settings)
        if made.is_open and made.mail:
            mail = verify.attributed(queued.raw, made.mail, queued.passage, self._settings)
            made = replace(made, mail=mail)
            try:
                made = decision.believe(made, self._trust(queued, mail), self._settings)
            except CannotVerify as error:
                return self._later(
                    queued, replace(made, reason=str(error), waiting=Waiting.FAILING)
                )
        if made.is_open and made.mail:
            try:
                patchwork = self._patchwork.for_mail(made.mail, queued.filing)
                down = outage.broken(self._ledger, self._clock(), patchwork.name)
                if down is not None:
                    # The first mail that is due when the pause is over makes an attempt for all.
                    return self._put_back(queued, Waiting.DOWN, *down)
                made = decision.resolve(
                    made, queued.received, self._settings, patchwork, queued.filing
                )
            except OutOfTime as error:
                self._put_back(queued, queued.wait.waiting, self._clock(), str(error))
                raise
            self._note(made, patchwork.name)
        if made.pause is not None and not schedule.is_over(queued.wait, self._settings.worker):
            until = self._clock() + made.pause
            return self._put_back(queued, made.waiting, until, made.reason, made)
        if made.is_open:
            return self._later(queued, made)
        if made.outcome is Outcome.DONE:
            if not queued.is_archived and (reason := self._over_rate(made)):
                return self._end(queued, Outcome.REJECTED, reason, made)
            return self._record(queued, made)
        return self._end(queued, made.outcome, made.reason, made)

    def _trust(self, queued: Queued, mail: Mail) -> Trust:
        """How far the sender of a mail is believed, verified once: signatures expire, and keys
        change. Raises ``CannotVerify`` if that matters."""
        policy, proof = self._settings.policy, queued.proof
        came = Trust(queued.passage)
        if queued.filing:  # Patchwork may have come to know the mail since
            came = came.by(PATCHWORK)
        if proof is None and policy.proves_authors:
            proof = verify.author(
                queued.raw, mail, queued.source, queued.envelope, policy, came=queued.passage
            )
            told = {"reason": str(replace(came, author=proof))}
            self._ledger.prove(queued, proof, Event(self._clock(), "verified", told))
        return replace(came, author=proof or "")

    def _over_rate(self, made: Decision) -> str:
        """Why a request is one too many, "" if it is not."""
        assert made.mail and made.target
        now = self._clock()

        def history(seconds: float, most: int, who: str, series: int, proved: bool) -> list[float]:
            # Later than now by more than that was recorded before the clock was set back.
            until = now + seconds
            server = made.target.server if made.target else ""
            return self._ledger.recorded(
                now - seconds, until, most, who=who, series=series, server=server, proved=proved
            )

        policy, asks = self._settings.policy, _bounded(made.mail.requester)
        proved = bool(made.trust.author)
        return rules.by_rate(policy, asks, made.target.series, now, history, proved=proved)

    def _note(self, made: Decision, server: str) -> None:
        """Remember for every process how a Patchwork server is."""
        now = self._clock()
        if made.waiting is Waiting.DOWN:
            outage.note_down(self._ledger, made.reason, now, server)
            error = Unavailable(made.reason, made.retry_after)
            outage.trip(self._ledger, error, now, self._settings.worker.retry[0], server)
        elif made.target or made.waiting is Waiting.MISSING:
            outage.note_answer(self._ledger, now, server)

    def _request(self, queued: Queued, made: Decision, target: Target) -> Request:
        """What is recorded of a mail that asks for something of a target."""
        assert made.mail and made.wanted
        mail, wanted, now = made.mail, made.wanted, self._clock()
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
            requester=_bounded(mail.requester),
            subject=clipped(mail.subject, _LONGEST_SUBJECT),
            date=mail.date.timestamp() if mail.date else queued.received,
            recorded=now,
            received=queued.received,
            trust=made.trust,
            list_id=clipped(mail.list_id, _LONGEST_SUBJECT),
            delegates=made.delegates,
            rated=not queued.is_archived,
            pushed=not queued.is_unpushed,
            reason=why.of(mail.text, recheck.Grammar(self._settings.requests.grammar)),
            groups=made.groups,
            parent=clipped(mail.candidates[0], _LONGEST_SUBJECT) if mail.candidates else "",
            server=target.server,
            revision=target.revision,
        )

    def _record(self, queued: Queued, made: Decision) -> tuple[Outcome, str]:
        assert made.target
        target, now = made.target, self._clock()
        request = self._request(queued, made, target)
        recorded = {"series": target.series, "asked": clipped(made.reason, _LONGEST_ASKED)}
        events = [*_asked(now, made), Event(now, "recorded", recorded)]
        new = self._ledger.finish(queued, Outcome.DONE, made.reason, events, [request])
        if not new:
            self._tell(logging.INFO, "recorded before", queued, made.reason)
            return Outcome.IGNORED, "another mail of its Message-ID asked for the same before"
        self._tell(logging.INFO, "recorded", queued, made.reason)
        return Outcome.DONE, made.reason

    def _end(
        self, queued: Queued, outcome: Outcome, reason: str, made: Decision
    ) -> tuple[Outcome, str]:
        now = self._clock()
        events = [*_asked(now, made), Event(now, outcome.value, {"reason": reason})]
        is_refused = outcome is Outcome.REJECTED and made.wanted is not None
        is_told = (
            is_refused and self._settings.mail and not (queued.is_archived or queued.is_unpushed)
        )
        with self._ledger.batch() if is_told else nullcontext():
            self._ledger.finish(queued, outcome, reason, events)
            if is_told:
                request = self._request(queued, made, made.target or _UNKNOWN)
                delivery.refused(self._ledger, self._settings, request, reason, now)
        level = logging.INFO if outcome is Outcome.IGNORED else logging.WARNING
        self._tell(level, outcome.value, queued, reason)
        return outcome, reason

    def _later(self, queued: Queued, made: Decision) -> tuple[Outcome, str]:
        """Put a mail back after an attempt, or give it up when it has waited long enough."""
        now = self._clock()
        wait = schedule.after_attempt(
            queued.wait,
            made.waiting,
            now,
            self._settings.worker,
            chance=self._chance(),
            retry_after=made.retry_after,
        )
        if wait is None:
            missing = made.waiting is Waiting.MISSING
            outcome = Outcome.UNRESOLVED if missing else Outcome.FAILED
            return self._end(queued, outcome, f"gave up: {made.reason}", made)
        self._ledger.wait(
            queued, wait, made.reason, [*_asked(now, made), _waits(made.reason, wait)]
        )
        self._tell(logging.INFO, "waits", queued, made.reason)
        return Outcome.QUEUED, made.reason

    def _put_back(
        self,
        queued: Queued,
        waiting: Waiting,
        until: float,
        reason: str,
        made: Decision | None = None,
    ) -> tuple[Outcome, str]:
        """Put a mail back until a Unix time as if it had not been tried. ``made``: what was
        decided so far, if anything was asked."""
        wait = schedule.unattempted(
            queued.wait, waiting, self._clock(), until, self._settings.worker
        )
        asked = _asked(wait.begun, made) if made else []
        is_new = bool(asked) or queued.wait.waiting is not waiting
        events = [*asked, _waits(reason, wait)] if is_new else []
        self._ledger.wait(queued, wait, reason, events)
        self._tell(logging.DEBUG, "waits", queued, reason)
        return Outcome.QUEUED, reason

    def _tell(self, level: int, what: str, queued: Queued, reason: str) -> None:
        log.log(level, "%s %s: %s", what, named(queued.message_id, queued.id), reason)


def _kept(state: StateSettings, now: float) -> Keep:
    """What is kept of what is old. Days of 0 keep all."""

    def before(days: float) -> float:
        return now - days * DAY if days else 0.0

    return Keep(
        raw=now - state.keep_days * DAY,
        ignored=before(state.keep_ignored_days),
        requests=before(state.keep_requests_days),
        raw_bytes=state.keep_raw,
    )


def _bounded(asks: Requester) -> Requester:
    return Requester(*(clipped(each, _LONGEST_NAME) for each in astuple(asks)))


def _waits(reason: str, wait: Wait) -> Event:
    details = {"reason": reason, "until": wait.due, "waiting": wait.waiting.value}
    return Event(wait.begun, "waits", details)


def _asked(now: float, made: Decision) -> list[Event]:
    return [
        Event(now, "asked", {"question": each.asked, "answer": each.answer}) for each in made.trail
    ]
