# SPDX-License-Identifier: BSD-3-Clause
"""The worker: claims a queued mail, has it decided, and records the decision.

It owns what follows from a decision in the ledger: the outcome, the request, the next attempt.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from ingest import background, decision, recording, schedule
from ingest.config.tables import Settings, StateSettings
from ingest.config.values import DAY
from ingest.decision import Decision
from ingest.errors import OutOfTime, StateUnavailable, Unavailable
from ingest.in_hand import Came, InHand, Write
from ingest.ledger import (
    WORKER_LEASE,
    Event,
    Keep,
    Ledger,
    Outcome,
    Queued,
    Wait,
    Waiting,
)
from ingest.mail.message import Mail
from ingest.mail.trust import PATCHWORK, Trust
from ingest.patchwork import outage
from ingest.patchwork.attempt import Memory
from ingest.patchwork.servers import Chooser, Servers
from ingest.policy import rules
from ingest.results import overdue
from ingest.sinks import Sink, delivery
from ingest.trust import verify
from ingest.trust.signature import CannotVerify
from ingest.value import replace
from ingest.words import clipped, counted, named

log = logging.getLogger(__name__)

# Characters of what is asked for in the step that tells of it; the request has all.
_LONGEST_ASKED = 2000

# Seconds after which what was decided of mails that were taken up together is written.
_TOGETHER = 0.05
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
        self._hand = InHand(ledger, holder, tell=self._tell, failing=self._failing)
        self._asks = False
        patchwork.before_asking(self._before_question)
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
            if not self._hand.take(self._clock()):
                break
            try:
                worked += self._work_on_hand(until, stop)
            except OutOfTime:
                break
            finally:
                self._hand.settle()
            # A long queue does not hold up what is known already. A clock that is set back does
            # not hold it up for long either.
            if not published <= self._clock() < published + POLL:
                self._publish(until)
                published = self._clock()
        self._publish(until)
        self._tidy(self._clock())
        return worked

    def _work_on_hand(self, until: float | None, stop: Callable[[], bool]) -> int:
        """Work on what is in hand, but not for long; on how many mails. Raises as ``work_on``."""
        worked, begun = 0, self._clock()
        end = min(begun + _TOGETHER, math.inf if until is None else until)
        while queued := self._hand.next():
            self.work_on(queued)
            worked += 1
            if not self._hand.has_more or stop() or not begun <= self._clock() < end:
                break
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

    def work_on(self, queued: Queued) -> None:
        """One attempt at a mail in hand. Raises ``OutOfTime`` if there was not enough time for one
        (the mail is due as before), and ``StateUnavailable``. Nothing else gets out: one mail must
        not end the worker."""
        try:
            self._hand.decide(queued, self._attempt(queued))
        except (OutOfTime, StateUnavailable):
            raise
        except Exception as error:  # noqa: BLE001  a mail that we cannot cope with waits
            self._hand.decide(queued, self._failing(queued, error))

    def _failing(self, queued: Queued, error: Exception) -> Write:
        """What has a mail wait that met an error of ours, while others go on."""
        name = named(queued.message_id, queued.id)
        log.error("an error of ours while working on %s; it is tried again", name, exc_info=error)
        what = f"an error of ours: {type(error).__name__}: {error}"
        return self._later(queued, Decision(Outcome.QUEUED, what, waiting=Waiting.FAILING))

    def _attempt(self, queued: Queued) -> Write:
        made = decision.judge(queued.raw, queued.envelope.sender == "", self._settings)
        if made.is_open and made.mail:
            mail = verify.attributed(queued.raw, made.mail, queued.passage, self._settings)
            if mail is not made.mail:
                made = replace(made, mail=mail)
            try:
                made = decision.believe(made, self._trust(queued, mail), self._settings)
            except CannotVerify as error:
                return self._later(
                    queued, replace(made, reason=str(error), waiting=Waiting.FAILING)
                )
        if made.is_open and made.mail:
            self._asks = False
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
                back = self._put_back(queued, queued.wait.waiting, self._clock(), str(error))
                self._hand.decide(queued, back)
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

    def _before_question(self) -> None:
        self._asks = True
        self._hand.before_question()

    def _trust(self, queued: Queued, mail: Mail) -> Trust:
        """How far the sender of a mail is believed, verified once: signatures expire, and keys
        change. Raises ``CannotVerify`` if that matters."""
        policy, proof = self._settings.policy, queued.proof
        came = Trust(queued.passage)
        if queued.filing:  # Patchwork may have come to know the mail since
            came = came.by(PATCHWORK)
        if proof is None and policy.proves_authors:
            self._before_question()  # of DNS, for keys
            proof = verify.author(
                queued.raw, mail, queued.source, queued.envelope, policy, came=queued.passage
            )
            told = {"reason": str(replace(came, author=proof))}
            self._ledger.prove(queued, proof, Event(self._clock(), "verified", told))
        return replace(came, author=proof) if proof else came

    def _over_rate(self, made: Decision) -> str:
        """Why a request is one too many, "" if it is not."""
        assert made.mail and made.target
        now = self._clock()

        def history(seconds: float, most: int, who: str, series: int, proved: bool) -> list[float]:
            # Later than now by more than that was recorded before the clock was set back.
            until = now + seconds
            self._hand.write()  # what was decided before counts
            server = made.target.server if made.target else ""
            return self._ledger.recorded(
                now - seconds, until, most, who=who, series=series, server=server, proved=proved
            )

        policy, asks = self._settings.policy, recording.bounded(made.mail.requester)
        proved = bool(made.trust.author)
        return rules.by_rate(policy, asks, made.target.series, now, history, proved=proved)

    def _note(self, made: Decision, server: str) -> None:
        """Remember for every process how a Patchwork server is."""
        now = self._clock()
        if made.waiting is Waiting.DOWN:
            outage.note_down(self._ledger, made.reason, now, server)
            error = Unavailable(made.reason, made.retry_after)
            outage.trip(self._ledger, error, now, self._settings.worker.retry[0], server)
        elif self._asks and (made.target or made.waiting is Waiting.MISSING):
            outage.note_answer(self._ledger, now, server)

    def _record(self, queued: Queued, made: Decision) -> Write:
        assert made.target
        target, now = made.target, self._clock()
        request = recording.request(queued, made, target, now, self._settings)
        recorded = {"series": target.series, "asked": clipped(made.reason, _LONGEST_ASKED)}
        events = [*_asked(now, made), Event(now, "recorded", recorded)]

        def write() -> Came:
            if self._ledger.finish(queued, Outcome.DONE, made.reason, events, [request]):
                return Came(Outcome.DONE, made.reason, "recorded")
            before = "another mail of its Message-ID asked for the same before"
            return Came(Outcome.IGNORED, before, "recorded before", said=made.reason)

        return write

    def _end(self, queued: Queued, outcome: Outcome, reason: str, made: Decision) -> Write:
        now = self._clock()
        events = [*_asked(now, made), Event(now, outcome.value, {"reason": reason})]
        is_refused = outcome is Outcome.REJECTED and made.wanted is not None
        is_told = (
            is_refused and self._settings.mail and not (queued.is_archived or queued.is_unpushed)
        )

        def write() -> Came:
            with self._hand.batch() if is_told else nullcontext():
                self._ledger.finish(queued, outcome, reason, events)
                if is_told:
                    request = recording.refused(queued, made, now, self._settings)
                    delivery.refused(self._ledger, self._settings, request, reason, now)
            level = logging.INFO if outcome is Outcome.IGNORED else logging.WARNING
            return Came(outcome, reason, outcome.value, level)

        return write

    def _later(self, queued: Queued, made: Decision) -> Write:
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
        events = [*_asked(now, made), _waits(made.reason, wait)]
        return self._waiting(queued, wait, made.reason, events)

    def _put_back(
        self,
        queued: Queued,
        waiting: Waiting,
        until: float,
        reason: str,
        made: Decision | None = None,
    ) -> Write:
        """Put a mail back until a Unix time as if it had not been tried. ``made``: what was
        decided so far, if anything was asked."""
        wait = schedule.unattempted(
            queued.wait, waiting, self._clock(), until, self._settings.worker
        )
        asked = _asked(wait.begun, made) if made else []
        is_new = bool(asked) or queued.wait.waiting is not waiting
        events = [*asked, _waits(reason, wait)] if is_new else []
        return self._waiting(queued, wait, reason, events, logging.DEBUG)

    def _waiting(
        self,
        queued: Queued,
        wait: Wait,
        reason: str,
        events: Sequence[Event],
        level: int = logging.INFO,
    ) -> Write:
        def write() -> Came:
            self._ledger.wait(queued, wait, reason, events)
            return Came(Outcome.QUEUED, reason, "waits", level)

        return write

    def _tell(self, queued: Queued, came: Came) -> None:
        name = named(queued.message_id, queued.id)
        log.log(came.level, "%s %s: %s", came.what, name, came.said or came.reason)
        self._report(queued, came.outcome, came.reason)


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


def _waits(reason: str, wait: Wait) -> Event:
    details = {"reason": reason, "until": wait.due, "waiting": wait.waiting.value}
    return Event(wait.begun, "waits", details)


def _asked(now: float, made: Decision) -> list[Event]:
    return [
        Event(now, "asked", {"question": each.asked, "answer": each.answer}) for each in made.trail
    ]
