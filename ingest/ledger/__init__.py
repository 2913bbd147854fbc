# SPDX-License-Identifier: BSD-3-Clause
"""The ledger: queued mails and their outcomes, the request log, the cursors. All state is here.

``open_ledger`` gives a ``Ledger`` by URL; every process of the program opens its own and several
share one safely. ``sqlite`` is the default implementation and the contract's reference.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from ingest.config.tables import StateSettings
from ingest.errors import ConfigError

# Requests read at once.
_PAGE = 100


class Outcome(StrEnum):
    """The state of a mail; all but ``QUEUED`` are ends."""

    QUEUED = "queued"  # waits for the worker, or for Patchwork
    DONE = "done"  # its requests are in the log
    IGNORED = "ignored"  # no request, or none that is wanted here
    REJECTED = "rejected"  # not taken in as it is
    UNRESOLVED = "unresolved"  # Patchwork never came to know what it replies to
    FAILED = "failed"  # could not be worked on


class Waiting(StrEnum):
    """What a queued mail that was tried waits for."""

    NOTHING = ""
    MISSING = "missing"  # Patchwork does not know what it replies to, yet
    DOWN = "down"  # Patchwork gives no usable answer
    FAILING = "failing"  # Patchwork is well, but a question about this mail fails, or we do


@dataclass(frozen=True, slots=True)
class Wait:
    """What a queued mail waits for. ``since``: when it began to wait for that, a Unix time, as
    are ``begun`` and ``due``, between which it is left alone; ``tries``: the attempts that ended
    in it; ``waited``: the seconds that count of the time since, ``missing``: those for which
    Patchwork, while it was up, has not known what the mail replies to."""

    waiting: Waiting = Waiting.NOTHING
    since: float = 0.0
    tries: int = 0
    begun: float = 0.0
    due: float = 0.0
    waited: float = 0.0
    missing: float = 0.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the transport said of a mail; ``sender`` is None where there was no envelope and ""
    for the null sender of a bounce."""

    sender: str | None = None
    recipients: tuple[str, ...] = ()
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A mail to be kept. ``identity`` makes copies one; ``received`` is a Unix time."""

    raw: bytes
    identity: str
    message_id: str
    list_id: str
    source: str
    received: float
    envelope: Envelope = Envelope()
    outcome: Outcome = Outcome.QUEUED
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a mail's story: a Unix time, what happened, and its particulars."""

    at: float
    what: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Queued:
    """A mail that the worker has taken up. ``wait`` is the wait that has just ended."""

    id: int
    raw: bytes
    message_id: str
    source: str
    envelope: Envelope
    received: float
    wait: Wait


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of the request log. ``number`` is its place there, 0 before it has one."""

    number: int
    mail_id: int
    message_id: str
    series: int
    submission: str  # "patch 131182" or "cover 442": what the mail replied to
    project: str  # the project's link name, "" if unknown
    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]
    requester: str
    subject: str
    date: float  # of the mail, Unix time
    recorded: float
    received: float = 0.0  # reception of the mail, 0 if unknown


@dataclass(frozen=True, slots=True)
class Record:
    """A mail as ``show`` tells of it."""

    id: int
    message_id: str
    list_id: str
    source: str
    envelope: Envelope
    received: float
    size: int
    outcome: Outcome
    reason: str
    due: float | None
    tries: int
    story: tuple[Event, ...]
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a sink or consumer has come: the number of the last request it has had. ``tries``
    and ``due`` are the retry schedule of a sink that could not write, ``reason`` says why;
    ``begun`` is the number up to which a write was begun that is not confirmed yet."""

    name: str
    position: int = 0
    moved: float = 0.0
    tries: int = 0
    due: float = 0.0
    reason: str = ""
    begun: int = 0


