# SPDX-License-Identifier: BSD-3-Clause
"""Feeds of events, walked newest first and by ids. Their dates are the server's local
time, which no clock of ours can be compared with; an id tells where to stop.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from ingest.errors import Unanswered
from ingest.patchwork.dialect import BadEvent, CommentEvent, Dialect, EventPage
from ingest.value import Value

Event = CommentEvent | BadEvent
KINDS = ("patch", "cover")
# A time in UTC is at most this far from any local time.
ZONES = timedelta(days=1)
# Where daylight saving ends local time repeats an hour: what is newer by its id may be older by
# so much by its date.
_REPEATED = 3600.0
# A hundred thousand events, years of a busy list.
_MOST_PAGES = 1000
# How a server's zone is guessed: from so many events, to a quarter of an hour.
_ENOUGH, _QUARTER, _FARTHEST_ZONE = 5, 900.0, 14 * 3600.0


class Numbered(Protocol):
    """An event as far as a walk cares: see ``CommentEvent``."""

    @property
    def id(self) -> int | None: ...
    @property
    def date(self) -> float | None: ...


E = TypeVar("E", bound=Numbered, covariant=True)


class Page(Protocol[E]):
    """A page of events, newest first, and what leads to the next one."""

    @property
    def events(self) -> Sequence[E]: ...
    @property
    def following(self) -> str: ...


@dataclass(slots=True)
class Walk:
    """How far a walk has come. ``last``: events up to this id were walked before, and it ends at
    them; while it is under way ``page`` leads to the next page, ``newest`` is the highest id
    seen, ``met`` the date of the first event up to ``last``."""

    last: int = 0
    newest: int = 0
    page: str = ""
    pages: int = 0
    met: float | None = None

    def events(self, read: Callable[[str], Page[E]], most: int) -> Iterator[E]:
        """The events that were not walked before, newest first, page by page. It may be left and
        gone on with later: then a page may come again, and no event is passed over, for new ones
        push others to later pages. Ends after ``most`` pages."""
        while True:
            got = read(self.page)
            for event in got.events:
                if self._is_behind(event):
                    return self._end()
                if event.id is None or event.id > self.last:
                    yield event
            self.pages += 1
            if not got.following or self.pages >= most:
                return self._end()
            self.page = got.following

    def _is_behind(self, event: Numbered) -> bool:
        if event.id is not None:
            self.newest = max(self.newest, event.id)
            if event.id <= self.last and self.met is None:
                self.met = event.date
        return self.met is not None and event.date is not None and event.date < self.met - _REPEATED

    def _end(self) -> None:
        self.last, self.newest = max(self.last, self.newest), 0
        self.page, self.pages, self.met = "", 0, None


class News(Value):
    """The events of one kind that are new. ``last``: the id of the newest; ``was_reset``: the
    server had higher ids the last time, so that these were found by their dates."""

    events: tuple[Event, ...]
    last: int
    was_reset: bool


def news(dialect: Dialect, kind: str, last: int, since: float) -> News:
    """The events behind the id ``last``; without one, or if the server was reset, those of a time
    from ``since`` on, a Unix time. Raises as ``Dialect`` does."""
    first = dialect.comment_events(kind) if last else None
    if first and max((event.id or 0 for event in first.events), default=0) >= last:
        held: EventPage = first

        def read(page: str) -> EventPage:
            return dialect.comment_events(kind, page=page) if page else held

        walk = Walk(last)
        events = _all(walk, read)
        return News(events, walk.last, False)
    try:
        begin = datetime.fromtimestamp(since, UTC) - ZONES
    except (OverflowError, ValueError):
        begin = datetime(1970, 1, 2, tzinfo=UTC)
    walk = Walk()
    events = _all(walk, lambda page: dialect.comment_events(kind, since=begin, page=page))
    return News(_filed_since(events, since), walk.last, bool(last))


def _all(walk: Walk, read: Callable[[str], EventPage]) -> tuple[Event, ...]:
    found: dict[str, Event] = {}
    pages: set[str] = set()

    def checked(page: str) -> EventPage:
        if page in pages or len(pages) >= _MOST_PAGES:
            raise Unanswered("Patchwork's pages of comment events have no end")
        pages.add(page)
        return read(page)

    for event in walk.events(checked, _MOST_PAGES + 1):
        found.setdefault(event.name, event)
    return tuple(found.values())


def _filed_since(events: tuple[Event, ...], since: float) -> tuple[Event, ...]:
    """Those that were filed at or after a Unix time, as far as the server's zone can be guessed:
    most mails are filed soon after they were sent. All of them, if it cannot."""
    apart = [
        event.date - event.sent
        for event in events
        if isinstance(event, CommentEvent) and event.sent is not None
    ]
    ahead = zone(apart)
    if ahead is None:
        return events
    oldest = since + ahead - _REPEATED
    return tuple(event for event in events if event.date is None or event.date >= oldest)


def zone(apart: Sequence[float]) -> float | None:
    """By how many seconds a server's local time is ahead of UTC, by how many seconds apart the two
    dates of some things are; None if these are too few, or tell no zone."""
    from statistics import median  # with decimal and fractions, which only catching up has use for

    if len(apart) < _ENOUGH:
        return None
    ahead = round(median(apart) / _QUARTER) * _QUARTER
    return ahead if abs(ahead) <= _FARTHEST_ZONE else None
