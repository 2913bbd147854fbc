# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` looks at about each Patchwork server: whether it answers, what it can do, and
what follows from what it cannot do.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ingest.commands.finding import Finding
from ingest.config import secret
from ingest.config.tables import Settings
from ingest.errors import Error, NoApi, SinkUnavailable, Unavailable
from ingest.patchwork import limits, xmlrpc
from ingest.patchwork.dialect import Abilities
from ingest.patchwork.lookup import Patchwork
from ingest.sinks import fork
from ingest.words import meant
from ingest.worker import connect

# Seconds by which our clock may differ from Patchwork's before retries and dates are off.
_CLOCK_OFF = 120.0


def findings(settings: Settings) -> Iterator[Finding]:
    """What is found about each server."""
    yield from _unheard(settings)
    with closing(connect(settings, _NoMemory())) as servers:
        for name in settings.server_names:
            for each in _of(servers.named(name), settings):
                yield replace(each, what=f"{each.what} ({name})") if name else each


def _unheard(settings: Settings) -> Iterator[Finding]:
    """The servers whose requests nobody is handed by a sink."""
    if settings.command or settings.webhook:  # they get those of all servers
        return
    heard = {settings.retests.patchwork}
    heard |= {each.patchwork for each in settings.json_file.values()}
    heard |= {each.patchwork for each in settings.newrevision.values()}
    for name in settings.servers:
        if name not in heard:
            text = (
                f'its requests are in no file: set patchwork = "{name}" of a [json_file.NAME], '
                f"or have them taken by take --consumer NAME --server {name}"
            )
            yield Finding("warning", f"patchwork.{name}", text)


def _of(patchwork: Patchwork, settings: Settings) -> Iterator[Finding]:
    try:
        server = patchwork.probe()
        projects = patchwork.projects()
        yield Finding("ok", "patchwork", f"{patchwork.base} answers")
        yield _clock(server.date)
        yield from _abilities(server, patchwork.name, settings)
        lists = ", ".join(f"{each.link_name} ({each.list_id})" for each in projects)
        yield Finding("ok" if projects else "problem", "projects", lists or "there are none")
        yield from _projects(patchwork.name, {each.link_name for each in projects}, settings)
        yield from _tokens(settings, patchwork)
    except NoApi as error:
        yield Finding("problem", "API", str(error))
    except Unavailable as error:
        yield Finding("problem", "patchwork", str(error), is_down=True)
    except Error as error:
        yield Finding("problem", "API", str(error))


def _projects(name: str, there: set[str], settings: Settings) -> Iterator[Finding]:
    """Whether a further server has the projects whose mail is looked up there."""
    named = settings.servers[name].projects if name else ()
    for project in named:
        if project not in there:
            text = f"there is no project {project}{meant(project, there)}, which its table names"
            yield Finding("problem", "projects", text)


def _abilities(server: Abilities, name: str, settings: Settings) -> Iterator[Finding]:
    """What the server can do, and what follows from what it cannot. That a further server has
    nothing to catch up from is no fault of [catch_up]."""
    table = settings.server(name) or settings.patchwork
    if server.kind == "freedesktop":
        yield Finding("ok", "API", "that of freedesktop's fork, with revisions of series")
    elif server.finds_by_message_id:
        yield Finding("ok", "API", f"version {server.version}, filters by Message-ID")
    if table.xmlrpc and not xmlrpc.is_there():
        text = "[patchwork] xmlrpc needs the package defusedxml: install recheck-ingest[xmlrpc]"
        yield Finding("problem", "xmlrpc", text)
    for each in limits.of(server):
        is_problem = each.ends_catching_up and settings.catch_up.interval and not name
        yield Finding("problem" if is_problem else "warning", each.what, each.text)
    if told := limits.zone(server):
        yield Finding("ok", "time zone", told)


def _tokens(settings: Settings, patchwork: Patchwork) -> Iterator[Finding]:
    """Whether Patchwork knows the tokens and logins that are posted with."""
    of_sinks: dict[str, tuple[str, str, Callable[[str], str]]] = {
        f"check:{name}": (table.patchwork, table.token_file, _token)
        for name, table in settings.check.items()
    }
    for kind in ("test_result", "newrevision"):
        for name, login in getattr(settings, kind).items():
            of_sinks[f"{kind}:{name}"] = (login.patchwork, login.login_file, fork.authorization)
    for sink, (server, file, authorization) in of_sinks.items():
        if server != patchwork.name:
            continue
        with suppress(SinkUnavailable):  # told of the sink already
            if not patchwork.knows_login(authorization(file)):
                todo = (
                    "make a new one on your profile page there"
                    if authorization is _token
                    else "it is NAME:PASSWORD of an account there"
                )
                what = "token" if authorization is _token else "login"
                text = f"Patchwork does not know the {what} in {file}: {todo}"
                yield Finding("problem", sink, text)


def _token(file: str) -> str:
    return f"Token {secret.token(file)}"


def _clock(date: str) -> Finding:
    try:
        theirs = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return Finding("warning", "clock", f"Patchwork's Date header says nothing: {date!r}")
    off = (datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds()
    if abs(off) > _CLOCK_OFF:
        ahead = "ahead of" if off > 0 else "behind"
        return Finding(
            "problem", "clock", f"{abs(off):.0f} s {ahead} Patchwork's: set this machine's clock"
        )
    return Finding("ok", "clock", "agrees with Patchwork's")


class _NoMemory:
    """A check asks anew."""

    def recall(self, key: str, now: float) -> str | None:
        return None

    def remember(self, key: str, answer: str, expires: float) -> None:
        pass
