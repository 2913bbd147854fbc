# SPDX-License-Identifier: BSD-3-Clause
"""The Patchwork servers, and which of them a mail is looked up at: by its list, or by a project
whose list it is, else at [patchwork].
"""

import json
import logging
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Protocol

from ingest.config.tables import ServerSettings, Settings
from ingest.config.values import DAY
from ingest.errors import OutOfTime, Temporary
from ingest.ledger import Filing
from ingest.mail.message import Mail
from ingest.patchwork import outage
from ingest.patchwork.attempt import Memory
from ingest.patchwork.lookup import Patchwork

# How long it is known which lists a server's projects have, if it cannot be asked.
_REMEMBERED = 30 * DAY

log = logging.getLogger(__name__)


class Chooser(Protocol):
    """Knows which server a mail is looked up at."""

    def for_mail(self, mail: Mail, filing: Filing) -> Patchwork:
        """The server that has filed the mail, if that is known, or whose lists its list is one
        of."""

    def before_asking(self, do: Callable[[], None]) -> None:
        """Have this done before each question to a server."""


class Servers:
    """All servers, each connected to when it is first asked. ``until``: see ``Patchwork``."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        *,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._until = until
        self._clock = clock
        self._connected: dict[str, Patchwork] = {}
        self._before_asking: Callable[[], None] = lambda: None

    def named(self, name: str) -> Patchwork:
        """The server of this name, that of [patchwork] if there is none of this name any more."""
        if name not in self._settings.servers:
            name = ""
        if name not in self._connected:
            table = self._settings.servers.get(name, self._settings.patchwork)
            self._connected[name] = Patchwork(
                table, self._memory, until=self._until, clock=self._clock, name=name
            )
            self._connected[name].before_asking(self._before_asking)
        return self._connected[name]

    def for_mail(self, mail: Mail, filing: Filing) -> Patchwork:
        """See ``Chooser``. A server that cannot be asked which lists its projects have, and never
        could, keeps what may be its own: a mail looked up elsewhere may get a wrong series."""
        if filing and filing.server in self._settings.server_names:
            return self.named(filing.server)
        of_list = mail.list_id.lower()
        for name, server in self._settings.servers.items():
            if any(fnmatchcase(of_list, pattern.lower()) for pattern in server.lists):
                return self.named(name)
        for name, server in self._settings.servers.items():
            if server.projects and of_list and self._is_of_project(name, server, of_list):
                return self.named(name)
        return self.named("")

    def _is_of_project(self, name: str, server: ServerSettings, of_list: str) -> bool:
        patchwork = self.named(name)
        key, now = f"{patchwork.base} lists of projects", self._clock()
        kept = self._memory.recall(key, now)
        lists = json.loads(kept) if kept else None
        # No other server's mail waits for this one more often than now and then.
        failed = f"{key}, asked in vain"
        if self._memory.recall(failed, now) is None and not outage.broken(self._memory, now, name):
            try:
                lists = {each.link_name: each.list_id.lower() for each in patchwork.projects()}
            except OutOfTime:
                raise
            except Temporary as error:
                log.info("[patchwork.%s] cannot tell the lists of its projects: %s", name, error)
                self._memory.remember(failed, str(error), now + self._settings.worker.retry[0])
            else:
                if (text := json.dumps(lists)) != kept:
                    self._memory.remember(key, text, now + _REMEMBERED)
        return lists is None or of_list in {lists.get(each) for each in server.projects}

    def before_asking(self, do: Callable[[], None]) -> None:
        """See ``Chooser``."""
        self._before_asking = do
        for patchwork in self._connected.values():
            patchwork.before_asking(do)

    def close(self) -> None:
        """Close every connection."""
        for patchwork in self._connected.values():
            patchwork.close()

    def cut(self) -> None:
        """Have the question that another thread waits for raise ``Unavailable`` now."""
        for patchwork in list(self._connected.values()):
            patchwork.cut()
