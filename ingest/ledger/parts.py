# SPDX-License-Identifier: BSD-3-Clause
"""Parts of a ledger that have an interface of their own."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ingest.ledger.progress import Aside, Letter, Pause
from ingest.ledger.request_values import Baseline, Request, Result, Run, Seen, State
from ingest.ledger.values import Arrival, Event, Happening, Notice, Timing

# Seconds that it is known of a notice that it was forwarded; it is forwarded soon or not at all.
MARKS_KEPT = 172800.0


class Keeper(Protocol):
    """What mails are given in to: the ledger, or this machine's spool before it."""

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        """Keep mails, all or none. For each, in their order, its id, 0 if the mail itself was
        dropped since, and whether it is new; a copy of a known mail is not kept. Raises
        ``StateUnavailable``."""


class Asides(Protocol):
    """The requests that sinks have set aside. What is kept is on the disk."""

    def keep(self, aside: Aside) -> None:
        """Set a request aside, or say anew why and until when."""

    def drop(self, sink: str, request: int) -> None:
        """Forget one: it was handed over."""

    def due(self, sink: str, now: float, longest: float, limit: int = 100) -> list[Aside]:
        """Those to be tried now, the least tried first. One that is due later than
        ``longest`` seconds from now is due as well: the clock was set back."""

    def of(self, sink: str) -> list[Aside]:
        """All of a sink, by number."""

    def put_off(self, sink: str, reason: str, now: float, until: float) -> None:
        """Leave those that are due for the same reason until a Unix time."""

    def retry(self, sink: str, now: float) -> int:
        """Have all of a sink tried now, also those given up; how many those are."""


class Results(Protocol):
    """What became of each label of each request. A request has a result for each of its labels
    from the moment on at which it is recorded; one of arguments alone has one for the label ""."""

    def of(self, requests: Iterable[int]) -> list[Result]:
        """The results of the requests of these numbers, by number and label."""

    def counts(self) -> Mapping[tuple[str, State], int]:
        """How many requests have which result for which label."""

    def request(self, name: str) -> Request | None:
        """The request of this number or id."""

    def tell(self, result: Result) -> bool:
        """Replace a result, and add the new one to the mail's story; False if that would change
        nothing but the time, or if there is no such label of such a request."""

    def handed_over(self, requests: Iterable[Request], to: str, now: float) -> None:
        """Note that these labels, of which nothing is known yet, were handed over. The story is
        told by whoever did it."""

    def not_handed_over(self, since: float, up_to: int, limit: int = 500) -> list[Request]:
        """The requests recorded at or after ``since`` that have a label nobody was handed and of
        which nothing is known, up to and including a number, the newest first."""

    def set_earlier(self, request: int, states: Mapping[str, State]) -> None:
        """Keep what the checks of a request's labels said before it came."""

    def history(self, since: float, before: float = math.inf) -> list[Run]:
        """Every label of every request recorded at or after ``since`` and earlier than
        ``before``, by number and label."""

    def see(self, seen: Seen) -> tuple[list[Seen], list[Seen]]:
        """Keep a check if it is the newest of its patch: all that are kept for its label of its
        request, by patch, before that and after."""

    def open(
        self, since: float, *, before: float = math.inf, after: int = 0, limit: int = 1000
    ) -> list[Request]:
        """The requests recorded at or after ``since`` and earlier than ``before`` that have a
        label whose result is still to come, in order, from behind number ``after``. Those that
        were recorded by an older release are not followed."""

    def baselines(self, server: str) -> Mapping[int, int]:
        """The id of the newest check that a server had when a request came, for each request that
        has a result to come and for which that is known. ``server``: the address of its API; an
        older release did not keep it, and what it kept is of every server."""

    def elsewhere(self, server: str) -> Mapping[int, Baseline]:
        """Where the checks of requests were begun that have a result to come, by number, if that
        was at another address: the ids of another server mean nothing here."""

    def set_baselines(self, requests: Iterable[int], newest: int, server: str) -> None:
        """Keep the id of the newest check that a server had when these requests came."""


