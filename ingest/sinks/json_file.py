# SPDX-License-Identifier: BSD-3-Clause
"""The sink that keeps the retest JSON: the request log, from its cursor on, merged into the file.

The cursor moves after the file is written: a crash between the two merges the same requests
again, which changes nothing, unless a consumer has taken the file away meanwhile, which is found
out first. Called by the worker.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from ingest import retests
from ingest.errors import SinkUnavailable
from ingest.ledger import Cursor, Ledger, Request

# Seconds to wait for a consumer that holds the file's lock.
PATIENCE = 5.0

# Requests merged in one go: bounds the memory, and the rewriting while a long log is caught up.
_BATCH = 5000


def name(path: str) -> str:
    """The cursor's name for a file."""
    return f"json_file:{os.path.abspath(path)}"


def lags(ledger: Ledger, path: str, now: float) -> bool:
    """Whether there are requests that the file has not got and that are due for it."""
    cursor = ledger.cursor(name(path))
    return cursor.due <= now and cursor.position < ledger.last_request()


def publish(
    ledger: Ledger,
    path: str,
    *,
    mode: int,
    clock: Callable[[], float],
    pause: float = 60.0,
    patience: float = PATIENCE,
) -> int:
    """Bring the file up to the end of the request log; how many requests that were.

    Only the holder of the worker's lease calls it. After a failure nothing is tried again for
    ``pause`` seconds; ``patience``: seconds to wait for a consumer that holds the file's lock.
    Raises ``SinkUnavailable`` after noting it in the cursor.
    """
    cursor = ledger.cursor(name(path))
    # Longer than one pause from now is no pause of ours: the clock was set back.
    if clock() < cursor.due <= clock() + pause:
        return 0
    start = cursor.position
    try:
        cursor = _settle(ledger, path, cursor, patience)
        while requests := ledger.requests(after=cursor.position, limit=_BATCH):
            if cursor.begun:  # what may be in the file, apart from what certainly is not
                requests = [each for each in requests if each.number <= cursor.begun]
            _append(ledger, path, cursor, requests, mode, clock(), patience)
            cursor = Cursor(cursor.name, requests[-1].number, clock())
            ledger.set_cursor(cursor)
    except SinkUnavailable as error:
        tried = ledger.cursor(cursor.name)
        ledger.set_cursor(
            replace(tried, tries=tried.tries + 1, due=clock() + pause, reason=str(error))
        )
        raise
    return cursor.position - start


def _settle(ledger: Ledger, path: str, cursor: Cursor, patience: float) -> Cursor:
    """The cursor after a writer died between beginning a write and confirming it."""
    if not cursor.begun:
        return cursor
    match retests.left(path, patience):
        case retests.Left.IN_PLACE:
            return cursor  # merged once more, it is confirmed
        case retests.Left.TAKEN:
            settled = replace(cursor, position=cursor.begun, begun=0)
        case retests.Left.WAITING:
            # Noted before anything is written: that it waits is the only proof.
            settled = replace(cursor, begun=0)
    ledger.set_cursor(settled)
    return settled


def _append(
    ledger: Ledger,
    path: str,
    cursor: Cursor,
    requests: Sequence[Request],
    mode: int,
    now: float,
    patience: float,
) -> None:
    series = {request.series for request in requests if request.arguments}
    earlier = [request for each in series for request in ledger.requests_of(each, cursor.position)]

    def begin() -> None:
        # Of a link that a consumer moves away it cannot be told where the proof is.
        if not os.path.islink(path):
            ledger.set_cursor(replace(cursor, begun=requests[-1].number))

    retests.append(
        path, requests, mode=mode, now=now, earlier=earlier, patience=patience, ready=begin
    )
