# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON as what the default consumer takes from: brought up to the end of the request
log, locked, and emptied of what was handed over.

The sink that fills the file is held off meanwhile, and has settled what a crash left: it never
takes what was emptied here for a write of its own that it has to do again.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from ingest.config.tables import Settings
from ingest.errors import SinkUnavailable, UsageError
from ingest.ledger import Batch, Ledger, Request
from ingest.ledger.progress import default_consumer
from ingest.retests import document as retests
from ingest.retests import file as retest_file
from ingest.retests import ownership
from ingest.retests.document import Document
from ingest.sinks import Clock, delivery, lease_name

# A series' number as a key, or with its revision; such numbers have 64 bits.
_SERIES = re.compile(r"([1-9][0-9]{0,17})(?:/([1-9][0-9]{0,17}))?")


@contextmanager
def leased(ledger: Ledger, name: str, whose: str, patience: float) -> Iterator[None]:
    """A lease that is waited for. ``whose``: who else may hold it, for the error. Raises
    ``SinkUnavailable`` if it is not to be had for ``patience`` seconds."""
    with ledger.lease(name, patience) as held:
        if not held:
            raise SinkUnavailable(f"{whose} has been at work for over {patience:g} seconds")
        yield


@contextmanager
def opened(ledger: Ledger, settings: Settings, clock: Clock, patience: float) -> Iterator["Stock"]:
    """The file, to itself. Raises ``SinkUnavailable`` if it cannot be had, read or written."""
    path = settings.retests.file
    if not path:
        raise UsageError("there is no retest JSON: set [retests] file, or take by --consumer NAME")
    file = next(delivery.files(settings))
    with leased(ledger, lease_name(file.name), f"another process that writes {path}", patience):
        if delivery.is_paused(ledger, file.name):
            file.finish(ledger, clock, patience)
        else:
            file.publish(ledger, clock, patience)
        with retest_file.locked(path, patience):
            document = retest_file.read(path, clock())
            yield Stock(ledger, settings, document, ledger.cursor(file.name).position, clock())


class Stock:
    """What the file holds. ``last``: the number of the last request that came into it;
    ``second``: the Unix time that it carries."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Settings,
        document: Document | None,
        last: int,
        now: float,
    ) -> None:
        self.last = last
        self.second = retest_file.standing_second(document or retests.empty(), now)
        self._ledger = ledger
        self._table = settings.retests
        self._consumer = default_consumer(delivery.host_of(settings.state))
        self._document = document or retests.empty()

    def of(self, batch: Batch) -> list[Request]:
        """What is in the file of a batch."""
        return [each for each in self._parts if each.number in batch.numbers]

    def other_than(self, requests: Sequence[Request]) -> list[Request]:
        """What is in the file of other requests that were not taken for good."""
        numbers = {each.number for each in requests}
        return [each for each in self._parts if each.number not in numbers]

    def without(self, requests: Sequence[Request]) -> Document:
        """The file's content when these have left it: the other requests', and what came from
        elsewhere."""
        if not requests:
            return self._document
        others, revisions = self.other_than(requests), self._table.revisions
        return ownership.without(self._document, requests, others, self._log, revisions=revisions)

    def only(self, requests: Sequence[Request]) -> Document:
        """The file's content when all but these has left it."""
        return ownership.only(self._document, requests, revisions=self._table.revisions)

    @contextmanager
    def becoming(self, kept: Document) -> Iterator[Callable[[], None]]:
        """The file holds this when the block calls what it is given: what can fail about it has
        been done before. Raises ``SinkUnavailable``."""
        if kept == self._document:
            yield lambda: None
            return
        with retest_file.prepared(self._table.file, kept, self._table.mode) as place:
            yield place

    @cached_property
    def _log(self) -> ownership.Log:
        """The log's requests of each entry of ours, by its key."""
        table = self._table
        found: dict[str, list[Request]] = {}
        for key in self._document["retests"]:
            if named := _SERIES.fullmatch(key):
                requests = self._ledger.requests_of(int(named[1]), self.last, table.patchwork)
                found[key] = [
                    each
                    for each in requests
                    if each.pushed
                    and not each.cancelled
                    and retests.key_of(each, table.revisions) == key
                ]
        return found

    @cached_property
    def _parts(self) -> list[Request]:
        """What is in the file of requests that were not taken for good, in the log's order."""
        taken = self._ledger.consumer(self._consumer).position
        batches = self._ledger.batches()
        held = [each.numbers for each in batches if each.consumer == self._consumer]
        open_numbers = [*held, range(taken + 1, self.last + 1)]
        parts = [
            ownership.part_of(request, self._document["retests"][key], requests)
            for key, requests in self._log.items()
            for request in requests
            if any(request.number in numbers for numbers in open_numbers)
        ]
        return sorted(filter(None, parts), key=lambda part: part.number)
