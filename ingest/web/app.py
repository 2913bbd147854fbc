# SPDX-License-Identifier: BSD-3-Clause
"""The routes of HTTP, and the application that they make."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from ingest.web.health import Health
from ingest.web.inbound import Inbound


def routes(inbound: Inbound, health: Health) -> list[BaseRoute]:
    """Every route, as contrib/doc/http.md tells them."""
    return [
        Route("/mail", inbound.mail, methods=["POST"]),
        Route("/mail/{name}", inbound.hook, methods=["POST", "HEAD"]),
        # Mailgun sends the raw mail to a URL that ends so.
        Route("/mail/{name}/mime", inbound.hook, methods=["POST"]),
        Route("/healthz", health.healthz),
        Route("/readyz", health.readyz),
    ]


def application(inbound: Inbound, health: Health) -> Starlette:
    """What answers requests."""
    return Starlette(routes=routes(inbound, health))
