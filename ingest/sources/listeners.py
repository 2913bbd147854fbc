# SPDX-License-Identifier: BSD-3-Clause
"""The SMTP and LMTP listeners: who may connect, reload and graceful stop."""

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from typing import Any

from ingest import addresses
from ingest.config import tables
from ingest.config.load import recipients_needed
from ingest.config.tables import Settings
from ingest.errors import ConfigError
from ingest.sources import admission, smtp, sockets
from ingest.sources.sockets import Bound

log = logging.getLogger(__name__)

_NAMES = ("smtp", "lmtp")

# Descriptors left to the ledger, to the sinks and to questions to Patchwork.
_RESERVE = 64
# Seconds until the log says again that no connection can be accepted.
_TOLD_AGAIN = 60.0
# What asyncio tells when it could not accept a connection; it tries again by itself.
_EXHAUSTED = "socket.accept() out of system resource"


class _Listener:
    """One listening socket."""

    def __init__(
        self,
        bound: Bound,
        live: admission.Live,
        service: admission.Service,
        is_crowded: Callable[[], bool],
    ) -> None:
        """``is_crowded``: whether the sessions of all listeners take too many descriptors."""
        self.bound = bound
        self.service = service
        self._live = live
        self._is_crowded = is_crowded
        self._local = bound.socket.family == socket.AF_UNIX
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections from now on."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Door(self), sock=self.bound.socket, backlog=sockets.BACKLOG
        )
        log.info("listening for %s on %s", self.service.name.upper(), self.bound.label)

    def close(self) -> None:
        """Accept no more; sessions go on."""
        if self._server:
            self._server.close()
        self.bound.close()

    def admit(self, connection: socket.socket, name: object) -> smtp.Session | str:
        """A session for a connection, or the reply that refuses it. ``name``: the address that
        the connection came from."""
        peer = str(name[0]) if isinstance(name, tuple) else _peer(connection)
        refusal = self._refusal(peer)
        if refusal:
            log.info("refused a session of %s: %s", peer, refusal)
            return refusal
        self._live.enter(peer)
        return smtp.session(self.service, self._live, peer, local=self._local)

    def _refusal(self, peer: str) -> str:
        service = self.service
        allowed = self._local or not service.peers or addresses.within(peer, service.peers)
        if not allowed and not addresses.within(peer, service.proxies):
            return admission.NOT_ALLOWED
        return self._live.refusal(peer, service.limits, is_crowded=self._is_crowded())


