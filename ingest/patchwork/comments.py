# SPDX-License-Identifier: BSD-3-Clause
"""Comments as Patchwork's REST API shows them: one by itself, or all on a submission, which is how
they are found on servers without events of comments (API 1.2 and before).
"""

from datetime import datetime
from typing import Any

from ingest.errors import Unanswered
from ingest.ledger import Filing
from ingest.patchwork.api import Api, is_id, seconds, stamp
from ingest.patchwork.dialect import BadEvent, Comment, CommentEvent, Recent, RecentPage
from ingest.words import printable

_PER_PAGE = 100


def checked(row: dict[str, Any], event: CommentEvent, path: str) -> Comment:
    """A row as the comment that an event names. Raises ``Unanswered``."""
    same = is_id(row.get("id")) and row.get("id") == event.filing.comment
    if not same or row.get("msgid") != event.msgid:
        raise Unanswered(f"Patchwork's answer to {path} is another comment")
    fields, content = _fields(row.get("headers")), row.get("content")
    if fields is None or not isinstance(content, str):
        raise Unanswered(f"Patchwork's answer to {path} lacks headers or content")
    return Comment(event, fields, content)


def _fields(headers: object) -> tuple[tuple[str, str], ...] | None:
    """Header fields; several of one name are a list."""
    if not isinstance(headers, dict):
        return None
    pairs = (
        (name, value)
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    )
    return tuple(each for each in pairs if isinstance(each[1], str))


def recent(api: Api, path: str, since: datetime, page: str) -> RecentPage:
    """A page of patches or covers by the dates of their mails, the newest first. Raises as
    ``Api.page``."""
    rows, following = api.page(
        page or f"{path}/?order=-date&per_page={_PER_PAGE}&since={stamp(since)}"
    )
    found = []
    for row in rows:
        project = row.get("project")
        list_id = project.get("list_id") if isinstance(project, dict) else None
        msgid = row.get("msgid")
        if is_id(row.get("id")) and isinstance(msgid, str) and isinstance(list_id, str):
            found.append(Recent(row["id"], msgid[1:-1], list_id.strip().lower()))
    return RecentPage(tuple(found), following)


def made(row: dict[str, Any], kind: str, on: Recent) -> Comment | BadEvent:
    """A comment of a submission's list, as if an event had told of it."""
    id, msgid, date = row.get("id"), row.get("msgid"), seconds(row.get("date"))
    fields, content = _fields(row.get("headers")), row.get("content")
    if (
        not is_id(id)
        or not isinstance(msgid, str)
        or not msgid
        or fields is None
        or not isinstance(content, str)
    ):
        return BadEvent(None, date, f"a comment on {kind} {on.id} with id {printable(id)}")
    filing = Filing(kind, on.id, row["id"], on.message_id)
    event = CommentEvent(row["id"], date or 0.0, date, filing, msgid, on.list_id)
    return Comment(event, fields, content)
