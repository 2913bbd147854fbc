# SPDX-License-Identifier: BSD-3-Clause
"""What a worker has in hand: the mails that it took up together, and what was decided of them and
is not in the ledger yet. Written together, decisions cost a fraction of what each costs alone.
"""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from ingest.errors import LostClaim, StateUnavailable
from ingest.ledger import Ledger, Outcome, Queued

log = logging.getLogger(__name__)

# Mails that are taken up together.
_MOST = 32


class Came(NamedTuple):
    """What an attempt at a mail came to. ``what`` is for the log, with ``said`` behind it, by
    default the reason."""

    outcome: Outcome
    reason: str
    what: str
    level: int = logging.INFO
    said: str = ""


# Writes what was decided of a mail into the ledger.
Write = Callable[[], Came]


class InHand:
    """The mails of one worker. ``tell`` is called with what each attempt came to, once that is in
    the ledger; ``failing`` gives, for an error of ours, what puts its mail back."""

    def __init__(
        self,
        ledger: Ledger,
        holder: str,
        *,
        tell: Callable[[Queued, Came], None],
        failing: Callable[[Queued, Exception], Write],
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._tell = tell
        self._failing = failing
        self._most = _MOST
        self._rest: deque[Queued] = deque()
        self._decided: list[tuple[Queued, Write]] = []
        self._is_together = False

    def take(self, now: float) -> bool:
        """Take up what is due, if nothing is in hand; whether there was anything."""
        self._rest += self._ledger.claim_several(now, self._holder, self._most)
        self._most = min(2 * self._most, _MOST)
        return bool(self._rest)

    def next(self) -> Queued | None:
        """The next mail to be worked on, None if none is left."""
        return self._rest.popleft() if self._rest else None

    @property
    def has_more(self) -> bool:
        """Whether a mail is left that was not begun."""
        return bool(self._rest)

    def decide(self, queued: Queued, write: Write) -> None:
        """Have a decision written by the next ``settle``."""
        self._decided.append((queued, write))

    def batch(self) -> AbstractContextManager[None]:
        """A transaction for what one decision writes: one of its own, or that of all."""
        return nullcontext() if self._is_together else self._ledger.batch()

    def before_question(self) -> None:
        """Have nothing wait for a question that is asked now, but the mail that it is asked for.
        More questions are to be expected."""
        self.settle()
        self._most = 1

    def settle(self) -> None:
        """Write what was decided, and give back what was not begun: it was too much, so fewer are
        taken up for a while. Raises ``StateUnavailable``: then what is not written, or not given
        back, is still in hand."""
        self.write()
        if self._rest:
            self._ledger.release(self._rest)
            self._rest.clear()
            self._most = 1

    def write(self) -> None:
        """Write what was decided. Raises as ``settle``."""
        came = self._together() if len(self._decided) > 1 else None
        if came is None:
            came = [self._alone(*each) for each in self._decided]
        done, self._decided = self._decided, []
        for (queued, _), each in zip(done, came, strict=True):
            self._tell(queued, each)

    def _together(self) -> list[Came] | None:
        """Write all in one transaction; None if that fails for one of them."""
        try:
            with self._ledger.batch():
                self._is_together = True
                return [write() for _, write in self._decided]
        except StateUnavailable:
            raise
        except Exception:
            log.debug("each decision is written by itself", exc_info=True)
            return None
        finally:
            self._is_together = False

    def _alone(self, queued: Queued, write: Write) -> Came:
        """Write one decision. One that cannot be written for an error of ours leaves its mail
        waiting."""
        try:
            return write()
        except StateUnavailable:
            raise
        except LostClaim as error:
            return Came(Outcome.QUEUED, str(error), "left", logging.WARNING)
        except Exception as error:  # noqa: BLE001  told by ``failing``
            return self._failing(queued, error)()