class _Door(asyncio.Protocol):
    """Who a connection comes to first: lets it in to a session, or sends it away."""

    def __init__(self, listener: _Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        connection = transport.get_extra_info("socket")
        admitted = self._listener.admit(connection, transport.get_extra_info("peername"))
        if isinstance(admitted, str):
            transport.write(f"{admitted}\r\n".encode())
            transport.close()
        else:
            transport.set_protocol(admitted)
            admitted.connection_made(transport)


class Listeners:
    """All listeners, as the settings want them."""

    def __init__(
        self, accept: admission.Accept, inherited: Iterable[tuple[str, Bound]] = ()
    ) -> None:
        """``accept`` takes in a mail; ``inherited``: sockets with their names, which say whether
        SMTP or LMTP is spoken."""
        self._accept = accept
        self._live = {name: admission.Live() for name in _NAMES}
        self._inherited = [(_protocol(name), bound) for name, bound in inherited]
        self._open: dict[tuple[str, str], list[_Listener]] = {}
        # aiosmtpd warns of each refusal; what matters is logged here.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        logging.getLogger("mail.debug").setLevel(logging.CRITICAL)
        self._is_exhausted = False
        asyncio.get_running_loop().set_exception_handler(self._note)

    async def configure(self, settings: Settings) -> None:
        """Listen as the settings want, from now on: sockets that stay wanted stay open, sessions
        go on as they began. Raises ``ConfigError``, and then all is as it was."""
        services = {name: _service(name, settings, self._accept) for name in _NAMES}
        opened: dict[tuple[str, str], list[Bound]] = {}
        wanted = [(name, text) for name in _NAMES for text in services[name].limits.listen]
        inherited = [(name, bound.label) for name, bound in self._inherited]
        try:
            for name, text in dict.fromkeys(wanted):
                if (name, text) not in self._open:
                    limits = services[name].limits
                    opened[name, text] = sockets.bind(text, limits.socket_mode, limits.socket_group)
            for name, bound in self._inherited:
                if (name, bound.label) not in self._open:
                    opened[name, bound.label] = [bound]
            for (name, _), several in opened.items():
                _check_reach(services[name], several)
            for (name, text), listeners in self._open.items():
                if (name, text) in [*wanted, *inherited]:
                    _check_reach(services[name], [each.bound for each in listeners])
        except ConfigError:
            for several in opened.values():
                for bound in several:
                    if bound not in [each for _, each in self._inherited]:
                        bound.close()
            raise
        for key in set(self._open) - {*wanted, *inherited}:
            for listener in self._open.pop(key):
                log.info("no longer listening on %s", listener.bound.label)
                listener.close()
        for (name, _), listeners in self._open.items():
            for listener in listeners:
                listener.service = services[name]
        _raise_file_limit(services[name].limits.sessions for name, _ in {*self._open, *opened})
        for (name, text), several in opened.items():
            made = [
                _Listener(bound, self._live[name], services[name], self._is_crowded)
                for bound in several
            ]
            self._open[name, text] = made
            for listener in made:
                await listener.start()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """asyncio's reports, of which that of connections that cannot be accepted comes many times
        a second."""
        message = str(context.get("message"))
        if message != _EXHAUSTED:
            # asyncio wants to accept again, on a listener that was closed meanwhile.
            if "_start_serving" not in message:
                loop.default_exception_handler(context)
            return
        for live in self._live.values():
            live.make_room()
        if not self._is_exhausted:
            log.warning("no connection can be accepted for now: %s", context.get("exception"))
            self._is_exhausted = True
            loop.call_later(_TOLD_AGAIN, self._forget)

    def _is_crowded(self) -> bool:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = sum(live.count for live in self._live.values())
        return files != resource.RLIM_INFINITY and count >= files - _RESERVE

    def _forget(self) -> None:
        self._is_exhausted = False

    def addresses(self) -> list[tuple[str, str]]:
        """What is listened on: "smtp" or "lmtp", and the address with its real port."""
        return [
            (name, listener.bound.label)
            for (name, _), listeners in self._open.items()
            for listener in listeners
        ]

    async def stop(self, timeout: float) -> None:
        """Accept no more, let the mails that are being received come to their reply, and end the
        sessions; after ``timeout`` seconds, whatever they do."""
        for listeners in self._open.values():
            for listener in listeners:
                listener.close()
        self._open.clear()
        for live in self._live.values():
            live.stopping = True
            for session in list(live.sessions):
                session.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for live in self._live.values():
                    await live.empty.wait()
        for live in self._live.values():
            for session in list(live.sessions):
                log.warning("the session of %s did not end in time", session.peer)
                session.abort()
        await asyncio.sleep(0)


def _service(name: str, settings: Settings, accept: admission.Accept) -> admission.Service:
    limits: tables.SmtpSettings = getattr(settings, name)
    return admission.Service(
        name=name,
        limits=limits,
        max_size=settings.intake.max_size,
        hostname=limits.hostname or socket.gethostname() or "localhost",
        recipients=tuple(pattern.lower() for pattern in limits.recipients),
        peers=addresses.networks(limits.peers),
        proxies=addresses.networks(limits.proxies),
        tls=_tls(name, limits),
        accept=accept,
    )


def _tls(name: str, limits: tables.SmtpSettings) -> ssl.SSLContext | None:
    if not limits.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(limits.tls_certificate, limits.tls_key or None)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"[{name}] tls_certificate {limits.tls_certificate} cannot be used: {error}"
        ) from error
    return context


def _check_reach(service: admission.Service, several: Iterable[Bound]) -> None:
    """Who can be reached from elsewhere must know whom it takes mail for."""
    for bound in several:
        if not service.recipients and not bound.local:
            raise ConfigError(recipients_needed(service.name, bound.label))


def _protocol(name: str) -> str:
    for protocol in ("lmtp", "smtp"):
        if protocol in name.lower():
            return protocol
    raise ConfigError(
        f"systemd handed over a socket named {name!r}: "
        "give it FileDescriptorName=smtp, lmtp or http"
    )


def _peer(connection: socket.socket) -> str:
    """Who is at the other end of a Unix socket, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return "unix"
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, uid, _ = struct.unpack("3i", credentials)
    return f"unix uid {uid}"


def _raise_file_limit(sessions: Iterable[int]) -> None:
    """Have as many descriptors as the sessions may need, if the hard limit lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sum(sessions) + 2 * _RESERVE
    if soft < needed and soft != resource.RLIM_INFINITY:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < needed:
            log.warning(
                "the limit of open files is %d, for all sessions at once %d are needed: raise "
                "LimitNOFILE (ulimit -n), or lower [smtp] and [lmtp] sessions",
                *(most, needed),
            )
