# SPDX-License-Identifier: BSD-3-Clause
"""The checks that labs have put on patches: which there are, and a new one.

Facts of Patchwork's ``api/check.py``, alike in every version of its REST API.
"""

from datetime import datetime
from typing import Any

from ingest.errors import Unanswered, Unavailable
from ingest.patchwork.api import PER_PAGE, Api, is_id, seconds, stamp
from ingest.patchwork.dialect import Check, CheckEvent, CheckPage
from ingest.value import Value
from ingest.words import printable

# Patchwork keeps no longer context.
_LONGEST_CONTEXT = 255
# A page holds a hundred; labs retest a patch now and then, and each time post again.
_MOST_PAGES = 20
_CREATED = "check-created"


class Refusal(Value):
    """Why Patchwork did not take a check: the status, and what it said."""

    status: int
    detail: str


def of_patch(api: Api, patch: int, since: datetime | None = None) -> list[Check]:
    """The checks of a patch, oldest first: all, or those from a moment on, which the server
    compares with its own local time. Raises as ``Api.page``."""
    path = f"patches/{patch}/checks/?per_page={PER_PAGE}"
    path += f"&since={stamp(since)}" if since else ""
    return [_check(row, path) for row in api.pages(path, _MOST_PAGES)]


def one(api: Api, patch: int, check: int) -> Check | None:
    """One check of a patch, None if it is not there any more. Raises as ``Api.page``."""
    path = f"patches/{patch}/checks/{check}/"
    row = api.find(path)
    if row is None:
        return None
    found = _check(row, path)
    if found.id != check:
        raise Unanswered(f"Patchwork's answer to {path} is another check")
    return found


def events(api: Api, page: str = "") -> CheckPage:
    """A page of the events of checks. A row that names no check is passed over. Raises as
    ``Api.page``."""
    rows, following = api.page(page or f"events/?category={_CREATED}&per_page={PER_PAGE}")
    if any(row.get("category", _CREATED) != _CREATED for row in rows):
        raise Unanswered(f"asked for {_CREATED}, Patchwork answers with other events")
    return CheckPage(tuple(filter(None, map(_event, rows))), following)


def _event(row: dict[str, Any]) -> CheckEvent | None:
    payload = row.get("payload")
    named = payload if isinstance(payload, dict) else {}
    patch, check = (
        each if isinstance(each, dict) else {} for each in (named.get("patch"), named.get("check"))
    )
    ids = row.get("id"), patch.get("id"), check.get("id")
    context = check.get("context")
    if not all(map(is_id, ids)) or not isinstance(context, str):
        return None
    return CheckEvent(row["id"], seconds(row.get("date")), patch["id"], check["id"], context)


def _check(row: dict[str, Any], path: str) -> Check:
    """A row as a check. Raises ``Unanswered``."""
    fields = ("context", "state", "description", "target_url")
    context, state, description, url = (
        text if isinstance(text := row.get(each), str) else "" for each in fields
    )
    if not 0 < len(context) <= _LONGEST_CONTEXT or not context.isprintable():
        raise Unanswered(f"Patchwork's answer to {path} holds something that is not a check")
    user, id = row.get("user"), row.get("id")
    author = user.get("username") if isinstance(user, dict) else None
    return Check(
        context=context,
        state=state,
        description=description,
        id=id if isinstance(id, int) and is_id(id) else 0,
        url=url,
        author=author if isinstance(author, str) else "",
    )


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
    status, answer = api.post(path, content, f"Token {token}")
    if status != 201:
        return Refusal(status, _detail(answer))
    if not isinstance(answer, dict) or answer.get("context") != check.context:
        raise Unavailable(f"Patchwork's answer to {path} is not the check that was posted")
    return None


def _detail(answer: Any) -> str:
    """What a refusal says: ``{"detail": …}``, or a list of complaints for each field."""
    if not isinstance(answer, dict):
        return ""
    said = []
    for field, value in answer.items():
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        said.append(text if field == "detail" else f"{field}: {text}")
    return printable("; ".join(said))