@dataclass(frozen=True, slots=True)
class Aside:
    """A request that a sink has behind it and did not hand over. ``since``: when it was set aside,
    a Unix time; ``due``: when it is tried again, None if that is left to an operator."""

    sink: str
    request: int
    since: float
    tries: int
    due: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Feed:
    """How far a source has come that is read from somewhere else. ``name``: the source's, as
    "inbox.dev"; ``part``: which of the feeds that it is made of, "" for all of it; ``position``:
    what was taken in last, in the source's words; ``begun``: the Unix time from which on all is
    wanted; ``moved``: of the last look that went well; ``tries`` and ``reason``: the looks since
    then that failed, and why the last one did."""

    name: str
    part: str = ""
    position: str = ""
    begun: float = 0.0
    moved: float = 0.0
    tries: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger at a glance. Times are Unix times, 0 for never."""

    mails: Mapping[str, int]  # by outcome
    waiting: Mapping[str, int]  # queued mails by what they wait for
    oldest: float  # reception of the oldest queued mail
    last_received: float
    due: float  # when the next queued mail is due
    requests: int
    last_request: int  # the newest one's number
    cursors: tuple[Cursor, ...]
    feeds: tuple[Feed, ...] = ()


class Asides(Protocol):
    """The requests that sinks have set aside. What is kept is on the disk."""

    def keep(self, aside: Aside) -> None:
        """Set a request aside, or say anew why and until when."""

    def drop(self, sink: str, request: int) -> None:
        """Forget one: it was handed over."""

    def due(self, sink: str, now: float, longest: float, limit: int = 100) -> list[Aside]:
        """Those to be tried now, the least tried first. Longer than ``longest`` seconds from now
        is no pause of ours: the clock was set back."""

    def of(self, sink: str) -> list[Aside]:
        """All of a sink, by number."""

    def put_off(self, sink: str, reason: str, now: float, until: float) -> None:
        """Leave those that are due for the same reason until a Unix time."""

    def retry(self, sink: str, now: float) -> int:
        """Have all of a sink tried now, also those given up; how many those are."""


class Ledger(Protocol):
    """What a ledger does. Every method that writes has committed when it returns, and raises
    ``StateUnavailable`` if it could not. What is accepted and what a cursor says is then on the
    disk, with all that was committed before; an outcome may be undone by a loss of power until
    then, which leaves the mail queued. Threads may share one, processes may not: a forked child
    opens its own. Text of any kind is kept; what is no Unicode in it is written out as escapes.
    """

    @property
    def asides(self) -> Asides:
        """The requests that sinks have set aside."""

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        """Keep a mail. Its id, and whether it is new; a copy of a known mail is not kept."""

    def claim(self, now: float) -> Queued | None:
        """Take up the queued mail that has been due longest, None if none is due. It is not given
        again before it was finished, put back or recovered."""

    def recover(self, now: float) -> int:
        """Make due again what a worker that died had taken up; how many there were. A mail that
        was taken up again and again without coming to an end waits longer each time, so that
        one mail cannot hold up the others. Only the holder of the worker's lease calls it."""

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        """End a mail, and append its requests, in one transaction. The requests that are new:
        one of the same Message-ID and series is not appended again. Each is recorded at the time
        that it names, or at what ``reruns`` has promised, if that is later."""

    def wait(self, mail: Queued, wait: Wait, reason: str, events: Iterable[Event]) -> None:
        """Put a mail back until ``wait.due``."""

    def hasten(self, now: float) -> int:
        """Make due each queued mail whose wait begins later than ``now``: the clock was set back
        since, and nobody knows by how much. How many mails that were."""

    def next_due(self) -> float | None:
        """When the next queued mail is due, None if none is queued."""

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        """The request log in order, from behind number ``after``."""

    def requests_of(self, series: int, up_to: int) -> list[Request]:
        """The requests for one series up to and including a number."""

    def reruns(self, since: float, now: float) -> tuple[list[Request], float]:
        """The requests recorded at or after ``since``, in order, and a promise: a Unix time, a
        whole second, later than any of them, such that each request that comes later is recorded
        at or after it. What is asked for next from that moment on, cut to seconds or not, is what
        was not handed out yet, and all of it. Without any the promise is ``since``, if that is
        not later than ``now``: a clock that is set back loses nothing."""

    def last_request(self) -> int:
        """The number of the newest request, 0 if there is none."""

    def tell(self, mail_id: int, events: Iterable[Event]) -> None:
        """Add to a mail's story."""

    def cursor(self, name: str) -> Cursor:
        """A cursor, at 0 and moved at 0.0 if it was never kept."""

    def cursors(self) -> tuple[Cursor, ...]:
        """Every cursor, by name."""

    def set_cursor(self, cursor: Cursor) -> None:
        """Keep a cursor."""

    def drop_cursor(self, name: str) -> None:
        """Forget a cursor."""

    def feeds(self) -> tuple[Feed, ...]:
        """Every feed, by name and part."""

    def set_feed(self, feed: Feed) -> None:
        """Keep how far a feed has come."""

    def find(self, name: str) -> list[Record]:
        """The mails of this Message-ID, given without angle brackets, or the one without any that
        is called ``mail-N``; oldest first, as they were at one moment."""

    def totals(self) -> Totals:
        """The ledger at a glance, as it was at one moment."""

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        """Queue again what is unresolved or failed and make due what waits: the mails of these
        names (see ``find``), or all. How many mails that were. A mail whose raw bytes were dropped
        stays as it is."""

    def prune(self, before: float, now: float) -> int:
        """Drop the raw bytes of mails that ended before a time, and answers that have expired;
        how many mails that were."""

    def recall(self, key: str, now: float) -> str | None:
        """A remembered answer of Patchwork, None if there is none or it has expired."""

    def remember(self, key: str, answer: str, expires: float) -> None:
        """Remember an answer. It may be forgotten any time."""

    def batch(self) -> AbstractContextManager[None]:
        """Commit everything done inside at its end, at once; nothing if anything raises inside,
        even if that is caught there. Not to be nested. Others wait meanwhile: keep it short."""

    def lease(self, name: str = "worker", patience: float = 0.0) -> AbstractContextManager[bool]:
        """The lease of this name, that of the worker or of a sink: True for its one holder at a
        time, False if another has held it for ``patience`` seconds. It ends with the process,
        however that ends."""

    def close(self) -> None:
        """Give back what is held."""


