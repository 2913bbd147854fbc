# SPDX-License-Identifier: BSD-3-Clause
"""The HTTP listener: uvicorn on the program's own loop, with limits of its connections, reload and
graceful stop."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ingest.config.load import token_needed
from ingest.config.tables import Settings
from ingest.config.web_tables import HttpSettings
from ingest.errors import ConfigError
from ingest.ledger import Ledger
from ingest.sources import sockets
from ingest.sources.sockets import Bound
from ingest.web import services
from ingest.web.api import Api
from ingest.web.app import application
from ingest.web.events import Events
from ingest.web.health import Health
from ingest.web.hooks import Hook
from ingest.web.hosts import public_path
from ingest.web.inbound import Accept, Inbound, Threads
from ingest.web.ledger_thread import LedgerThread
from ingest.web.metrics import Metrics
from ingest.web.pages import Pages

log = logging.getLogger(__name__)


class _Config(uvicorn.Config):
    """uvicorn's settings, and ours for its connections."""

    def __init__(self, app: ASGIApp, limits: HttpSettings, stop_timeout: float) -> None:
        super().__init__(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self.take(limits, stop_timeout)

    def take(self, limits: HttpSettings, stop_timeout: float) -> None:
        """Have these limits from now on. Times are seconds."""
        self.limits = limits
        # uvicorn says that these are whole seconds, and uses them as delays of the loop.
        self.timeout_keep_alive = limits.idle_timeout  # type: ignore[assignment]
        self.timeout_graceful_shutdown = stop_timeout  # type: ignore[assignment]


class _Joined:
    """A transport that sends together what is written together: uvicorn writes the head of an
    answer and its text one by one, and each would be a packet and a call of the system."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held: list[bytes] = []
        self._soon = asyncio.get_running_loop().call_soon

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See ``asyncio.Transport``."""
        if data:
            if not self._held:
                self._soon(self._send)
            self._held.append(data)

    def close(self) -> None:
        """See ``asyncio.Transport``."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()


class _Connection(H11Protocol):
    """A connection that may not be one too many, nor take for ever over the head of a request,
    and that an application can end without an answer."""

    def __init__(
        self,
        config: _Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._head_due: asyncio.TimerHandle | None = None
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"]["hang_up"] = self.transport.abort
            await inner(scope, receive, send)

        self.app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport))  # type: ignore[arg-type]
        if len(self.connections) > self._limits.connections:
            transport.abort()
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()
        elif self._head_due is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_due = self.loop.call_later(self._limits.head_timeout, self.transport.abort)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def cut(self) -> None:
        """End what is still open."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Listener:
    """One address that is listened on."""

    def __init__(self, bound: Bound, app: ASGIApp, limits: HttpSettings, stop: float) -> None:
        self.bound = bound
        self._config = _Config(app, limits, stop)
        self._server = _Server(self._config)
        bound.socket.setblocking(False)
        self._serving = asyncio.create_task(self._server.serve([bound.socket]))
        log.info("listening for HTTP on %s", bound.label)

    def configure(self, limits: HttpSettings, stop: float) -> None:
        """Have connections that begin from now on keep to these limits."""
        self._config.take(limits, stop)

    def is_well(self) -> bool:
        """Whether it still listens."""
        return not self._serving.done()

    async def stop(self) -> None:
        """Accept no more, and let requests come to their answer, for as long as they may take."""
        self._server.should_exit = True
        await asyncio.gather(self._serving, return_exceptions=True)
        self._server.cut()
        self.bound.close()


class Http:
    """What is listened on for HTTP, over reloads of the configuration."""

    def __init__(
        self,
        accept: Accept,
        open_ledger: Callable[[], Ledger],
        is_well: Callable[[], bool],
        inherited: Iterable[Bound] = (),
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """``accept``: takes in one mail, durable when it returns; ``open_ledger``: called in
        another thread; ``is_well``: whether what works on mail does; ``inherited``: systemd's
        sockets; ``is_busy``: whether mail comes now."""
        self._accept = accept
        self._is_well = is_well
        self._inherited = list(inherited)
        self._ledger = LedgerThread(open_ledger)
        # People and programs that look may not hold up mail.
        self._looking = LedgerThread(open_ledger, is_busy)
        # Who changes something may have to wait for who does it already.
        self._doing = LedgerThread(open_ledger)
        # Who asks Patchwork may have to wait for it.
        self._asking = LedgerThread(open_ledger)
        self._events = Events(self._looking)
        self._threads = Threads()
        self._app: ASGIApp | None = None
        self._hooks: dict[str, Hook] = {}
        self._open: dict[str, list[_Listener]] = {}

    async def configure(self, settings: Settings) -> None:
        """Listen on what these settings name, and nothing else; what is open already goes on with
        them. Raises ``ConfigError``, and then all stays as it was."""
        wanted = dict.fromkeys(settings.http.listen)
        limits, stop = settings.http, settings.serve.stop_timeout
        hooks = services.configured(settings.hook, self._hooks)
        fresh = {
            text: sockets.bind(text, limits.socket_mode, limits.socket_group)
            for text in wanted
            if text not in self._open
        }
        try:
            for bound in (each for several in fresh.values() for each in several):
                _check_reach(bound, settings)
            for bound in self._inherited:
                _check_reach(bound, settings)
        except ConfigError:
            for several in fresh.values():
                for bound in several:
                    bound.close()
            raise
        self._hooks = hooks
        inbound = Inbound(settings, hooks, self._accept, self._ledger, self._threads)
        health = Health(self._ledger, self._is_well)
        metrics, pages = Metrics(settings, self._looking), Pages(settings, self._looking)
        self._events.configure(settings)
        api = Api(settings, self._looking, self._doing, self._asking, self._events)
        base = public_path(settings)
        self._app = application(inbound, health, metrics, pages, api, base)
        for text in [each for each in self._open if each and each not in wanted]:
            await asyncio.gather(*(each.stop() for each in self._open.pop(text)))
        for listener in self._listeners():
            listener.configure(limits, stop)
        if "" not in self._open:
            fresh[""] = self._inherited
        for text, several in fresh.items():
            self._open[text] = [_Listener(each, self._serve, limits, stop) for each in several]

    def is_well(self) -> bool:
        """Whether all that is listened on still is."""
        return all(each.is_well() for each in self._listeners())

    def addresses(self) -> list[str]:
        """What is listened on, with the real ports."""
        return [each.bound.label for each in self._listeners()]

    async def stop(self) -> None:
        """Accept no more, and let requests come to their answer, for as long as they may take."""
        self._events.close()
        await asyncio.gather(*(each.stop() for each in self._listeners()))
        self._threads.close()
        self._ledger.close()
        self._looking.close()
        self._doing.close()
        self._asking.close()

    def _listeners(self) -> list[_Listener]:
        return [each for several in self._open.values() for each in several]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:  # the service stops, and it took too long
            scope["state"]["hang_up"]()
            await asyncio.sleep(0)


def _check_reach(bound: Bound, settings: Settings) -> None:
    """Who can be reached from elsewhere must know who may post mail."""
    if not bound.local and not settings.token:
        raise ConfigError(token_needed(bound.label))
