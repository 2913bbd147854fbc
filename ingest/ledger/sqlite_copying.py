# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger as one side of a move."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain

from ingest.ledger.connection import one_of
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
from ingest.ledger.database import Database
from ingest.ledger.rows import by_digest
from ingest.ledger.values import MOST_HAPPENINGS

# What is made of the others by triggers or anew.
_DERIVED = frozenset(("tally", "turn", "event", KNOWN, HEAD, META, "mail", "answer"))

# Triggers that make something of each row that comes, and what makes it of all rows at once.
_OF_EACH_ROW = ("mail_comes", "raw_comes", "request_comes", "story_begins", "event_comes")
_OF_ALL_ROWS = (
    "DELETE FROM tally",
    "INSERT INTO tally SELECT outcome, waiting, count(*) FROM mail GROUP BY outcome, waiting",
    "INSERT INTO tally SELECT 'request', '', count(*) FROM request",
    """INSERT INTO tally SELECT 'raw', '', coalesce(sum(stored), 0) FROM mail
        WHERE outcome <> 'queued'""",
    # The last turn of each sender, as far as it counts.
    "INSERT OR REPLACE INTO turn SELECT sender, max(turn) FROM mail GROUP BY sender",
    f"DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - {MOST_HAPPENINGS}",
)
_NEWEST_STORIES = (
    "INSERT INTO event (mail, text) SELECT * FROM"
    f" (SELECT id, story FROM mail ORDER BY id DESC LIMIT {MOST_HAPPENINGS}) ORDER BY id"
)

# KiB of the file that are held in memory meanwhile.
_CACHE = 256 << 10


class SqliteSide:
    """A ledger in an SQLite file, see ``copying.Side``."""

    def __init__(self, file: Database) -> None:
        self._db = file
        self.name = f"sqlite:{file.path}"

    def columns(self) -> dict[str, Columns]:
        alike = {name: self._columns(name) for name in self._tables() if name not in _DERIVED}
        return {
            "mail": self._columns("mail"),
            **alike,
            KNOWN: ("digest",),
            HAPPENINGS: ("text",),
            HEAD: ("last", "second"),
            META: ("key", "value"),
        }

    def _tables(self) -> list[str]:
        found = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        return sorted(row["name"] for row in self._db.rows(found))

    def _columns(self, table: str) -> Columns:
        found = self._db.rows("SELECT name, pk FROM pragma_table_info(?)", table)
        return tuple(row["name"] for row in found)

    def _keys(self, table: str) -> str:
        found = self._db.rows(
            "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table
        )
        return ", ".join(row["name"] for row in found)

    def is_empty(self) -> bool:
        return not self._db.rows("SELECT 1 FROM mail UNION ALL SELECT 1 FROM request LIMIT 1")

    def read(self, table: str, columns: Columns) -> Iterator[Values]:
        if table == KNOWN:
            rows = self._db.stream("SELECT identity FROM known")
            yield from sorted((by_digest(identity).partition(":")[2],) for (identity,) in rows)
            return
        yield from self._db.stream(self._query(table, columns))

    def _query(self, table: str, columns: Columns) -> str:
        if table == "mail":
            wanted = ", ".join(map(_of_mail, columns))
            return f"SELECT {wanted} FROM mail ORDER BY id"
        if table == HAPPENINGS:
            return "SELECT text FROM event WHERE mail IS NULL ORDER BY number"
        if table == HEAD:
            last = "SELECT max(seq) FROM sqlite_sequence WHERE name = 'request'"
            return f"SELECT coalesce(({last}), 0), second FROM head"
        if table == META:
            keys = ", ".join(f"'{key}'" for key in MOVED_META)
            return f"SELECT key, value FROM meta WHERE key IN ({keys}) ORDER BY key"
        return f"SELECT {', '.join(columns)} FROM {table} ORDER BY {self._keys(table)}"

    def writing(self) -> AbstractContextManager[None]:
        return self._db.writing()

    @contextmanager
    def taking(self) -> Iterator[Take]:
        self._db.run(f"PRAGMA cache_size = -{_CACHE}")
        # Rows come faster without indexes, and without a trigger for each.
        left_out = (
            "SELECT type, name, sql FROM sqlite_master WHERE type = 'index'"
            f" AND sql IS NOT NULL OR type = 'trigger' AND {one_of('name', _OF_EACH_ROW)}"
        )
        found = self._db.rows(left_out, *_OF_EACH_ROW)
        for each in found:
            self._db.run(f"DROP {each['type']} {each['name']}")
        yield self._take
        for statement in (*_OF_ALL_ROWS, *(each["sql"] for each in found)):
            self._db.run(statement)

    def _take(self, table: str, columns: Columns, pieces: Iterable[Piece]) -> None:
        if table == HEAD:
            for last, second in chain.from_iterable(pieces):
                self._db.run("UPDATE head SET second = ?", second)
                self._db.run("DELETE FROM sqlite_sequence WHERE name = 'request'")
                self._db.run("INSERT INTO sqlite_sequence VALUES ('request', ?)", last)
            return
        if table == KNOWN:
            pieces = ([(f"sha256:{digest}",) for (digest,) in piece] for piece in pieces)
        if table == HAPPENINGS:
            self._db.run(_NEWEST_STORIES)
        into = {KNOWN: "known (identity)", HAPPENINGS: "event (text)"}.get(
            table, f"{table} ({', '.join(columns)})"
        )
        places = ", ".join("?" * len(columns))
        for piece in pieces:
            self._db.run_many(f"INSERT OR REPLACE INTO {into} VALUES ({places})", piece)

    def refuse(self, why: str) -> None:
        with self._db.writing():
            self._db.run("DELETE FROM meta WHERE key = 'moved'")
            for table in self._tables():
                for what in ("INSERT", "UPDATE", "DELETE"):
                    self._db.run(f"DROP TRIGGER IF EXISTS moved_{table}_{what}")
                    if why and table != META:
                        self._db.run(
                            f"CREATE TRIGGER moved_{table}_{what} BEFORE {what} ON {table} BEGIN"
                            f" SELECT RAISE(ABORT, {_quoted(why)}); END"
                        )
            if why:
                self._db.insert("meta", {"key": "moved", "value": why})


def _of_mail(column: str) -> str:
    """A column as it goes: what is said of the queue, of mails in it alone."""
    if column in OF_THE_QUEUE:
        return f"CASE outcome WHEN 'queued' THEN {column} ELSE {OF_THE_QUEUE[column]} END"
    return "CASE claimed WHEN 1 THEN holder ELSE '' END" if column == "holder" else column


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
