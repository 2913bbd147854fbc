# SPDX-License-Identifier: BSD-3-Clause
"""The interface of every ledger."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from ingest.ledger.parts import Asides, Happenings, Letters, Notices, Results, Steering, Timings
from ingest.ledger.progress import Batch, Consumer, Cursor, Feed
from ingest.ledger.request_values import Request
from ingest.ledger.values import (
    Arrival,
    Event,
    Filing,
    Filter,
    Keep,
    Original,
    Outcome,
    Queued,
    Record,
    Server,
    Totals,
    Wait,
)

if TYPE_CHECKING:
    from ingest.ledger.copying import Side


class Ledger(Protocol):
    """What a ledger does. Every method that writes has committed when it returns, and raises
    ``StateUnavailable`` if it could not. What is accepted and what a cursor says is then on the
    disk, with all that was committed before; an outcome may be undone by a loss of power until
    then, which leaves the mail queued. Threads may share one, processes may not: a forked child
    opens its own. Text of any kind is kept; what is not Unicode is written as escapes.
    """

    @property
    def asides(self) -> Asides:
        """The requests that sinks have set aside."""

    @property
    def results(self) -> Results:
        """What became of each label of each request."""

    @property
    def letters(self) -> Letters:
        """The mails of ours that are sent once."""

    @property
    def notices(self) -> Notices:
        """The mail for the operator."""

    @property
    def happenings(self) -> Happenings:
        """What happened to all mails."""

    @property
    def steering(self) -> Steering:
        """What an operator decides."""

    @property
    def timings(self) -> Timings:
        """How long things took."""

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        """Keep a mail. Its id, 0 if the mail itself was dropped since, and whether it is new; a
        copy of a known mail is not kept."""

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        """Keep mails, all or none. For each, in their order, what ``accept`` gives. Of notices
        only the newest ``MOST_NOTICES`` stay."""

    def claim(self, now: float, who: str) -> Queued | None:
        """Take up a queued mail that is due, None if none is: those that were never tried first,
        each sender's in turn, then what has been due longest. It is not given again before it was
        finished, put back, released or recovered. ``who``: the lease that the worker holds."""

    def claim_several(self, now: float, who: str, most: int) -> list[Queued]:
        """As ``claim``, of mails that were never begun ``most`` at once, in their order; none if
        none is due. A mail that was begun before comes alone. There may be fewer than are due: in
        PostgreSQL one, for workers on other machines take the next ones."""

    def release(self, mails: Sequence[Queued]) -> None:
        """Give back mails that were taken up and not begun, as if they had not been. Those that
        are no longer their holder's stay as they are."""

    def recover(self, now: float, who: str) -> int:
        """Make due again what a worker that died had taken up under this lease; how many there
        were. A mail that was taken up again and again without coming to an end waits longer each
        time, so that one mail cannot hold up the others. Only the holder of the lease calls it."""

    def finish(
        self,
        mail: Queued,
        outcome: Outcome,
        reason: str,
        events: Iterable[Event],
        requests: Iterable[Request] = (),
    ) -> list[Request]:
        """End a mail, and append its requests, in one transaction. What is new of them: see
        ``requests.news``. If nothing is, a mail that would be done is ignored: another one asked
        for the same before. Each is recorded at the time that it names, or at the second that was
        promised last, if that is later. Raises ``LostClaim`` if the mail is no longer its
        holder's."""

    def enter(
        self, arrival: Arrival, request: Request, events: Iterable[Event]
    ) -> tuple[Request | None, bool]:
        """Keep a mail that was never sent, whose outcome is given, with the request that it stands
        for, in one transaction, on the disk. The request, None if it was dropped since, and whether
        it is new: one whose arrival's identity is known is not entered again."""

    def wait(self, mail: Queued, wait: Wait, reason: str, events: Iterable[Event]) -> None:
        """Put a mail back until ``wait.due``. Raises ``LostClaim`` as ``finish``."""

    def prove(self, mail: Queued, proof: str, event: Event) -> None:
        """Keep how a mail's author was proved, "" if it was not, and tell of it. Raises
        ``LostClaim`` as ``finish``."""

    def hasten(self, now: float) -> int:
        """Make due each queued mail whose wait begins later than ``now``: the clock was set back
        since, and nobody knows by how much. How many mails that were."""

    def next_due(self) -> float | None:
        """When the next queued mail is due, None if none is queued."""

    def requests(self, after: int = 0, limit: int = 1000) -> list[Request]:
        """The request log in order, from behind number ``after``."""

    def requests_of(self, series: int, up_to: int, server: str = "") -> list[Request]:
        """The requests for one series of a server up to and including a number."""

    def recorded(
        self,
        since: float,
        until: float,
        most: int,
        *,
        who: str = "",
        series: int = 0,
        server: str = "",
        proved: bool = False,
    ) -> list[float]:
        """When the last requests that count for rates were recorded, after ``since`` and not after
        ``until``, newest first and ``most`` at most; ``who``: only those of the requester with
        this key, ``series``: only those for this series of this ``server``, ``proved``: only those
        whose author was proved."""

    def reruns(self, since: float, now: float) -> tuple[list[Request], float]:
        """The requests recorded at or after ``since``, in order, and the second promised with
        them, see ``promise``; an answer whose newest request was handed out here before repeats
        the second of that time. Asking again from the promised second returns exactly what was
        not returned before, even if the caller drops the decimals. Without any request the
        promise is ``since``, if that is not later than ``now``: a clock that is set back loses
        nothing."""

    def sealed(self, since: float) -> tuple[list[Request], float]:
        """As ``reruns``, of the requests recorded before the second that was promised last, which
        comes with them; nothing is written. See ``seal``."""

    def seal(self) -> bool:
        """Promise a second for the newest requests if none is promised for them yet; whether that
        was so."""

    def promise(self, beyond: float = 0.0) -> float:
        """A whole second, a Unix time, for a document that hands over something new: later than
        every second promised before, than the recording of each request, and than ``beyond``. No
        request that comes later is recorded before it. 0 if there was never a request."""

    def next_second(self, beyond: float = 0.0) -> float:
        """The second that ``promise`` would give now; nothing is promised."""

    def promise_with(self, cursor: Cursor, second: float) -> bool:
        """Promise a second that ``next_second`` gave, and keep a cursor, in one transaction. False,
        and neither is done, if a promise or a request that came since is as late as that second."""

    def last_request(self) -> int:
        """The number of the newest request, 0 if there is none."""

    def tell(self, mail_id: int, events: Iterable[Event]) -> None:
        """Add to a mail's story."""

    def cursor(self, name: str) -> Cursor:
        """A sink's cursor, at 0 and moved at 0.0 if it was never kept."""

    def cursors(self) -> tuple[Cursor, ...]:
        """Every sink's cursor, by name."""

    def begin_cursor(self, name: str, now: float) -> None:
        """Keep a cursor that begins with the requests that come from now on, unless one of this
        name is kept already."""

    def set_cursor(self, cursor: Cursor) -> None:
        """Keep a cursor."""

    def consumer(self, name: str) -> Consumer:
        """A consumer, at 0 and moved at 0.0 if it was never kept."""

    def consumers(self) -> tuple[Consumer, ...]:
        """Every consumer, by name."""

    def set_consumer(self, consumer: Consumer) -> None:
        """Keep how far a consumer has come."""

    def batches(self) -> tuple[Batch, ...]:
        """The batches that are not confirmed, by consumer, the oldest first."""

    def set_batch(self, batch: Batch) -> None:
        """Keep a batch."""

    def drop_consumer(self, name: str) -> bool:
        """Forget a consumer and its batches: no request waits for it any more. Whether there was
        one."""

    def drop_batch(self, batch: Batch) -> None:
        """Forget a batch, which was confirmed, or is not there any more."""

    def feeds(self) -> tuple[Feed, ...]:
        """Every feed, by name and part."""

    def set_feed(self, feed: Feed) -> None:
        """Keep how far a feed has come."""

    def find(self, name: str) -> list[Record]:
        """The mails of this Message-ID, given without angle brackets, and the one whose number
        ``mail-N`` says; the thousand oldest at most, oldest first, as they were at one moment."""

    def raw(self, mail_id: int) -> bytes | None:
        """A mail as it came, None if its bytes were dropped. Raises ``ValueError`` if they are
        damaged."""

    def originals(self, message_id: str, list_id: str) -> Iterator[Original]:
        """The mails of a Message-ID that came by a list and whose raw bytes are still there, the
        oldest first; a hundred at most."""

    def file(self, mail_id: int, filing: Filing, now: float) -> None:
        """Keep where Patchwork has filed a mail. If it waits for Patchwork to know what it replies
        to, it is due now; if it was given up for that, it is queued again."""

    def search_requests(self, filter: Filter) -> list[Request]:
        """The requests that fit, by number, the newest first."""

    def search_mails(self, filter: Filter) -> list[Record]:
        """The mails that fit, the newest first, as they were at one moment. What is said of a
        request fits if one request of the mail fits all of it."""

    def count_requests(self, filter: Filter) -> int:
        """How many requests fit, wherever ``limit`` and ``offset`` stand."""

    def count_mails(self, filter: Filter) -> int:
        """How many mails fit, wherever ``limit`` and ``offset`` stand."""

    def names(self, most: int = 500) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The labels that were asked for, and the projects, by name, so many of each at most."""

    def totals(self) -> Totals:
        """The ledger at a glance, as it was at one moment."""

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        """Queue again what is unresolved or failed and make due what waits: the mails of these
        names (see ``find``), or all. How many mails that were. A mail whose raw bytes were dropped
        stays as it is."""

    def prune(self, keep: Keep, now: float) -> int:
        """Drop what is old, and answers that have expired; how many mails lost something. What
        makes a mail or request unique stays, and no request goes that a sink, a consumer, a batch
        or ``reruns`` is not past."""

    def generation(self) -> str:
        """A short random name of this ledger, another one after a backup was put back: numbers
        of requests may be given again then."""

    def recall(self, key: str, now: float) -> str | None:
        """A remembered answer of Patchwork, None if there is none or it has expired."""

    def remember(self, key: str, answer: str, expires: float) -> None:
        """Remember an answer. It may be forgotten any time."""

    def batch(self) -> AbstractContextManager[None]:
        """Commit everything done inside at its end, at once; nothing if anything raises inside,
        even if that is caught there. Not to be nested. Others wait meanwhile: keep it short."""

    def lease(self, name: str, patience: float = 0.0) -> AbstractContextManager[bool]:
        """The lease of this name, that of the worker or of a sink: True for its one holder at a
        time, False if another has held it for ``patience`` seconds. It ends with the process,
        however that ends."""

    def wake(self, what: str) -> None:
        """Tell whoever waits on this ledger, on other machines too, that there is something to
        do. It may get lost."""

    def wait_for(self, timeout: float) -> Collection[str]:
        """What was woken for while it was waited here, as soon as something was, nothing after
        ``timeout`` seconds. In a file nobody waits for others: they look by themselves."""

    def backup(self, path: str) -> None:
        """Copy all as it is at one moment into the file ``path``, which may be put in the ledger's
        place later; then it is another generation."""

    def damage(self) -> str:
        """What is damaged in what the ledger is kept in, "" if nothing is found."""

    def server(self) -> Server | None:
        """The server that the ledger is in, None for a file."""

    def side(self) -> "Side":
        """This ledger as one side of a move to another kind of database."""

    def close(self) -> None:
        """Give back what is held."""
