# SPDX-License-Identifier: BSD-3-Clause
"""The pages at / for people: who may see them, and how each is answered.

A page is made in the thread that asks the ledger, from what ``views`` says of the ledger.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.ledger import Ledger
from ingest.web import rendering, views
from ingest.web.head import Head
from ingest.web.hosts import EXPLAINED, MISDIRECTED, Hosts
from ingest.web.ledger_thread import LedgerThread
from ingest.web.reading import Reading
from ingest.web.tokens import CHALLENGE
from ingest.web.views import Elsewhere, Look, NotThere, Page

log = logging.getLogger(__name__)

NAV = (("", "Requests"),)
# What a result or an outcome looks like: a class of pages.css.
LOOKS = {
    "success": "good",
    "done": "good",
    "warning": "warn",
    "waiting": "warn",
    "queued": "run",
    "pending": "run",
    "fail": "bad",
    "failed": "bad",
    "rejected": "bad",
    "unresolved": "bad",
    "overdue": "bad",
}

View = Callable[[Look], Page]
ROUTES: tuple[tuple[str, View], ...] = (("/", views.front),)


class Pages:
    """Answers people, with the settings that count now."""

    def __init__(self, settings: Settings, ledger: LedgerThread) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reading = Reading(settings)
        self._hosts = Hosts(settings)

    def routes(self) -> list[BaseRoute]:
        """Every page, and the files that pages are shown with."""
        shown = [Route(path, self._answering(view)) for path, view in ROUTES]
        return [*shown, Route("/static/{name}", self._static)]

    async def _static(self, request: Request) -> Response:
        found = rendering.static(request.path_params["name"])
        return found or PlainTextResponse("There is no such file.\n", 404, rendering.HEADERS)

    def _answering(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        return partial(self._answer, view)

    async def _answer(self, view: View, request: Request) -> Response:
        head = Head(request.scope)
        if not self._hosts.knows(head):
            return PlainTextResponse(EXPLAINED, MISDIRECTED, rendering.HEADERS)
        try:
            if not self._reading.allows_page(head):
                return _said("A token is needed", _TOKEN, 401, CHALLENGE)
            asked = dict(request.query_params), dict(request.path_params)
            return await self._ledger.ask(lambda ledger: self._made(view, ledger, *asked))
        except (Temporary, OSError) as error:
            log.error("the page %s cannot be shown now: %s", request.url.path, error)
            return _said("Not now", "Please try again later; the operator's log says why.", 503)

    def _made(
        self, view: View, ledger: Ledger, query: dict[str, str], path: dict[str, str]
    ) -> Response:
        look = Look(ledger, self._settings, time.time(), query, path)
        try:
            page = view(look)
        except NotThere as error:
            return _said("Not found", str(error), 404)
        except Elsewhere as error:
            return RedirectResponse(error.path, 303, rendering.HEADERS)
        return rendering.page(page.template, _FRAME | {"place": page.place} | dict(page.values))


_TOKEN = (
    "Whoever runs this service gives out tokens; one is entered as the password, with any name."
)
_FRAME = {"nav": NAV, "looks": LOOKS, "place": None, "query": ""}


def _said(title: str, line: str, status: int, fields: dict[str, str] | None = None) -> Response:
    """An answer that only says something."""
    made = rendering.page("message.html", _FRAME | {"title": title, "lines": [line]}, status)
    made.headers.update(fields or {})
    return made
