# SPDX-License-Identifier: BSD-3-Clause
"""The routes of HTTP, and the application that they make."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response
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


def application(
    inbound: Inbound, health: Health, metrics: Metrics, pages: Pages, api: Api
) -> ASGIApp:
    """What answers requests."""
    return Router(routes(inbound, health, metrics, pages, api), default=pages.nothing)
