# SPDX-License-Identifier: BSD-3-Clause
"""What the API answers instead of what was asked for: problem details (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

KIND = "application/problem+json"


class Problem(Exception):
    """An answer that is a problem. ``detail``: what happened and what to do next; ``fields``: of
    the answer's head."""

    def __init__(self, status: int, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = dict(fields or {})

    def answer(self) -> Response:
        """The problem as it is answered."""
        about = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return Response(json.dumps(about), self.status, self.fields, KIND)
