# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` looks at of the configured sinks. No network question: whether a receiver is well
shows when a request comes, in ``status``.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingest import addresses
from ingest.config import sink_tables, tables
from ingest.errors import ConfigError, SinkUnavailable
from ingest.mail import requester
from ingest.sinks import secret, smtp
from ingest.sinks.webhook import origin


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink: what it is for, and what keeps it from being that. ``problems`` depends on who
    looks; ``dangers`` is what works, and should not be so."""

    name: str
    purpose: str
    problems: Callable[[], list[str]]
    dangers: Callable[[], list[str]]


def sinks(settings: tables.Settings) -> Iterator[Sink]:
    """The configured sinks but files, which ``check`` looks at as paths."""
    for name, command in settings.command.items():
        yield _command(f"command:{name}", command)
    for name, webhook in settings.webhook.items():
        yield _webhook(f"webhook:{name}", webhook)
    for name, check in settings.check.items():
        yield _check(f"check:{name}", check, settings.patchwork.url)
    for name, mail in settings.mail.items():
        yield _mail(f"mail:{name}", mail)


def _command(name: str, table: sink_tables.CommandSettings) -> Sink:
    program = table.program[0]

    def problems() -> list[str]:
        if shutil.which(program):
            return []
        there = os.path.exists(program) if os.sep in program else False
        return [f"{program} cannot be executed" if there else f"there is no program {program}"]

    return Sink(name, f"runs {program}", problems, list)


def _webhook(name: str, table: sink_tables.WebhookSettings) -> Sink:
    files = {"secret_file": table.secret_file, "token_file": table.token_file}

    def dangers() -> list[str]:
        clear = _in_clear(table.url) if table.token_file else []
        return [*_open(files), *clear]

    return Sink(name, f"posts to {origin(table.url)}", lambda: _unread(files), dangers)


def _check(name: str, table: sink_tables.CheckSettings, patchwork: str) -> Sink:
    files = {"token_file": table.token_file}
    return Sink(
        name,
        f"posts to {patchwork}",
        lambda: _unread(files),
        lambda: [*_open(files), *_in_clear(patchwork)],
    )


def _mail(name: str, table: sink_tables.MailSettings) -> Sink:
    files = {"password_file": table.password_file}

    def problems() -> list[str]:
        found = _unread(files)
        if bool(table.user) != bool(table.password_file):
            found.append("user and password_file go together")
        if not requester.read(table.sender).address:
            found.append(f"sender {table.sender!r} is no address")
        for each in table.lists:
            if not requester.address(each):
                found.append(f"{each!r} in lists is no address")
        try:
            addresses.server(table.server, smtp.PORT)
        except ConfigError as error:
            found.append(str(error))
        return found

    return Sink(name, f"answers by {table.server}", problems, lambda: _open(files))


def _unread(files: dict[str, str]) -> list[str]:
    """What keeps secrets from being read, of those that are set."""
    problems = []
    for setting, path in files.items():
        try:
            if path and setting == "token_file":
                secret.token(path, setting)
            elif path:
                secret.read(path, setting)
        except SinkUnavailable as error:
            problems.append(str(error))
    return problems


def _open(files: dict[str, str]) -> list[str]:
    """The secrets that everybody on this machine can read."""
    found = []
    for setting, path in files.items():
        try:
            mode = os.stat(path).st_mode if path else 0
        except OSError:
            continue  # a problem already
        if mode & stat.S_IROTH:
            found.append(f"{setting} {path} can be read by everyone: chmod o= {path}")
    return found


def _in_clear(url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme == "https" or addresses.is_loopback(parts.hostname or ""):
        return []
    return [f"the token goes to {parts.hostname} in the clear: use https"]
