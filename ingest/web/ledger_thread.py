# SPDX-License-Identifier: BSD-3-Clause
"""The ledger for the event loop: asked in a thread of its own, so that nobody waits for it but
who asks."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ingest.errors import StateUnavailable
from ingest.ledger import Ledger

T = TypeVar("T")

# A thread that gives way rests so many times as long as it has worked, and so many seconds at most:
# one thread of Python's works at a time, and the loop must not wait for this one.
_REST, _LONGEST_REST = 19, 1.0
_NAP = 0.02


class LedgerThread:
    """One thread with a ledger that is opened when it is first asked, and again after a
    failure."""

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        gives_way: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``gives_way``: whether something else at work now matters more than what is asked
        here."""
        self._open = open_ledger
        self._gives_way = gives_way
        self._sleep = sleep
        self._worked = 0.0
        self._ledger: Ledger | None = None
        self._thread = ThreadPoolExecutor(1, "web ledger")

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """What a question comes to, one question at a time. Raises ``StateUnavailable``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, question)

    def close(self) -> None:
        """End when the questions that were asked have ended."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _ask(self, question: Callable[[Ledger], T]) -> T:
        left = min(self._worked * _REST, _LONGEST_REST)
        while left > 0 and self._gives_way():
            self._sleep(min(left, _NAP))
            left -= _NAP
        began = time.thread_time()
        try:
            self._ledger = self._ledger or self._open()
            return question(self._ledger)
        except StateUnavailable:
            self._close()
            raise
        finally:
            self._worked = time.thread_time() - began

    def _close(self) -> None:
        if self._ledger:
            self._ledger.close()
        self._ledger = None
