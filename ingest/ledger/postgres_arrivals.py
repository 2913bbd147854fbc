# SPDX-License-Identifier: BSD-3-Clause
"""Mails as they come into the PostgreSQL ledger: each once, and each with its turn.

A mail is taken in by one statement, which is a transaction by itself, so that many hosts and
connections do that side by side. No row is written by all of them: a sender's next turn follows
from the sender's last mail.
"""

from collections.abc import Sequence
from functools import lru_cache

from ingest.ledger import rows as made
from ingest.ledger.locking import in_order
from ingest.ledger.pg_values import as_sent
from ingest.ledger.session import Session
from ingest.ledger.values import MOST_NOTICES, Arrival, Event, Outcome

# The types of what is given, all others being texts.
_TYPES = {
    "place": "bigint",
    "digest": "bytea",
    "received": "double precision",
    "size": "bigint",
    "ended": "double precision",
    "filed_submission": "bigint",
    "filed_comment": "bigint",
    "cut": "integer",
    "bytes": "bytea",
    "stored": "bigint",
}

# Given for other tables than mail.
_BESIDE = frozenset(("place", "bytes", "stored", "told"))


class Arrivals:
    """What a ``Ledger`` does with mails that come."""

    _session: Session

    def accept(self, arrival: Arrival) -> tuple[int, bool]:
        return self.accept_all([arrival])[0]

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        if not arrivals:
            return []
        has_notice = any(each.outcome is Outcome.NOTICE for each in arrivals)
        if not has_notice:
            return self._accept(arrivals)
        with self._session.writing():
            return self._accept_all(arrivals)

    def _accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        kept = self._accept(arrivals) if arrivals else []
        if any(each.outcome is Outcome.NOTICE for each in arrivals):
            self._drop_notices()
        return kept

    def _accept(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        given = [_columns(place, each) for place, each in enumerate(arrivals)]
        statement = _statement(tuple(given[0]), many=len(given) > 1)
        # A list for each column is read faster than a place for each value; one mail has none.
        values: Sequence[object] = tuple(given[0].values())
        if len(given) > 1:
            values = list(map(as_sent, zip(*map(dict.values, given), strict=True)))
        ids: dict[bytes, tuple[int, bool]] = {}
        wanted = {bytes(each["digest"]) for each in given}  # type: ignore[call-overload]
        # A mail that another connection takes in or drops meanwhile is neither new nor known at
        # first. What the first round took in is known to the second, and was new all the same.
        while wanted - ids.keys():
            for row in self._session.write(statement, *values):
                ids.setdefault(bytes(row["digest"]), (row["id"], row["new"]))
        kept = []
        for each in given:
            key = bytes(each["digest"])  # type: ignore[call-overload]
            id, new = ids[key]
            ids[key] = id, False  # what stands twice in a list is new once
            kept.append((id, new))
        return kept

    def _drop_notices(self) -> None:
        """Drop all but the newest, without a trace."""
        old = (
            "id IN (SELECT id FROM mail WHERE outcome = 'notice'"
            " ORDER BY ended DESC, id DESC OFFSET ?)"
        )
        self._session.write(
            f"WITH old AS ({in_order('mail', old, ' FOR UPDATE SKIP LOCKED')}),"
            " gone AS (DELETE FROM raw WHERE mail IN (SELECT id FROM old)),"
            " told AS (DELETE FROM event WHERE mail IN (SELECT id FROM old)),"
            " found AS (DELETE FROM mail_search WHERE mail IN (SELECT id FROM old))"
            " DELETE FROM mail WHERE id IN (SELECT id FROM old) RETURNING id",
            MOST_NOTICES,
        )


def _columns(place: int, arrival: Arrival) -> dict[str, object]:
    """A mail as it is given to the statement: its place in the list, and what is kept of it."""
    ended = None if arrival.outcome is Outcome.QUEUED else arrival.received
    raw = made.packed(arrival.raw)
    texts = arrival.message_id, arrival.author, arrival.subject, arrival.reason
    words = {**made.mail_search(*texts), **made.mail_shown(*texts)}
    return {
        "place": place,
        "digest": made.digest(arrival.identity),
        "identity": arrival.identity,
        "message_id": arrival.message_id,
        "list_id": arrival.list_id,
        "source": arrival.source,
        "envelope": made.envelope_text(arrival.envelope),
        "received": arrival.received,
        "size": len(arrival.raw),
        "outcome": arrival.outcome,
        "reason": arrival.reason,
        "ended": ended,
        "sender": arrival.sender,
        "passage": arrival.passage,
        **made.filing_columns(arrival.filing),
        "author": arrival.author,
        "subject": arrival.subject,
        "cut": ended is not None,
        "bytes": raw,
        "stored": len(raw),
        "told": made.story_text([Event(arrival.received, "accepted", {"source": arrival.source})]),
        **{f"search_{name}": text for name, text in words.items()},
    }


@lru_cache(maxsize=64)
def _statement(names: tuple[str, ...], *, many: bool) -> str:
    """The statement that takes in mails, given by these columns, of which each is a list if it
    takes in ``many``; for each digest that is kept then, the mail's id, 0 if it was dropped, and
    whether it is new.

    A known mail is locked: that is written, so that "known" is said, too, only when every
    synchronous standby has the mail; one that is dropped before it is locked is not new. New ones
    are inserted in the order of their digests, so that two connections that take in the same mails
    do not wait for each other.

    Senders are the same if the index holds them for the same. With one condition more the server,
    as long as it has no statistics, reads all mails of a sender to find the last one.
    """
    of_list = "[]" if many else ""
    places = ", ".join(f"?::{_TYPES.get(name, 'text')}{of_list}" for name in names)
    given = f"SELECT * FROM unnest({places})" if many else f"VALUES ({places})"
    search = [name for name in names if name.startswith("search_")]
    of_mail = [name for name in names if name not in _BESIDE and name not in search]
    found = ", ".join(name.removeprefix("search_") for name in search)
    text = f"""
        WITH given ({", ".join(names)}) AS ({given}),
        there AS MATERIALIZED (
            SELECT id, digest FROM mail WHERE digest IN (SELECT digest FROM given)
        ),
        held AS MATERIALIZED (
            SELECT mail.* FROM (SELECT id FROM there ORDER BY digest) AS there,
                LATERAL (SELECT id, digest FROM mail WHERE id = there.id FOR KEY SHARE) AS mail
        ),
        dropped AS (SELECT digest FROM known WHERE digest IN (SELECT digest FROM given)),
        fresh AS (
            SELECT DISTINCT ON (digest) * FROM given
            WHERE digest NOT IN (SELECT digest FROM there)
                AND digest NOT IN (SELECT digest FROM dropped)
            ORDER BY digest, place
        ),
        present AS (
            SELECT coalesce(min(turn), 0) AS turn FROM queue
            WHERE claimed IS NULL AND waiting = ''
        ),
        numbered AS MATERIALIZED (
            SELECT fresh.*,
                nextval(pg_get_serial_sequence('mail', 'id')) AS id,
                greatest((SELECT turn FROM present), 1 + coalesce((
                    SELECT mail.turn FROM mail
                    WHERE left(mail.sender, 300) = left(fresh.sender, 300) AND mail.id >
                            (SELECT value::bigint FROM meta WHERE key = 'turns after')
                    ORDER BY mail.id DESC LIMIT 1
                ), -1)) - 1 + row_number() OVER (
                    PARTITION BY left(sender, 300) ORDER BY place
                ) AS turn
            FROM (SELECT * FROM fresh ORDER BY place) AS fresh
        ),
        mails AS (
            INSERT INTO mail (id, turn, {", ".join(of_mail)})
            SELECT id, turn, {", ".join(of_mail)} FROM numbered ORDER BY digest
            ON CONFLICT (digest) DO NOTHING RETURNING id, digest
        ),
        entered AS (SELECT numbered.* FROM numbered JOIN mails USING (id)),
        raws AS (
            INSERT INTO raw (mail, ended, stored, bytes)
            SELECT id, ended, stored, bytes FROM entered
        ),
        queued AS (
            INSERT INTO queue (mail, turn, due, since, begun)
            SELECT id, turn, received, received, received FROM entered WHERE outcome = 'queued'
        ),
        told AS (INSERT INTO event (mail, text) SELECT id, told FROM entered ORDER BY place),
        found AS (
            INSERT INTO mail_search (mail, {found}) SELECT id, {", ".join(search)} FROM entered
        )
        SELECT digest, id, true AS new FROM mails
        UNION ALL SELECT digest, id, false FROM held
        UNION ALL SELECT digest, 0, false FROM dropped
    """
    # The driver remembers what it has read of a statement of up to 4096 characters.
    return " ".join(text.split())