class Notices(Protocol):
    """The mail for the operator, and what of it was forwarded."""

    def all(self) -> tuple[Notice, ...]:
        """Every notice, the newest first."""

    def pending(self, since: float) -> list[Notice]:
        """The notices that came at or after a Unix time and have no mark, the oldest first."""

    def forwarded(self, since: float) -> int:
        """How many were forwarded at or after a Unix time, also of those dropped meanwhile."""

    def mark(self, mail_id: int, event: Event, *, sent: bool) -> None:
        """Note that a notice was forwarded or, if it was not ``sent``, that it never will be, and
        add that to its story. A mark is kept for ``MARKS_KEPT``."""


class Letters(Protocol):
    """The mails of ours that are sent once. What is kept is on the disk."""

    def keep(self, letter: Letter) -> bool:
        """Keep a letter; False if one of its id was kept before, and then nothing changes. Of those
        that are about no request the last hundred of a sink stay."""

    def due(self, sink: str, now: float, longest: float) -> list[Letter]:
        """Those that are to be sent now, the oldest first. One that is due later than
        ``longest`` seconds from now is due as well: the clock was set back."""

    def note(self, letter: Letter) -> None:
        """Keep what became of a letter."""

    def about(self, sink: str, requests: Iterable[int]) -> frozenset[int]:
        """Those of these requests, by number, that a letter of this sink is about."""

    def newest(self, sink: str) -> Letter | None:
        """The letter that was made last."""


class Happenings(Protocol):
    """What happened to all mails and to the whole, in the order in which the ledger came to know
    it, whichever process told it. The newest ``MOST_HAPPENINGS`` are kept."""

    def tell(self, event: Event) -> None:
        """Add what is about no mail; see ``Ledger.tell`` for the others."""

    def newest(self, limit: int) -> list[Happening]:
        """The last ones, in order."""

    def after(self, number: int, limit: int = 1000) -> list[Happening]:
        """Those behind a number, in order: all of a number or none of them. None is given while
        one of a smaller number may still come."""

    def settled(self) -> int:
        """The number behind which to begin so that nothing is missed that happens from now on: no
        smaller one is still to come. 0 if nothing happened yet."""


class Steering(Protocol):
    """What an operator decides."""

    def pause(self, pause: Pause) -> bool:
        """Have a sink hand nothing over; False if it was paused before, as which it stays."""

    def resume(self, sink: str, now: float) -> bool:
        """Have a sink hand over what is behind its cursor; False if it was not paused."""

    def pauses(self) -> tuple[Pause, ...]:
        """The sinks that are paused, by name."""

    def hold(self, mail_ids: Sequence[int]) -> None:
        """Have nobody else change these mails until the batch ends. Who cancels several in one
        batch holds all of them first, those of the requests, too."""

    def cancel(self, mail_id: int, reason: str, now: float) -> bool:
        """End a mail that is queued, unresolved or failed as cancelled, even if a worker is at
        it; False for a mail in another state."""

    def cancel_request(self, number: int, reason: str, by: str, now: float) -> bool:
        """Have nobody be handed a request: what sinks have set aside of it is forgotten, the
        results that are still to come are cancelled, and so is its mail, if it has no other
        request. False if it was cancelled before, if ``reruns`` has handed it out, or if there is
        no such request. Whether a sink or consumer had it is the caller's to know."""

    def judge_again(self, since: float, now: float) -> int:
        """Queue the mails that were judged, ignored or rejected, that came at ``since`` or later
        and whose raw bytes are there; how many those are."""


class Timings(Protocol):
    """How long things took since the ledger was made: "recorded", from a mail's reception to its
    request's recording, and "patchwork STATUS", a question that was answered so."""

    def add(self, what: str, durations: Iterable[float]) -> None:
        """Note durations in seconds."""

    def all(self) -> Mapping[str, Timing]:
        """What was noted, by name."""
