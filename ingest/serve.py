# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest serve``: worker, sinks and sources in one process, until SIGTERM.

Start-up, main loop and shutdown, top to bottom. The worker blocks on Patchwork and lives in a
thread of its own; the ledger makes it safe to end it at any moment. Called by ``cli``.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from ingest.config import Settings
from ingest.errors import StateUnavailable
from ingest.ledger import Ledger, open_ledger
from ingest.worker import POLL, Worker, connect

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``StateUnavailable`` if the ledger cannot be opened
    at the start; later it is tried again."""
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    _ledger(settings).close()  # what is wrong with it is better told now
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = _Working(settings)
    working.start()
    notify("READY=1")
    log.info("serving the ledger %s", settings.state.ledger)
    watching = asyncio.create_task(_watchdog(working.is_well))
    await stop.wait()
    notify("STOPPING=1")
    watching.cancel()
    await asyncio.to_thread(working.stop, settings.serve.stop_timeout)


def _ledger(settings: Settings) -> Ledger:
    state = settings.state
    return open_ledger(state.ledger, busy_timeout=state.busy_timeout, mode=state.mode)


class _Working:
    """The worker's thread: it holds the lease as soon as it can have it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._last_sign = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End it between two mails; one that is waited on for longer is left as after a crash,
        to be taken up at the next start."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join(timeout)

    def wake(self) -> None:
        """Have it look at the queue now."""
        self._wanted.set()

    def is_well(self) -> bool:
        """Whether it lives and was not stuck for longer than an attempt at a mail may take."""
        # An attempt asks several questions, each of which may take a timeout.
        patience = 20 * self._settings.patchwork.timeout + self._settings.state.busy_timeout
        return self._thread.is_alive() and time.monotonic() - self._last_sign < patience

    def _rest(self) -> None:
        """Until there is work, or it is time for another look: other processes bring mail, too."""
        self._wanted.wait(POLL)
        self._wanted.clear()

    def _sign(self, *_: object) -> None:
        self._last_sign = time.monotonic()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                ledger = _ledger(self._settings)
            except StateUnavailable as error:
                log.error("%s", error)
                self._rest()
                continue
            with contextlib.closing(ledger):
                self._work(ledger)

    def _work(self, ledger: Ledger) -> None:
        patchwork = connect(self._settings, ledger)
        try:
            while not self._stopping.is_set():
                self._sign()
                with ledger.lease() as held:
                    worker = Worker(ledger, patchwork, self._settings, told=self._sign)
                    while held and not self._stopping.is_set():
                        self._sign()
                        worker.work_off(stop=self._stopping.is_set)
                        self._rest()
                self._rest()
        except StateUnavailable as error:
            log.error("%s", error)
            self._rest()
        finally:
            patchwork.close()


async def _watchdog(is_well: Callable[[], bool]) -> None:
    """Tell systemd that all is well, as often as it asks (sd_watchdog_enabled(3))."""
    interval = int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6 / 3
    while interval:
        if is_well():
            notify("WATCHDOG=1")
        await asyncio.sleep(interval)


def notify(state: str) -> None:
    """Tell the service manager (sd_notify(3)), if there is one to be told."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
        try:
            notifying.connect(address)
            notifying.sendall(state.encode())
        except OSError as error:
            log.warning("the service manager cannot be told %s: %s", state, error)
