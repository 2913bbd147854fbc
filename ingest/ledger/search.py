# SPDX-License-Identifier: BSD-3-Clause
"""Requests and mails of a ledger by what a person looks for: see ``values.Filter``.

Each condition names ids by an index or by a narrow table, never by the wide rows, so that none
takes more than milliseconds however long the log is.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from ingest.ledger import rows as made
from ingest.ledger.connection import Connection, Row, one_of
from ingest.ledger.request_values import Request
from ingest.ledger.results import OPEN
from ingest.ledger.values import Attention, Filter, Outcome, Record

# Part of a statement, and the values that it takes.
Clause = tuple[str, Sequence[object]]


class Within(NamedTuple):
    """That a row's ``key`` is in a ``column`` of a table, in rows that fit ``where``."""

    key: str
    column: str
    table: str
    where: Clause

    @property
    def select(self) -> str:
        """The keys that fit, each once."""
        return f"SELECT DISTINCT {self.column} FROM {self.table} WHERE {self.where[0]}"


# What must be true of a row.
Condition = Clause | Within

# Characters of a text that is looked for; SQLite takes patterns of 50,000 bytes.
_LONGEST_PART = 4000

# The states of a mail that only a person ends.
_STUCK = (Outcome.UNRESOLVED, Outcome.FAILED)


# The numbers of the requests that have a result still to come.
_OPEN = f"SELECT request FROM result WHERE {OPEN}"


class Search(ABC):
    """What a ``Ledger`` does to find requests and mails."""

    _db: Connection

    @abstractmethod
    def _records(self, mails: Sequence[Row]) -> list[Record]:
        """Rows of the table mail as ``show`` tells of them, within ``reading``."""

    def search_requests(self, filter: Filter) -> list[Request]:
        query, values = _page("request", "number", _of_requests(filter), filter)
        return [made.request(row) for row in self._db.rows(query, *values)]

    def search_mails(self, filter: Filter) -> list[Record]:
        query, values = _page("mail", "id", _of_mails(filter), filter)
        with self._db.reading():
            return self._records(self._db.rows(query, *values))

    def names(self, most: int = 500) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with self._db.reading():
            asked, of = self._distinct("label", "result"), self._distinct("project", "request")
            found = [self._db.rows(query, most) for query in (asked, of)]
        labels, projects = (tuple(sorted(row["name"] for row in rows)) for rows in found)
        return labels, projects

    @staticmethod
    def _distinct(column: str, table: str) -> str:
        """What selects the first texts that are in an indexed column. From each the next one is
        found by the index: DISTINCT would read all of that."""
        following = f"SELECT min({column}) FROM {table} WHERE {column} > names.name"
        return (
            f"WITH RECURSIVE names(name) AS (SELECT min({column}) FROM {table} WHERE {column} > ''"
            f" UNION ALL SELECT ({following}) FROM names WHERE name IS NOT NULL)"
            " SELECT name FROM names WHERE name IS NOT NULL LIMIT ?"
        )

    def count_requests(self, filter: Filter) -> int:
        return self._count("request", "number", _of_requests(filter))

    def count_mails(self, filter: Filter) -> int:
        return self._count("mail", "id", _of_mails(filter))

    def _count(self, table: str, key: str, conditions: Sequence[Condition]) -> int:
        (keys, values), _ = _keys(table, key, conditions)
        rows = self._db.rows(f"SELECT count(*) AS count FROM ({keys}) AS keys", *values)
        return int(rows[0]["count"])


def _page(table: str, key: str, conditions: Sequence[Condition], filter: Filter) -> Clause:
    """The rows of a table that fit, newest first. What is sorted are keys, not rows."""
    (keys, values), column = _keys(table, key, conditions)
    order = "ASC" if filter.from_oldest else "DESC"
    page = f"{keys} ORDER BY {column} {order} LIMIT ? OFFSET ?"
    query = f"SELECT * FROM {table} WHERE {key} IN ({page}) ORDER BY {key} DESC"
    return query, (*values, filter.limit, filter.offset)


def _keys(table: str, key: str, conditions: Sequence[Condition]) -> tuple[Clause, str]:
    """What selects the keys of the rows of a table that fit, and its column. Where another table
    alone decides on them, it is read from its newest key on, and no further than needed."""
    if len(conditions) == 1:
        (sole,) = conditions
        if isinstance(sole, Within) and sole.key == key:
            return (sole.select, sole.where[1]), sole.column
    where, values = _all(conditions)
    return (f"SELECT {key} FROM {table} WHERE {where}", values), key


def _of_requests(filter: Filter) -> list[Condition]:
    """What must be true of a row of the table request."""
    found = _of_what_is_asked(filter)
    if filter.states or filter.results:
        of_mail = Within("mail", "id", "mail", _one_of("outcome", filter.states))
        of_label = Within("number", "request", "result", _one_of("state", filter.results))
        found.append(_any([(filter.states, of_mail), (filter.results, of_label)]))
    if filter.lists:
        found.append(Within("mail", "id", "mail", _one_of("list_id", filter.lists)))
    searched = "number", "request", "request_search"
    if filter.requesters:
        found.append(Within(*searched, _contains(("requester",), filter.requesters, filter)))
    if filter.texts:
        columns = ("requester", "text")
        found.append(Within(*searched, _contains(columns, filter.texts, filter)))
    if filter.since is not None or filter.before is not None:
        found.append(Within("number", "number", "request", _when("recorded", filter)))
    if filter.attention is not None:
        query, values = _in_trouble(filter.attention)
        found.append((f"number IN ({query})", values))
    if filter.active:
        # Of what else fits, each is looked at; all that are active may be very many.
        of_request = (
            f"EXISTS (SELECT 1 FROM result WHERE result.request = request.number AND {OPEN})"
        )
        alone = Within("number", "request", "result", (OPEN, ()))
        found.append((of_request, ()) if found else alone)
    return found


