# SPDX-License-Identifier: BSD-3-Clause
"""What is looked for over HTTP, as values of ``story``: pages of a list, one request, one mail.

Every function is a question for ``ledger_thread``. Who may not read everything is shown, and finds
by, what ``redaction`` leaves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ingest import look
from ingest.config.tables import Settings
from ingest.ledger import Filter, Ledger, Outcome, Record, Request, Result
from ingest.story import overview
from ingest.story.overview import Asked, Story
from ingest.web.redaction import redacted

T = TypeVar("T")

# Items on one page of a list, and how many there may be.
PER_PAGE, MOST_PER_PAGE = 30, 250
# Places in a list have 64 bits.
LAST_PAGE = 1 << 50

# States of a mail that could not be worked on.
FAILURES = (Outcome.FAILED, Outcome.UNRESOLVED)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, the newest first. ``number``: the page's, from 1; ``total``: how many there
    are on all pages; unless they were ``counted``, on this one, those before it and perhaps one
    more."""

    items: tuple[T, ...]
    number: int
    per_page: int
    total: int
    counted: bool = True

    @property
    def last(self) -> int:
        """The number of the last page, 1 if there is nothing."""
        return max(-(-self.total // self.per_page), 1)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks, and where. ``sees_all``: may read what is not for everybody; ``now``: a Unix
    time."""

    ledger: Ledger
    settings: Settings
    now: float
    sees_all: bool = False

    def shown(self, value: T) -> T:
        """A value as this reader may see it."""
        return value if self.sees_all else redacted(value)

    def may_see(self, mail: Record) -> bool:
        """Whether a mail is for this reader. A notice may hold what lets its reader act for the
        operator, such as the token that confirms a subscription."""
        return self.sees_all or mail.outcome is not Outcome.NOTICE

    def wanted(self, filter: Filter) -> Filter:
        """What this reader may look for."""
        return replace(filter, shown=not self.sees_all)


def requests(
    reader: Reader,
    filter: Filter,
    number: int = 1,
    per_page: int = PER_PAGE,
    *,
    counted: bool = True,
) -> Page[Asked]:
    """A page of the requests that fit. What became of them in each sink is told by ``request``.
    ``counted``: say how many fit, for which a search looks at all that there are."""
    found, total = _found(
        reader.ledger.search_requests,
        reader.ledger.count_requests,
        reader.wanted(filter),
        number,
        per_page,
        counted,
    )
    items = tuple(_asked(reader, found[:per_page]))
    return Page(items, number, per_page, total, counted)


def mails(
    reader: Reader,
    filter: Filter,
    number: int = 1,
    per_page: int = PER_PAGE,
    *,
    counted: bool = True,
) -> Page[Story]:
    """A page of the mails that fit. ``counted``: as of ``requests``."""
    found, total = _found(
        reader.ledger.search_mails,
        reader.ledger.count_mails,
        reader.wanted(filter),
        number,
        per_page,
        counted,
    )
    items = tuple(_stories(reader, found[:per_page]))
    return Page(items, number, per_page, total, counted)


def request(reader: Reader, name: str) -> Asked | None:
    """The request of this number or id, and what became of it everywhere."""
    found = reader.ledger.results.request(name)
    if found is None:
        return None
    for mail in _stories(reader, reader.ledger.find(f"mail-{found.mail_id}")):
        for asked in mail.requests:
            if asked.number == found.number:
                return asked
    return _asked(reader, [found])[0]  # its mail was dropped


def mail(reader: Reader, name: str) -> list[Story]:
    """The mails of a Message-ID, which may stand in angle brackets, or the one that ``mail-N``
    names, each with the reply that asks for what was meant and not read."""
    name = name.strip()
    bare = name[1:-1] if name.startswith("<") and name.endswith(">") else name
    found = [each for each in reader.ledger.find(bare) if reader.may_see(each)] if bare else []
    return [
        replace(story, reply=look.ready_reply(reader.ledger, mail, reader.settings))
        for mail, story in zip(found, _stories(reader, found), strict=True)
    ]


def needing_attention(reader: Reader) -> Filter:
    """What finds the mails that a person must act on, as ``list --attention`` has them."""
    return Filter(attention=look.attention(reader.ledger, reader.settings))


def _found(
    search: Callable[[Filter], Sequence[T]],
    count: Callable[[Filter], int],
    wanted: Filter,
    number: int,
    per_page: int,
    counted: bool,
) -> tuple[Sequence[T], int]:
    """What a page has, perhaps with one more, and how many fit, see ``Page``. What is looked for
    is not counted if it is all there, and searched for from the nearer end."""
    before = (number - 1) * per_page
    # One more tells whether there is another page.
    part = replace(wanted, limit=per_page + 1, offset=before)
    if number == 1 or not counted:
        found = search(part)
        is_all = len(found) <= per_page
        return found, before + len(found) if is_all or not counted else count(wanted)
    total = count(wanted)
    after = total - before - per_page  # on the pages behind
    if after + per_page <= 0:
        return (), total
    if after < before:
        size = per_page + min(after, 0)
        part = replace(wanted, limit=size, offset=max(after, 0), from_oldest=True)
    return search(part), total


def _asked(reader: Reader, found: Sequence[Request]) -> list[Asked]:
    results: dict[int, list[Result]] = {each.number: [] for each in found}
    for each in reader.ledger.results.of(results):
        results[each.request].append(each)
    return [
        reader.shown(overview.asked_of(one, reader.settings, results[one.number])) for one in found
    ]


def _stories(reader: Reader, records: Sequence[Record]) -> list[Story]:
    made = look.stories(reader.ledger, records, reader.settings, reader.now)
    return [reader.shown(each) for each in made]
