# SPDX-License-Identifier: BSD-3-Clause
"""The mails of the SQLite ledger: taken in, worked on in turn, ended, found again."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from ingest.errors import LostClaim
from ingest.ledger import rows as made
from ingest.ledger import turns
from ingest.ledger.connection import Row, one_of, pieces
from ingest.ledger.database import Database
from ingest.ledger.sqlite_retention import Retention
from ingest.ledger.values import (
    LONGEST_REASON,
    LONGEST_STORY,
    MOST_FOUND,
    MOST_NOTICES,
    MOST_ORIGINALS,
    MOST_OTHERS,
    MOST_STARTS,
    Arrival,
    Event,
    Filing,
    Original,
    Outcome,
    Queued,
    Record,
    Wait,
    rest_after,
)

# A story with something added, unless it is too long.
_LONGER = "iif(length(story) + length(?) < ?, story || ?, story)"


class Mails(Retention):
    """What a ``Ledger`` does about mails."""

    _file: Database

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        return self.accept_all([arrival])[0]

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        with self._db.writing():
            return self._accept_all(arrivals)

    def _accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        # As they are kept: two that differ may be kept as one.
        identities = [str(made.storable(each.identity)) for each in arrivals]
        known = self._known(identities)
        order = turns.Turns(self._db)
        # As SQLite would number them; nobody else writes meanwhile.
        next_id = int(self._number("SELECT max(id) FROM mail") or 0) + 1
        kept, mails, searched = [], [], []
        for identity, arrival in zip(identities, arrivals, strict=True):
            if is_known := identity in known:
                self._db.distrust()
            else:
                known[identity] = next_id
                mails.append(_columns(next_id, arrival, order.next(arrival.sender)))
                searched.append({"mail": next_id, **made.searched(arrival)})
                next_id += 1
            kept.append((known[identity], not is_known))
        self._file.make_room(sum(each["stored"] for each in mails))
        self._file.insert_all("mail", mails)
        self._file.insert_all("mail_search", searched)
        order.keep()
        if any(each.outcome is Outcome.NOTICE for each in arrivals):
            self._drop_notices()
        return kept

    def _known(self, identities: Sequence[str]) -> dict[str, int]:
        """Those of the mails that are known, by identity: the id, 0 if the mail itself is gone."""
        found: dict[str, int] = {}
        for piece in pieces(identities):
            gone = {name: each for each in piece for name in (each, made.by_digest(each))}
            query = f"SELECT identity FROM known WHERE {one_of('identity', [*gone])}"
            found |= {gone[row["identity"]]: 0 for row in self._db.run(query, *gone).fetchall()}
            query = f"SELECT identity, id FROM mail WHERE {one_of('identity', piece)}"
            found |= {row["identity"]: row["id"] for row in self._db.run(query, *piece).fetchall()}
        return found

    def _drop_notices(self) -> None:
        """Drop all but the newest, without a trace."""
        self._db.run(
            "DELETE FROM mail WHERE id IN (SELECT id FROM mail INDEXED BY mail_over"
            " WHERE outcome = 'notice' ORDER BY ended DESC, id DESC LIMIT -1 OFFSET ?)",
            MOST_NOTICES,
        )

    def claim(self, now: float, who: str) -> Queued | None:
        return next(iter(self.claim_several(now, who, 1)), None)

    def claim_several(self, now: float, who: str, most: int) -> list[Queued]:
        while chosen := self._next(now, most):  # an idle worker only reads
            # The mark that the mail is being worked on may be lost with the power.
            with self._db.writing(durable=False):
                rows = [row for id in chosen for row in self._mark(id, who)]
            taken = []
            for row in rows:  # fewer if another worker was faster
                try:
                    taken.append(made.queued(row))
                except ValueError as error:
                    with self._db.writing():
                        self._give_up(row["id"], str(error), now)
            if taken:
                return taken
        return []

    def _mark(self, id: int, who: str) -> list[Row]:
        return self._db.run(
            "UPDATE mail SET starts = starts + 1, claimed = 1, holder = ?"
            " WHERE id = ? AND outcome = 'queued' AND claimed = 0 RETURNING *",
            who,
            id,
        ).fetchall()

    def _next(self, now: float, most: int) -> list[int]:
        """The mails that are to be taken up next."""
        # Of a clock that was set back, see ``hasten``.
        fresh = (
            f"SELECT id, starts, size FROM mail INDEXED BY mail_fresh{turns.FRESH} AND due <= ?"
            " ORDER BY turn, id LIMIT ?"
        )
        due = (
            "SELECT id FROM mail INDEXED BY mail_due"
            " WHERE outcome = 'queued' AND claimed = 0 AND due <= ? ORDER BY due, id LIMIT 1"
        )
        if rows := self._db.rows(fresh, now, most):
            return turns.together((row["id"], row["starts"], row["size"]) for row in rows)
        return [int(row["id"]) for row in self._db.rows(due, now)]

    def release(self, mails: Sequence[Queued]) -> None:
        with self._db.writing(durable=False):
            for mail in mails:
                self._db.run(
                    "UPDATE mail SET claimed = 0, starts = starts - 1"
                    " WHERE id = ? AND claimed = 1 AND holder = ?",
                    mail.id,
                    mail.holder,
                )

    def recover(self, now: float, who: str) -> int:
        mine = "claimed = 1 AND holder IN (?, '')"  # without a name: of an older release
        if not self._db.rows(f"SELECT 1 FROM mail WHERE {mine} LIMIT 1", who):
            return 0
        with self._db.writing():
            left = self._db.run(f"SELECT id, starts FROM mail WHERE {mine}", who).fetchall()
            for row in left:
                if row["starts"] >= MOST_STARTS:
                    reason = f"the worker died {row['starts']} times while working on it"
                    self._give_up(row["id"], reason, now)
                    continue
                pause = rest_after(row["starts"])
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

    def _hold(self, ids: Sequence[int]) -> None:
        """Nobody else changes mails until this transaction ends: one writes at a time."""

    def _end(self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]) -> None:
        self._db.run(
            "UPDATE mail SET outcome = ?, reason = ?, due = NULL, claimed = 0, starts = 0,"
            f" waiting = '', ended = ?, story = {_LONGER} WHERE id = ?",
            outcome,
            reason[:LONGEST_REASON],
            at,
            made.story_text(events),
            2 * LONGEST_STORY,
            made.story_text(events),
            id,
        )
        self._find_by(id, reason)

    def _find_by(self, id: int, reason: str) -> None:
        """Have a mail found by what is said of it now."""
        self._db.run(
            "UPDATE mail_search SET reason = ?, shown_reason = ? WHERE mail = ?",
            made.folded(reason[:LONGEST_REASON]),
            made.reason_shown(reason[:LONGEST_REASON]),
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
                reason[:LONGEST_REASON],
                text,
                LONGEST_STORY,
                text,
                mail.id,
            )
            self._find_by(mail.id, reason)

    def prove(self, mail: Queued, proof: str, event: Event) -> None:
        text = made.story_text([event])
        with self._db.writing(durable=False):
            self._check_claim(mail)
            self._db.run(
                f"UPDATE mail SET proof = ?, story = {_LONGER} WHERE id = ?",
                proof,
                text,
                LONGEST_STORY,
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
            LONGEST_STORY,
            text,
            mail_id,
        )

    def find(self, name: str) -> list[Record]:
        found = f"SELECT * FROM mail WHERE {made.NAMED} ORDER BY id LIMIT ?"
        with self._db.reading():
            return self._records(self._db.rows(found, *made.called(name), MOST_FOUND))

    def _records(self, mails: Sequence[Row]) -> list[Record]:
        return [self._record(row) for row in mails]

    def _record(self, row: Row) -> Record:
        requests = self._db.rows("SELECT * FROM request WHERE mail = ? ORDER BY number", row["id"])
        alike = "SELECT id FROM mail WHERE message_id = ? AND message_id <> '' AND id <> ?"
        others = self._db.rows(
            f"{alike} ORDER BY id LIMIT ?", row["message_id"], row["id"], MOST_OTHERS
        )
        return made.record(row, map(made.request, requests), tuple(each["id"] for each in others))

    def raw(self, mail_id: int) -> bytes | None:
        rows = self._db.rows("SELECT * FROM mail WHERE id = ? AND raw IS NOT NULL", mail_id)
        return made.original(rows[0]).raw if rows else None

    def originals(self, message_id: str, list_id: str) -> Iterator[Original]:
        ids = self._db.rows(
            "SELECT id FROM mail WHERE message_id = ? AND message_id <> '' AND list_id = ?"
            " AND raw IS NOT NULL"
            " ORDER BY id LIMIT ?",
            message_id,
            list_id,
            MOST_ORIGINALS,
        )
        for each in ids:  # one at a time: they may be large
            for row in self._db.rows("SELECT * FROM mail WHERE id = ?", each["id"]):
                with suppress(ValueError):  # damaged: nothing can be said of it
                    yield made.original(row)

    def file(self, mail_id: int, filing: Filing, now: float) -> None:
        filed = made.filing_columns(filing)
        text = made.story_text([Event(now, "filed", {"as": str(filing)})])
        places = ", ".join(f"{column} = ?" for column in filed)
        is_news = " OR ".join(f"{column} <> ?" for column in filed)
        with self._db.writing():
            changed = self._db.run(
                f"UPDATE mail SET {places}, story = {_LONGER} WHERE id = ? AND ({is_news})",
                *filed.values(),
                text,
                LONGEST_STORY,
                text,
                mail_id,
                *filed.values(),
            ).rowcount
            if not changed:
                return
            self._db.run(
                "UPDATE mail SET due = min(due, ?), begun = min(begun, ?)"
                " WHERE id = ? AND outcome = 'queued' AND waiting = 'missing'",
                now,
                now,
                mail_id,
            )
            self._queue_again("id = ? AND outcome = 'unresolved'", mail_id, now=now)

    def retry(self, names: Iterable[str] | None, now: float) -> int:
        with self._db.writing():
            if names is None:
                return self._queue_again("true", now=now)
            return sum(
                self._queue_again(made.NAMED, *made.called(each), now=now)
                for each in dict.fromkeys(names)
            )

    def _judge_again(self, since: float, now: float) -> int:
        """Queue what was judged and came to nothing; see ``Steering.judge_again``."""
        judged = "received >= ? AND NOT cut"
        return self._queue_again(judged, since, now=now, states=("ignored", "rejected"))

    def _queue_again(
        self,
        which: str,
        *values: object,
        now: float,
        states: Sequence[str] = ("queued", "unresolved", "failed"),
    ) -> int:
        """Try anew the mails of these states that a condition finds; how many those are."""
        text = made.story_text([Event(now, "queued again", {})])
        return self._db.run(
            "UPDATE mail SET outcome = 'queued', waiting = '', due = ?, since = ?, begun = ?,"
            f" waited = 0, missing = 0, tries = 0, starts = 0, ended = NULL, story = {_LONGER}"
            f" WHERE outcome IN ({', '.join('?' * len(states))}) AND raw IS NOT NULL"
            f" AND claimed = 0 AND ({which})",
            now,
            now,
            now,
            text,
            LONGEST_STORY,
            text,
            *states,
            *values,
        ).rowcount


def _columns(id: int, arrival: Arrival, turn: int) -> dict[str, Any]:
    """A mail as it comes into its table."""
    raw = made.packed(arrival.raw)
    return {
        "id": id,
        **made.mail_columns(arrival),
        "raw": raw,
        "stored": len(raw),
        "due": arrival.received if arrival.outcome is Outcome.QUEUED else None,
        "since": arrival.received,
        "begun": arrival.received,
        "turn": turn,
        "story": made.accepted(arrival),
    }
