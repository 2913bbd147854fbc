# SPDX-License-Identifier: BSD-3-Clause
"""How the PostgreSQL ledger's request log grows.

Whoever appends locks the one row of ``head``, last of all locks, until the commit. So numbers are
in the order of commits and without gaps, and no cursor passes one that is still to appear.
"""

from collections.abc import Sequence

from ingest.ledger import results, timings
from ingest.ledger import rows as made
from ingest.ledger.log import NAMESAKES, Ending, Log
from ingest.ledger.pg_values import key_of
from ingest.ledger.postgres_mails import Mails
from ingest.ledger.request_values import Request
from ingest.ledger.session import Statement
from ingest.ledger.values import BOUNDS, Queued

# The planner believes that head has one row if it is found by its key.
_ONE = "one = 1"

# A statement that waited for this lock reads the row as it was committed last.
_HEAD = f"SELECT last, second FROM head WHERE {_ONE} FOR UPDATE"


class PostgresLog(Mails, Log):
    """What a ``Ledger`` in PostgreSQL does about mails and requests."""

    # A number that a reader has seen is never given to another request.
    _durable = True

    def _hold_head(self) -> float:
        head = self._session.run(_HEAD).fetchone()
        assert head is not None
        return float(head["second"])

    def _take_back(self, mail: Queued, asked: Sequence[Request]) -> list[list[Request]]:
        # One transaction at a time enters requests under a Message-ID, so it sees all earlier ones.
        names = sorted({key_of(f"request {each.message_id}") for each in asked})
        namesakes = ((NAMESAKES, (each.message_id, each.series, each.server)) for each in asked)
        found = self._check_claim(mail, *namesakes, locks=names)
        return [list(map(made.request, each.fetchall())) for each in found]

    def _conclude(self, ending: Ending, new: Sequence[Request]) -> list[Request]:
        # The log is locked last, and no answer is waited for until it is free again.
        end = self._ending(*ending)
        if not new:
            self._session.end_with(end)
            return []
        entering = (_entering(each, ending.reason, is_timed=True) for each in new)
        _, *found = self._session.end_with(end, *entering)
        return [made.request(row) for each in found for row in each.fetchall()]

    def _enter(self, request: Request, reason: str) -> list[Request]:
        statement, values = _entering(request, reason, is_timed=False)
        return list(map(made.request, self._session.run(statement, *values).fetchall()))

    def last_request(self) -> int:
        return int(self._session.rows("SELECT last FROM head")[0]["last"])


def _entering(request: Request, reason: str, *, is_timed: bool) -> Statement:
    """What enters a request into the log, and holds its head; it gives the row, or none if the
    request's id is there already. ``reason``: its mail's; ``is_timed``: whether how long it took
    is noted."""
    columns = made.request_columns(request)
    texts = request.requester, request.subject, request.message_id, reason
    words, shown = made.request_search(*texts), made.request_shown(*texts)
    found = {**words, **shown}
    asks = words["requester"]
    statement = f"""WITH held AS MATERIALIZED ({_HEAD}),
        entered AS (
            INSERT INTO request (number, {", ".join(columns)})
            SELECT last + 1, {", ".join(_given(each) for each in columns)} FROM held,
                (VALUES ({", ".join(f"?::{_type(each)}" for each in columns.values())}))
                AS given ({", ".join(columns)})
            ON CONFLICT (id) DO NOTHING RETURNING *
        ),
        moved AS (UPDATE head SET last = number FROM entered WHERE {_ONE}),
        searched AS (
            INSERT INTO request_search (request, {", ".join(found)})
            SELECT number, {", ".join("?::text" for _ in found)} FROM entered
        ),
        named AS (
            UPDATE mail_search SET author = author || chr(10) || ?::text,
                shown_author = coalesce(shown_author, author) || chr(10) || ?::text
            FROM entered WHERE mail_search.mail = entered.mail
        ),
        asked AS (
            INSERT INTO result (request, label, state, at, author, url, summary)
            SELECT number, label, 'asked', recorded, '', '', ''
            FROM entered, unnest(?::text[]) AS label ON CONFLICT DO NOTHING
        ),
        timed AS (
            INSERT INTO timing (what, bound, number, seconds)
            SELECT ?::text, (
                SELECT min(bound) FROM unnest(?::double precision[]) AS bound
                WHERE bound >= recorded - received
            ), 1, greatest(recorded - received, 0)
            FROM entered WHERE ?::integer = 1 AND rated = 1 AND received <> 0
            ON CONFLICT (what, bound) DO UPDATE SET number = timing.number + excluded.number,
                seconds = timing.seconds + excluded.seconds
        )
        SELECT * FROM entered"""
    return " ".join(statement.split()), (
        *columns.values(),
        *found.values(),
        *(asks, shown["shown_requester"] or asks),
        [made.storable(each) for each in results.labels(request)],
        *(timings.RECORDED, [*BOUNDS, timings.BEYOND], is_timed),
    )


def _given(column: str) -> str:
    """A column of what is given; nothing is recorded before a second that is promised."""
    return "greatest(given.recorded, second)" if column == "recorded" else f"given.{column}"


def _type(value: object) -> str:
    """What the server is to take a value for."""
    if isinstance(value, float):
        return "double precision"
    return "bigint" if isinstance(value, int) else "text"
