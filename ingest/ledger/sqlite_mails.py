# SPDX-License-Identifier: BSD-3-Clause
"""The mails of the SQLite ledger: taken in, worked on in turn, ended, found again, dropped."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ingest.errors import LostClaim
from ingest.ledger import rows as made
from ingest.ledger.database import Database
from ingest.ledger.values import Arrival, Event, Keep, Outcome, Queued, Record, Wait

# A mail that was taken up this often and never came to an end is not tried any more: whatever
# kills the worker would do so for ever.
_MOST_STARTS = 20

# Seconds after which an expired answer is worth a write to be rid of.
_STALE_ANSWERS = 86400.0

# Mails that lose something in one go: others write in between.
_PRUNED_AT_ONCE = 200

# Characters of a mail's story beyond which nothing is added that could come again and again.
_LONGEST_STORY = 200_000
_LONGEST_REASON = 2000

# A transaction takes at most so many senders' turns along that are of no use any more.
_TURNS_AT_ONCE = 1000

# A mail by its Message-ID, or by what it is called that has none.
_NAMED = "message_id = ? OR (id = ? AND message_id = '')"

# What was never tried, by whose turn it is.
_FRESH = " WHERE outcome = 'queued' AND waiting = '' AND claimed = 0"

# A story with something added, unless it is too long.
_LONGER = "iif(length(story) + length(?) < ?, story || ?, story)"


class Mails:
    """What a ``Ledger`` does about mails."""

    _db: Database

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        return self.accept_all([arrival])[0]

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        with self._db.writing():
            turns = _Turns(self._db)
            kept = [self._accept(arrival, turns) for arrival in arrivals]
            turns.keep()
        return kept

    def _accept(self, arrival: Arrival, turns: "_Turns") -> tuple[int, bool]:
        known = self._db.run(
            "SELECT id FROM mail WHERE identity = ? UNION ALL"
            " SELECT 0 FROM known WHERE identity = ?",
            arrival.identity,
            arrival.identity,
        ).fetchone()
        if known:
            self._db.distrust()
            return int(known["id"]), False
        ended = None if arrival.outcome is Outcome.QUEUED else arrival.received
        raw = made.packed(arrival.raw)
        event = Event(arrival.received, "accepted", {"source": arrival.source})
        new = self._db.insert(
            "mail",
            {
                "identity": arrival.identity,
                "message_id": arrival.message_id,
                "list_id": arrival.list_id,
                "source": arrival.source,
                "envelope": made.envelope_text(arrival.envelope),
                "received": arrival.received,
                "raw": raw,
                "stored": len(raw),
                "size": len(arrival.raw),
                "outcome": arrival.outcome,
                "reason": arrival.reason,
                "due": arrival.received if ended is None else None,
                "since": arrival.received,
                "begun": arrival.received,
                "ended": ended,
                "sender": arrival.sender,
                "turn": turns.next(arrival.sender),
                "filed_kind": arrival.filing.kind,
                "filed_submission": arrival.filing.submission,
                "filed_comment": arrival.filing.comment,
                "story": made.story_text([event]),
            },
            "RETURNING id",
        )
        return int(new[0]["id"]), True

    def claim(self, now: float, who: str) -> Queued | None:
        while (chosen := self._next(now)) is not None:  # an idle worker only reads
            # The mark that the mail is being worked on may be lost with the power.
            with self._db.writing(durable=False):
                row = self._db.run(
                    "UPDATE mail SET starts = starts + 1, claimed = 1, holder = ?"
                    " WHERE id = ? AND outcome = 'queued' AND claimed = 0 RETURNING *",
                    who,
                    chosen,
                ).fetchone()
            if row is None:  # another worker was faster
                continue
            try:
                return made.queued(row)
            except ValueError as error:
                with self._db.writing():
                    self._give_up(row["id"], str(error), now)
        return None

    def _next(self, now: float) -> int | None:
        """The mail that is to be taken up next."""
        # Of a clock that was set back, see ``hasten``.
        fresh = (
            f"SELECT id FROM mail INDEXED BY mail_fresh{_FRESH} AND due <= ?"
            " ORDER BY turn, id LIMIT 1"
        )
        due = (
            "SELECT id FROM mail INDEXED BY mail_due"
            " WHERE outcome = 'queued' AND claimed = 0 AND due <= ? ORDER BY due, id LIMIT 1"
        )
        rows = self._db.rows(fresh, now) or self._db.rows(due, now)
        return int(rows[0]["id"]) if rows else None

    def recover(self, now: float, who: str) -> int:
        mine = "claimed = 1 AND holder IN (?, '')"  # without a name: of an older release
        if not self._db.rows(f"SELECT 1 FROM mail WHERE {mine} LIMIT 1", who):
            return 0
        with self._db.writing():
            left = self._db.run(f"SELECT id, starts FROM mail WHERE {mine}", who).fetchall()
            for row in left:
                if row["starts"] >= _MOST_STARTS:
                    reason = f"the worker died {row['starts']} times while working on it"
                    self._give_up(row["id"], reason, now)
                    continue
                # At once after one death: that was hardly this mail's fault.
                pause = 0.0 if row["starts"] < 3 else min(2.0 ** row["starts"], 600.0)
                self._db.run(
                    "UPDATE mail SET claimed = 0, due = max(due, ?),"
                    " waiting = iif(?, 'failing', waiting) WHERE id = ?",
                    now + pause if pause else 0.0,
                    pause > 0,
                    row["id"],
                )
            return len(left)

    def _give_up(self, id: int, reason: str, now: float) -> None:
        event = Event(now, Outcome.FAILED.value, {"reason": reason})
        self._end(id, Outcome.FAILED, reason, now, [event])

    def _check_claim(self, mail: Queued) -> None:
        """Raise ``LostClaim`` if a mail is no longer its holder's."""
        held = self._db.run(
            "SELECT 1 FROM mail WHERE id = ? AND claimed = 1 AND holder = ?", mail.id, mail.holder
        ).fetchone()
        if not held:
            raise LostClaim(f"another worker has taken up mail-{mail.id}")

    def _end(self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]) -> None:
        self._db.run(
            "UPDATE mail SET outcome = ?, reason = ?, due = NULL, claimed = 0, starts = 0,"
            f" waiting = '', ended = ?, story = {_LONGER} WHERE id = ?",
            outcome,
            reason[:_LONGEST_REASON],
            at,
            made.story_text(events),
            2 * _LONGEST_STORY,
            made.story_text(events),
            id,
        )

    def wait(self, mail: Queued, wait: Wait, reason: str, events: Iterable[Event]) -> None:
        columns, text = asdict(wait), made.story_text(events)
        with self._db.writing(durable=False):
            self._check_claim(mail)
            self._db.run(
                f"UPDATE mail SET {', '.join(f'{each} = ?' for each in columns)}, reason = ?,"
                f" claimed = 0, starts = 0, story = {_LONGER} WHERE id = ?",
                *columns.values(),
                reason[:_LONGEST_REASON],
                text,
                _LONGEST_STORY,
                text,
                mail.id,
            )

    def hasten(self, now: float) -> int:
        later = "outcome = 'queued' AND begun > ?"
        if not self._db.rows(f"SELECT 1 FROM mail WHERE {later} LIMIT 1", now):
            return 0
        with self._db.writing(durable=False):
            return self._db.run(
                f"UPDATE mail SET begun = ?, due = ? WHERE {later}", now, now, now
            ).rowcount

    def next_due(self) -> float | None:
        return self._number(
            "SELECT min(due) FROM mail INDEXED BY mail_due WHERE outcome = 'queued'"
        )

    def _number(self, query: str) -> float | None:
        value: float | None = self._db.rows(query)[0][0]
        return value

    def tell(self, mail_id: int, events: Iterable[Event]) -> None:
        with self._db.writing():
            self._append(mail_id, list(events))

    def _append(self, mail_id: int, events: Sequence[Event]) -> None:
        text = made.story_text(events)
        self._db.run(
            f"UPDATE mail SET story = {_LONGER} WHERE id = ?",
            text,
            _LONGEST_STORY,
            text,
            mail_id,
        )

    def find(self, name: str) -> list[Record]:
        with self._db.reading():
            found = self._db.rows(f"SELECT * FROM mail WHERE {_NAMED} ORDER BY id", *_called(name))
            return [self._record(row, len(found) - 1) for row in found]

    def _record(self, row: sqlite3.Row, others: int) -> Record:
        requests = self._db.rows("SELECT * FROM request WHERE mail = ? ORDER BY number", row["id"])
        return made.record(row, map(made.request, requests), others)

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        again = (
            "UPDATE mail SET outcome = 'queued', waiting = '', due = ?, since = ?, begun = ?,"
            f" waited = 0, missing = 0, tries = 0, starts = 0, ended = NULL, story = {_LONGER}"
            " WHERE outcome IN ('queued', 'unresolved', 'failed') AND raw IS NOT NULL"
            " AND claimed = 0"
        )
        text = made.story_text([Event(now, "queued again", {})])
        values = (now, now, now, text, _LONGEST_STORY, text)
        with self._db.writing():
            if names is None:
                return self._db.run(again, *values).rowcount
            return sum(
                self._db.run(f"{again} AND ({_NAMED})", *values, *_called(each)).rowcount
                for each in dict.fromkeys(names)
            )

    def prune(self, keep: Keep, now: float) -> int:
        # Mostly there is nothing to drop: then nothing is written.
        if self._db.rows("SELECT 1 FROM answer WHERE expires < ? LIMIT 1", now - _STALE_ANSWERS):
            with self._db.writing(durable=False):
                self._db.run("DELETE FROM answer WHERE expires < ?", now)
        if not self._db.rows(f"SELECT 1 FROM mail INDEXED BY mail_fresh{_FRESH} LIMIT 1"):
            self._forget_turns()
        dropped = self._drop_raw("ended < ? AND raw IS NOT NULL", keep.raw)
        while self._raw_bytes() > keep.raw_bytes:
            oldest = "ended IS NOT NULL AND raw IS NOT NULL ORDER BY ended LIMIT 20"
            if not self._drop_raw(oldest, at_once=True):
                break
            dropped += 20
        dropped += self._drop(("ignored", "rejected"), keep.ignored)
        return dropped + self._drop(("done", "unresolved", "failed"), keep.requests)

    def _forget_turns(self) -> None:
        """Nobody waits: the next one begins anew."""
        if self._db.rows("SELECT 1 FROM turn LIMIT 1"):
            with self._db.writing(durable=False):
                self._db.run(
                    "DELETE FROM turn WHERE sender IN (SELECT sender FROM turn LIMIT ?)",
                    _TURNS_AT_ONCE,
                )

    def _raw_bytes(self) -> int:
        return int(self._db.rows("SELECT number FROM tally WHERE kind = 'raw'")[0][0])

    def _drop_raw(self, which: str, *values: object, at_once: bool = False) -> int:
        """Drop the raw bytes of the mails that a condition finds; how many that were."""
        limit = "" if at_once else f" LIMIT {_PRUNED_AT_ONCE}"
        dropped = 0
        while self._db.rows(f"SELECT 1 FROM mail WHERE {which}" + ("" if at_once else " LIMIT 1"),
                            *values):  # fmt: skip
            with self._db.writing(durable=False):
                dropped += self._db.run(
                    "UPDATE mail SET raw = NULL, stored = 0 WHERE id IN"
                    f" (SELECT id FROM mail WHERE {which}{limit})",
                    *values,
                ).rowcount
            if at_once:
                break
        return dropped

    def _drop(self, outcomes: tuple[str, ...], before: float) -> int:
        """Drop mails of these outcomes that ended before a time, and their requests if every
        cursor is past them; how many that were. Their identities stay."""
        dropped = 0
        for outcome in outcomes:
            old = (
                "SELECT id FROM mail INDEXED BY mail_over WHERE outcome = ? AND ended < ?"
                " AND NOT EXISTS (SELECT 1 FROM request WHERE request.mail = mail.id"
                " AND number > (SELECT coalesce(min(position), 0) FROM cursor))"
                f" ORDER BY ended LIMIT {_PRUNED_AT_ONCE}"
            )
            while rows := self._db.rows(old, outcome, before):
                with self._db.writing(durable=False):
                    for row in rows:
                        self._db.run(
                            "INSERT OR IGNORE INTO known SELECT identity FROM mail WHERE id = ?",
                            row["id"],
                        )
                        self._db.run("DELETE FROM request WHERE mail = ?", row["id"])
                        self._db.run("DELETE FROM mail WHERE id = ?", row["id"])
                dropped += len(rows)
        return dropped


class _Turns:
    """Whose turn it is when, in one transaction: a sender's next turn comes after its last one, and
    not before what is worked on now. So many mails of one sender hold up none of another's."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._last: dict[str, int] = {}
        query = f"SELECT min(turn) FROM mail INDEXED BY mail_fresh{_FRESH}"
        self._present = int(database.run(query).fetchone()[0] or 0)

    def next(self, sender: str) -> int:
        """The turn of one more mail of a sender."""
        if sender not in self._last:
            row = self._db.run("SELECT last FROM turn WHERE sender = ?", sender).fetchone()
            self._last[sender] = int(row["last"]) if row else -1
        self._last[sender] = max(self._present, self._last[sender] + 1)
        return self._last[sender]

    def keep(self) -> None:
        """Have later transactions know of them."""
        for sender, last in self._last.items():
            self._db.run("INSERT OR REPLACE INTO turn VALUES (?, ?)", sender, last)


def _called(name: str) -> tuple[str, int]:
    """The values that ``_NAMED`` takes for a name; no mail has the number 0."""
    number = re.fullmatch(r"mail-([1-9][0-9]{0,17})", name)
    return name, int(number[1]) if number else 0
