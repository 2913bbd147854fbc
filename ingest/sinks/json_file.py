# SPDX-License-Identifier: BSD-3-Clause
"""The sink that keeps the retest JSON: the request log, from its cursor on, merged into the file.

The cursor moves after the file is written: a crash between the two merges the same requests
again, which changes nothing. Called by the worker.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from ingest import retests
from ingest.errors import SinkUnavailable
from ingest.ledger import Cursor, Ledger

# Requests merged in one go: bounds the memory, and the rewriting while a long log is caught up.
_BATCH = 5000


def name(path: str) -> str:
    """The cursor's name for a file."""
    return f"json_file:{os.path.abspath(path)}"


def publish(
    ledger: Ledger,
    path: str,
    *,
    mode: int,
    clock: Callable[[], float],
    pause: float = 60.0,
    crash_point: Callable[[str], None] = lambda name: None,
) -> int:
    """Bring the file up to the end of the request log; how many requests that were.

    After a failure nothing is tried again for ``pause`` seconds. Raises ``SinkUnavailable``
    after noting it in the cursor.
    """
    cursor = ledger.cursor(name(path))
    if cursor.due > clock():
        return 0
    published = 0
    while requests := ledger.requests(after=cursor.position, limit=_BATCH):
        series = {request.series for request in requests if request.arguments}
        earlier = [
            request for each in series for request in ledger.requests_of(each, cursor.position)
        ]
        try:
            retests.append(path, requests, mode=mode, now=clock(), earlier=earlier)
        except SinkUnavailable as error:
            ledger.set_cursor(
                replace(cursor, tries=cursor.tries + 1, due=clock() + pause, reason=str(error))
            )
            raise
        cursor = Cursor(cursor.name, requests[-1].number, clock())
        crash_point("before cursor")
        ledger.set_cursor(cursor)
        crash_point("after cursor")
        published += len(requests)
    return published
