# SPDX-License-Identifier: BSD-3-Clause
"""What both sinks for freedesktop's fork do: log in with name and password, post about the revision
of a request, and tell what a refusal means.
"""

import base64
from collections.abc import Callable
from contextlib import closing
from typing import Any

from ingest.config import secret
from ingest.config.sink_tables import NewRevisionSettings, PendingResultSettings
from ingest.config.tables import PatchworkSettings, Settings
from ingest.errors import NotTaken, SinkUnavailable, TurnedAway, Unanswered, Unavailable
from ingest.ledger import Request
from ingest.patchwork.api import Api
from ingest.policy.manners import Manners
from ingest.words import of_series, printable

_Table = NewRevisionSettings | PendingResultSettings


class OnFork:
    """What a ``Receiver`` on such a server is, but for what it gives."""

    once_per_mail = False
    manners = Manners()

    def __init__(self, name: str, does: str, table: _Table, settings: Settings) -> None:
        """``does``: what it does, for a person, up to the server's address."""
        self.name = name
        self._does = does
        self._login_file = table.login_file
        self._patchwork = settings.server(table.patchwork) or settings.patchwork

    @property
    def purpose(self) -> str:
        """See ``Configured``."""
        return f"{self._does} {self._patchwork.url}"

    def problems(self) -> list[str]:
        """See ``Configured``."""
        return problems(self._login_file)

    def dangers(self) -> list[str]:
        """See ``Configured``."""
        return secret.in_clear(self._patchwork.url)


def path_of(request: Request) -> str:
    """The path of the request's revision in the API. Raises ``NotTaken`` if it has none."""
    if not request.revision:
        raise NotTaken(f"{of_series(request)} has no revision: it is not of freedesktop's fork")
    return f"series/{request.series}/revisions/{request.revision}/"


def authorization(login_file: str) -> str:
    """The header field of HTTP Basic (RFC 7617). Raises ``SinkUnavailable``."""
    login = secret.token(login_file, "login_file")
    if ":" not in login:
        raise SinkUnavailable(f"login_file {login_file} is not NAME:PASSWORD")
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def problems(login_file: str) -> list[str]:
    """What keeps the login from being used."""
    found = secret.problems({"login_file": login_file})
    if not found:
        try:
            authorization(login_file)
        except SinkUnavailable as error:
            found.append(str(error))
    return found


def asked(table: PatchworkSettings, ask: Callable[[Api], str]) -> str:
    """What came of asking the server. Raises ``SinkUnavailable`` if it is not to be had, and what
    ``ask`` raises."""
    with closing(Api(table, is_fork=True)) as api:
        try:
            return ask(api)
        except Unavailable as error:
            raise SinkUnavailable(str(error), error.retry_after) from error
        except Unanswered as error:
            raise SinkUnavailable(str(error)) from error


def refused(status: int, answer: Any, what: str, login_file: str) -> NotTaken | TurnedAway:
    """What a refusal means: it is the login's fault, the revision is not there, or the request is
    at fault."""
    said = "; ".join(f"{k}: {v}" for k, v in answer.items()) if isinstance(answer, dict) else ""
    told = f" ({printable(said)})" if said else ""
    if status == 401:
        return TurnedAway(f"Patchwork does not know the login in {login_file}{told}")
    if status == 403:
        return TurnedAway(f"the login in {login_file} maintains no such project{told}")
    if status == 404:
        return TurnedAway(f"{what} is not known to Patchwork")
    return NotTaken(f"Patchwork refuses it for {what}: {status}{told}")
