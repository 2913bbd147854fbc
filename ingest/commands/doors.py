# SPDX-License-Identifier: BSD-3-Clause
"""Where mail comes in and answers go out, for ``check``: the addresses that ``serve`` listens on,
the Maildir, and the mail servers of answers.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ingest import addresses
from ingest.config.tables import Settings, SmtpSettings
from ingest.config.web_tables import HttpSettings
from ingest.errors import ConfigError, SinkUnavailable
from ingest.sources import sockets

# Level, what it is about, and the text, as in ``Finding``.
Found = tuple[str, str, str]


def listeners(settings: Settings, *, serving: bool) -> Iterator[Found]:
    """Whether each address can be listened on. ``serving``: whether a worker of ours is running,
    such as serve's; then an address that is in use is taken for ours."""
    for name in ("smtp", "lmtp", "http"):
        table: SmtpSettings | HttpSettings = getattr(settings, name)
        if problem := _group_trouble(table):
            yield "problem", name, f"[{name}] {problem}"
        for text in table.listen:
            taken = _trouble(addresses.parse(text))
            if not taken:
                yield "ok", name, f"{text} is free for serve to listen on"
            elif taken == errno.EADDRINUSE and serving:
                yield "ok", name, f"{text} is listened on, and a worker is running"
            elif taken == errno.EADDRINUSE:
                reason = f"{text} is in use, and no worker of ours is running: by another program?"
                yield "warning", name, reason
            else:
                reason = f"{text} cannot be listened on: {os.strerror(taken)}"
                yield "problem", name, reason


def _group_trouble(table: SmtpSettings | HttpSettings) -> str:
    """What is wrong with the group of the Unix sockets, "" if nothing is."""
    if not any(addresses.parse(text).path for text in table.listen):
        return ""
    try:
        sockets.group_id(table.socket_group)
    except ConfigError as error:
        return str(error)
    return ""


def _trouble(address: addresses.Address) -> int:
    """The error number of listening on an address, 0 if it can be done. It is not done."""
    if address.path:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address.path)
            except OSError:  # nobody listens: serve takes the place of a socket that was left
                folder = os.path.dirname(address.path)
                if not os.path.isdir(folder):
                    return errno.ENOENT
                return 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES
            return errno.EADDRINUSE
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(name)
    except socket.gaierror:
        return errno.EADDRNOTAVAIL
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def maildir(settings: Settings) -> Iterator[Found]:
    """Whether the Maildir can be read and its mails be moved."""
    if not settings.maildir.path:
        return
    path = Path(settings.maildir.path)
    if not path.exists():
        yield "warning", "maildir", f"{path} is not there yet: the mail server makes it"
        return
    for name in ("new", "cur", "tmp"):
        folder = path / name
        if not folder.is_dir():
            yield "problem", "maildir", f"{path} is not a Maildir: it has no folder {name}"
            return
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield "problem", "maildir", f"{folder} cannot be read and written"
            return
    waiting = sum(1 for _ in (path / "new").iterdir())
    yield "ok", "maildir", f"{path} can be read, {waiting} waiting"


def mail_servers(settings: Settings) -> Iterator[Found]:
    """Whether the mail server of each answer takes a session: connected to, greeted, logged in to,
    and left without a mail."""
    from ingest.sinks import mail, smtp

    for name, table in settings.mail.items():
        what = f"mail:{name}"
        try:
            said = smtp.greet(mail.server(table))
        except (SinkUnavailable, ConfigError) as error:
            yield "problem", what, str(error)
        else:
            yield "ok", what, f"{table.server} answers: {said}"


def forwarding(settings: Settings) -> Iterator[Found]:
    """Whether notices can be forwarded to where [notices] says."""
    table = settings.notices
    if not table.forward_to:
        return
    from ingest.sinks import notices

    if problem := notices.problem(settings):
        yield "problem", "notices", problem
    else:
        way = f"the server of [mail.{table.mail}]" if table.mail else "the machine's mail server"
        yield "ok", "notices", f"forwarded to {table.forward_to} by {way}, {table.per_day} a day"
