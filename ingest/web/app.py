# SPDX-License-Identifier: BSD-3-Clause
"""The routes of HTTP, and the application that they make."""

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.web.api import Api
from ingest.web.health import Health
from ingest.web.inbound import Inbound
from ingest.web.metrics import Metrics
from ingest.web.pages import Pages


class Door:
    """An endpoint for what comes often. Starlette's own, for functions, makes a Request of each
    request, and takes as long over that as a mail takes."""

    def __init__(self, answer: Callable[[Scope, Receive], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await (await self._answer(scope, receive))(scope, receive, send)


def routes(
    inbound: Inbound, health: Health, metrics: Metrics, pages: Pages, api: Api
) -> list[BaseRoute]:
    """Every route, as contrib/doc/http.md tells them."""
    hook = Door(inbound.hook)
    return [
        Route("/mail", Door(inbound.mail), methods=["POST"]),
        Route("/mail/{name}", hook, methods=["POST", "HEAD"]),
        # Mailgun sends the raw mail to a URL that ends so.
        Route("/mail/{name}/mime", hook, methods=["POST"]),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
        Route("/metrics", metrics.metrics),
        *api.routes(),
        *pages.routes(),
    ]


class Below:
    """An application whose paths also count below another one, as a web server in front of us may
    pass them on."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._base = unquote(base)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        path = scope["path"]
        if path == self._base:  # what it leads to is below it
            await RedirectResponse(f"{self._base}/", 308)(scope, receive, send)
            return
        if path.startswith(f"{self._base}/"):
            scope = {**scope, "path": path.removeprefix(self._base)}
        await self._app(scope, receive, send)


def application(
    inbound: Inbound, health: Health, metrics: Metrics, pages: Pages, api: Api, base: str = ""
) -> ASGIApp:
    """What answers requests. ``base``: the path of [http] public_url, "" if that has none."""
    made = Router(routes(inbound, health, metrics, pages, api), default=pages.nothing)
    return Below(made, base) if base else made
