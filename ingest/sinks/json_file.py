# SPDX-License-Identifier: BSD-3-Clause
"""The sink that keeps the retest JSON: the request log, from its cursor on, merged into the file.

The cursor moves after the file is written. After a crash between the two it is found out whether
the write took place, and nothing is merged again that a consumer may have taken. What was in the
file and is not any more was handed over.
"""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import replace

from ingest.config.values import DAY
from ingest.errors import StateUnavailable
from ingest.ledger import Cursor, Ledger, Request, requests_after
from ingest.policy.scope import Scope
from ingest.retests import document as retests
from ingest.retests import file as retest_file
from ingest.retests import ownership
from ingest.sinks import Clock, Stop, is_paused, lease_name, trouble_of
from ingest.words import counted

# Seconds to wait for a consumer that holds the file's lock.
PATIENCE = 5.0

# Requests merged in one go: bounds the memory, and the rewriting while a long log is caught up.
_BATCH = 5000

# Seconds for which a request is watched that waits in the file; and pages of such requests that
# are gone through at once.
_WATCHED, _MOST_PAGES = 30 * DAY, 200

log = logging.getLogger(__name__)


def name(path: str, host: str = "") -> str:
    """The cursor's name for a file. ``host``: whose file it is, if several share the ledger."""
    whose = f"{host}:" if host else ""
    return f"json_file:{whose}{os.path.abspath(path)}"


