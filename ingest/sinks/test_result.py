# SPDX-License-Identifier: BSD-3-Clause
"""The sink [test_result.NAME]: puts a pending test result on the revision that a request is for, on
a server of freedesktop's kind, once for each label of which no result stands there. A result that
stands is the lab's, and a new one would take its place.
"""

from ingest import links
from ingest.config.sink_tables import PendingResultSettings
from ingest.config.tables import Settings
from ingest.errors import SinkUnavailable, TurnedAway
from ingest.ledger import Request
from ingest.patchwork.api import Api
from ingest.sinks import Configured, Stop, fork
from ingest.sinks.check import description
from ingest.words import counted, listed, of_series

_PENDING = "pending"


def receiver(name: str, settings: Settings) -> Configured:
    """The configured sink of this name."""
    return PendingResult(name, settings.test_result[name], settings)


class PendingResult(fork.OnFork):
    """A ``Receiver`` that is the test results of a server of freedesktop's kind."""

    def __init__(self, name: str, table: PendingResultSettings, settings: Settings) -> None:
        super().__init__(f"test_result:{name}", "posts test results to", table, settings)
        self._target_url = table.target_url
        self._settings = settings

    def give(self, request: Request, *, again: bool, stop: Stop) -> str:
        """See ``Receiver``."""
        if not request.contexts:
            return "no label was named, so no test result was posted"
        path = f"{fork.path_of(request)}test-results/"
        login = fork.authorization(self._login_file)
        return fork.asked(
            self._patchwork, lambda api: self._post_all(api, path, login, request, stop)
        )

    def _post_all(self, api: Api, path: str, login: str, request: Request, stop: Stop) -> str:
        there = api.rows_of(path)
        if there is None:
            raise TurnedAway(f"{of_series(request)} is not known to Patchwork")
        standing = {row.get("test_name"): row.get("state") for row in there}
        posted = []
        for label in request.contexts:
            if label in standing:
                continue
            if stop():
                raise SinkUnavailable("there was no time to post all test results")
            content = {
                "test_name": label,
                "state": _PENDING,
                "summary": description(request),
            }
            if url := self._target_url or links.page(request.number, self._settings):
                content["url"] = url
            status, answer = api.post(path, content, login)
            if status != 201:
                raise fork.refused(status, answer, of_series(request), self._login_file)
            posted.append(label)
        told = f"{counted(len(posted), 'pending test result')} posted"
        left = [f"{each} ({standing[each]})" for each in request.contexts if each in standing]
        return f"{told}, left as they stand: {listed(left)}" if left else told
