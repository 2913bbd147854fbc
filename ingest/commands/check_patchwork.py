# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` looks at about each Patchwork server: whether it answers, what it can do, and
what follows from what it cannot do.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ingest import secret
from ingest.commands.finding import Finding
from ingest.config.tables import Settings
from ingest.errors import Error, NoApi, SinkUnavailable, Unavailable
from ingest.patchwork.dialect import Abilities
from ingest.patchwork.lookup import Patchwork
from ingest.worker import connect

# Seconds by which our clock may differ from Patchwork's before retries and dates are off.
_CLOCK_OFF = 120.0


def findings(settings: Settings) -> Iterator[Finding]:
    """What is found about each server."""
    with closing(connect(settings, _NoMemory())) as servers:
        for name in settings.server_names:
            for each in _of(servers.named(name), settings):
                yield replace(each, what=f"{each.what} ({name})") if name else each


def _of(patchwork: Patchwork, settings: Settings) -> Iterator[Finding]:
    try:
        server = patchwork.probe()
        projects = patchwork.projects()
        yield Finding("ok", "patchwork", f"{patchwork.base} answers")
        yield _clock(server.date)
        yield from _abilities(server, patchwork.base, settings)
        lists = ", ".join(f"{each.link_name} ({each.list_id})" for each in projects)
        yield Finding("ok" if projects else "problem", "projects", lists or "there are none")
        yield from _tokens(settings, patchwork)
    except NoApi as error:
        yield Finding("problem", "API", str(error))
    except Unavailable as error:
        yield Finding("problem", "patchwork", str(error), is_down=True)
    except Error as error:
        yield Finding("problem", "API", str(error))


def _abilities(server: Abilities, base: str, settings: Settings) -> Iterator[Finding]:
    """What the server can do, and what follows from what it cannot."""
    if server.finds_by_message_id:
        yield Finding("ok", "API", f"version {server.version}, filters by Message-ID")
    else:
        yield Finding(
            "warning",
            "API",
            f"{base} ignores the msgid filter, which API 1.2 brought: patches are found by title "
            "and time, with more questions, and one whose reply has another subject perhaps not; "
            "give [patchwork] url without an API version, or ask for an upgrade",
        )
    if not server.tells_of_comments:
        yield Finding(
            "problem" if settings.catch_up.interval else "warning",
            "comments",
            f"API {server.version} has no events of comments, which came with 1.3: catching up "
            "does not work, and a reply without References to another reply is not resolved; give "
            "[patchwork] url without an API version, or ask for an upgrade",
        )


def _tokens(settings: Settings, patchwork: Patchwork) -> Iterator[Finding]:
    """Whether Patchwork knows the tokens that checks are posted with."""
    for name, table in settings.check.items():
        if table.patchwork != patchwork.name:
            continue
        with suppress(SinkUnavailable):  # told of the sink already
            if not patchwork.knows_login(f"Token {secret.token(table.token_file)}"):
                yield Finding(
                    "problem",
                    f"check:{name}",
                    f"Patchwork does not know the token in {table.token_file}: make a new one on "
                    "your profile page there",
                )


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
