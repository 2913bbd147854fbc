# SPDX-License-Identifier: BSD-3-Clause
"""One attempt at one mail: how much it may ask Patchwork, and what it has learnt when it goes on
later. Nothing that a mail's sender chooses may cost the server, or other mails, without limit.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotYet
from ingest.ledger.parts import Timings
from ingest.mail.message import Mail

_HOUR = 3600.0
_KEPT = 2 * 86400.0
# Seconds after which an attempt that has used up its questions goes on.
_PAUSE = 60.0


class Memory(Protocol):
    """Where answers are remembered; a ``Ledger`` is one."""

    def recall(self, key: str, now: float) -> str | None:
        """A remembered answer, None if there is none or it has expired."""

    def remember(self, key: str, answer: str, expires: float) -> None:
        """Remember an answer until a Unix time."""


@runtime_checkable
class Measuring(Protocol):
    """A memory that also notes how long questions took, as a ``Ledger`` does."""

    @property
    def timings(self) -> Timings: ...


class Attempt:
    """``answers``: what this attempt has learnt, which it does not ask again when it goes on;
    ``searched``: what later attempts need not search again, because it cannot change. Both hold
    values that JSON can hold."""

    def __init__(
        self,
        memory: Memory,
        server: str,
        mail: Mail,
        table: PatchworkSettings,
        clock: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._clock = clock
        self._table = table
        self._spent = self._counted = 0
        identity = [mail.message_id, mail.list_id, mail.candidates, mail.address, mail.subject]
        digest = sha256(json.dumps(identity).encode()).hexdigest()
        self._key = f"{server} attempt at {digest}"
        self._sender = f"{server} questions for {str(mail.requester).lower()}"
        kept = _loaded(memory.recall(self._key, clock()))
        self.answers: dict[str, Any] = kept.get("answers", {})
        self.searched: dict[str, Any] = kept.get("searched", {})
        self._saved = json.dumps({"answers": self.answers, "searched": self.searched})

    def spend(self) -> None:
        """One more question. Raises ``NotYet`` if there have been enough."""
        most, hourly = self._table.questions, self._table.questions_per_sender
        if most and self._spent >= most:
            raise NotYet(f"it has cost {most} questions to Patchwork and goes on later", _PAUSE)
        if hourly:
            begun, before = self._of_sender()
            if before + self._spent - self._counted >= hourly:
                left = begun + _HOUR - self._clock()
                raise NotYet(f"its sender's mails have cost {hourly} questions in an hour", left)
        self._spent += 1

    def may_search_long(self) -> bool:
        """Whether a search that costs much is due: at the first attempt, and then hourly."""
        now, last = self._clock(), self.searched.get("long", float("-inf"))
        if last <= now < last + _HOUR:
            return False
        self.searched["long"] = now
        return True

    def settle(self) -> None:
        """Count what it has cost its sender."""
        if self._spent > self._counted and self._table.questions_per_sender:
            begun, before = self._of_sender()
            count = before + self._spent - self._counted
            self._memory.remember(self._sender, json.dumps([begun, count]), begun + _HOUR)
        self._counted = self._spent

    def suspend(self) -> None:
        """Keep what was learnt: the attempt goes on later."""
        self.settle()
        text = json.dumps({"answers": self.answers, "searched": self.searched})
        if text != self._saved:
            self._memory.remember(self._key, text, self._clock() + _KEPT)
            self._saved = text

    def end(self) -> None:
        """Forget the answers, which may be others at the next attempt."""
        self.answers.clear()
        self.suspend()

    def _of_sender(self) -> tuple[float, int]:
        """When the sender's present hour began, and how many questions it has cost."""
        now = self._clock()
        kept = self._memory.recall(self._sender, now)
        begun, count = json.loads(kept) if kept else (now, 0)
        # An hour that has not begun yet is one of a clock that was set back since.
        return (float(begun), int(count)) if begun <= now else (now, 0)


def _loaded(text: str | None) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        kept = json.loads(text or "{}")
        if isinstance(kept, dict):
            return kept
    return {}
