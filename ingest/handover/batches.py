# SPDX-License-Identifier: BSD-3-Clause
"""How far consumers have come, and the batches that wait to be confirmed, as the ledger's cursors.

A batch is a cursor of its own: ``position`` and ``begun`` are the numbers between which its
requests are, ``due`` when it is given again, ``tries`` how often it was given, and ``reason`` the
patterns that it was narrowed by.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ingest import story
from ingest.ledger import Cursor
from ingest.story import Consumer
from ingest.words import utc

# The consumer that the retest JSON is for.
DEFAULT = "default"

NAME = r"[A-Za-z0-9._-]{1,100}"
_ID = re.compile(rf"({NAME}):([1-9][0-9]{{0,17}})-([1-9][0-9]{{0,17}})")
_PREFIX = "take:"


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that a consumer is given to confirm: those behind number ``after`` up to ``last``,
    narrowed to ``contexts``. ``given``: how often they were; ``due``: the Unix time at which they
    are given again."""

    consumer: str
    after: int
    last: int
    contexts: tuple[str, ...] = ()
    given: int = 0
    due: float = 0.0

    @property
    def id(self) -> str:
        """What confirms it: the consumer, and the numbers of the first and the last request."""
        return f"{self.consumer}:{self.after + 1}-{self.last}"

    @property
    def numbers(self) -> range:
        """Those of its requests."""
        return range(self.after + 1, self.last + 1)

    def cursor(self, now: float) -> Cursor:
        """As it is kept."""
        return Cursor(
            cursor_name(self.id),
            position=self.after,
            moved=now,
            tries=self.given,
            due=self.due,
            reason=json.dumps(self.contexts) if self.contexts else "",
            begun=self.last,
        )


def cursor_name(of: str) -> str:
    """The name of the cursor of a consumer, or of that which is the batch of this id."""
    return _PREFIX + of


def parsed(id: str) -> tuple[str, int] | None:
    """The consumer and the last number that an id tells, None if it is none."""
    found = _ID.fullmatch(id)
    if not found or int(found[2]) > int(found[3]):
        return None
    return found[1], int(found[3])


def batch_of(cursor: Cursor) -> Batch | None:
    """The batch that a cursor is, None if it is another's, or none that was kept."""
    named = parsed(cursor.name.removeprefix(_PREFIX))
    if not cursor.name.startswith(_PREFIX) or not named or not cursor.begun:
        return None
    contexts = tuple(json.loads(cursor.reason or "[]"))
    return Batch(named[0], cursor.position, cursor.begun, contexts, cursor.tries, cursor.due)


def every(cursors: Iterable[Cursor]) -> list[Batch]:
    """The batches that wait to be confirmed, those of a consumer in their order."""
    found = [batch for each in cursors if (batch := batch_of(each))]
    return sorted(found, key=lambda batch: (batch.consumer, batch.after))


def of(cursors: Iterable[Cursor], consumer: str) -> list[Batch]:
    """A consumer's batches, the oldest first."""
    return [batch for batch in every(cursors) if batch.consumer == consumer]


def consumers(cursors: Iterable[Cursor]) -> list[Consumer]:
    """Who takes requests, each with the batches that it holds."""
    cursors = list(cursors)
    found = []
    for cursor in cursors:
        name = cursor.name.removeprefix(_PREFIX)
        if name != cursor.name and not batch_of(cursor):
            held = tuple(map(_told, of(cursors, name)))
            found.append(Consumer(name, cursor.position, cursor.moved, held))
    return found


def _told(batch: Batch) -> story.Batch:
    return story.Batch(
        id=batch.id,
        consumer=batch.consumer,
        first=batch.after + 1,
        last=batch.last,
        contexts=batch.contexts,
        given=batch.given,
        due=utc(batch.due),
    )
