# SPDX-License-Identifier: BSD-3-Clause
"""How the SQLite ledger's request log grows."""

from collections.abc import Sequence
from dataclasses import replace

from ingest.ledger import results, timings
from ingest.ledger import rows as made
from ingest.ledger.log import NAMESAKES, Ending, Log
from ingest.ledger.request_values import Request
from ingest.ledger.sqlite_mails import Mails
from ingest.ledger.values import Queued


class SqliteLog(Mails, Log):
    """What a ``Ledger`` in an SQLite file does about mails and requests."""

    # If the power takes it away, the mail is queued as before. Whoever hands a request on has a
    # cursor that is kept, and with it all that was written before.
    _durable = False

    def _hold_head(self) -> float:
        # One writes at a time.
        return float(self._db.run("SELECT second FROM head").fetchone()["second"])

    def _enter(self, request: Request, reason: str) -> list[Request]:
        columns = made.request_columns(request)
        rows = self._db.insert("request", columns, "ON CONFLICT (id) DO NOTHING RETURNING *")
        for row in rows:
            texts = request.requester, request.subject, request.message_id, reason
            words, shown = made.request_search(*texts), made.request_shown(*texts)
            self._db.insert("request_search", {"request": row["number"], **words, **shown})
            # Who asks may be another one than From says: the mail is found by both.
            self._db.run(
                "UPDATE mail_search SET author = author || char(10) || ?,"
                " shown_author = coalesce(shown_author, author) || char(10) || ? WHERE mail = ?",
                words["requester"],
                shown["shown_requester"] or words["requester"],
                request.mail_id,
            )
        entered = list(map(made.request, rows))
        results.begin(self._db, entered)
        return entered

    def _take_back(self, mail: Queued, asked: Sequence[Request]) -> list[list[Request]]:
        self._check_claim(mail)
        names = ((each.message_id, each.series, each.server) for each in asked)
        return [
            list(map(made.request, self._db.run(NAMESAKES, *each).fetchall())) for each in names
        ]

    def _conclude(self, ending: Ending, new: Sequence[Request]) -> list[Request]:
        promised = self._hold_head() if new else 0.0
        entered: list[Request] = []
        for each in new:
            is_late = each.recorded >= promised
            later = each if is_late else replace(each, recorded=promised)
            entered += self._enter(later, ending.reason)
        took = (each.recorded - each.received for each in entered if each.rated and each.received)
        timings.note(self._db, timings.RECORDED, took)
        self._end(*ending)
        return entered

    def last_request(self) -> int:
        # Also when the newest ones were dropped since.
        return int(self._number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'request'") or 0)
