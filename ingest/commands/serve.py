# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest serve``: worker, sinks and sources in one process, until SIGTERM.

Start-up, main loop and shutdown, top to bottom. SIGHUP reads the configuration again; a bad one is
refused, and the old one stays. The worker blocks on Patchwork and lives in a thread of its own; the
ledger makes it safe to end it at any moment.
"""

import asyncio
import importlib
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.background import Guard, Trouble
from ingest.commands.working import Working
from ingest.config.tables import Settings
from ingest.errors import ConfigError
from ingest.intake import Receipt
from ingest.ledger import Envelope, open_configured
from ingest.ledger.masking import masked
from ingest.sources import sockets
from ingest.sources.admission import Accept
from ingest.sources.listeners import Listeners
from ingest.sources.sockets import Bound
from ingest.sources.writer import Writer
from ingest.trust import passage
from ingest.words import harmless, listed

if TYPE_CHECKING:
    from ingest.web.server import Http

log = logging.getLogger(__name__)

# Modules that others import when they are first used. A service has them before connections take
# all the files that it may open.
_NEEDED_LATE = ("ingest.connection", "mailparser")


def run(load: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, with the settings that ``load`` gives now and at SIGHUP.

    Raises ``ConfigError``, and ``StateUnavailable`` if the ledger cannot be opened at the start;
    later both are told, and what was goes on.
    """
    settings = load()
    if log.getEffectiveLevel() == logging.WARNING:
        logging.getLogger(__package__).setLevel(
            logging.INFO
        )  # a few lines, for which whoever starts a service waits
    asyncio.run(_serve(settings, load))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> None:
    open_configured(settings.state).close()  # what is wrong with it is better told now
    for late in _NEEDED_LATE:
        importlib.import_module(late)
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    service = _Service(settings)
    await service.start()
    notify("READY=1")
    watching = asyncio.create_task(_watchdog(service.is_well, service.troubles))
    while await _which(stop, reload) is reload:
        reload.clear()
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        await service.reload(load)
        notify("READY=1")
    notify("STOPPING=1")
    watching.cancel()
    await service.stop()


