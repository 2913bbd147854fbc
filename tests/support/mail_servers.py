# SPDX-License-Identifier: BSD-3-Clause
"""Mail servers on loopback: a real one that keeps what it is sent, and one that says at each step
what it is told to say, or nothing."""

import asyncio
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.loop_thread import LoopThread

HOST = "127.0.0.1"
_AT_MOST = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it came."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool
    user: str


class MailServer:
    """aiosmtpd, as a context manager. ``tls``: offer STARTTLS with it, and AUTH only then unless
    ``auth_in_clear``; ``logins``: who may log in, and only who has may send, if there are any;
    ``kept``: called when a mail is there, before the sender is told so."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        logins: Mapping[str, str] | None = None,
        *,
        auth_in_clear: bool = False,
        kept: Callable[[], None] = lambda: None,
    ) -> None:
        self.received: list[Received] = []
        self._kept = kept
        self._sessions: list[SMTP] = []
        self._tls = tls
        self._logins = {k.encode(): v.encode() for k, v in (logins or {}).items()}
        self._clear = auth_in_clear
        self._loop = LoopThread("mail server")

    @property
    def address(self) -> str:
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        self._loop.begin(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.end()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, HOST, 0)

    async def _stop(self) -> None:
        self._server.close()
        for session in self._sessions:
            if session.transport is not None:
                session.transport.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)  # the transports' own last steps
        ours = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    def _session(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a password in the clear is not safe
            session = SMTP(
                self,
                hostname="mail.example.org",
                loop=asyncio.get_running_loop(),
                tls_context=self._tls,
                auth_required=bool(self._logins),
                auth_require_tls=not self._clear,
                authenticator=self._authenticate,
            )
        self._sessions.append(session)
        return session

    def _authenticate(self, _: Any, __: Any, ___: Any, mechanism: str, given: Any) -> AuthResult:
        known = isinstance(given, LoginPassword) and self._logins.get(given.login) == given.password
        return AuthResult(success=known, handled=False, auth_data=given.login if known else None)

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.received.append(
            Received(
                envelope.mail_from or "",
                tuple(envelope.rcpt_tos),
                envelope.content,
                session.ssl is not None,
                (session.auth_data or b"").decode(),
            )
        )
        self._kept()
        return "250 2.0.0 kept"


# What a server says that takes everything, by what it answers to.
GOOD: Mapping[str, bytes] = {
    "connect": b"220 mail.example.org ESMTP\r\n",
    "EHLO": b"250-mail.example.org\r\n250 SIZE 1000000\r\n",
    "HELO": b"250 mail.example.org\r\n",
    "STARTTLS": b"220 go ahead\r\n",
    "AUTH": b"235 2.7.0 welcome\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 go ahead\r\n",
    "end": b"250 2.0.0 kept\r\n",
    "RSET": b"250 2.0.0 ok\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}
SILENCE = b"silence"
HANG_UP = b"hang up"
DRIP = b"drip"


class OddServer:
    """A server, as a context manager, that says ``answers`` instead of ``GOOD``: a list for the
    commands of a kind in turn, the last for ever. ``said``: every line that it was told."""

    def __init__(self, **answers: bytes | list[bytes]) -> None:
        self.said: list[str] = []
        self.mails: list[bytes] = []
        self._answers = {name: [value] for name, value in GOOD.items()}
        self._answers |= {k: v if isinstance(v, list) else [v] for k, v in answers.items()}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._listening.getsockname()[1]}"
        self._begin(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in (self._listening, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_AT_MOST)
        self._listening.close()

    def verbs(self) -> list[str]:
        """What it was told, by the first word."""
        return [line.partition(" ")[0].upper() for line in self.said]

    def _begin(self, work: Any, *values: Any) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as lines:
            if not self._say(connection, "connect"):
                return
            while line := lines.readline():
                self.said.append(line.decode("latin-1").rstrip("\r\n"))
                verb = self.verbs()[-1]
                if not self._say(connection, verb):
                    return
                if verb == "DATA" and self._last.startswith(b"354"):
                    self.mails.append(_content(lines))
                    if not self._say(connection, "end"):
                        return

    def _say(self, connection: socket.socket, verb: str) -> bool:
        answers = self._answers.get(verb, [b"502 5.5.1 what?\r\n"])
        self._last = answers.pop(0) if len(answers) > 1 else answers[0]
        if self._last == HANG_UP:
            return False
        if self._last == SILENCE:
            return not self._over.wait(_AT_MOST)
        while self._last == DRIP:
            connection.sendall(b"2")
            if self._over.wait(0.02):
                return False
        connection.sendall(self._last)
        return True


def _content(lines: Any) -> bytes:
    """A mail up to the line with a dot, as it came over the wire."""
    content = b""
    while (line := lines.readline()) and not re.fullmatch(rb"\.\r\n", line):
        content += line
    return content
