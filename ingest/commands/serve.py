# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest serve``: worker, sinks and sources in one process, until SIGTERM.

SIGHUP reads the configuration again, and refuses a bad one while the old goes on.
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
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ingest.commands.catch_up import Periodic
from ingest.config.tables import Settings
from ingest.errors import ConfigError, StateUnavailable
from ingest.intake import Receipt
from ingest.ledger import Envelope, Ledger, open_configured
from ingest.sinks.delivery import Delivery
from ingest.sources import sockets
from ingest.sources.listeners import Listeners
from ingest.sources.writer import Writer
from ingest.worker import POLL, Worker, connect

log = logging.getLogger(__name__)


def run(load: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, with the settings that ``load`` gives now and at SIGHUP.

    Raises ``ConfigError``, and ``StateUnavailable`` if the ledger cannot be opened at the start;
    later both are told, and what was goes on.
    """
    asyncio.run(_serve(load(), load))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> None:
    open_configured(settings.state).close()  # what is wrong with it is better told now
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    working = _Working(settings)
    writer = Writer(lambda: open_configured(settings.state), settings.intake.max_size)

    async def accept(raw: bytes, source: str, envelope: Envelope) -> Receipt:
        receipt = await writer.accept(raw, source, envelope)
        working.wake()
        return receipt

    listeners = Listeners(accept, sockets.inherited(os.environ))
    listeners.configure(settings)
    spool = _Spool(accept)
    await spool.configure(settings)
    working.start()
    notify("READY=1")
    log.info("serving the ledger %s", settings.state.ledger)
    watching = asyncio.create_task(_watchdog(lambda: working.is_well() and spool.is_well()))
    while await _which(stop, reload) is reload:
        reload.clear()
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            new = _reloaded(settings, load())
            listeners.configure(new)
        except ConfigError as error:
            log.error("the configuration stays as it was: %s", error)
        else:
            settings = new
            await spool.configure(settings)
            await asyncio.to_thread(working.stop, settings.serve.stop_timeout)
            working = _Working(settings)
            working.start()
            log.info("the configuration was read again")
        notify("READY=1")
    notify("STOPPING=1")
    watching.cancel()
    await spool.stop()
    timeout = settings.serve.stop_timeout
    await asyncio.gather(listeners.stop(timeout), asyncio.to_thread(working.stop, timeout))
    await writer.close()


class _Spool:
    """The Maildir that is watched, if there is one."""

    def __init__(self, accept: Callable[[bytes, str, Envelope], Awaitable[object]]) -> None:
        self._accept = accept
        self._watching: asyncio.Task[None] | None = None

    async def configure(self, settings: Settings) -> None:
        """Watch what these settings name, and nothing else."""
        await self.stop()
        if settings.maildir.path:
            from ingest.sources import maildir

            self._watching = asyncio.create_task(
                maildir.watch(
                    settings.maildir.path,
                    self._accept,
                    max_size=settings.intake.max_size,
                    scan_interval=settings.maildir.scan_interval,
                )
            )

    def is_well(self) -> bool:
        """Whether it is still watched."""
        return self._watching is None or not self._watching.done()

    async def stop(self) -> None:
        """A mail that is in the ledger and not yet moved is known again at the next start."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None


async def _which(*events: asyncio.Event) -> asyncio.Event:
    """The first of the events that is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return next(event for event in events if event.is_set())


def _reloaded(old: Settings, new: Settings) -> Settings:
    """The new settings, but for those that a running process cannot change."""
    if (old.state, old.intake) != (new.state, new.intake):
        log.warning("changes of [state] and [intake] count from the next start on")
    return replace(new, state=old.state, intake=old.intake)


class _Working:
    """The worker's thread, which holds the lease as soon as it can have it, the sinks' threads,
    and that which catches up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._delivery = Delivery(settings)
        self._catching_up = Periodic(settings)
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._last_sign = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._delivery.start()
        self._thread.start()
        self._catching_up.start()

    def stop(self, timeout: float) -> None:
        """End them between two mails or requests; one that is waited on for longer is left as
        after a crash, to be taken up at the next start."""
        end = time.monotonic() + timeout
        self._stopping.set()
        self._wanted.set()
        self._catching_up.stop()
        # Meanwhile the worker ends, too; the sinks have something of their own to end.
        self._delivery.stop(timeout)
        self._thread.join(max(0.0, end - time.monotonic()))
        self._catching_up.join(max(0.0, end - time.monotonic()))

    def wake(self) -> None:
        """Have it look at the queue now."""
        self._wanted.set()

    def is_well(self) -> bool:
        """Whether it lives and was not stuck for longer than an attempt at a mail may take."""
        # An attempt asks several questions, each of which may take a timeout.
        patience = 100 * self._settings.patchwork.timeout + self._settings.state.busy_timeout
        return (
            self._thread.is_alive()
            and self._delivery.is_well()
            and self._catching_up.is_well()
            and time.monotonic() - self._last_sign < patience
        )

    def _rest(self) -> None:
        """Until there is work, or it is time for another look: other processes bring mail, too."""
        self._wanted.wait(POLL)
        self._wanted.clear()

    def _sign(self, *_: object) -> None:
        self._last_sign = time.monotonic()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                ledger = open_configured(self._settings.state)
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
                    worker = Worker(
                        ledger,
                        patchwork,
                        self._settings,
                        told=self._sign,
                        publish=self._delivery.wake,
                    )
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
