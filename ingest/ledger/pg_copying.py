# SPDX-License-Identifier: BSD-3-Clause
"""The PostgreSQL ledger as one side of a move."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from psycopg.rows import tuple_row

from ingest.ledger.copying import (
    HAPPENINGS,
    HEAD,
    KNOWN,
    META,
    MOVED_META,
    OF_THE_QUEUE,
    Columns,
    Values,
)
from ingest.ledger.rows import digest
from ingest.ledger.session import Session

# Rows fetched at once.
_STREAMED = 2000

# Mails whose parts are held in memory before they are sent, and bytes of them.
_AT_ONCE, _BYTES_AT_ONCE = 5000, 32 << 20

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
    def taking(self) -> Iterator[Callable[[str, Columns, Iterable[Values]], None]]:
        with self._session.unhurried(), self._session.writing():
            yield self._take
            # Numbers go on where they were, and turns begin anew if nobody has one.
            self._session.run(
                "SELECT setval(pg_get_serial_sequence('mail', 'id'), greatest(max(id), 1),"
                " max(id) IS NOT NULL) FROM mail"
            )
        with self._session.unhurried():
            self._session.run("ANALYZE")

    def _take(self, table: str, columns: Columns, rows: Iterable[Values]) -> None:
        if table == "mail":
            self._take_mails(columns, rows)
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

    def _take_mails(self, columns: Columns, rows: Iterable[Values]) -> None:
        own = [each for each in columns if each not in _BESIDE]
        source = (dict(zip(columns, row, strict=True)) for row in rows)
        while some := list(_some(source)):
            known = ((*(each[name] for name in own), digest(each["identity"])) for each in some)
            self._put("mail", (*own, "digest"), known)
            kept = [each for each in some if each["raw"] is not None]
            self._put(
                "raw",
                _RAW,
                ((each["id"], each["ended"], each["stored"], each["raw"]) for each in kept),
            )
            queued = (
                (
                    each["id"],
                    *(each[name] for name in ("turn", *OF_THE_QUEUE, "tries")),
                    each["holder"] if each["claimed"] else None,
                )
                for each in some
                if each["outcome"] == "queued"
            )
            self._put("queue", _QUEUE, queued)
            told = ((each["id"], each["story"]) for each in some)
            self._put("event", ("mail", "text"), told)

    def _put(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Many rows more."""
        types = {
            row["name"]: row["type"]
            for row in self._session.run(
                "SELECT attname AS name, typname AS type FROM pg_attribute"
                " JOIN pg_type ON pg_type.oid = atttypid WHERE attrelid = ?::regclass",
                table,
            )
        }
        into = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with self._session.database.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types([types[each] for each in columns])
            for row in rows:
                copy.write_row(row)

    def refuse(self, why: str) -> None:
        tables = [
            row["name"]
            for row in self._session.rows(
                "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                " (SELECT relnamespace FROM pg_class WHERE oid = 'mail'::regclass)"
            )
        ]
        with self._session.writing():
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


def _some(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """As many as are held at once."""
    size = 0
    for row in islice(rows, _AT_ONCE):
        yield row
        size += len(row["raw"] or b"")
        if size > _BYTES_AT_ONCE:
            return


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
