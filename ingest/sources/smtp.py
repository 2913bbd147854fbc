# SPDX-License-Identifier: BSD-3-Clause
"""One SMTP or LMTP session: aiosmtpd's dialogue, with our own way of receiving the mail itself.

A mail is answered 250 after the ledger's commit, or when it can hold no request.
"""

import asyncio
import logging
import re
from fnmatch import fnmatchcase
from typing import Any, AnyStr

from aiosmtpd import lmtp, smtp
from aiosmtpd.proxy_protocol import ProxyData

from ingest.addresses import within
from ingest.errors import Temporary
from ingest.intake import Receipt
from ingest.ledger import Envelope
from ingest.sources import smtp_data
from ingest.sources.admission import NOT_ALLOWED, STOPPING, Live, Service
from ingest.sources.alarm import Alarm
from ingest.sources.replies import with_enhanced

log = logging.getLogger(__name__)

# Replies after which the others have their turn, however many commands are waiting.
_TURN = 16
# Seconds that a client is given to take the last reply.
_LINGER = 10.0

_SIMPLE_PATH = re.compile(r"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+)>")

_KEPT = {
    Receipt.QUEUED: "250 2.0.0 OK, queued",
    Receipt.DUPLICATE: "250 2.0.0 OK, known already",
    Receipt.DROPPED: "250 2.0.0 OK, it holds no request",
    Receipt.NOTICED: "250 2.0.0 OK, kept for the operator",
    Receipt.REJECTED: "250 2.0.0 OK, kept, but too large to be worked on",
}
_TRY_AGAIN = "451 4.3.0 The mail cannot be stored now, try again later"
_NO_PLACE = "421 4.3.2 Another client needs the place of this idle session, try again later"
_TIMED_OUT = "421 4.4.2 It took too long, good-bye"


class _OneLimit(dict[str, int]):
    """aiosmtpd's table of command lengths, which it keeps in the class and lets every session
    clear and raise: here one length for all."""

    def __missing__(self, command: str) -> int:
        return Session.command_size_limit

    def __setitem__(self, command: str, limit: int) -> None:
        pass