class JsonFile:
    """A ``Sink`` that is a retest JSON. ``mode``: permissions of a new file; ``host``: see
    ``name``; ``scope``: what it is for, of one server only, for series of two may have one number;
    ``arguments``: the known ones; ``revisions``: see ``document.key_of``; ``pause``: seconds to
    the next attempt after a failure; ``patience``: seconds to wait for a consumer that holds the
    file's lock."""

    def __init__(
        self,
        path: str,
        *,
        mode: int,
        host: str = "",
        scope: Scope = Scope((), ""),  # noqa: B008  frozen
        arguments: Sequence[str] = (),
        revisions: bool = False,
        pause: float = 60.0,
        patience: float = PATIENCE,
    ) -> None:
        self.name = name(path, host)
        self._path = path
        self._mode = mode
        self._scope = scope
        self._arguments = arguments
        self._revisions = revisions
        self._pause = pause
        self._patience = patience
        self._known = retest_file.Known()  # the file when it was looked at last

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """See ``Sink``."""
        cursor = ledger.cursor(self.name)
        if is_paused(cursor.due, now, self._pause):
            return False
        return cursor.position < ledger.last_request() or self._is_changed(cursor)

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """See ``Sink``."""
        with ledger.lease(lease_name(self.name)) as held:
            if not held or is_paused(ledger.cursor(self.name).due, clock(), self._pause):
                return 0
            left = math.inf if until is None else max(0.0, until - clock())
            count = self.publish(ledger, clock, min(self._patience, left), stop)
        if count:
            log.info("published %s to %s", counted(count, "request"), self._path)
        return count

    def publish(
        self, ledger: Ledger, clock: Clock, patience: float, stop: Stop = lambda: False
    ) -> int:
        """Bring the file up to the end of the request log; how many requests came in. Only the
        holder of the sink's lease calls it. Raises as ``deliver``."""
        cursor = ledger.cursor(self.name)
        count = 0
        try:
            cursor = _settle(ledger, self._path, cursor, clock(), patience)
            self._look(ledger, cursor, clock(), patience)
            while requests := ledger.requests(after=cursor.position, limit=_BATCH):
                mine = [each for each in map(self._narrowed, requests) if each]
                if mine:
                    self._append(ledger, cursor, mine, requests[-1].number, clock(), patience)
                    count += len(mine)
                cursor = Cursor(cursor.name, requests[-1].number, clock())
                ledger.set_cursor(cursor)
                if stop():
                    break
        except StateUnavailable:
            raise
        except Exception as error:
            trouble = trouble_of(error, self._path)
            tried = ledger.cursor(cursor.name)
            due = clock() + self._pause
            ledger.set_cursor(replace(tried, tries=tried.tries + 1, due=due, reason=str(trouble)))
            raise trouble from error
        return count

    def finish(self, ledger: Ledger, clock: Clock, patience: float) -> None:
        """Bring to its end what a writer that died had begun, and begin nothing. Only the holder
        of the sink's lease calls it. Raises as ``deliver``."""
        _settle(ledger, self._path, ledger.cursor(self.name), clock(), patience)

    def preview(self, ledger: Ledger) -> tuple[retests.Document, int]:
        """What the file would hold if it were brought up to the end of the request log, and the
        number of the last request in that. Nothing is written. Raises ``SinkUnavailable``."""
        position = ledger.cursor(self.name).position
        coming = list(filter(None, map(self._narrowed, requests_after(ledger, position))))
        earlier = self._earlier(ledger, coming, position)
        document = retest_file.peek(self._path) or retests.empty()
        merged = retests.merge(document, coming, 0.0, earlier, revisions=self._revisions)
        return merged, ledger.last_request()

    def _earlier(self, ledger: Ledger, requests: Sequence[Request], up_to: int) -> list[Request]:
        """The requests up to a number that tell how old standing values of arguments are."""
        return [
            request
            for each in {request.series for request in requests if request.arguments}
            for request in ledger.requests_of(each, up_to, self._scope.server or "")
            if request.pushed and not request.cancelled
        ]

    def _is_changed(self, cursor: Cursor) -> bool:
        """Whether the file is not as it was when it was last looked at."""
        return bool(cursor.position) and retest_file.state(self._path) != self._known.state

    def _look(self, ledger: Ledger, cursor: Cursor, now: float, patience: float) -> None:
        """Note what was taken out of the file since it was last looked at."""
        if not self._is_changed(cursor):
            return
        with retest_file.locked(self._path, patience):
            state, document = retest_file.state(self._path), retest_file.peek(self._path)
        if document is not None:
            self._note_taken(ledger, cursor, document, now)
        self._known = retest_file.Known(state, document)

    def _note_taken(
        self, ledger: Ledger, cursor: Cursor, document: retests.Document, now: float
    ) -> None:
        """Note that what came into the file and is not there any more was handed over."""
        up_to = cursor.position
        for _ in range(_MOST_PAGES):
            page = ledger.results.not_handed_over(now - _WATCHED, up_to)
            mine = list(filter(None, map(self._narrowed, page)))
            taken = [gone for each in mine if (gone := self._missing(ledger, document, each))]
            if taken:
                ledger.results.handed_over(taken, self.name, now)
            elif mine or not page:
                break  # what is taken leaves all at once, the newest with what is older
            up_to = page[-1].number - 1

    def _missing(
        self, ledger: Ledger, document: retests.Document, request: Request
    ) -> Request | None:
        """What is not in the file any more of a request that came into it."""
        series: list[Request] = []
        if not request.contexts:
            server = self._scope.server or ""
            series = ledger.requests_of(request.series, request.number, server)
        return ownership.missing(document, request, series, revisions=self._revisions)

    def _narrowed(self, request: Request) -> Request | None:
        return self._scope.narrow(request, self._arguments)

    def _append(
        self,
        ledger: Ledger,
        cursor: Cursor,
        requests: Sequence[Request],
        last: int,
        now: float,
        patience: float,
    ) -> None:
        earlier = self._earlier(ledger, requests, cursor.position)

        def begin(second: float) -> bool:
            # Where a consumer moves a link away, nobody knows where the proof is.
            is_link = os.path.islink(self._path)
            begun = cursor if is_link else replace(cursor, begun=last, second=second)
            return ledger.promise_with(begun, second)

        def found(present: retests.Document) -> None:
            if retest_file.state(self._path) != self._known.state:
                self._note_taken(ledger, cursor, present, now)

        self._known = retest_file.append(
            self._path,
            requests,
            mode=self._mode,
            now=now,
            earlier=earlier,
            revisions=self._revisions,
            patience=patience,
            promise=ledger.next_second,
            ready=begin,
            found=found,
            known=self._known,
            writer=ledger.generation(),
        )


def _settle(ledger: Ledger, path: str, cursor: Cursor, now: float, patience: float) -> Cursor:
    """The cursor after a writer died between beginning a write and confirming it. What waits is
    written anew, for that it waits is the only proof; what took its place may have been taken, and
    would be handed out twice."""
    if not cursor.begun:
        return cursor
    if retest_file.waits(path, ledger.generation(), patience):
        settled = replace(cursor, begun=0, second=0.0)
    else:
        settled = Cursor(cursor.name, cursor.begun, now)
    ledger.set_cursor(settled)
    return settled
