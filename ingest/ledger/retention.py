# SPDX-License-Identifier: BSD-3-Clause
"""Which requests may be dropped, whatever the ledger is kept in."""

# The number up to which everybody has come who reads the request log: each sink, with what it has
# set aside and tries again, each consumer, each batch that may be given again, and ``reruns``, if
# anybody ever asked that.
PAST_ALL = """(SELECT coalesce(min(number), 0) FROM (
    SELECT min(position) AS number FROM cursor
    UNION ALL SELECT min(request) - 1 FROM aside WHERE due IS NOT NULL
    UNION ALL SELECT min(position) FROM consumer
    UNION ALL SELECT min(after) FROM batch
    UNION ALL SELECT max(upto) FROM promise) AS read)"""

# What ``reruns`` has promised with requests that are gone, but for the newest promise.
OLD_PROMISES = """upto < (SELECT max(upto) FROM promise)
    AND upto < (SELECT coalesce(min(number), 0) FROM request)"""
