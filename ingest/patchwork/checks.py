# SPDX-License-Identifier: BSD-3-Clause
"""The checks that labs have put on patches: which there are, and a new one.

Facts of Patchwork's ``api/check.py``, alike in every version of its REST API.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.errors import Unanswered, Unavailable
from ingest.patchwork.api import PER_PAGE, Api, is_id, stamp
from ingest.patchwork.dialect import Check
from ingest.words import printable

# Patchwork keeps no longer context.
_LONGEST_CONTEXT = 255
# A page holds a hundred; labs retest a patch now and then, and each time post again.
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Patchwork did not take a check: the status, and what it said."""

    status: int
    detail: str


def of_patch(api: Api, patch: int, since: datetime | None = None) -> list[Check]:
    """The checks of a patch, oldest first: all, or those from a moment on, which the server
    compares with its own local time. Raises as ``Api.page``."""
    path = f"patches/{patch}/checks/?per_page={PER_PAGE}"
    path += f"&since={stamp(since)}" if since else ""
    found = []
    for row in api.pages(path, _MOST_PAGES):
        texts = [row.get(each) for each in ("context", "state", "description")]
        context, state, description = (each if isinstance(each, str) else "" for each in texts)
        if not 0 < len(context) <= _LONGEST_CONTEXT or not context.isprintable():
            raise Unanswered(f"Patchwork's answer to {path} holds something that is not a check")
        found.append(Check(context, state, description))
    return found


def patches_of(api: Api, series: int) -> list[int] | None:
    """The patches of a series in their order, None if there is no such series. Raises as
    ``Api.page``."""
    found = api.find(f"series/{series}/")
    if found is None:
        return None
    rows = found.get("patches")
    if found.get("id") == series and isinstance(rows, list):
        ids: list[int] = [row["id"] for row in rows if isinstance(row, dict) and "id" in row]
        if len(ids) == len(rows) and all(map(is_id, ids)):
            return ids
    raise Unanswered(f"Patchwork's answer to series/{series}/ is not a series")


def post(api: Api, patch: int, check: Check, target_url: str, token: str) -> Refusal | None:
    """Put a check on a patch; why Patchwork did not take it, None if it did. Raises
    ``Unavailable``; then it may have been taken."""
    content = {"state": check.state, "context": check.context, "description": check.description}
    if target_url:
        content["target_url"] = target_url
    path = f"patches/{patch}/checks/"
    status, answer = api.post(path, content, token)
    if status != 201:
        return Refusal(status, _detail(answer))
    if not isinstance(answer, dict) or answer.get("context") != check.context:
        raise Unavailable(f"Patchwork's answer to {path} is not the check that was posted")
    return None


def _detail(answer: Any) -> str:
    """What a refusal says: ``{"detail": …}``, or a list of complaints for each field."""
    if not isinstance(answer, dict):
        return ""
    told = []
    for field, value in answer.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        told.append(text if field == "detail" else f"{field}: {text}")
    return printable("; ".join(told))
