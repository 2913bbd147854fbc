# SPDX-License-Identifier: BSD-3-Clause
"""``recheck-ingest check``: is everything as it must be, and what to do where it is not.

Looks at the configuration, every path as each user who needs it, HTTP and its hooks, the ledger,
the sinks, and Patchwork. It leaves nothing changed.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest import signs
from ingest.commands import (
    alias,
    as_user,
    certificates,
    check_ledger,
    check_patchwork,
    doors,
    exposure,
    pipe_trial,
    reach,
    send_test,
)
from ingest.commands.finding import Finding
from ingest.config import load as config
from ingest.config.tables import Settings
from ingest.errors import (
    FeedUnavailable,
    StateUnavailable,
)
from ingest.ledger import WORKER_LEASE, Opening, open_configured
from ingest.ledger.masking import sqlite_path
from ingest.sinks import Configured, delivery
from ingest.trust import verify

_READ_WRITE = os.R_OK | os.W_OK


def check(
    settings: Settings, users: list[str], test_address: str | None = None
) -> Iterator[Finding]:
    """Everything, one finding after the other. ``users``: who else must be able to write the
    state, such as the user that the mail server runs an alias pipe as; ``test_address``: whom to
    send a test mail, see ``send_test.findings``, None for nobody."""
    origin = settings.origin or "no file; the defaults, the environment and the flags"
    yield Finding("ok", "configuration", origin)
    for variable in config.unknown():
        yield Finding("warning", "configuration", f"${variable} is not a known setting")
    me = as_user.my_name()
    pipes = alias.found()
    others = users or pipe_trial.users(pipes, settings)
    for told in pipe_trial.aliases(settings, pipes):
        yield Finding(*told)
    for user in dict.fromkeys([me, *others]):
        yield from _paths(settings, user)
    for told in pipe_trial.runs(settings, pipes, others):
        yield Finding(*told)
    if test_address is not None:
        for told in send_test.findings(settings, pipes, test_address):
            yield Finding(*told)
    for problem in verify.problems(settings):
        yield Finding("warning", "policy", problem)
    for danger in exposure.found(settings):
        yield Finding("warning", "exposure", danger)
    if settings.http.listen or settings.hook or settings.token:
        from ingest.web import trial

        for each in trial.findings(settings):
            yield Finding(*each)
    yield from check_ledger.findings(settings)
    for user in dict.fromkeys([me, *users]):
        for receiver, _ in delivery.configured(settings):
            yield from _sink(receiver, user, me)
    for told in reach.webhooks(settings):
        yield Finding(*told)
    for told in doors.mail_servers(settings):
        yield Finding(*told)
    for told in doors.forwarding(settings):
        yield Finding(*told)
    for told in doors.listeners(settings, serving=_is_served(settings)):
        yield Finding(*told)
    for told in certificates.findings(settings, certificates.service_users(settings, users)):
        yield Finding(*told)
    for told in doors.maildir(settings):
        yield Finding(*told)
    for name in settings.inbox:
        yield _inbox(settings, name)
    yield from check_patchwork.findings(settings)


def _paths(settings: Settings, user: str) -> Iterator[Finding]:
    """Whether a user can write what has to be written."""
    what = f"paths as {user}"
    ledger = sqlite_path(settings.state.ledger)
    written = [settings.retests.file, *(each.file for each in settings.json_file.values())]
    kept = [ledger, f"{ledger}-wal"] if ledger else []
    seen = Path(settings.state.dir, f"pipe{signs.SUFFIX}")
    files = [seen, *(Path(each) for each in (*kept, *written))]
    folders = {Path(settings.state.dir), *(each.parent for each in files)}
    try:
        problems = as_user.look(user, lambda: _unwritable(folders, files))
    except (KeyError, PermissionError) as error:
        reason = "there is no such user" if isinstance(error, KeyError) else str(error)
        yield Finding("problem", what, f"not checked: {reason}")
        return
    for problem in problems:
        yield Finding("problem", what, f"{problem}; see aliases.example for owner and mode")
    if not problems:
        yield Finding("ok", what, ", ".join(sorted(map(str, folders))))


def _unwritable(folders: set[Path], files: list[Path]) -> list[str]:
    problems = []
    for folder in sorted(folders):
        try:
            nearest = next(each for each in (folder, *folder.parents) if _is_there(each))
        except PermissionError:
            problems.append(f"{folder} cannot be reached: a folder above it may not be entered")
            continue
        if not nearest.is_dir():
            problems.append(f"{nearest} is not a folder")
        elif not os.access(nearest, os.W_OK | os.X_OK):
            doing = "written" if nearest == folder else f"written, to make {folder} in it"
            problems.append(f"{nearest} cannot be {doing}")
        else:
            problems += [
                f"{file} cannot be written"
                for file in files
                if file.parent == folder and file.exists() and not os.access(file, _READ_WRITE)
            ]
    return problems


def _is_there(path: Path) -> bool:
    """``Path.exists``, but what may not be looked at is an error and not an absence."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _sink(sink: Configured, user: str, me: str) -> Iterator[Finding]:
    """Whether a sink has what it needs, as a user."""
    what = sink.name if user == me else f"{sink.name} as {user}"
    try:
        problems = as_user.look(user, sink.problems)
    except (KeyError, PermissionError):
        return  # told of the paths already
    for problem in problems:
        yield Finding("problem", what, problem)
    for danger in sink.dangers() if user == me else ():
        yield Finding("warning", what, danger)
    if not problems:
        yield Finding("ok", what, sink.purpose)


def _inbox(settings: Settings, name: str) -> Finding:
    """Whether a public-inbox can be read."""
    from ingest.sources import inboxes

    what = f"inbox.{name}"
    try:
        return Finding("ok", what, inboxes.inbox(settings, name).probe())
    except FeedUnavailable as error:
        return Finding("problem", what, str(error))


def _is_served(settings: Settings) -> bool:
    """Whether a worker is running on the ledger, such as serve's."""
    try:
        with (
            closing(open_configured(settings.state, Opening.LOOK)) as ledger,
            ledger.lease(WORKER_LEASE) as free,
        ):
            return not free
    except StateUnavailable:
        return False
