# SPDX-License-Identifier: BSD-3-Clause
"""What each page shows: a look at the ledger in, values for a template out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest import links, look
from ingest.config.tables import Settings
from ingest.ledger import Filter, Ledger, Request
from ingest.links import Links
from ingest.sinks import check
from ingest.story import health
from ingest.story.results import Became, of_request
from ingest.words import utc

# Requests on one page, and the last page that is counted to.
_ON_PAGE = 25
_LAST_PAGE = 100_000


class NotThere(Exception):
    """What a page would be about is not in the ledger; the text says so."""


class Elsewhere(Exception):
    """The answer is another page of ours."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Look:
    """What a page is made of. ``now``: a Unix time; ``query``, ``path``: the parameters of its
    URL."""

    ledger: Ledger
    settings: Settings
    now: float
    query: Mapping[str, str]
    path: Mapping[str, str]

    @property
    def page(self) -> int:
        """The page of a list, the first one if the URL says nothing of use."""
        text = self.query.get("page", "")
        number = int(text) if text.isascii() and text.isdigit() else 1
        return min(max(number, 1), _LAST_PAGE)


@dataclass(frozen=True, slots=True)
class Page:
    """A template and its values. ``place``: where it is among the pages that all pages name."""

    template: str
    values: Mapping[str, Any]
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A request in a list."""

    id: str
    number: int
    message_id: str
    recorded: datetime
    requester: str
    subject: str
    series: int
    links: Links
    results: tuple[Became, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]


def front(look_: Look) -> Page:
    """Health, and the newest requests."""
    page = look_.page
    wanted = Filter(limit=_ON_PAGE + 1, offset=(page - 1) * _ON_PAGE)
    found = look_.ledger.search_requests(wanted)
    signs = health.signs(look.status(look_.ledger, look_.settings, look_.now)) if page == 1 else ()
    return Page(
        "front.html",
        {
            "signs": signs,
            "requests": lines(look_, found[:_ON_PAGE]),
            "page": page,
            "more": len(found) > _ON_PAGE,
        },
        place="",
    )


def lines(look_: Look, requests: Iterable[Request]) -> list[Line]:
    """Requests as a list shows them."""
    found = list(requests)
    results = look_.ledger.results.of(each.number for each in found)
    return [
        Line(
            id=each.id,
            number=each.number,
            message_id=each.message_id,
            recorded=utc(each.recorded),
            requester=check.namely(each.requester),
            subject=each.subject,
            series=each.series,
            links=links.of_request(each, look_.settings),
            results=of_request(each.number, results),
            arguments=each.arguments,
            leftovers=each.leftovers,
        )
        for each in found
    ]
