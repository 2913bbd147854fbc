# SPDX-License-Identifier: BSD-3-Clause
"""What writes requests outside the ledger, each by a cursor of its own.

``Sink`` is what ``delivery`` works with; a ``Receiver`` becomes one by ``one_by_one``.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Protocol

from ingest.ledger import Ledger, Request

Clock = Callable[[], float]
Stop = Callable[[], bool]


class Sink(Protocol):
    """Brings what it writes to up to the end of the request log."""

    @property
    def name(self) -> str:
        """Its cursor's name, such as ``webhook:jenkins``."""

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """Hand over what is due; how many requests that were.

        Nothing is done if another process is at it, or before the next attempt is due. ``until``:
        a Unix time after which nothing further is begun; ``stop``: asked whether to end. Raises
        ``SinkUnavailable`` after noting it in the cursor.
        """


class Receiver(Protocol):
    """Acts on one request at a time."""

    @property
    def name(self) -> str:
        """Its cursor's name, such as ``webhook:jenkins``."""

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """Hand one request over; what came of it, in a few words, for the mail's story.

        ``again``: it may have had it before, for an attempt at it did not come to an end.
        ``stop``: asked now and then, by what takes long, whether to end it with
        ``SinkUnavailable``. Raises that for what is tried again, ``NotTaken`` for what is not.
        """


def lease_name(name: str) -> str:
    """The lease under which a sink is at work, fit for a file's name."""
    if re.fullmatch(r"[a-z_]+:[a-z0-9-]+", name):
        return name.replace(":", "-")
    kind = name.partition(":")[0]
    return f"{kind}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"


def is_paused(due: float, now: float, longest: float) -> bool:
    """Whether the next attempt is not due yet. Longer than ``longest`` seconds from now is no
    pause of ours: the clock was set back."""
    return now < due <= now + longest
