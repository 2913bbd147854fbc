# SPDX-License-Identifier: BSD-3-Clause
"""What happens to all mails, as the PostgreSQL ledger tells it to those who follow.

A row has its number before its transaction ends, so that a later number may be seen before an
earlier one. Who follows waits at such a gap until it is filled, or until nobody can fill it: who
has its number began before the row behind it came, so that all who write now began later.
"""

from ingest.ledger import rows as made
from ingest.ledger.steering import EVENTS, KeptHappenings
from ingest.ledger.values import Happening

# Seconds for which a gap counts as open whoever writes: of a session of another role, and of one
# that has its number and nothing else, the server does not say that it writes.
_YOUNG = 15.0

# Since when somebody may be about to fill a gap. Read before the rows: who ends in between has
# ended when those are read.
_SINCE = """SELECT least(clock_timestamp() - make_interval(secs => ?), min(xact_start))::text
    AS since FROM pg_stat_activity WHERE backend_xid IS NOT NULL
    AND datname = current_database() AND pid <> pg_backend_pid()"""

# The last of the next numbers that has no open gap before it. Takes number, number, limit, since.
_SETTLED = """SELECT coalesce(min(before), 9223372036854775807) FROM (
        SELECT number, came, lag(number, 1, ?::bigint) OVER (ORDER BY number) AS before FROM (
            SELECT number, came FROM event WHERE number > ? ORDER BY number LIMIT ?
        ) AS next
    ) AS steps
    WHERE number > before + 1 AND came > ?::timestamptz"""

# The last of all numbers that has no open gap before it. Takes since.
_LAST_SETTLED = """WITH RECURSIVE newest (number, came) AS (
        (SELECT number, came FROM event ORDER BY number DESC LIMIT 1)
        UNION ALL
        SELECT earlier.number, earlier.came FROM newest, LATERAL (
            SELECT number, came FROM event WHERE event.number < newest.number
            ORDER BY number DESC LIMIT 1
        ) AS earlier
        WHERE newest.came > (SELECT ?::timestamptz)
    ),
    steps AS (
        SELECT number, came, lag(number, 1, 0::bigint) OVER (ORDER BY number) AS before FROM newest
    )
    SELECT coalesce(
        min(before) FILTER (WHERE number > before + 1 AND came > (SELECT ?::timestamptz)),
        max(number), 0
    ) AS number FROM steps"""


class Happenings(KeptHappenings):
    """``Happenings`` in PostgreSQL."""

    def after(self, number: int, limit: int = 1000) -> list[Happening]:
        since = self._db.rows(_SINCE, _YOUNG)[0]["since"]
        found = f"{EVENTS} WHERE number > ? AND number <= ({_SETTLED}) ORDER BY number LIMIT ?"
        values = number, number, number, limit, since, limit
        return [each for row in self._db.rows(found, *values) for each in made.happenings(row)]

    def settled(self) -> int:
        since = self._db.rows(_SINCE, _YOUNG)[0]["since"]
        return int(self._db.rows(_LAST_SETTLED, since, since)[0]["number"])
