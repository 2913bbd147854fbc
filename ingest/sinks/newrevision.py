# SPDX-License-Identifier: BSD-3-Clause
"""The sink [newrevision.NAME]: asks a server of freedesktop's kind for a copy of the revision that
a request is for, which is the fork's own way to have all its labs test it again.
"""

from ingest.config.sink_tables import NewRevisionSettings
from ingest.config.tables import Settings
from ingest.ledger import Request
from ingest.patchwork.api import Api
from ingest.patchwork.freedesktop import Freedesktop
from ingest.sinks import Configured, Stop, fork
from ingest.words import of_series


def receiver(name: str, settings: Settings) -> Configured:
    """The configured sink of this name."""
    return NewRevision(name, settings.newrevision[name], settings)


class NewRevision(fork.OnFork):
    """A ``Receiver`` that makes revisions on a server of freedesktop's kind."""

    def __init__(self, name: str, table: NewRevisionSettings, settings: Settings) -> None:
        super().__init__(f"newrevision:{name}", "makes new revisions on", table, settings)

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """See ``Receiver``. After an attempt that did not come to an end, a copy that is there is
        its work."""
        path = f"{fork.path_of(request)}newrevision/"
        login = fork.authorization(self._login_file)

        def ask(api: Api) -> str:
            if again and (copy := _copy_of(api, request)):
                return f"revision {copy} is a copy of it already"
            status, answer = api.post(path, {}, login, done=200)
            if status != 200:
                raise fork.refused(status, answer, of_series(request), self._login_file)
            return f"asked for a copy of {of_series(request)}"

        return fork.asked(self._patchwork, ask)


def _copy_of(api: Api, request: Request) -> int:
    """A newer revision of the same patches, 0 if there is none."""
    revisions = Freedesktop(api).revisions(request.series) or {}
    mine = revisions.get(request.revision)
    newer = (each for each in revisions if each > request.revision)
    return next((each for each in newer if mine and revisions[each] == mine), 0)
