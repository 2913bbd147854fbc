# SPDX-License-Identifier: BSD-3-Clause
"""Which requests a sink is for: a lab's labels, the projects that it tests, the patches of those
whose delegate it works for. Pure.
"""

from collections.abc import Sequence

from ingest.config.sink_tables import SinkSettings
from ingest.ledger import Request
from ingest.policy import selection
from ingest.value import Value
from ingest.words import listed


class Scope(Value):
    """What a sink is for: patterns of ``contexts``, link names of ``projects``, addresses of
    ``delegates`` in lower case, none for all; and the requests for series of which ``server``, see
    ``Request``, None for all servers."""

    contexts: tuple[str, ...] = ()
    server: str | None = None
    projects: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()

    def narrow(self, request: Request, arguments: Sequence[str]) -> Request | None:
        """A recorded request as the sink has it, None if it is not for it, or for no sink; see
        ``selection.narrowed``. ``arguments``: the known ones."""
        if not request.pushed or self._misses(request):
            return None
        return selection.narrowed(request, self.contexts, arguments)

    def of(self, request: Request) -> str:
        """What it is for that a request is not, for a person."""
        return self._misses(request) or listed(self.contexts)

    def _misses(self, request: Request) -> str:
        """By which route a request does not come here, "" if it comes."""
        if self.server is not None and self.server != request.server:
            return "series of " + (f"[patchwork.{self.server}]" if self.server else "[patchwork]")
        if self.projects and request.project not in self.projects:
            return f"{listed(self.projects)}, and not for project {request.project or 'unknown'}"
        if self.delegates and not set(self.delegates).intersection(request.delegates):
            others = listed(request.delegates) or "nobody"
            return f"patches delegated to {listed(self.delegates)}, and not to {others}"
        return ""


def of_table(table: SinkSettings) -> Scope:
    """What a sink with these settings is for."""
    return Scope(
        contexts=table.contexts,
        server=getattr(table, "patchwork", None),
        projects=table.projects,
        delegates=tuple(each.lower() for each in table.delegates),
    )
