# SPDX-License-Identifier: BSD-3-Clause
"""What a take would hand over now. Nothing is handed over, noted or promised."""

import time
from collections.abc import Callable
from dataclasses import replace

from ingest.config.tables import Settings
from ingest.handover.from_file import Stock
from ingest.handover.order import Order
from ingest.handover.take import Handing
from ingest.ledger import Batch, Ledger, Request
from ingest.ledger.progress import DEFAULT_CONSUMER
from ingest.retests import document as retests
from ingest.retests import file as retest_file
from ingest.sinks import Clock, delivery


def peek(ledger: Ledger, settings: Settings, order: Order, *, clock: Clock = time.time) -> str:
    """The text that a consumer would be given. A document has no ``last_comment_timestamp``: that
    is promised with what is handed over. Raises ``SinkUnavailable`` if the retest JSON cannot be
    read."""
    looking = Handing(ledger, settings, order, lambda text: None, clock, 0.0)
    if order.consumer != DEFAULT_CONSUMER:
        due, _ = looking.due_and_held()
        if order.hold:
            return _batch(looking, ledger.last_request(), looking.logged)
        fresh = looking.fresh(ledger.last_request())
        return looking.text([one for each in (*due, fresh) for one in looking.logged(each)], 0.0)
    stock = _stock(ledger, settings, clock())
    if order.hold:
        return _batch(looking, stock.last, stock.of)
    _, batches_held = looking.due_and_held()
    fresh = looking.fresh(stock.last)
    held = [one for each in batches_held for one in stock.of(each)]
    held += stock.of(replace(fresh, after=fresh.last, last=stock.last))
    if order.single:
        return looking.text(stock.other_than(held), 0.0)
    return retests.dump({**stock.without(held), "last_comment_timestamp": None})


def _batch(looking: Handing, last: int, requests_of: Callable[[Batch], list[Request]]) -> str:
    """The oldest batch that is due, or one of what is new."""
    due, _ = looking.due_and_held()
    for batch in (*due, looking.fresh(last)):
        if requests := requests_of(batch):
            return looking.text(requests, 0.0, replace(batch, given=batch.given + 1))
    return looking.text([], 0.0)


def _stock(ledger: Ledger, settings: Settings, now: float) -> Stock:
    """What the retest JSON would hold once it were brought up to the end of the request log."""
    file = next(delivery.files(settings))
    if delivery.is_paused(ledger, file.name):
        document = retest_file.peek(settings.retests.file)
        return Stock(ledger, settings, document, ledger.cursor(file.name).position, now)
    return Stock(ledger, settings, *file.preview(ledger), now)
