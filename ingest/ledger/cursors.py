# SPDX-License-Identifier: BSD-3-Clause
"""How far those have come that read a ledger's request log or feed it: sinks, consumers and the
batches that they hold, feeds."""

from ingest.ledger import rows as made
from ingest.ledger.connection import Connection
from ingest.ledger.progress import Batch, Consumer, Cursor, Feed


class Cursors:
    """What a ``Ledger`` does about sinks, consumers, batches and feeds."""

    _db: Connection

    def cursor(self, name: str) -> Cursor:
        rows = self._db.rows("SELECT * FROM cursor WHERE name = ?", name)
        return made.cursor(rows[0]) if rows else Cursor(name)

    def cursors(self) -> tuple[Cursor, ...]:
        return tuple(map(made.cursor, self._db.rows("SELECT * FROM cursor ORDER BY name")))

    def begin_cursor(self, name: str, now: float) -> None:
        with self._db.writing():
            last = self._db.run("SELECT coalesce(max(number), 0) AS last FROM request").fetchone()
            columns = vars(Cursor(name, last["last"], now))
            self._db.insert("cursor", columns, "ON CONFLICT (name) DO NOTHING")

    def set_cursor(self, cursor: Cursor) -> None:
        with self._db.writing():
            self._db.insert("cursor", vars(cursor), or_replace=True)

    def consumer(self, name: str) -> Consumer:
        rows = self._db.rows("SELECT * FROM consumer WHERE name = ?", name)
        return made.consumer(rows[0]) if rows else Consumer(name)

    def consumers(self) -> tuple[Consumer, ...]:
        return tuple(map(made.consumer, self._db.rows("SELECT * FROM consumer ORDER BY name")))

    def set_consumer(self, consumer: Consumer) -> None:
        with self._db.writing():
            self._db.insert("consumer", vars(consumer), or_replace=True)

    def batches(self) -> tuple[Batch, ...]:
        found = "SELECT * FROM batch ORDER BY consumer, after, last"
        return tuple(map(made.batch, self._db.rows(found)))

    def set_batch(self, batch: Batch) -> None:
        with self._db.writing():
            self._db.insert("batch", made.batch_columns(batch), or_replace=True)

    def drop_consumer(self, name: str) -> bool:
        with self._db.writing():
            gone = [
                self._db.run(f"DELETE FROM {each} = ?", name).rowcount
                for each in ("consumer WHERE name", "batch WHERE consumer")
            ]
        return any(gone)

    def drop_batch(self, batch: Batch) -> None:
        with self._db.writing():
            self._db.run(
                "DELETE FROM batch"
                " WHERE consumer = ? AND after = ? AND last = ? AND generation = ?",
                batch.consumer,
                batch.after,
                batch.last,
                batch.generation,
            )

    def feeds(self) -> tuple[Feed, ...]:
        return tuple(map(made.feed, self._db.rows("SELECT * FROM feed ORDER BY name, part")))

    def set_feed(self, feed: Feed) -> None:
        with self._db.writing():
            self._db.insert("feed", vars(feed), or_replace=True)
