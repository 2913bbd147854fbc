# SPDX-License-Identifier: BSD-3-Clause
"""The queue of the PostgreSQL ledger: mails are taken up, put back and recovered.

What is only said of the queue may be lost with a server: then a mail is worked on again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ingest.errors import LostClaim
from ingest.ledger import rows as made
from ingest.ledger.connection import Found
from ingest.ledger.pg_connection import Row
from ingest.ledger.session import LOOSE, Session, Statement
from ingest.ledger.values import (
    LONGEST_REASON,
    LONGEST_STORY,
    MOST_STARTS,
    Event,
    Outcome,
    Queued,
    Wait,
    rest_after,
)

# Who claims a mail passes over those that another one is claiming.
_FRESH = (
    "SELECT mail FROM queue WHERE claimed IS NULL AND waiting = '' AND due <= ?"
    " ORDER BY turn, mail LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_DUE = (
    "SELECT mail FROM queue WHERE claimed IS NULL AND due <= ?"
    " ORDER BY due, mail LIMIT 1 FOR UPDATE SKIP LOCKED"
)

# A mail whose claim is held, together with advisory locks; takes these, its id and who holds it.
_HELD = (
    "SELECT (SELECT count(pg_advisory_xact_lock(key)) FROM unnest(?::bigint[]) AS key)"
    " FROM queue WHERE mail = ? AND claimed = ? FOR UPDATE"
)

# More steps of a story, unless it is too long. Takes mail, text, mail, text, longest.
_TELL = (
    "INSERT INTO event (mail, text) SELECT ?::bigint, ?::text"
    " WHERE (SELECT coalesce(sum(length(text)), 0) FROM event WHERE mail = ?)"
    " + length(?::text) < ?"
)


class Queue:
    """What a ``Ledger`` does about mails that wait for a worker."""

    _session: Session

    def claim(self, now: float, who: str) -> Queued | None:
        while (row := self._take(_FRESH, now, who) or self._take(_DUE, now, who)) is not None:
            try:
                return made.queued(row)
            except ValueError as error:
                with self._session.writing():
                    self._give_up(row["id"], str(error), now)
        return None

    def claim_several(self, now: float, who: str, most: int) -> list[Queued]:
        mail = self.claim(now, who)
        return [] if mail is None else [mail]

    def release(self, mails: Sequence[Queued]) -> None:
        with self._session.writing(durable=False):
            for mail in sorted(mails, key=lambda each: each.id):
                self._session.run(
                    "UPDATE queue SET starts = starts - 1, claimed = NULL"
                    " WHERE mail = ? AND claimed = ?",
                    *(mail.id, mail.holder),
                )

    def _take(self, which: str, now: float, who: str) -> Row | None:
        found = self._session.write(
            f"WITH next AS ({which})"
            " UPDATE queue SET claimed = ?, starts = starts + 1"
            " FROM next JOIN mail ON mail.id = next.mail LEFT JOIN raw ON raw.mail = next.mail"
            " WHERE queue.mail = next.mail"
            " RETURNING mail.*, queue.*, queue.claimed AS holder, raw.bytes AS raw,"
            f" {LOOSE}",
            *(now, who, self._session.pace),
        )
        return found[0] if found else None

    def recover(self, now: float, who: str) -> int:
        mine = "claimed IN (?, '')"  # without a name: of a ledger that an older release made
        if not self._session.rows(f"SELECT 1 FROM queue WHERE {mine} LIMIT 1", who):
            return 0
        with self._session.writing(durable=False):
            held = f"SELECT mail, starts FROM queue WHERE {mine} ORDER BY mail FOR UPDATE"
            left = self._session.run(held, who).fetchall()
            for row in left:
                if row["starts"] >= MOST_STARTS:
                    reason = f"the worker died {row['starts']} times while working on it"
                    self._give_up(row["mail"], reason, now)
                    continue
                pause = rest_after(row["starts"])
                self._session.run(
                    "UPDATE queue SET claimed = NULL, due = greatest(due, ?),"
                    " waiting = CASE WHEN ? > 0 THEN 'failing' ELSE waiting END WHERE mail = ?",
                    now + pause if pause else 0.0,
                    *(pause, row["mail"]),
                )
            return len(left)

    def _give_up(self, id: int, reason: str, now: float) -> None:
        event = Event(now, Outcome.FAILED.value, {"reason": reason})
        self._end(id, Outcome.FAILED, reason, now, [event])

    def _check_claim(
        self, mail: Queued, *then: Statement, locks: Sequence[int] = ()
    ) -> Sequence[Found]:
        """Hold a mail's claim, and ``locks``, and what the statements give that are run with that.
        Raises ``LostClaim``."""
        held, *found = self._session.run_all((_HELD, (list(locks), mail.id, mail.holder)), *then)
        if held.fetchone() is None:
            raise LostClaim(f"another worker has taken up mail-{mail.id}")
        return found

    def _hold(self, ids: Sequence[int]) -> None:
        """Nobody else changes mails until this transaction ends; see ``locking`` for the order."""
        is_whole = False
        while not is_whole:
            _, held, _, there = self._session.run_all(
                ("SAVEPOINT held", ()),
                ("SELECT mail FROM queue WHERE mail = ANY(?) ORDER BY mail FOR UPDATE", (ids,)),
                ("SELECT 1 FROM mail WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE", (ids,)),
                ("SELECT mail FROM queue WHERE mail = ANY(?)", (ids,)),
            )
            # One that was queued again until its mail was locked is locked in its turn.
            places = {row["mail"] for row in held.fetchall()}
            is_whole = places >= {row["mail"] for row in there.fetchall()}
            self._session.run(f"{'RELEASE' if is_whole else 'ROLLBACK TO'} SAVEPOINT held")

    def _end(self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]) -> None:
        self._session.run_all(self._ending(id, outcome, reason, at, events))

    def _ending(
        self, id: int, outcome: Outcome, reason: str, at: float, events: list[Event]
    ) -> Statement:
        """What ends a mail."""
        reason, text = reason[:LONGEST_REASON], made.story_text(events)
        statement = (
            "WITH gone AS (DELETE FROM queue WHERE mail = ?),"
            " ended AS (UPDATE mail SET outcome = ?, reason = ?, ended = ?, tries ="
            " coalesce((SELECT tries FROM queue WHERE mail = ?), tries) WHERE id = ?),"
            " kept AS (UPDATE raw SET ended = ? WHERE mail = ?),"
            " found AS (UPDATE mail_search SET reason = ?, shown_reason = ? WHERE mail = ?)"
            f" {_TELL}"
        )
        return statement, (
            id,
            *(outcome, reason, at, id, id),
            *(at, id),
            *(made.folded(reason), made.reason_shown(reason), id),
            *(id, text, id, text, 2 * LONGEST_STORY),
        )

    def _append(self, mail_id: int, events: Sequence[Event]) -> None:
        text = made.story_text(events)
        self._session.run(
            f"{_TELL} AND EXISTS (SELECT 1 FROM mail WHERE id = ?)",
            *(mail_id, text, mail_id, text, LONGEST_STORY, mail_id),
        )

    def tell(self, mail_id: int, events: Iterable[Event]) -> None:
        with self._session.writing():
            self._append(mail_id, list(events))

    def wait(self, mail: Queued, wait: Wait, reason: str, events: Iterable[Event]) -> None:
        columns, text = asdict(wait), made.story_text(events)
        reason = reason[:LONGEST_REASON]
        with self._session.writing(durable=False):
            self._check_claim(mail)
            statement = (
                f"WITH back AS (UPDATE queue SET {', '.join(f'{each} = ?' for each in columns)},"
                " claimed = NULL, starts = 0 WHERE mail = ?),"
                " said AS (UPDATE mail SET reason = ? WHERE id = ?),"
                " found AS (UPDATE mail_search SET reason = ?, shown_reason = ? WHERE mail = ?)"
                f" {_TELL}"
            )
            values = (
                *(*columns.values(), mail.id),
                *(reason, mail.id),
                *(made.folded(reason), made.reason_shown(reason), mail.id),
                *(mail.id, text, mail.id, text, LONGEST_STORY),
            )
            self._session.end_with((statement, values))

    def prove(self, mail: Queued, proof: str, event: Event) -> None:
        with self._session.writing(durable=False):
            self._check_claim(mail)
            self._session.run("UPDATE mail SET proof = ? WHERE id = ?", proof, mail.id)
            self._append(mail.id, [event])

    def hasten(self, now: float) -> int:
        later = "SELECT mail FROM queue WHERE begun > ?"
        if not self._session.rows(f"{later} LIMIT 1", now):
            return 0
        with self._session.writing(durable=False):
            return self._session.run(
                "UPDATE queue SET begun = ?, due = ?"
                f" WHERE mail IN ({later} ORDER BY mail FOR UPDATE)",
                *(now, now, now),
            ).rowcount

    def next_due(self) -> float | None:
        # Two questions, of which each has its index.
        least = "(SELECT min(due) FROM queue WHERE claimed IS {})"
        found = f"SELECT least({least.format('NULL')}, {least.format('NOT NULL')}) AS due"
        due: float | None = self._session.rows(found)[0]["due"]
        return due
