# SPDX-License-Identifier: BSD-3-Clause
"""Requests as pw-ci's ``recheck_tool`` lists them: a row for each label of each request. Pure.

Facts of pw-ci's ``recheck_tool`` and ``pw_mon``: an instance is a host's name, a Message-ID has its
angle brackets, and 0 is the state of what is new. It looks up the commit itself.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ingest.config.tables import Settings
from ingest.ledger import Request


def document(requests: Iterable[Request], settings: Settings) -> dict[str, Any]:
    """The list. A request of arguments alone has no row; the patch of a cover letter is null."""
    return {
        "rechecks": [
            {
                "pw_instance": _instance(request, settings),
                "series_id": request.series,
                "patch_id": request.submission.id if request.submission.kind == "patch" else None,
                "sha": "",
                "msg_id": f"<{request.message_id}>",
                "state": "0",
                "requested": label,
            }
            for request in requests
            for label in request.contexts
        ]
    }


def _instance(request: Request, settings: Settings) -> str:
    server = settings.server(request.server)
    return urlsplit(server.url).netloc.rpartition("@")[2] if server else ""
