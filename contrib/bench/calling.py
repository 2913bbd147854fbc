# SPDX-License-Identifier: BSD-3-Clause
"""The rows "api": how fast `recheck-ingest serve` answers programs, as `reading` has it of
pages.
"""

from collections.abc import Iterator

import reading
from measure import Plan, Row

LISTS = {
    "api requests": "/api/requests?per_page=250",
    "api last page": "/api/requests?per_page=250&page=400",
    "api request": "/api/requests/{middle}",
    "api series": "/api/series/{series}",
    "api label": "/api/labels/iol-abi-testing",
    "api requester": "/api/requesters/person77",
    "api active": "/api/requests?active_only&label=bench-3",
    "api state": "/api/requests?state=fail",
    "api search often": "/api/requests?search=driver7",
    "api search once": "/api/requests?search=the+{middle}th+thing",
    "api search never": "/api/requests?search=nothing+like+this",
    "api mails": "/api/mails",
    "api mail": "/api/mails/reply-{middle}@example.org",
    "api attention": "/api/attention",
    "api failures": "/api/failures",
    "api metadata": "/api/metadata",
    "api retests": "/api/retests",
    "api openapi": "/api/openapi.json",
    "api metrics": "/metrics",
}


def measure(plan: Plan) -> Iterator[Row]:
    """The rows, in seconds."""
    yield from reading.rows(plan, LISTS)