def open_ledger(url: str, *, busy_timeout: float = 20.0, mode: int = 0o660) -> Ledger:
    """The ledger at ``url``, made if it is not there: ``sqlite:PATH``.

    ``busy_timeout``: seconds to wait for another process's write; ``mode``: permissions of a
    new file. Raises ``StateUnavailable`` if it cannot be opened, ``ConfigError`` for another
    kind of URL.
    """
    scheme, _, path = url.partition(":")
    openers: dict[str, Callable[[], Ledger]] = {"sqlite": lambda: _sqlite(path, busy_timeout, mode)}
    if scheme not in openers or not path:
        raise ConfigError(f"[state] ledger is {url!r}, but must be like sqlite:/path/to/file")
    return openers[scheme]()


def open_configured(state: StateSettings) -> Ledger:
    """The ledger of the settings' table [state]. Raises as ``open_ledger``."""
    return open_ledger(state.ledger, busy_timeout=state.busy_timeout, mode=state.mode)


def request_id(request: Request) -> str:
    """By what a receiver knows a request again: one of the same Message-ID and series has the
    same id, however often and by whichever installation it is handed over."""
    import hashlib  # a pipe can do without

    key = f"{request.message_id}\0{request.series}"
    return f"recheck-{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"


def requests_after(ledger: Ledger, number: int) -> Iterator[Request]:
    """The request log behind a number, in order, read piece by piece."""
    while page := ledger.requests(after=number, limit=_PAGE):
        yield from page
        number = page[-1].number


def _sqlite(path: str, busy_timeout: float, mode: int) -> Ledger:
    from ingest.ledger.sqlite import SqliteLedger

    return SqliteLedger(path, busy_timeout=busy_timeout, mode=mode)
