# SPDX-License-Identifier: BSD-3-Clause
"""One mail to a mail server by SMTP, within one deadline, whatever the server does: a timeout of
smtplib bounds the wait for the next byte only.
"""

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from ingest.errors import NotTaken, SinkUnavailable
from ingest.sinks import Stop
from ingest.words import printable

PORT = 25
# Seconds between two looks whether to end it.
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server. ``us``: how we introduce ourselves; ``starttls``: send no mail without, and
    trust none but a valid certificate; ``user`` and ``password``: to log in with, "" for none;
    ``timeout``: seconds for one mail as a whole."""

    host: str
    port: int
    us: str
    timeout: float
    starttls: bool = False
    user: str = ""
    password: str = ""


def send(server: Server, sender: str, recipients: Sequence[str], mail: bytes, stop: Stop) -> str:
    """Send one mail, of ASCII with LF at its line ends; the server's answer, and whom it refused.

    The envelope sender is empty; a server that takes no such mail, as some that are logged in to
    do not, is given ``sender``. Raises ``NotTaken`` if the server refuses the mail or all of its
    recipients (5xx), ``SinkUnavailable`` for all else; then it may have been sent.
    """
    return _asked(server, lambda session: _hand_over(session, sender, recipients, mail), stop)


def greet(server: Server) -> str:
    """Open a session up to where a mail could be sent, and leave it; what the server says then.
    Raises ``SinkUnavailable``."""
    return _asked(server, lambda session: _said(*session.noop()), lambda: False)


def _asked(server: Server, ask: "Callable[[_Session], str]", stop: Stop) -> str:
    """What is answered in an open session, within the server's ``timeout``."""
    answer: Future[str] = Future()
    session = _Session(server)
    asking = (session, ask, answer)
    threading.Thread(target=_answer, args=asking, name="submission", daemon=True).start()
    end = time.monotonic() + server.timeout
    name = f"the mail server {server.host}:{server.port}"
    while not wait([answer], min(_LOOK, max(0.0, end - time.monotonic()))).done:
        is_late = time.monotonic() >= end
        if is_late or stop():
            session.cut()
            why = "did not answer in time" if is_late else "was not waited for"
            raise SinkUnavailable(f"{name} {why}")
    try:
        return answer.result()
    except smtplib.SMTPResponseException as error:
        said = _said(error.smtp_code, error.smtp_error)
        raise SinkUnavailable(f"{name} answers {said}") from error
    except (OSError, ValueError) as error:  # smtplib's are OSErrors; an odd password's is not
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SinkUnavailable(f"{name} cannot be used: {printable(why)}") from error


class _Session(smtplib.SMTP):
    """A session that another thread can cut off."""

    def __init__(self, server: Server) -> None:
        super().__init__(local_hostname=server.us, timeout=server.timeout)
        self.server = server
        self._host = server.host  # whose certificate STARTTLS asks for
        self._is_cut = threading.Event()

    def cut(self) -> None:
        """End whatever it is waiting for; nothing is sent any more."""
        self._is_cut.set()
        if self.sock:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Send a command. It is too late for one that comes out of a handshake that hung."""
        if self._is_cut.is_set():
            raise smtplib.SMTPServerDisconnected("cut off")
        super().putcmd(cmd, args)


def _answer(session: _Session, ask: Callable[[_Session], str], answer: Future[str]) -> None:
    try:
        with contextlib.closing(session):
            _open(session)
            answer.set_result(ask(session))
            with contextlib.suppress(OSError):
                session.quit()
    except BaseException as error:  # noqa: BLE001  raised again where it is waited for
        if not answer.done():
            answer.set_exception(error)


def _open(session: _Session) -> None:
    """Up to where a mail can be sent. What goes wrong here is not the mail's fault."""
    server = session.server
    code, said = session.connect(server.host, server.port)
    if code != 220:
        raise smtplib.SMTPConnectError(code, said)
    session.ehlo_or_helo_if_needed()
    if server.starttls:
        if not session.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("it offers no STARTTLS")
        code, said = session.starttls(context=ssl.create_default_context())
        if code != 220:
            raise smtplib.SMTPResponseException(code, said)
        session.ehlo_or_helo_if_needed()
    if server.user:
        session.login(server.user, server.password)


def _hand_over(session: _Session, sender: str, recipients: Sequence[str], mail: bytes) -> str:
    code, said = session.mail("")
    if 500 <= code < 600:
        session.rset()
        code, said = session.mail(sender)
    _check(code, said, 250)
    refused = []
    for recipient in recipients:
        code, said = session.rcpt(recipient)
        if 500 <= code < 600:
            refused.append(f"{recipient}: {_said(code, said)}")
        else:
            _check(code, said, 250, 251)
    if len(refused) == len(recipients):
        raise NotTaken(f"the mail server refuses {'; '.join(refused)}")
    try:
        code, said = session.data(mail.decode("ascii"))  # a text is given CRLF at its line ends
    except smtplib.SMTPDataError as error:  # before anything was sent
        _check(error.smtp_code, error.smtp_error)
        raise
    _check(code, said, 250)
    return "; ".join([_said(code, said), *(f"refused {each}" for each in refused)])


def _check(code: int, said: bytes | str, *good: int) -> None:
    if 500 <= code < 600:
        raise NotTaken(f"the mail server refuses it: {_said(code, said)}")
    if code not in good:
        raise smtplib.SMTPResponseException(code, said)


def _said(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return printable(f"{code} {text}")
