# SPDX-License-Identifier: BSD-3-Clause
"""One request to the sandbox's API while it is answered: its filters, its page, its refusals.

Facts of Patchwork's ``api/filters.py`` and ``api/base.py`` and of the Django libraries under
them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlencode

from ingest.sandbox.models import Project, User
from ingest.sandbox.serializers import Json, Shapes, Version
from ingest.sandbox.store import Store

PER_PAGE = 30
PER_PAGE_AT_MOST = 250
_LONGEST_NUMBER = 18  # what fits into a database's integer

Reply = tuple[int, Any, dict[str, str]]  # status, JSON, headers besides the usual ones


class Refused(Exception):
    """Ends a request early with a status and a JSON body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Broken(Exception):
    """Patchwork itself raises here and answers 500."""


class Unmatched(Exception):
    """A filter has a value that Patchwork finds invalid, and so the list is empty."""


class Dated(Protocol):
    """A row that the filters every list has can be put to."""

    @property
    def id(self) -> int: ...
    @property
    def date(self) -> datetime: ...


class Named(Dated, Protocol):
    """A row that can be searched."""

    @property
    def name(self) -> str | None: ...


Row = TypeVar("Row")
DatedRow = TypeVar("DatedRow", bound=Dated)
NamedRow = TypeVar("NamedRow", bound=Named)

_ORDERS: dict[str, Callable[[Any], Any]] = {
    "id": lambda row: row.id,
    "date": lambda row: row.date,
    "name": lambda row: getattr(row, "name", None) or "",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    store: Store
    shapes: Shapes
    url: str  # public, with the query
    query: dict[str, list[str]]
    ids: tuple[str, ...]  # out of the path
    newest: Version  # of the API, whatever the URL says
    user: User | None
    content_type: str
    body: bytes

    def last(self, name: str) -> str:
        """A parameter's value, "" if it is not there; given more than once, the last counts."""
        return self.query.get(name, [""])[-1].strip()

    def signed_in(self) -> User:
        """The account whose token came along; the endpoint answers nobody else."""
        if self.user is None:
            raise Refused(403, {"detail": "Authentication credentials were not provided."})
        return self.user

    def one(self, rows: Mapping[int, Row], noun: str, at: int = 0) -> Row:
        """The row that the path names, or 404."""
        number = int(self.ids[at])
        if number not in rows:
            raise missing(noun)
        return rows[number]

    def page(self, rows: Collection[Row], shape: Callable[[Row], Json]) -> Reply:
        """One page of rows, with the Link header that leads to the others."""
        per_page = min(_number(self.last("per_page")) or PER_PAGE, PER_PAGE_AT_MOST)
        pages = max(1, -(-len(rows) // per_page))
        wanted = self.last("page") or "1"
        number = pages if wanted == "last" else _number(wanted)
        if number is None or not 1 <= number <= pages:
            raise Refused(404, {"detail": "Invalid page."})
        links = [f'<{self._page_url(number + 1)}>; rel="next"'] if number < pages else []
        if number > 1:
            links.append(f'<{self._page_url(number - 1, number > 2)}>; rel="prev"')
        links.append(f'<{self._page_url(1)}>; rel="first"')
        links.append(f'<{self._page_url(pages)}>; rel="last"')
        shown = list(rows)[(number - 1) * per_page : number * per_page]
        return 200, [shape(row) for row in shown], {"Link": ", ".join(links)}

    def _page_url(self, number: int, named: bool = True) -> str:
        address, _, query = self.url.partition("?")
        fields = parse_qs(query, keep_blank_values=True)
        fields.pop("page", None)
        if named:
            fields["page"] = [str(number)]
        query = urlencode(sorted(fields.items()), doseq=True)
        return f"{address}?{query}" if query else address

    # Filters. Each raises Unmatched where Patchwork's form would not validate.

    def dated(self, rows: Iterable[DatedRow]) -> list[DatedRow]:
        """Rows not before ``since`` and earlier than ``before``."""
        since, before = self._moment("since"), self._moment("before")
        return [
            row
            for row in rows
            if (since is None or row.date >= since) and (before is None or row.date < before)
        ]

    def projects(self) -> list[Project] | None:
        """The projects asked for by id or link name, None if by none."""
        return self._chosen("project", self.store.projects.values(), lambda p: p.link_name)

    def submitters(self) -> list[int] | None:
        """Ids of the senders asked for by id or address, None if by none."""
        people = self._chosen("submitter", self.store.people.values(), lambda p: p.email)
        return None if people is None else [person.id for person in people]

    def ids_of(self, name: str, rows: Mapping[int, object]) -> list[int] | None:
        """The ids asked for, each of which has to exist, None if none."""
        if name not in self.query:
            return None
        numbers = [_number(value) for value in self.query[name]]
        if not all(number in rows for number in numbers):
            raise Unmatched
        return [number for number in numbers if number is not None]

    def users(self) -> list[User] | None:
        """The accounts asked for by id or name, None if by none."""
        return self._chosen("user", self.store.users.values(), lambda user: user.username)

    def searched(self, rows: list[NamedRow]) -> list[NamedRow]:
        """Rows whose name holds every word of ``q``."""
        words = self.last("q").lower().replace(",", " ").split()
        return [row for row in rows if all(word in (row.name or "").lower() for word in words)]

    def ordered(self, rows: list[DatedRow]) -> list[DatedRow]:
        """Rows in the ``order`` asked for, by default that of their ids."""
        for key in reversed(self.last("order").split(",")):
            by = _ORDERS.get(key.strip().lstrip("-"))
            if by is not None:
                rows = sorted(rows, key=by, reverse=key.strip().startswith("-"))
        return rows

    def _chosen(
        self, name: str, rows: Iterable[Any], other_name: Callable[[Any], str]
    ) -> list[Any] | None:
        if name not in self.query:
            return None
        rows = list(rows)
        chosen = []
        for value in self.query[name]:
            number = _number(value)
            found = [
                row
                for row in rows
                if row.id == number or (number is None and _alike(other_name(row), value))
            ]
            if not found:
                raise Unmatched
            chosen += found
        return chosen

    def _moment(self, name: str) -> datetime | None:
        value = self.last(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Unmatched from None
        if moment.tzinfo is None:
            return moment
        # Patchwork keeps times without a zone, and from 3.0 on does not convert one that has it.
        if self.newest >= (1, 3):
            raise Broken
        return moment.astimezone(UTC).replace(tzinfo=None)


def _number(value: str) -> int | None:
    return int(value) if value.isdecimal() and len(value) <= _LONGEST_NUMBER else None


def _alike(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def missing(noun: str) -> Refused:
    """The 404 for a row that is not there."""
    return Refused(404, {"detail": f"No {noun} matches the given query."})
