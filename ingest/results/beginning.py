# SPDX-License-Identifier: BSD-3-Clause
"""Where the checks of a request begin: with the newest one that there is when the request is first
seen, or, if a lab may have answered by then, with those after Patchwork had filed its mail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.ledger import Request
from ingest.patchwork.dialect import CheckPage, CommentEvent, Dialect

# Pages of events that are looked through, of comments and of checks.
_MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class Beginning:
    """By the numbers of requests, the id of the newest check that is too old for them; and the
    ``position``, the id of an event before those of all checks that are not."""

    newest: Mapping[int, int]
    position: int


def filed(dialect: Dialect, requests: Sequence[Request]) -> dict[int, int]:
    """The ids of the events by which Patchwork told that it had filed the mails of these
    requests, by their numbers, as far as they are found. Raises as ``Dialect`` does."""
    if not requests or not dialect.tells_of_comments():
        return {}
    found: dict[int, int] = {}
    for kind in sorted({each.submission.kind for each in requests}):
        wanted: dict[str, list[int]] = {}
        for each in requests:
            if each.submission.kind == kind:
                wanted.setdefault(each.message_id, []).append(each.number)
        page = ""
        for _ in range(_MOST_PAGES):
            got = dialect.comment_events(kind, page=page)
            for event in got.events:
                if isinstance(event, CommentEvent) and event.message_id in wanted:
                    found |= dict.fromkeys(wanted.pop(event.message_id), event.id)
            page = got.following
            if not page or not wanted:
                break
    return found


def of(
    dialect: Dialect, requests: Iterable[Request], filed: Mapping[int, int], first: CheckPage
) -> Beginning:
    """Where the checks of these requests begin. ``filed``: see above; ``first``: the first page of
    the events of checks, which is not empty. Raises as ``Dialect`` does."""
    newest = max(each.check for each in first.events)
    position = max(each.id for each in first.events)
    begins = {each.number: newest for each in requests}
    if not filed:
        return Beginning(begins, position)
    events, page = list(first.events), first.following
    oldest = min(filed.values())
    for _ in range(_MOST_PAGES):
        if not page or events[-1].id < oldest:
            break
        got = dialect.check_events(page)
        events += got.events
        page = got.following
    for number, event in filed.items():
        before = [each.check for each in events if each.id < event]
        if before or not page:
            begins[number] = max(before, default=0)
            position = min(position, event)
    return Beginning(begins, position)
