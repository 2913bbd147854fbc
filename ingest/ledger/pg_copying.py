# SPDX-License-Identifier: BSD-3-Clause
"""The PostgreSQL ledger as one side of a move."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from operator import itemgetter

from psycopg.errors import LockNotAvailable
from psycopg.rows import tuple_row

from ingest.errors import StateUnavailable
from ingest.ledger.copying import (
    HAPPENINGS,
    HEAD,
    KNOWN,
    META,
    MOVED_META,
    OF_THE_QUEUE,
    Columns,
    Piece,
    Take,
    Values,
)
from ingest.ledger.rows import digest
from ingest.ledger.session import Session

# Rows fetched at once.
_STREAMED = 2000

# The schema that our tables are in.
_OURS = "(SELECT relnamespace FROM pg_class WHERE oid = 'mail'::regclass)"

# Those whose indexes are made when their rows are there, and the memory that this may take.
_LARGE = ("mail", "raw", "event", "mail_search", "request", "request_search", "result")
_SORTED_IN = "256MB"

# Whole tables are locked in no order that all writers have: who closes a ledger gives way before
# the server looks for a deadlock (deadlock_timeout), and tries again.
_YIELDS_AFTER, _PAUSE, _TRIES = "300ms", 0.05, 100

# What of a mail is in other tables here.
_QUEUE = ("mail", "turn", *OF_THE_QUEUE, "tries", "claimed")
_RAW = ("mail", "ended", "stored", "bytes")
_BESIDE = frozenset((*OF_THE_QUEUE, "raw", "stored", "story", "claimed", "holder"))

_WHOLE = """FROM mail LEFT JOIN raw ON raw.mail = mail.id LEFT JOIN queue ON queue.mail = mail.id
    LEFT JOIN (SELECT mail, string_agg(text, '' ORDER BY number) AS text FROM event
        WHERE mail IS NOT NULL GROUP BY mail) AS told ON told.mail = mail.id ORDER BY mail.id"""


class PostgresSide:
    """A ledger in PostgreSQL, see ``copying.Side``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.name = session.name

    def columns(self) -> dict[str, Columns]:
        raise NotImplementedError("the columns that move are SQLite's")

    def is_empty(self) -> bool:
        found = "SELECT 1 FROM mail UNION ALL SELECT 1 FROM request LIMIT 1"
        return not self._session.rows(found)

    def read(self, table: str, columns: Columns) -> Iterator[Values]:
        yield from self._stream(_query(table, columns, self._keys(table)))

    def _stream(self, query: str) -> Iterator[Values]:
        """What a query finds, row by row, as of one moment, however long that takes."""
        own = self._session
        with (
            own.unhurried(),
            own.reading(),
            own.database.cursor("stream", row_factory=tuple_row) as found,
        ):
            found.itersize = _STREAMED
            yield from found.execute(query, binary=True)

    def _keys(self, table: str) -> str:
        """By what a table is sorted, as SQLite sorts it."""
        found = self._session.rows(
            "SELECT string_agg(attname, ', ' ORDER BY array_position(indkey, attnum)) AS keys"
            " FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
            " WHERE indisprimary AND indrelid = to_regclass(?)",
            table,
        )
        return str(found[0]["keys"])

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._session.unhurried(), self._session.writing():
            yield

    @contextmanager
    def taking(self) -> Iterator[Take]:
        made_again = self._without_indexes()
        yield self._take
        for statement in made_again:
            self._session.run(statement)
        # Numbers go on where they were, and turns begin anew if nobody has one.
        self._session.run(
            "SELECT setval(pg_get_serial_sequence('mail', 'id'), greatest(max(id), 1),"
            " max(id) IS NOT NULL) FROM mail"
        )
        # Of tables that are not ours the server would warn.
        self._session.run(f"ANALYZE {', '.join(_LARGE)}")

    def _without_indexes(self) -> list[str]:
        """Drop the indexes of the tables that become large, for rows come faster without; what
        makes them again."""
        self._session.run(f"SET LOCAL maintenance_work_mem = '{_SORTED_IN}'")
        found = self._session.run(
            "SELECT relation.relname AS table, index.relname AS index, conname AS constraint,"
            " coalesce(pg_get_constraintdef(pg_constraint.oid),"
            " pg_get_indexdef(indexrelid)) AS made"
            " FROM pg_index JOIN pg_class AS relation ON relation.oid = indrelid"
            " JOIN pg_class AS index ON index.oid = indexrelid"
            " LEFT JOIN pg_constraint ON conindid = indexrelid AND contype IN ('p', 'u')"
            " WHERE indrelid = ANY (?::regclass[]) ORDER BY indexrelid",
            list(_LARGE),
        ).fetchall()
        made_again = []
        for each in found:
            alter, name = f"ALTER TABLE {each['table']}", each["constraint"]
            if name:
                self._session.run(f"{alter} DROP CONSTRAINT {name}")
                made_again.append(f"{alter} ADD CONSTRAINT {name} {each['made']}")
            else:
                self._session.run(f"DROP INDEX {each['index']}")
                made_again.append(each["made"])
        return made_again

    def _take(self, table: str, columns: Columns, pieces: Iterable[Piece]) -> None:
        rows = chain.from_iterable(pieces)
        if table == "mail":
            self._take_mails(columns, pieces)
        elif table == HEAD:
            for row in rows:
                self._session.run("UPDATE head SET last = ?, second = ?", *row)
        elif table == META:
            for key, value in rows:
                self._session.insert("meta", {"key": key, "value": value}, or_replace=True)
        elif table == KNOWN:
            self._put("known", ("digest",), ((bytes.fromhex(k),) for (k,) in rows))
        elif table == HAPPENINGS:
            self._put("event", ("text",), rows)
        else:
            self._put(table, columns, rows)

    def _take_mails(self, columns: Columns, pieces: Iterable[Piece]) -> None:
        def of(*names: str) -> Callable[[Values], Values]:
            return itemgetter(*map(columns.index, names))

        own = [each for each in columns if each not in _BESIDE]
        facts, raw, story = of(*own), of("id", "ended", "stored", "raw"), of("id", "story")
        queued = of("id", *_QUEUE[1:-1], "claimed", "holder")
        identity, bytes, outcome = map(columns.index, ("identity", "raw", "outcome"))
        for piece in pieces:
            known = ((*facts(row), digest(row[identity])) for row in piece)
            self._put("mail", (*own, "digest"), known)
            self._put("raw", _RAW, (raw(row) for row in piece if row[bytes] is not None))
            waiting = (queued(row) for row in piece if row[outcome] == "queued")
            claims = ((*row, holder if claimed else None) for *row, claimed, holder in waiting)
            self._put("queue", _QUEUE, claims)
            self._put("event", ("mail", "text"), map(story, piece))

    def _put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Many rows more."""
        types = self._types[table]
        into = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with self._session.database.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types([types[each] for each in columns])
            for row in rows:
                copy.write_row(row)

    @cached_property
    def _types(self) -> Mapping[str, Mapping[str, str]]:
        """The types of each table's columns."""
        found = defaultdict[str, dict[str, str]](dict)
        for row in self._session.rows(
            "SELECT relname, attname, typname FROM pg_attribute"
            " JOIN pg_class ON pg_class.oid = attrelid JOIN pg_type ON pg_type.oid = atttypid"
            f" WHERE relkind = 'r' AND relnamespace = {_OURS}"
        ):
            found[row["relname"]][row["attname"]] = row["typname"]
        return found

    def refuse(self, why: str) -> None:
        for _ in range(_TRIES - 1):
            try:
                self._refuse(why)
                return
            except StateUnavailable as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
            time.sleep(_PAUSE)
        self._refuse(why)

    def _refuse(self, why: str) -> None:
        tables = [
            row["name"]
            for row in self._session.rows(
                "SELECT relname AS name FROM pg_class"
                f" WHERE relkind = 'r' AND relnamespace = {_OURS}"
            )
        ]
        with self._session.writing():
            self._session.run(f"SET LOCAL lock_timeout = '{_YIELDS_AFTER}'")
            self._session.run("DELETE FROM meta WHERE key = 'moved'")
            for table in sorted(tables):
                self._session.run(f"DROP TRIGGER IF EXISTS moved ON {table}")
                if why and table != META:
                    self._session.run(
                        f"CREATE TRIGGER moved BEFORE INSERT OR UPDATE OR DELETE ON {table}"
                        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_moved()"
                    )
            if why:
                self._session.insert("meta", {"key": "moved", "value": why})


