# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of who takes requests on demand, and of the batches that wait to be
confirmed. Frozen values; pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.ledger import Batch, Consumer, Event
from ingest.ledger.progress import is_default
from ingest.story.sinks import Delivery
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
    time), and what it holds; ``told``: see ``ledger.Consumer``."""

    name: str
    position: int
    moved: float
    held: tuple[BatchState, ...] = ()
    told: int = 0


def consumers(found: Iterable[Consumer], held: Iterable[Batch]) -> list[ConsumerState]:
    """Who takes requests, each with the batches that it holds."""
    batches = list(held)
    return [
        ConsumerState(
            each.name,
            each.position,
            each.moved,
            tuple(_held(batch) for batch in batches if batch.consumer == each.name),
            each.told,
        )
        for each in found
    ]


def delivery(consumer: ConsumerState, number: int, story: Sequence[Event]) -> Delivery:
    """What became of a request with a consumer. ``story``: its mail's."""
    name = consumer.name
    for batch in consumer.held:
        if batch.first <= number <= batch.last:
            return Delivery(name, "held", f"held by {name} in batch {batch.id}")
    if consumer.position < number:
        return Delivery(name, "waiting", f"not yet taken by {name}")
    if is_default(name) or (number > consumer.told and _took(name, number, story)):
        return Delivery(name, "taken", f"taken by {name}")
    if number > consumer.told:
        return Delivery(name, "passed over", f"passed over by {name}, which asked for other labels")
    unknown = f"taken or passed over by {name}: the older release did not note which"
    return Delivery(name, "taken", unknown)


def _took(name: str, number: int, story: Sequence[Event]) -> bool:
    wanted = {"by": name, "request": number}
    return any(each.what == "taken" and each.details == wanted for each in story)


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
