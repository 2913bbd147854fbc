# SPDX-License-Identifier: BSD-3-Clause
"""The ledger for the event loop: asked in a thread of its own, so that nobody waits for it but
who asks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ingest.errors import StateUnavailable
from ingest.ledger import Ledger

T = TypeVar("T")


class LedgerThread:
    """One thread with a ledger that is opened when it is first asked, and again after a
    failure."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
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
        try:
            self._ledger = self._ledger or self._open()
            return question(self._ledger)
        except StateUnavailable:
            self._close()
            raise

    def _close(self) -> None:
        if self._ledger:
            self._ledger.close()
        self._ledger = None