def _query(table: str, columns: Columns, keys: str) -> str:
    if table == "mail":
        return f"SELECT {', '.join(map(_of_mail, columns))} {_WHOLE}"
    if table == KNOWN:
        return "SELECT encode(digest, 'hex') FROM known ORDER BY digest"
    if table == HAPPENINGS:
        return "SELECT text FROM event WHERE mail IS NULL ORDER BY number"
    if table == HEAD:
        return "SELECT last, second FROM head"
    if table == META:
        moved = ", ".join(f"'{key}'" for key in MOVED_META)
        return f"SELECT key, value FROM meta WHERE key IN ({moved}) ORDER BY key"
    return f"SELECT {', '.join(columns)} FROM {table} ORDER BY {keys}"


def _of_mail(column: str) -> str:
    """A column of SQLite's table, out of ours."""
    if column in OF_THE_QUEUE:
        return f"coalesce(queue.{column}, {OF_THE_QUEUE[column]})"
    others = {
        "raw": "raw.bytes",
        "stored": "coalesce(raw.stored, 0)",
        "tries": "coalesce(queue.tries, mail.tries)",
        "story": "coalesce(told.text, '')",
        "claimed": "(queue.claimed IS NOT NULL)::int",
        "holder": "coalesce(queue.claimed, '')",
    }
    return others.get(column, f"mail.{column}")
