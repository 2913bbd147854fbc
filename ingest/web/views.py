# SPDX-License-Identifier: BSD-3-Clause
"""What each page about requests shows: a reader and the parameters of a URL in, values for a
template out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest import look
from ingest.config.tables import BY_PATCHWORK
from ingest.ledger import Filter
from ingest.mail import reply
from ingest.story import health, stats
from ingest.story.overview import Asked
from ingest.web import figures as charts
from ingest.web import lookups
from ingest.web.lookups import Reader
from ingest.words import utc

# Items on one page, and the last page that is counted to.
PER_PAGE = 25
_LAST_PAGE = 100_000
# Requests whose way into the ledger is charted, and labels that are told of one by one.
_COUNTED, _LABELS = 500, 30
# Series have ids that Patchwork's database and ours can hold.
_LARGEST_SERIES = 2**63 - 1


class NotThere(Exception):
    """What a page would be about is not in the ledger. ``title`` and the text say so."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__(text)
        self.title = title


class Elsewhere(Exception):
    """The answer is another page of ours."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks, and at what. ``query``, ``path``: the parameters of the URL; ``form``: what was
    posted."""

    reader: Reader
    query: Mapping[str, str]
    path: Mapping[str, str]
    form: Mapping[str, str]

    @property
    def page(self) -> int:
        """The page of a list, the first one if the URL says nothing of use."""
        text = self.query.get("page", "")[:10]
        number = int(text) if text.isascii() and text.isdigit() else 1
        return min(max(number, 1), _LAST_PAGE)


@dataclass(frozen=True, slots=True)
class Page:
    """A template and its values. ``place``: the path among those that every page names."""

    template: str
    values: Mapping[str, Any]
    place: str | None = None
    status: int = 200


def front(at: Look) -> Page:
    """Health, and the newest requests."""
    reader = at.reader
    found = lookups.requests(reader, Filter(), at.page, PER_PAGE)
    signs: tuple[health.Sign, ...] = ()
    if found.number == 1:
        signs = health.signs(look.status(reader.ledger, reader.settings, reader.now))
    return Page("front.html", {"signs": signs, "found": found}, place="")


def request(at: Look) -> Page:
    """One request, and what became of it everywhere."""
    name = _name(at)
    asked = lookups.request(at.reader, name)
    if asked is None:
        raise NotThere("No such request", f"There is no request {name} in the ledger.")
    return Page("request.html", {"asked": asked})


def series(at: Look) -> Page:
    """The requests for one series."""
    name = _name(at)
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 20 else 0
    found = _of(at, Filter(series=(number,))) if 0 < number <= _LARGEST_SERIES else None
    if not found or not found.total:
        raise NotThere(
            f"Series {name}", f"Nobody has asked for a retest of series {name}, as far as we know."
        )
    return Page("series.html", {"series": number, "found": found})


def label(at: Look) -> Page:
    """The requests that name one label."""
    name = _name(at)
    found = _of(at, Filter(labels=(name,)))
    if not found.total:
        raise NotThere(f"Label {name}", f"Nobody has asked for a retest of {name} yet.")
    return Page("label.html", {"label": name, "found": found})


def figures(at: Look) -> Page:
    """How many, how fast, how it ended, and what for, as charts and tables."""
    reader = at.reader
    since = reader.now - charts.DAYS * 86400
    runs = reader.ledger.results.history(since)
    newest = reader.ledger.search_requests(Filter(since=since, limit=_COUNTED))
    follow = reader.settings.results.follow
    values = {
        "charts": charts.charts(runs, newest, reader.now),
        "days": charts.DAYS,
        "stats": reader.shown(stats.of(runs, since, reader.now, follow)),
        "states": stats.COUNTED,
        "most": _LABELS,
        "now": utc(reader.now),
    }
    return Page("figures.html", values, place="stats")


def words(at: Look) -> Page:
    """How to ask for a retest, and what the words on the pages mean."""
    labels = [each for each in at.reader.settings.requests.contexts if each != BY_PATCHWORK]
    plain = [each for each in labels if not set(each) & set("*?[")]
    values = {
        "labels": labels,
        "line": reply.text(plain[:2] or ("LABEL",), {}),
        "arguments": at.reader.settings.requests.arguments,
    }
    return Page("words.html", values, place="words")


def signed_in(at: Look) -> Page:
    """Where a browser has asked for a token, and been given one."""
    raise Elsewhere("/")


def _name(at: Look) -> str:
    """What the path names; without a name there is only the list."""
    if not at.path["name"]:
        raise Elsewhere("/")
    return at.path["name"]


def _of(at: Look, filter: Filter) -> lookups.Page[Asked]:
    return lookups.requests(at.reader, filter, at.page, PER_PAGE)
