# SPDX-License-Identifier: BSD-3-Clause
"""When a mail is tried again, and when it has waited long enough (DESIGN.md, Resolution).

Pure arithmetic over ``Wait``. Time that passes counts only as far as an honest wait is long, so
that a clock that jumps forward ends no mail; a wait that begins in the future is one of a clock
that was set back, and is over.
"""

from collections.abc import Sequence

from ingest.config.tables import WorkerSettings
from ingest.ledger import Wait, Waiting

# Seconds between two attempts at one mail, at least.
_SHORTEST = 1.0


def after_attempt(
    before: Wait,
    waiting: Waiting,
    now: float,
    settings: WorkerSettings,
    *,
    chance: float = 0.0,
    retry_after: float | None = None,
) -> Wait | None:
    """The wait that follows an attempt at ``now``, None if the mail is to be given up.

    ``before``: the wait that the attempt ended; ``waiting``: what the mail waits for now;
    ``chance``: from 0 to 1, for the jitter; ``retry_after``: seconds that the server asked for.
    A mail is given up when it has waited for the limit and was tried as often as the schedule
    has steps.
    """
    tries = before.tries + 1 if before.waiting is waiting else 1
    wait = _continued(before, waiting, now, settings)
    limit = limit_of(waiting, settings)
    waited = wait.missing if waiting is Waiting.MISSING else wait.waited
    if waited >= limit and tries >= len(settings.retry):
        return None
    pause = settings.retry[min(tries, len(settings.retry)) - 1]
    pause = max(pause * (1 + settings.jitter * chance), retry_after or 0.0)
    if waited < limit:
        pause = min(pause, limit - waited)
    return _until(wait, tries, now, now + max(pause, _SHORTEST))


def unattempted(
    before: Wait, waiting: Waiting, now: float, until: float, settings: WorkerSettings
) -> Wait:
    """The wait of a mail that is put back without an attempt: that is not counted as a try."""
    tries = before.tries if before.waiting is waiting else 0
    return _until(_continued(before, waiting, now, settings), tries, now, until)


def is_over(wait: Wait, settings: WorkerSettings) -> bool:
    """Whether a mail has waited for a patch, or for what was said of it, as long as it may. Only
    attempts that count bring it to its end from then on."""
    return wait.missing >= settings.give_up_missing


def limit_of(waiting: Waiting, settings: WorkerSettings) -> float:
    """Seconds for which a mail waits for this before it is given up."""
    return settings.give_up_missing if waiting is Waiting.MISSING else settings.give_up_down


def _continued(before: Wait, waiting: Waiting, now: float, settings: WorkerSettings) -> Wait:
    """The sums of a wait that goes on, or begins, at ``now``.

    A Patchwork that goes up and down must not keep a mail waiting for ever: the time for which a
    patch was missing is kept across an outage, whereas an outage begins anew with each.
    """
    passed = _passed(before, now, settings.retry, settings.jitter)
    missing = before.missing + (passed if before.waiting is Waiting.MISSING else 0.0)
    same = before.waiting is waiting
    return Wait(
        waiting=waiting,
        since=before.since if same else now,
        tries=before.tries,
        waited=before.waited + passed if same else 0.0,
        missing=missing,
    )


def _passed(before: Wait, now: float, retry: Sequence[float], jitter: float) -> float:
    """Seconds for which a wait has lasted, as far as they can be believed."""
    longest = max(before.due - before.begun, max(retry) * (1 + jitter))
    return min(max(now - before.begun, 0.0), longest)


def _until(wait: Wait, tries: int, now: float, due: float) -> Wait:
    return Wait(wait.waiting, wait.since, tries, now, due, wait.waited, wait.missing)
