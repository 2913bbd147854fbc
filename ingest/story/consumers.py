# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of who takes requests on demand, and of the batches that wait to be
confirmed. Frozen values; pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ingest.ledger import Batch, Consumer
from ingest.words import utc


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch that a consumer was given and has not confirmed: the requests from ``first`` to
    ``last``, narrowed to ``contexts``. ``given``: how often; ``due``: when it is given again."""

    id: str
    consumer: str
    first: int
    last: int
    contexts: tuple[str, ...]
    given: int
    due: datetime


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """Who takes requests on demand: the number of the last one that it took, when it did (a Unix
    time), and what it holds."""

    name: str
    position: int
    moved: float
    held: tuple[BatchState, ...] = ()


def consumers(found: Iterable[Consumer], held: Iterable[Batch]) -> list[ConsumerState]:
    """Who takes requests, each with the batches that it holds."""
    batches = list(held)
    return [
        ConsumerState(
            each.name,
            each.position,
            each.moved,
            tuple(_held(batch) for batch in batches if batch.consumer == each.name),
        )
        for each in found
    ]


def _held(batch: Batch) -> BatchState:
    return BatchState(
        id=batch.id,
        consumer=batch.consumer,
        first=batch.after + 1,
        last=batch.last,
        contexts=batch.contexts,
        given=batch.given,
        due=utc(batch.due),
    )
