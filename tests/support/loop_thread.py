# SPDX-License-Identifier: BSD-3-Clause
"""An event loop in a thread of its own, for what is tested from outside of it."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds that a step may take on the slowest machine.
PATIENCE = 60.0


class LoopThread:
    """The loop, from ``begin`` to ``end``."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def begin(self, what: Coroutine[Any, Any, None]) -> None:
        """Start the loop with a first coroutine; it ends again if that raises."""
        self._thread.start()
        try:
            self.run(what)
        except BaseException:
            self.end()
            raise

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE)

    def end(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