def _of_mails(filter: Filter) -> list[Condition]:
    """What must be true of a row of the table mail."""
    found: list[Condition] = []
    if filter.shown:  # a notice may hold what lets its reader act for the operator
        found.append(("outcome <> ?", [Outcome.NOTICE]))
    requests = "SELECT mail FROM request WHERE number"
    if filter.states or filter.results:
        query, results = _one_of("state", filter.results)
        of_label = f"id IN ({requests} IN (SELECT request FROM result WHERE {query}))", results
        of_mail = _one_of("outcome", filter.states)
        found.append(_any([(filter.states, of_mail), (filter.results, of_label)]))
    if filter.active:
        queued = "SELECT id FROM mail WHERE outcome = 'queued'"
        found.append((f"id IN ({queued} UNION ALL {requests} IN ({_OPEN}))", ()))
    if filter.lists:
        found.append(_one_of("list_id", filter.lists))
    if asked := _of_what_is_asked(filter):
        found.append(Within("id", "mail", "request", _all(asked)))
    searched = "id", "mail", "mail_search"
    if filter.requesters:
        found.append(Within(*searched, _contains(("author",), filter.requesters, filter)))
    if filter.texts:
        columns = ("author", "text", "reason")
        where, values = _contains(columns, filter.texts, filter)
        if filter.states and not filter.results:  # which few mails are in, mostly
            of_one = f"SELECT 1 FROM mail_search WHERE mail_search.mail = mail.id AND {where}"
            found.append((f"EXISTS ({of_one})", values))
        else:
            found.append(Within(*searched, (where, values)))
    if filter.since is not None or filter.before is not None:
        found.append(Within("id", "id", "mail", _when("received", filter)))
    if filter.attention is not None:
        query, values = _in_trouble(filter.attention)
        stuck, states = _one_of("outcome", _STUCK)
        mails = f"SELECT mail FROM request WHERE number IN ({query})"
        both = f"id IN (SELECT id FROM mail WHERE {stuck} UNION ALL {mails})"
        found.append((both, (*states, *values)))
    return found


def _of_what_is_asked(filter: Filter) -> list[Condition]:
    """What must be true of one request, whether requests or mails are looked for."""
    found: list[Condition] = []
    if filter.series:
        found.append(_one_of("series", filter.series))
    if filter.labels:
        of_label = _one_of("label", filter.labels)
        found.append(Within("number", "request", "result", of_label))
    if filter.projects:
        found.append(_one_of("project", filter.projects))
    if filter.servers:
        found.append(_one_of("server", filter.servers))
    return found


def _in_trouble(attention: Attention) -> Clause:
    """The numbers of the requests that a person must act on."""
    where, values = _one_of("sink", attention.sinks)
    overdue = "SELECT request FROM result WHERE state = 'overdue'"
    query = f"{overdue} UNION ALL SELECT request FROM aside WHERE {where}"
    if attention.after is None:
        return query, values
    return f"{query} UNION ALL SELECT number FROM request WHERE number > ? AND cancelled = ''", (
        *values,
        attention.after,
    )


def _one_of(column: str, values: Sequence[object]) -> Clause:
    return one_of(column, values), values


def _contains(columns: Sequence[str], parts: Sequence[str], filter: Filter) -> Clause:
    """Whether one of the columns, which are in lower case, has one of the parts."""
    if filter.shown:
        columns = [f"coalesce(shown_{column}, {column})" for column in columns]
    looked_for = [_like(made.folded(part)) for part in parts]
    tests = [f"{column} LIKE ? ESCAPE '!'" for column in columns for _ in parts]
    return f"({' OR '.join(tests)})", [each for _ in columns for each in looked_for]


def _like(part: str) -> str:
    """A pattern for texts that have this part, or the beginning of one that is very long."""
    escaped = re.sub("[!%_]", r"!\g<0>", part[:_LONGEST_PART])
    return f"%{escaped}%"


def _when(column: str, filter: Filter) -> Clause:
    since = [(f"{column} >= ?", [filter.since])] if filter.since is not None else []
    before = [(f"{column} < ?", [filter.before])] if filter.before is not None else []
    return _all([*since, *before])


def _any(conditions: Sequence[tuple[object, Condition]]) -> Clause:
    """Whether one of the conditions holds that are asked for at all."""
    asked = [_clause(condition) for is_asked, condition in conditions if is_asked]
    where = " OR ".join(f"({query})" for query, _ in asked)
    return where, [value for _, values in asked for value in values]


def _all(conditions: Sequence[Condition]) -> Clause:
    clauses = [_clause(each) for each in conditions]
    where = " AND ".join(f"({query})" for query, _ in clauses)
    return where or "true", [value for _, values in clauses for value in values]


def _clause(condition: Condition) -> Clause:
    if isinstance(condition, Within):
        return f"{condition.key} IN ({condition.select})", condition.where[1]
    return condition
