# SPDX-License-Identifier: BSD-3-Clause
"""What happens to all mails, as the PostgreSQL ledger tells it to those who follow.

A row has its number before its transaction ends, so that a later number may be seen before an
earlier one. Who follows waits at such a gap until it is filled, or so old that it never will be.
"""

from ingest.ledger import rows as made
from ingest.ledger.steering import EVENTS, KeptHappenings
from ingest.ledger.values import Happening

# The last of the next numbers that has no young gap before it. Takes number, number, limit.
_SETTLED = """SELECT coalesce(min(before), 9223372036854775807) FROM (
        SELECT number, came, lag(number, 1, ?::bigint) OVER (ORDER BY number) AS before FROM (
            SELECT number, came FROM event WHERE number > ? ORDER BY number LIMIT ?
        ) AS next
    ) AS steps
    WHERE number > before + 1 AND came > clock_timestamp() - interval '15 seconds'"""


class Happenings(KeptHappenings):
    """``Happenings`` in PostgreSQL."""

    def after(self, number: int, limit: int = 1000) -> list[Happening]:
        found = f"{EVENTS} WHERE number > ? AND number <= ({_SETTLED}) ORDER BY number LIMIT ?"
        values = number, number, number, limit, limit
        return [each for row in self._db.rows(found, *values) for each in made.happenings(row)]
