# SPDX-License-Identifier: BSD-3-Clause
"""How the PostgreSQL ledger's request log grows.

Whoever appends locks the one row of ``head``, last of all locks, until the commit. So numbers are
in the order of commits and without gaps, and no cursor passes one that is still to appear.
"""

from ingest.ledger import results
from ingest.ledger import rows as made
from ingest.ledger.log import Log
from ingest.ledger.postgres_mails import Mails
from ingest.ledger.request_values import Request


class PostgresLog(Mails, Log):
    """What a ``Ledger`` in PostgreSQL does about mails and requests."""

    # A number that a reader has seen is never given to another request.
    _durable = True

    def _hold_head(self) -> float:
        # What was committed before is seen by the statements after this one.
        head = self._session.run("SELECT second FROM head FOR UPDATE").fetchone()
        assert head is not None
        return float(head["second"])

    def _enter(self, request: Request, reason: str) -> list[Request]:
        columns = made.request_columns(request)
        texts = request.requester, request.subject, request.message_id, reason
        words, shown = made.request_search(*texts), made.request_shown(*texts)
        found = {**words, **shown}
        labels = results.labels(request)
        asks = words["requester"]
        rows = self._session.run(
            f"""WITH entered AS (
                INSERT INTO request (number, {", ".join(columns)})
                SELECT last + 1, {", ".join(f"given.{each}" for each in columns)} FROM head,
                    (VALUES ({", ".join(f"?::{_type(each)}" for each in columns.values())}))
                    AS given ({", ".join(columns)})
                ON CONFLICT (id) DO NOTHING RETURNING *
            ),
            moved AS (UPDATE head SET last = number FROM entered),
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
                SELECT number, label, 'asked', recorded, '', '', '' FROM entered,
                    (VALUES {", ".join("(?::text)" for _ in labels)}) AS labels (label)
                ON CONFLICT DO NOTHING
            )
            SELECT * FROM entered""",
            *columns.values(),
            *found.values(),
            *(asks, shown["shown_requester"] or asks),
            *labels,
        )
        return list(map(made.request, rows.fetchall()))

    def last_request(self) -> int:
        return int(self._session.rows("SELECT last FROM head")[0]["last"])


def _type(value: object) -> str:
    """What the server is to take a value for."""
    if isinstance(value, float):
        return "double precision"
    return "bigint" if isinstance(value, int) else "text"
