# SPDX-License-Identifier: BSD-3-Clause
"""The events of all mails, as the PostgreSQL ledger gives them to readers that follow them.

A row gets its number before its transaction ends, so a reader may see a later number before an
earlier one. At such a gap the reader waits until the missing row appears, or until no transaction
can write it any more: its transaction began before the next row came, so the gap is closed once
every open transaction began later than that.
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
