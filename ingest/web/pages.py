# SPDX-License-Identifier: BSD-3-Clause
"""The pages at / for people: who may see them, and how each is answered.

A page is made in the thread that asks the ledger, from what the views say of the ledger.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.ledger import Ledger
from ingest.web import finding, mail_views, rendering, trial_line, views
from ingest.web.bodies import Incoming, Room, TooLarge, TooSlow
from ingest.web.head import Head
from ingest.web.hosts import EXPLAINED, MISDIRECTED, Hosts, public_path
from ingest.web.ledger_thread import LedgerThread
from ingest.web.lookups import Reader
from ingest.web.reading import Reading
from ingest.web.tokens import CHALLENGE
from ingest.web.views import Elsewhere, Look, NotThere, Page

log = logging.getLogger(__name__)

NAV = (
    ("", "Requests"),
    ("mails", "Mails"),
    ("attention", "Attention"),
    ("stats", "Figures"),
    ("try", "Try a line"),
)
# What a result or an outcome looks like: a class of pages.css.
LOOKS = {
    "success": "good",
    "done": "good",
    "warning": "warn",
    "queued": "run",
    "pending": "run",
    "fail": "bad",
    "failed": "bad",
    "rejected": "bad",
    "unresolved": "bad",
    "overdue": "bad",
}

# The parameters of a URL's query and of its path, and the fields of a form.
Asked = tuple[dict[str, str], dict[str, str], dict[str, str]]
View = Callable[[Look], Page]
ROUTES: Mapping[str, View] = {
    "/": views.front,
    "/requests/{name:path}": views.request,
    "/series/{name:path}": views.series,
    "/labels/{name:path}": views.label,
    "/mails": mail_views.mails,
    "/mails/{name:path}": mail_views.mail,
    "/attention": mail_views.attention,
    "/stats": views.figures,
    "/search": finding.search,
    "/try": mail_views.trial,
    "/words": views.words,
    "/in": views.signed_in,
}
# Views that look at all of a month, and the seconds for which their page is shown again.
KEPT: Mapping[View, float] = {views.figures: 60.0}
# A form writes three letters for a byte that is not a letter.
_LARGEST_FORM = 3 * trial_line.MOST + 1000

_TOKEN = "Ask whoever runs this service for a token. Enter it as the password, with any name."
_FRAME = {"nav": NAV, "looks": LOOKS, "place": None, "query": "", "sees_all": True}


class Pages:
    """Answers people, with the settings that count now."""

    def __init__(self, settings: Settings, ledger: LedgerThread) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reading = Reading(settings)
        self._hosts = Hosts(settings)
        self._room = Room(settings.http)
        self._base = public_path(settings)
        self._kept: dict[tuple[View, bool], tuple[float, Response]] = {}

    def routes(self) -> list[BaseRoute]:
        """Every page, and the files that pages are shown with."""
        shown = [Route(path, self._answering(view)) for path, view in ROUTES.items()]
        posted = Route("/try", self._answering(mail_views.trial), methods=["POST"])
        return [*shown, posted, Route("/static/{name}", self._static)]

    async def nothing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is answered where there is nothing, see ASGI."""
        made = self._said("Not found", "There is no such page.", 404)
        await made(scope, receive, send)

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
            sees_all = self._reading.sees_all(head)
            if not (sees_all if view is views.signed_in else self._reading.allows_page(head)):
                return self._said("A token is needed", _TOKEN, 401, CHALLENGE)
            form = await self._form(head, request) if head.method == "POST" else {}
            asked = dict(request.query_params), dict(request.path_params), form
            return await self._ledger.ask(lambda ledger: self._shown(view, ledger, sees_all, asked))
        except TooLarge:
            kilobytes = trial_line.MOST >> 10
            return self._said("Too long", f"A mail of {kilobytes} KB at most can be tried.", 413)
        except TooSlow:
            return self._said("Too slow", "The form took too long.", 408)
        except (Temporary, OSError) as error:
            log.error("the page %s cannot be shown now: %s", request.url.path, error)
            return self._said("Not now", "Please try again later; the log says why.", 503)

    async def _form(self, head: Head, request: Request) -> dict[str, str]:
        """The fields of a posted form, of each the first."""
        incoming = Incoming(request.receive)
        with await self._room.read(incoming, head.length, known=False, most=_LARGEST_FORM) as body:
            text = body.content().decode("latin-1")
        try:
            fields = parse_qs(text, keep_blank_values=True, errors="replace", max_num_fields=10)
        except ValueError:
            return {}
        return {name: values[0] for name, values in fields.items()}

    def _shown(self, view: View, ledger: Ledger, sees_all: bool, asked: Asked) -> Response:
        """A page, made anew or kept. Called in one thread only."""
        until, kept = self._kept.get((view, sees_all), (0.0, None))
        if kept and time.monotonic() < until:
            return kept
        made = self._made(view, ledger, sees_all, asked)
        if view in KEPT:
            self._kept[view, sees_all] = time.monotonic() + KEPT[view], made
        return made

    def _made(self, view: View, ledger: Ledger, sees_all: bool, asked: Asked) -> Response:
        query, path, form = asked
        reader = Reader(ledger, self._settings, time.time(), sees_all)
        frame = _FRAME | {"sees_all": sees_all, "query": query.get("q", "")[: finding.LONGEST]}
        try:
            page = view(Look(reader, query, path, form))
        except NotThere as error:
            return self._said(error.title, str(error), 404)
        except Elsewhere as error:
            return RedirectResponse(self._base + error.path, 303, rendering.HEADERS)
        values = frame | {"place": page.place} | dict(page.values)
        return rendering.page(page.template, values, page.status, self._base)

    def _said(
        self, title: str, line: str, status: int, fields: Mapping[str, str] | None = None
    ) -> Response:
        """An answer that only says something."""
        values = _FRAME | {"title": title, "lines": [line]}
        made = rendering.page("message.html", values, status, self._base)
        made.headers.update(fields or {})
        return made