class _Service:
    """The parts of the service, by the settings that are in force."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        state = settings.state
        self._writer = Writer(
            lambda: open_configured(state),
            settings.intake.max_size,
            state.dir,
            kept=lambda: self._working.wake(),
        )
        self._working = Working(settings, self._writer.is_behind, self._writer.rate)
        handed, others = sockets.named("http", sockets.inherited(os.environ))
        self._listeners = Listeners(self._accept, others)
        self._spool = _Spool(self._accept)
        self._web = _Web(self._accept, handed, self._takes_mail, self._writer.is_busy)

    async def _accept(self, raw: bytes, source: str, envelope: Envelope) -> Receipt:
        came = passage.of(raw, source, envelope, self._settings)
        return await self._writer.accept(raw, source, envelope, came)

    async def start(self) -> None:
        """Take in mail, then work on it. Raises ``ConfigError``."""
        await self._listeners.configure(self._settings)
        await self._web.configure(self._settings)
        await self._spool.configure(self._settings)
        ledger = masked(self._settings.state.ledger)
        log.info("serving the ledger %s; %s", ledger, _ways_in(self._settings, self._listeners))
        self._working.start()

    async def reload(self, load: Callable[[], Settings]) -> None:
        """Go on with what ``load`` gives now, or with what was if that is wrong."""
        try:
            new = _reloaded(self._settings, load())
            await self._web.configure(new)
            await self._listeners.configure(new)
        except ConfigError as error:
            await self._web.configure(self._settings)
            log.error("the configuration stays as it was: %s", error)
            return
        self._settings = new
        await self._spool.configure(new)
        await asyncio.to_thread(self._working.stop, new.serve.stop_timeout)
        self._working = Working(new, self._writer.is_behind, self._writer.rate)
        self._working.start()
        log.info("the configuration was read again")

    async def stop(self) -> None:
        """Take in no more mail, and end what is at work."""
        timeout = self._settings.serve.stop_timeout
        log.info("stopping: no more mail is taken in; what is at work has %g s to end", timeout)
        await self._spool.stop()
        await asyncio.gather(
            self._listeners.stop(timeout),
            self._web.stop(),
            asyncio.to_thread(self._working.stop, timeout),
        )
        await self._writer.close()
        log.info("stopped")

    def _takes_mail(self) -> bool:
        return all(each.is_well() for each in (self._working, self._spool, self._writer))

    def is_well(self) -> bool:
        """Whether all parts are at work."""
        return self._takes_mail() and self._web.is_well()

    def troubles(self) -> list[Trouble]:
        """What keeps any part from its work."""
        return [*self._working.troubles(), *self._spool.troubles()]


def _ways_in(settings: Settings, listeners: Listeners) -> str:
    """How mail comes in, for whoever has started the service."""
    ways = [f"{name.upper()} on {address}" for name, address in listeners.addresses()]
    ways += [f"HTTP on {address}" for address in settings.http.listen]
    ways += [f"the Maildir {settings.maildir.path}"] if settings.maildir.path else []
    ways += [f"the public-inbox {name}" for name in settings.inbox]
    ways += ["Patchwork's comments"] if settings.catch_up.interval else []
    if ways:
        return f"mail comes by {listed(ways)}, and by pipe"
    return (
        "it listens to nothing: mail comes by pipe and replay only (see recheck-ingest help "
        "mail-servers for other ways)"
    )


class _Spool:
    """The Maildir that is watched, if there is one."""

    def __init__(self, accept: Callable[[bytes, str, Envelope], Awaitable[object]]) -> None:
        self._accept = accept
        self._guard = Guard("maildir")
        self._watching: asyncio.Task[None] | None = None

    async def configure(self, settings: Settings) -> None:
        """Watch what these settings name, and nothing else."""
        await self.stop()
        if settings.maildir.path:
            self._watching = asyncio.create_task(self._watch(settings))

    async def _watch(self, settings: Settings) -> None:
        from ingest.sources import maildir

        while True:
            try:
                await maildir.watch(
                    settings.maildir.path,
                    self._take_in,
                    max_size=settings.intake.max_size,
                    scan_interval=settings.maildir.scan_interval,
                )
            # Nothing may end this while the service goes on: it is told, and begun again.
            except Exception as error:  # noqa: BLE001
                await asyncio.sleep(self._guard.met(error))

    async def _take_in(self, raw: bytes, source: str, envelope: Envelope) -> object:
        receipt = await self._accept(raw, source, envelope)
        self._guard.over()
        return receipt

    def troubles(self) -> list[Trouble]:
        """What it met."""
        return [self._guard.trouble] if self._guard.trouble else []

    def is_well(self) -> bool:
        """Whether it is still watched."""
        return self._watching is None or not self._watching.done()

    async def stop(self) -> None:
        """A mail that is in the ledger and not yet moved is known again at the next start."""
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None


class _Web:
    """What listens for HTTP, if anything does; it is imported only then."""

    def __init__(
        self,
        accept: Accept,
        handed: list[Bound],
        is_well: Callable[[], bool],
        is_busy: Callable[[], bool],
    ) -> None:
        self._accept = accept
        self._handed = handed
        self._is_well = is_well
        self._is_busy = is_busy
        self._http: Http | None = None

    async def configure(self, settings: Settings) -> None:
        """Listen on what these settings name, and nothing else. Raises ``ConfigError``."""
        if self._http is None:
            if not settings.http.listen and not self._handed:
                return
            from ingest.web.server import Http

            self._http = Http(
                self._accept,
                lambda: open_configured(settings.state),
                self._is_well,
                self._handed,
                self._is_busy,
            )
        await self._http.configure(settings)

    def is_well(self) -> bool:
        """Whether all that is listened on still is."""
        return self._http is None or self._http.is_well()

    async def stop(self) -> None:
        """Accept no more, and let requests come to their answer."""
        if self._http is not None:
            await self._http.stop()


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


async def _watchdog(is_well: Callable[[], bool], troubles: Callable[[], list[Trouble]]) -> None:
    """Tell systemd that all is well, as often as it asks (sd_watchdog_enabled(3)), and what is
    not, for ``systemctl status``."""
    interval = int(os.environ.get("WATCHDOG_USEC") or 0) / 1e6 / 3
    told = ""
    while interval:
        if is_well():
            notify("WATCHDOG=1")
        status = "; ".join(f"{each.name}: {each.reason}" for each in troubles())
        if status != told:
            notify(f"STATUS={harmless(status)}")
            told = status
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
