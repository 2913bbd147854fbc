# SPDX-License-Identifier: BSD-3-Clause
"""The mails of the PostgreSQL ledger: found again, filed, tried again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from ingest.ledger import rows as made
from ingest.ledger.connection import Row, one_of
from ingest.ledger.postgres_queue import Queue
from ingest.ledger.request_values import Request
from ingest.ledger.values import (
    MOST_FOUND,
    MOST_ORIGINALS,
    MOST_OTHERS,
    Event,
    Filing,
    Original,
    Record,
)


class Mails(Queue):
    """What a ``Ledger`` does about mails that it has."""

    def find(self, name: str) -> list[Record]:
        with self._session.reading():
            found = f"SELECT * FROM mail WHERE {made.NAMED} ORDER BY id LIMIT ?"
            return self._records(self._session.rows(found, *made.called(name), MOST_FOUND))

    def _records(self, mails: Sequence[Row]) -> list[Record]:
        ids = [row["id"] for row in mails]
        if not ids:
            return []
        queued = self._session.rows(f"SELECT * FROM queue WHERE {one_of('mail', ids)}", *ids)
        waits = {row["mail"]: row for row in queued}
        stories, requests = defaultdict[int, str](str), defaultdict[int, list[Request]](list)
        told = f"SELECT mail, text FROM event WHERE {one_of('mail', ids)} ORDER BY number"
        for step in self._session.rows(told, *ids):
            stories[step["mail"]] += step["text"]
        asked = f"SELECT * FROM request WHERE {one_of('mail', ids)} ORDER BY number"
        for each in self._session.rows(asked, *ids):
            requests[each["mail"]].append(made.request(each))
        namesakes = self._namesakes_of({row["message_id"] for row in mails})
        records = []
        for row in mails:
            id, wait = row["id"], waits.get(row["id"])
            due, tries = (wait["due"], wait["tries"]) if wait else (None, row["tries"])
            whole = {**dict(row), "due": due, "tries": tries, "story": stories[id]}
            others = (each for each in namesakes[row["message_id"]] if each != id)
            records.append(made.record(whole, requests[id], tuple(islice(others, MOST_OTHERS))))
        return records

    def _namesakes_of(self, message_ids: Collection[str]) -> defaultdict[str, list[int]]:
        """The ids of the first mails of each Message-ID, one more than each of them names."""
        found = defaultdict[str, list[int]](list)
        query = (
            "SELECT named.message_id, alike.id FROM unnest(?::text[]) AS named (message_id),"
            " LATERAL (SELECT id FROM mail WHERE mail.message_id = named.message_id"
            " AND mail.message_id <> '' ORDER BY id LIMIT ?) AS alike ORDER BY alike.id"
        )
        for row in self._session.rows(query, list(message_ids), MOST_OTHERS + 1):
            found[row["message_id"]].append(row["id"])
        return found

    def raw(self, mail_id: int) -> bytes | None:
        rows = self._session.rows("SELECT bytes FROM raw WHERE mail = ?", mail_id)
        return made.unpacked(rows[0]["bytes"]) if rows else None

    def originals(self, message_id: str, list_id: str) -> Iterator[Original]:
        ids = self._session.rows(
            "SELECT id FROM mail WHERE message_id = ? AND message_id <> '' AND list_id = ?"
            " AND EXISTS (SELECT 1 FROM raw WHERE raw.mail = mail.id) ORDER BY id LIMIT ?",
            *(message_id, list_id, MOST_ORIGINALS),
        )
        for each in ids:  # one at a time: they may be large
            for row in self._session.rows(
                "SELECT mail.*, raw.bytes AS raw FROM mail JOIN raw ON raw.mail = mail.id"
                " WHERE id = ?",
                each["id"],
            ):
                with suppress(ValueError):  # damaged: nothing can be said of it
                    yield made.original(row)

    def file(self, mail_id: int, filing: Filing, now: float) -> None:
        filed = made.filing_columns(filing)
        places = ", ".join(f"{column} = ?" for column in filed)
        is_news = " OR ".join(f"{column} <> ?" for column in filed)
        with self._session.writing():
            self._hold([mail_id])
            changed = self._session.run(
                f"UPDATE mail SET {places} WHERE id = ? AND ({is_news})",
                *(*filed.values(), mail_id, *filed.values()),
            ).rowcount
            if not changed:
                return
            self._append(mail_id, [Event(now, "filed", {"as": str(filing)})])
            self._session.run(
                "UPDATE queue SET due = least(due, ?), begun = least(begun, ?)"
                " WHERE mail = ? AND waiting = 'missing'",
                *(now, now, mail_id),
            )
            self._queue_again("id = ?", mail_id, now=now, states=("unresolved",))

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        with self._session.writing():
            if names is None:
                return self._queue_again("true", now=now)
            found = f"SELECT id FROM mail WHERE {made.NAMED}"
            ids = {
                row["id"]
                for each in dict.fromkeys(names)
                for row in self._session.run(found, *made.called(each))
            }
            # All at once, for in one statement they are locked in order.
            return self._queue_again("id = ANY(?)", list(ids), now=now)

    def _judge_again(self, since: float, now: float) -> int:
        """Queue what was judged and came to nothing; see ``Steering.judge_again``."""
        judged = "received >= ? AND cut = 0"
        return self._queue_again(judged, since, now=now, states=("ignored", "rejected"))

    def _queue_again(
        self,
        which: str,
        *values: object,
        now: float,
        states: Sequence[str] = ("queued", "unresolved", "failed"),
    ) -> int:
        """Try anew the mails of these states that a condition finds; how many those are."""
        again: list[int] = []
        if "queued" in states:
            again += self._due_again(which, *values, now=now)
        over = [each for each in states if each != "queued"]
        found = self._session.run(
            f"""WITH over AS (
                SELECT id FROM mail WHERE {one_of("outcome", over)} AND ({which})
                    AND EXISTS (SELECT 1 FROM raw WHERE raw.mail = mail.id)
                ORDER BY id FOR NO KEY UPDATE
            ),
            opened AS (
                UPDATE mail SET outcome = 'queued', ended = NULL, tries = 0
                WHERE id IN (SELECT id FROM over) RETURNING id, turn
            ),
            kept AS (UPDATE raw SET ended = NULL WHERE mail IN (SELECT id FROM over))
            INSERT INTO queue (mail, turn, due, since, begun)
                SELECT id, turn, ?, ?, ? FROM opened RETURNING mail""",
            *(*over, *values, now, now, now),
        )
        again += [row["mail"] for row in found.fetchall()]
        for id in sorted(again):
            self._append(id, [Event(now, "queued again", {})])
        return len(again)

    def _due_again(self, which: str, *values: object, now: float) -> list[int]:
        found = self._session.run(
            "UPDATE queue SET waiting = '', due = ?, since = ?, begun = ?, waited = 0,"
            " missing = 0, tries = 0, starts = 0 WHERE mail IN (SELECT queue.mail FROM queue"
            f" JOIN mail ON mail.id = queue.mail WHERE claimed IS NULL AND ({which})"
            " ORDER BY queue.mail FOR UPDATE OF queue) RETURNING mail",
            *(now, now, now, *values),
        )
        return [row["mail"] for row in found.fetchall()]
