# SPDX-License-Identifier: BSD-3-Clause
"""What an operator decides, and what happens to all mails, in a database."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from ingest.ledger import rows as made
from ingest.ledger.connection import Connection
from ingest.ledger.locking import in_order
from ingest.ledger.progress import Pause
from ingest.ledger.request_values import State
from ingest.ledger.results import OPEN
from ingest.ledger.values import MOST_HAPPENINGS, Event, Happening, Outcome

# What ends a mail, and what adds to its story, within a transaction; see ``log``.
End = Callable[[int, Outcome, str, float, list[Event]], None]
Append = Callable[[int, Sequence[Event]], None]


# Events, each with the Message-ID of its mail, and what became of that.
EVENTS = (
    "SELECT number, mail, text, message_id, outcome"
    " FROM event LEFT JOIN mail ON mail.id = event.mail"
)


class KeptHappenings:
    """``Happenings`` in a database."""

    def __init__(self, database: Connection) -> None:
        self._db = database

    def tell(self, event: Event) -> None:
        with self._db.writing(durable=False):
            self.add(event)

    def add(self, event: Event) -> None:
        """As ``tell``, within a transaction."""
        self._db.insert("event", {"text": made.story_text([event])})

    def newest(self, limit: int) -> list[Happening]:
        # A row may hold several events; where stories are made of these rows there are more.
        found = f"{EVENTS} ORDER BY number DESC LIMIT ?"
        rows = self._db.rows(found, min(limit, MOST_HAPPENINGS))
        told = [made.happenings(row) for row in rows]
        return [each for happened in reversed(told) for each in happened][-limit:]

    def after(self, number: int, limit: int = 1000) -> list[Happening]:
        found = f"{EVENTS} WHERE number > ? ORDER BY number LIMIT ?"
        return [
            each for row in self._db.rows(found, number, limit) for each in made.happenings(row)
        ]

    def settled(self) -> int:
        found = self._db.rows("SELECT coalesce(max(number), 0) AS number FROM event")
        return int(found[0]["number"])


class KeptSteering:
    """``Steering`` in a database."""

    def __init__(
        self,
        database: Connection,
        happenings: KeptHappenings,
        *,
        hold: Callable[[Sequence[int]], None],
        hold_log: Callable[[], object],
        end: End,
        append: Append,
        judge: Callable[[float, float], int],
    ) -> None:
        """``hold``: nobody else changes these mails until the transaction ends, ``hold_log``:
        nobody else appends to the log or is handed what is in it."""
        self._db = database
        self._happenings = happenings
        self._hold = hold
        self._hold_log = hold_log
        self._end = end
        self._append = append
        self._judge = judge

    def pause(self, pause: Pause) -> bool:
        with self._db.writing():
            new = self._db.insert("pause", asdict(pause), "ON CONFLICT DO NOTHING RETURNING sink")
            if new:
                said = {"reason": pause.reason} if pause.reason else {}
                self._happenings.add(Event(pause.since, "paused", {"sink": pause.sink, **said}))
        return bool(new)

    def resume(self, sink: str, now: float) -> bool:
        with self._db.writing():
            gone = self._db.run("DELETE FROM pause WHERE sink = ?", sink).rowcount
            if gone:
                self._happenings.add(Event(now, "resumed", {"sink": sink}))
        return gone > 0

    def pauses(self) -> tuple[Pause, ...]:
        return tuple(Pause(**row) for row in self._db.rows("SELECT * FROM pause ORDER BY sink"))

    def hold(self, mail_ids: Sequence[int]) -> None:
        with self._db.writing():
            self._hold(mail_ids)

    def cancel(self, mail_id: int, reason: str, now: float) -> bool:
        with self._db.writing():
            self._hold([mail_id])
            is_open = self._db.run(
                "SELECT 1 FROM mail WHERE id = ? AND outcome IN ('queued', 'unresolved', 'failed')",
                mail_id,
            ).fetchone()
            if is_open:
                self._cancel_mail(mail_id, reason, now, {})
        return bool(is_open)

    def cancel_request(self, number: int, reason: str, by: str, now: float) -> bool:
        with self._db.writing():
            self._hold_request(number)
            self._hold_log()
            asked = self._db.run(
                "UPDATE request SET cancelled = ? WHERE number = ? AND cancelled = ''"
                " AND number > (SELECT coalesce(max(upto), 0) FROM promise) RETURNING mail",
                reason,
                number,
            ).fetchone()
            if asked is None:
                return False
            self._db.run("DELETE FROM aside WHERE request = ?", number)
            self._db.run(
                f"UPDATE result SET state = ?, at = ?, author = ?, url = '', summary = ?"
                f" WHERE request = ? AND {OPEN}",
                *(State.CANCELLED, now, by, reason, number),
            )
            left = self._db.run(
                "SELECT 1 FROM request WHERE mail = ? AND cancelled = ''", asked["mail"]
            ).fetchone()
            if left:
                self._append(asked["mail"], [_cancelled(reason, now, {"request": number})])
            else:
                self._cancel_mail(asked["mail"], reason, now, {"request": number})
        return True

    def _hold_request(self, number: int) -> None:
        """Nobody else changes a request, its mail or its results until this transaction ends."""
        found = self._db.run("SELECT mail FROM request WHERE number = ?", number).fetchall()
        self._hold([row["mail"] for row in found])
        for table, key in (("request", "number"), ("result", "request"), ("aside", "request")):
            self._db.run(in_order(table, f"{key} = ?", self._db.held), number)

    def _cancel_mail(self, id: int, reason: str, now: float, what: dict[str, object]) -> None:
        self._end(id, Outcome.CANCELLED, reason, now, [_cancelled(reason, now, what)])

    def judge_again(self, since: float, now: float) -> int:
        with self._db.writing():
            return self._judge(since, now)


def _cancelled(reason: str, now: float, what: dict[str, object]) -> Event:
    return Event(now, Outcome.CANCELLED.value, {**what, "reason": reason})
