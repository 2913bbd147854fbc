# SPDX-License-Identifier: BSD-3-Clause
"""The statements by which the PostgreSQL ledger takes in mails, each a transaction by itself, so
that many hosts and connections do that side by side.

No row is written by all of them: a sender's next turn follows from the sender's last mail.
"""

from functools import lru_cache

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
# So begin those for what a mail is found by.
_SEARCH = "search_"


@lru_cache(maxsize=64)
def of_new(names: tuple[str, ...]) -> str:
    """The statement that takes in one mail, given by these columns, if it is new; then its id.

    It finds nothing of a mail that is known: that is ``of_any``'s. The server makes all parts of a
    statement ready each time, which takes most of its time, and a mail is mostly new: hence this
    statement has none but those that write.
    """
    places = ", ".join(f"{_place(name)} AS {name}" for name in names)
    of_mail = ", ".join(_of_mail(names))
    return _in_short(f"""
        WITH given AS NOT MATERIALIZED (SELECT {places}),
        mails AS (
            INSERT INTO mail (turn, {of_mail})
            SELECT greatest({_PRESENT}, 1 + {_last_turn("given")}), {of_mail} FROM given
            WHERE NOT EXISTS (SELECT 1 FROM mail WHERE mail.digest = given.digest)
                AND NOT EXISTS (SELECT 1 FROM known WHERE known.digest = given.digest)
            ON CONFLICT (digest) DO NOTHING RETURNING id, turn
        ),
        entered AS NOT MATERIALIZED (SELECT given.*, mails.id, mails.turn FROM mails, given),
        {_beside(names)}
        SELECT id FROM mails
    """)


@lru_cache(maxsize=64)
def of_any(names: tuple[str, ...]) -> str:
    """The statement that takes in mails, given by these columns, each of which is a list; for each
    digest that is kept then, the mail's id, 0 if it was dropped, and whether it is new.

    A known mail is locked: that is written, so that "known" is said, too, only when every
    synchronous standby has the mail; one that is dropped before it is locked is not new. New ones
    are inserted in the order of their digests, so that two connections that take in the same mails
    do not wait for each other.
    """
    # A list for each column is read faster than a place for each value.
    places = ", ".join(f"{_place(name)}[]" for name in names)
    of_mail = ", ".join(_of_mail(names))
    return _in_short(f"""
        WITH given ({", ".join(names)}) AS (SELECT * FROM unnest({places})),
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
        numbered AS MATERIALIZED (
            SELECT fresh.*,
                nextval(pg_get_serial_sequence('mail', 'id')) AS id,
                greatest({_PRESENT}, 1 + {_last_turn("fresh")}) - 1 + row_number() OVER (
                    PARTITION BY left(sender, 300) ORDER BY place
                ) AS turn
            FROM (SELECT * FROM fresh ORDER BY place) AS fresh
        ),
        mails AS (
            INSERT INTO mail (id, turn, {of_mail})
            SELECT id, turn, {of_mail} FROM numbered ORDER BY digest
            ON CONFLICT (digest) DO NOTHING RETURNING id, digest
        ),
        entered AS (SELECT numbered.* FROM numbered JOIN mails USING (id)),
        {_beside(names)}
        SELECT digest, id, true AS new FROM mails
        UNION ALL SELECT digest, id, false FROM held
        UNION ALL SELECT digest, 0, false FROM dropped
    """)


# The lowest turn of those that wait for theirs.
_PRESENT = """(
    SELECT coalesce(min(turn), 0) AS turn FROM queue WHERE claimed IS NULL AND waiting = ''
)"""


def _last_turn(of: str) -> str:
    """The last turn of the sender of a mail there.

    Senders are the same if the index holds them for the same. With one condition more the server,
    as long as it has no statistics, reads all mails of a sender to find the last one.
    """
    return f"""coalesce((
        SELECT mail.turn FROM mail
        WHERE left(mail.sender, 300) = left({of}.sender, 300) AND mail.id >
                (SELECT value::bigint FROM meta WHERE key = 'turns after')
        ORDER BY mail.id DESC LIMIT 1
    ), -1)"""


def _beside(names: tuple[str, ...]) -> str:
    """What is written of the mails in ``entered`` besides the rows in ``mail``."""
    search = [name for name in names if name.startswith(_SEARCH)]
    found = ", ".join(name.removeprefix(_SEARCH) for name in search)
    return f"""
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
    """


def _place(name: str) -> str:
    return f"?::{_TYPES.get(name, 'text')}"


def _of_mail(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name not in _BESIDE and not name.startswith(_SEARCH)]


def _in_short(statement: str) -> str:
    """The driver remembers what it has read of a statement of up to 4096 characters."""
    return " ".join(statement.split())
