# SPDX-License-Identifier: BSD-3-Clause
"""/healthz: this process answers. /readyz: it can take mail and work on it."""

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ingest.errors import StateUnavailable
from ingest.web.ledger_thread import LedgerThread

# Seconds that an answer counts: however often it is asked, the disk is written to once.
_REMEMBERED = 1.0


class Health:
    """Answers those who look after this service."""

    def __init__(self, ledger: LedgerThread, is_well: Callable[[], bool]) -> None:
        """``is_well``: whether the parts that work on mail do."""
        self._ledger = ledger
        self._is_well = is_well
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._problem = ""

    async def healthz(self, request: Request) -> Response:
        """200, for as long as anything is answered."""
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """200 if a mail can be kept and worked on now, 503 with what is wrong otherwise."""
        async with self._lock:
            if time.monotonic() - self._asked >= _REMEMBERED:
                self._problem = await self._look()
                self._asked = time.monotonic()
        if self._problem:
            return PlainTextResponse(f"{self._problem}\n", 503)
        return PlainTextResponse("ready\n")

    async def _look(self) -> str:
        if not self._is_well():
            return "the worker, a sink or a source does not go on"
        try:
            # An answer that has expired is a write, and nothing else.
            await self._ledger.ask(lambda ledger: ledger.remember("readyz", "", 0.0))
        except StateUnavailable:
            return "the ledger cannot be written"
        return ""
