# SPDX-License-Identifier: BSD-3-Clause
"""Comments of a server that has no events of them: those on recent patches and cover letters are
read, within a budget of questions. Half of it is for the newest ones; with the other half a walk
goes on through all of them where the last one stopped, so that each has its turn.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest.errors import Unanswered
from ingest.patchwork.dialect import BadEvent, Comment, CommentEvent, Dialect, Recent
from ingest.patchwork.feed import KINDS

# Pages of a list of a hundred submissions each.
_MOST_PAGES = 20


@dataclass(slots=True)
class Walked:
    """What was read. ``comments`` by the names of their events; ``read`` of ``recent`` submissions;
    ``last``: by kind, the id at which the next walk goes on; ``problems``: what could not be
    read."""

    base: str
    comments: dict[str, Comment] = field(default_factory=dict)
    bad: list[BadEvent] = field(default_factory=list)
    read: int = 0
    recent: int = 0
    last: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[CommentEvent | BadEvent]:
        """The comments as events of them."""
        return [*(each.event for each in self.comments.values()), *self.bad]

    def comment(self, event: CommentEvent) -> Comment | None:
        """The comment that was read with an event."""
        return self.comments.get(event.name)


def walk(
    dialect: Dialect,
    since: float,
    budget: int,
    last: dict[str, int],
    stop: Callable[[], bool],
) -> Walked:
    """Read the comments on what was sent since a Unix time, with so many questions. ``last``: where
    the last walk stopped. Raises ``Unavailable``, and ``Unanswered`` where nothing can be read."""
    walked = Walked(dialect.base, last=dict(last))
    lists = {kind: _recent(dialect, kind, since) for kind in KINDS}
    walked.recent = sum(len(found) for found, _ in lists.values())
    left = max(1, budget - sum(pages for _, pages in lists.values()))
    for kind, (found, _) in lists.items():
        share = left if kind == KINDS[-1] else max(1, left * len(found) // max(1, walked.recent))
        for submission in _turns(found, share, walked, kind):
            if stop():
                return walked
            _read(dialect, kind, submission, walked)
            left -= 1
    if walked.problems and not walked.read:
        raise Unanswered(walked.problems[0])
    return walked


def _recent(dialect: Dialect, kind: str, since: float) -> tuple[list[Recent], int]:
    """The recent submissions, the newest first, and how many questions they took."""
    found: list[Recent] = []
    page, pages = "", 0
    begin = datetime.fromtimestamp(max(since, 0.0), UTC)
    while pages < _MOST_PAGES:
        got = dialect.recent(kind, begin, page)
        found += got.submissions
        pages, page = pages + 1, got.following
        if not page:
            break
    return found, pages


def _turns(found: list[Recent], share: int, walked: Walked, kind: str) -> Iterable[Recent]:
    """Those whose turn it is. Notes where the next walk goes on."""
    if len(found) <= share:
        walked.last.pop(kind, None)
        return found
    newest, others = found[: share // 2], found[share // 2 :]
    last = walked.last.get(kind)
    ids = [each.id for each in others]
    # What is gone from the list since: from the beginning.
    begin = ids.index(last) + 1 if last in ids else 0
    turn = others[begin : begin + share - len(newest)]
    if turn:
        walked.last[kind] = turn[-1].id
    else:
        walked.last.pop(kind, None)
    return [*newest, *turn]


def _read(dialect: Dialect, kind: str, submission: Recent, walked: Walked) -> None:
    try:
        comments = dialect.comments_of(kind, submission)
    except Unanswered as error:
        walked.problems.append(str(error))
        return
    walked.read += 1
    for each in comments:
        if isinstance(each, Comment):
            walked.comments.setdefault(each.event.name, each)
        else:
            walked.bad.append(each)