class _Hooks:
    """What aiosmtpd asks about a session; the answers are replies."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle_HELO(
        self, server: "Session", session: smtp.Session, envelope: smtp.Envelope, hostname: str
    ) -> bytes:
        session.host_name = hostname
        return f"250 {self._service.hostname}".encode()

    async def handle_EHLO(
        self,
        server: "Session",
        session: smtp.Session,
        envelope: smtp.Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[bytes]:
        session.host_name = hostname
        offered = [line[4:] for line in responses[1:]]
        kept = [each for each in offered if each != "HELP" and not each.startswith("AUTH")]
        lines = [self._service.hostname, *kept, "PIPELINING", "ENHANCEDSTATUSCODES"]
        last = len(lines) - 1
        return [
            b"\r\n".join(
                f"250{' ' if place == last else '-'}{line}".encode()
                for place, line in enumerate(lines)
            )
        ]

    async def handle_MAIL(
        self,
        server: "Session",
        session: smtp.Session,
        envelope: smtp.Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if server.must_start_tls:
            return "530 5.7.0 Must issue a STARTTLS command first"
        if not address.isprintable():
            return "553 5.1.7 Error: malformed address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self,
        server: "Session",
        session: smtp.Session,
        envelope: smtp.Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if len(envelope.rcpt_tos) >= self._service.limits.max_recipients:
            return "452 4.5.3 Too many recipients"
        if not address.isprintable() or address == "<>":
            return "553 5.1.3 Error: malformed address"
        wanted = self._service.recipients
        if wanted and not any(fnmatchcase(address.lower(), pattern) for pattern in wanted):
            log.info("refused a recipient of %s: %s", server.peer, address)
            return "550 5.1.1 There is no such recipient here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_PROXY(
        self,
        server: "Session",
        session: smtp.Session,
        envelope: smtp.Envelope,
        proxy: ProxyData,
    ) -> bool:
        if proxy.src_addr is None:
            return True  # the proxy itself, looking after us
        refusal = server.comes_from(str(proxy.src_addr))
        if refusal:
            await server.push(refusal)
        return not refusal


class Session(smtp.SMTP, asyncio.BufferedProtocol):
    """An SMTP session."""

    # Of a reader's buffer, and so of commands; a mail's lines may be as long as the mail.
    line_length_limit = 1 << 16
    command_size_limit = 2048
    command_size_limits = _OneLimit()

    def __init__(self, service: Service, live: Live, peer: str, *, local: bool) -> None:
        """``peer``: the client's address, counted in ``live`` already; ``local``: it came by a
        Unix socket, where there is neither TLS nor PROXY."""
        limits = service.limits
        proxied = not local and within(peer, service.proxies)
        super().__init__(
            _Hooks(service),
            data_size_limit=service.max_size,
            enable_SMTPUTF8=True,
            hostname=service.hostname,
            ident=f"{'ESMTP' if service.name == 'smtp' else 'LMTP'} recheck-ingest",
            tls_context=None if local else service.tls,
            timeout=limits.command_timeout,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            proxy_protocol_timeout=limits.command_timeout if proxied else None,
            loop=asyncio.get_running_loop(),
        )
        self.peer = peer
        self.begun = False
        self.since = 0.0
        self._service = service
        self._live = live
        self._receiving = False  # from DATA to the reply
        self._lost = False
        self._replies_given = 0
        self._idle, self._command = (Alarm(self.loop, self._timeout_cb) for _ in range(2))
        self._timeout_handle: Any = self._command
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def must_start_tls(self) -> bool:
        """Whether this session may not send mail yet for want of TLS."""
        wanted = self._service.limits.starttls == "required" and self.tls_context is not None
        return wanted and self._tls_protocol is None

    def comes_from(self, client: str) -> str:
        """Take a proxy's word for who the client is. A refusal, "" for none."""
        if self._service.peers and not within(client, self._service.peers):
            return NOT_ALLOWED
        self._live.leave(self.peer)
        refusal = self._live.refusal(client, self._service.limits)
        self.peer = client
        self._live.enter(client)
        return refusal

    def end(self) -> None:
        """End the session as soon as no mail of it is under way."""
        if not self._receiving:
            self._hang_up(STOPPING)

    @property
    def is_idle(self) -> bool:
        """Whether no mail is under way."""
        return not self._receiving

    def give_way(self) -> None:
        """End at once, with a word if the client listens."""
        self._live.sessions.discard(self)
        self._hang_up(_NO_PLACE)
        if self.transport is not None and self.transport.get_write_buffer_size():  # type: ignore[attr-defined]
            self.abort()

    def abort(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.begun:  # it comes again when TLS has begun
            self.begun = True
            self._live.sessions.add(self)
            self._await_mail()
        if self._live.stopping:
            self.end()

    def connection_lost(self, error: Exception | None) -> None:
        if self._lost:  # aiosmtpd tells itself when TLS could not be begun
            return
        self._lost = True
        self._idle.cancel()
        if self._lingering:
            self._lingering.cancel()
        self._live.sessions.discard(self)
        self._live.leave(self.peer)
        super().connection_lost(error)

    # What asyncio.Protocol is given is a new object of 256 KiB each time, which the system maps and
    # unmaps again: that costs as much as all else that a command needs, and more beside threads.

    def get_buffer(self, sizehint: int) -> memoryview:
        """See ``asyncio.BufferedProtocol``."""
        return self._live.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See ``asyncio.BufferedProtocol``."""
        self._reader.feed_data(self._live.buffer[:nbytes])

    # Time limits.

    def _await_mail(self) -> None:
        """The session may last until the idle time-out, whatever is said meanwhile."""
        self.since = self.loop.time()
        self._idle.set(self._service.limits.idle_timeout)

    def _reset_timeout(self, duration: float | None = None) -> None:
        self._command.set(duration or self._service.limits.command_timeout)

    def _timeout_cb(self) -> None:
        log.info("%s took too long", self.peer)
        self._hang_up(_TIMED_OUT)

    def _hang_up(self, reply: str) -> None:
        """Say a last word, and do not wait for ever until it is heard."""
        if self.transport is None or self._lingering:
            return
        if not self.transport.is_closing():
            self._writer.write(f"{reply}\r\n".encode())
            self.transport.close()
        self._lingering = self.loop.call_later(_LINGER, self.abort)

    # The dialogue.

    async def _handle_client(self) -> None:
        try:
            await super()._handle_client()
        except (OSError, EOFError):
            log.debug("lost the connection of %s", self.peer)

    async def handle_exception(self, error: Exception) -> str:
        """A bug of ours, or of aiosmtpd's, must not bounce anybody's mail."""
        if not isinstance(error, OSError | EOFError | smtp.TLSSetupException):
            log.error("%s session of %s", self._service.name, self.peer, exc_info=error)
        return "451 4.3.0 Something went wrong here, try again later"

    async def push(self, status: AnyStr) -> None:
        """Send a reply; a text is given the enhanced status code that it lacks."""
        reply = status if isinstance(status, bytes) else with_enhanced(status).encode()
        self._writer.write(reply + b"\r\n")
        await self._writer.drain()
        self._replies_given += 1
        if not self._replies_given % _TURN:
            await asyncio.sleep(0)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        if simple := _SIMPLE_PATH.match(arg):
            return simple[1], arg[simple.end() :]
        try:
            return super()._getaddr(arg)
        except Exception:  # noqa: BLE001  the standard library's parser trips over some of them
            return None, None

    async def smtp_AUTH(self, arg: str) -> None:
        await self.push("502 5.5.1 AUTH not implemented")

    async def smtp_VRFY(self, arg: str) -> None:
        await self.push("252 2.0.0 Cannot VRFY, send some mail")

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self._receiving = True
        try:
            await self._data(self.envelope)
        finally:
            self._receiving = False
        if self._live.stopping:
            self.end()

    async def _data(self, envelope: smtp.Envelope) -> None:
        self._idle.hush()
        self._reset_timeout(self._service.limits.data_timeout)
        await self.push(b"354 End data with <CR><LF>.<CR><LF>")
        body = bytearray(smtp_data.BEGIN)
        size = 0
        try:
            status = await smtp_data.receive(self._reader, body, self._live, self._service)
            size = len(body)
            self._command.hush()  # from here on the client waits for us
            status = status or await self._decide(body, envelope)
        except (OSError, EOFError):
            raise
        except Exception:  # what is left of the mail must not be read as commands
            log.exception("a mail of %s could not be received", self.peer)
            self._hang_up("421 4.3.0 Something went wrong here, try again later")
            return
        finally:
            self._live.receiving -= size or len(body)
        self.envelope = self._create_envelope()
        self._reset_timeout()
        self._await_mail()
        await self.push(self._replies(status, len(envelope.rcpt_tos)))

    def _replies(self, status: str, recipients: int) -> bytes:
        """The reply to a mail."""
        return status.encode()

    async def _decide(self, body: bytearray, envelope: smtp.Envelope) -> str:
        """Have the mail in ``body``, which is emptied, kept; the reply."""
        sender = envelope.mail_from or ""
        kept = Envelope("" if sender == "<>" else sender, tuple(envelope.rcpt_tos), self.peer)
        try:
            content = smtp_data.content(body)
            body.clear()
            return _KEPT[await self._service.accept(content, self._service.name, kept)]
        except Temporary as error:
            log.error("%s", error)
            return _TRY_AGAIN
        except Exception:  # a bug of ours must not bounce anybody's mail
            log.exception("a mail of %s could not be stored", self.peer)
            return _TRY_AGAIN


class LmtpSession(Session, lmtp.LMTP):
    """An LMTP session (RFC 2033): the mail is answered once for each recipient."""

    async def check_helo_needed(self, helo: str = "LHLO") -> bool:
        return await super().check_helo_needed(helo)

    def _replies(self, status: str, recipients: int) -> bytes:
        return b"\r\n".join([status.encode()] * recipients)


def session(service: Service, live: Live, peer: str, *, local: bool) -> Session:
    """A session of the service's kind, for a peer that ``live`` counts already."""
    kind: type[Any] = LmtpSession if service.name == "lmtp" else Session
    made: Session = kind(service, live, peer, local=local)
    return made
