# SPDX-License-Identifier: BSD-3-Clause
"""The dialect of Patchwork's own REST API from version 1.2 on, which finds patches and cover
letters by Message-ID. Comments have events from 1.3 on.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ingest.errors import Unanswered
from ingest.ledger import Filing
from ingest.patchwork import checks, comments, search, xmlrpc
from ingest.patchwork.api import PER_PAGE, VERSIONS, Api, is_id, seconds, stamp
from ingest.patchwork.dialect import (
    Abilities,
    BadEvent,
    Check,
    CheckPage,
    Clue,
    Comment,
    CommentEvent,
    EventPage,
    Found,
    NewRevision,
    Project,
    Recent,
    RecentPage,
    Said,
    Standing,
    Target,
    described,
)
from ingest.patchwork.feed import zone
from ingest.words import printable

PATHS = {"patch": "patches", "cover": "covers"}
# The first version of the API that shows the comments on a submission.
_FIRST_TO_SHOW_COMMENTS = "1.1"
# The first version of the API with comment events, and an address of each comment.
_FIRST_WITH_COMMENTS = "1.3"
# Patchwork keeps so many characters of a Message-ID with its brackets.
_COLUMN = 255
# Events that are looked at to tell the server's zone.
_MOST_DATED = 30
# Projects that a patch went to.
_MOST_OF_ONE_ID = 10
_NO_ID = "recheck-ingest-check%40invalid"


class Rest:
    """A ``Dialect``."""

    def __init__(self, api: Api, *, by_xml: bool = False) -> None:
        """``by_xml``: whether XML-RPC may be asked."""
        self._api = api
        self._by_xml = by_xml
        # Of which kinds the server has ignored the filter by Message-ID.
        self._unfiltered: set[str] = set()
        self._shows_no_comments = False

    @property
    def base(self) -> str:
        """See ``Dialect``."""
        return self._api.base

    def answers(self) -> None:
        """See ``Dialect``."""
        self._api.root()

    def probe(self) -> Abilities:
        """See ``Dialect``."""
        root = self._api.root()
        finds = not self._ignores_filter("patch")
        version = self._api.version or next(filter(self._api.has_version, VERSIONS), "unknown")
        return Abilities(
            version=version,
            finds_by_message_id=finds,
            tells_of_comments=self.tells_of_comments(),
            date=root.headers.get("Date", ""),
            keeps_comments=self.keeps_comments(),
            zone=self._zone(),
        )

    def _zone(self) -> float | None:
        """By how many seconds the events are dated ahead of UTC, in which patches are dated: most
        mails are filed soon after they were sent."""
        apart = []
        for row in self._api.rows(f"events/?category=patch-created&per_page={_MOST_DATED}"):
            payload = row.get("payload")
            patch = payload.get("patch") if isinstance(payload, dict) else None
            filed, sent = seconds(row.get("date")), None
            if isinstance(patch, dict):
                sent = seconds(patch.get("date"))
            if filed is not None and sent is not None:
                apart.append(filed - sent)
        return zone(apart)

    def tells_of_comments(self) -> bool:
        """See ``Dialect``. The URL says it, or else the server is asked."""
        if version := self._api.version:
            return _number(version) >= _number(_FIRST_WITH_COMMENTS)
        return self._api.has_version(_FIRST_WITH_COMMENTS)

    def projects(self) -> list[Project]:
        """See ``Dialect``."""
        return [_project(row) for row in self._api.pages(f"projects/?per_page={PER_PAGE}")]

    def find(
        self,
        kind: str,
        message_id: str,
        projects: Sequence[str],
        clue: Clue = Clue(),  # noqa: B008
    ) -> Found:
        """See ``Dialect``. Only a row with the very Message-ID counts: a filter that a server does
        not know is ignored, and then there are other ways."""
        if kind in self._unfiltered:
            return self._search(kind, message_id, projects, clue)
        path = f"{PATHS[kind]}/?msgid={quote(message_id, safe='')}"
        # Of projects that share a list all rows are asked for: a filter by several is an "and".
        scope = f"&project={quote(projects[0], safe='')}" if len(projects) == 1 else ""
        rows = self._api.rows(path + scope)
        ours = [row for row in rows if row.get("msgid") == f"<{message_id}>"]
        there = [row for row in ours if not projects or _link_name(row) in projects]
        targets = [target for row in there if (target := _target(kind, row, projects))]
        if targets:
            return Found(targets[0], True, described(targets[0]))
        if there:
            return Found(None, True, "it is there, but in no series yet")
        if ours:
            return Found(None, False, "it is there, but in another project")
        if rows and self._ignores_filter(kind):
            self._unfiltered.add(kind)
            return self._search(kind, message_id, projects, clue)
        return Found(None, False, described(None))

    def _ignores_filter(self, kind: str) -> bool:
        """Whether the server does not know the filter by Message-ID. One odd answer does not
        prove it: a server that knows the filter finds nothing by an id that cannot exist."""
        return bool(self._api.rows(f"{PATHS[kind]}/?msgid={_NO_ID}&per_page=1"))

    def _search(self, kind: str, message_id: str, projects: Sequence[str], clue: Clue) -> Found:
        """What ``find`` finds where the filter by Message-ID is ignored."""
        rows: Iterator[dict[str, Any]]
        if self._by_xml and kind == "patch":
            ids = xmlrpc.patches(self._api, message_id)[:_MOST_OF_ONE_ID]
            rows = (row for id in ids if (row := self._api.find(f"patches/{id}/")))
        else:
            rows = search.rows(self._api, PATHS[kind], message_id, projects, clue)
        for row in rows:
            if row.get("msgid") != f"<{message_id}>":
                continue
            target = _target(kind, row, projects)
            if target or not projects or _link_name(row) in projects:
                answer = described(target) if target else "it is there, but in no series yet"
                return Found(target, True, answer)
        return Found(None, False, "not found by title or time: this API finds no Message-ID")

    def titled(self, kind: str, title: str, projects: Sequence[str]) -> list[Target]:
        """See ``Dialect``."""
        rows = search.titled(self._api, PATHS[kind], projects, title) if title else []
        return [target for row in rows if (target := _target(kind, row, projects))]

    def submission(self, filing: Filing, projects: Sequence[str]) -> Target | None:
        """See ``Dialect``."""
        row = self._api.find(f"{PATHS[filing.kind]}/{filing.submission}/")
        if row is None or row.get("id") != filing.submission:
            return None
        if filing.parent and _bare(row.get("msgid")) != filing.parent:
            return None
        return _target(filing.kind, row, projects)

    def comments_on(self, kind: str, submission: int) -> Iterator[str]:
        """See ``Dialect``."""
        return (_text(row.get("msgid")) for row in self._comments(kind, submission))

    def said(self, kind: str, submission: int, message_id: str) -> list[Said]:
        """See ``Dialect``."""
        shown = f"<{message_id}>"[:_COLUMN]
        rows = self._comments(kind, submission)
        return [_said(row) for row in rows if _text(row.get("msgid")) == shown]

    def _comments(self, kind: str, submission: int) -> Iterator[dict[str, Any]]:
        """The comments on a submission. API 1.0 may have none, and a page for people instead."""
        if self._api.version == "1.0" or self._shows_no_comments:
            return
        try:
            yield from self._api.pages(f"{PATHS[kind]}/{submission}/comments/?per_page={PER_PAGE}")
        except Unanswered:
            if self._api.version or self._api.has_version(_FIRST_TO_SHOW_COMMENTS):
                raise
            self._shows_no_comments = True

    def comment_events(
        self,
        kind: str,
        *,
        project: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
        page: str = "",
    ) -> EventPage:
        """See ``Dialect``. Events come newest first unless another order is asked for."""
        category = f"{kind}-comment-created"
        if not page:
            page = f"events/?category={category}&per_page={PER_PAGE}"
            page += f"&since={stamp(since)}" if since else ""
            page += f"&before={stamp(before)}" if before else ""
            page += f"&project={quote(project, safe='')}" if project else ""
        rows, following = self._api.page(page)
        if any(row.get("category", category) != category for row in rows):
            raise Unanswered(f"asked for {category}, Patchwork answers with other events")
        return EventPage(tuple(_event(row, kind) for row in rows), following)

    def comment(self, event: CommentEvent) -> Comment | None:
        """See ``Dialect``."""
        filing = event.filing
        path = f"{PATHS[filing.kind]}/{filing.submission}/comments/{filing.comment}/"
        row = self._api.find(path)
        if row is None:
            return None
        return comments.checked(row, event, path)

    def keeps_comments(self) -> bool:
        """See ``Dialect``. The URL says it, or else the server is asked."""
        if version := self._api.version:
            return _number(version) >= _number(_FIRST_TO_SHOW_COMMENTS)
        return self._api.has_version(_FIRST_TO_SHOW_COMMENTS)

    def recent(self, kind: str, since: datetime, page: str = "") -> RecentPage:
        """See ``Dialect``."""
        return comments.recent(self._api, PATHS[kind], since, page)

    def comments_of(self, kind: str, recent: Recent) -> list[Comment | BadEvent]:
        """See ``Dialect``."""
        return [comments.made(row, kind, recent) for row in self._comments(kind, recent.id)]

    def patches_of(self, series: int) -> list[int] | None:
        """See ``Dialect``."""
        return checks.patches_of(self._api, series)

    def newest_revision(self, series: int) -> int:
        """See ``Dialect``."""
        return 0

    def standings_of(self, series: int) -> list[Standing]:
        """See ``Dialect``. A filter that a server does not know is ignored: only rows that are in
        the series count."""
        rows = self._api.rows(f"patches/?series={series}&per_page={PER_PAGE}")
        return [_standing(row) for row in rows if _first_series(row).get("id") == series]

    def checks_of(self, patch: int) -> list[Check]:
        """See ``Dialect``."""
        return checks.of_patch(self._api, patch)

    def results_of(self, series: int, revision: int) -> list[Check] | None:
        """See ``Dialect``."""
        return None

    def new_revisions(self, project: str) -> list[NewRevision]:
        """See ``Dialect``."""
        return []

    def check_events(self, page: str = "") -> CheckPage:
        """See ``Dialect``."""
        return checks.events(self._api, page)

    def check(self, patch: int, check: int) -> Check | None:
        """See ``Dialect``."""
        return checks.one(self._api, patch, check)

    def knows_login(self, authorization: str) -> bool:
        """See ``Dialect``."""
        return self._api.knows_login(authorization, "users/?per_page=1")

    def close(self) -> None:
        """See ``Dialect``."""
        self._api.close()

    def cut(self) -> None:
        """See ``Dialect``."""
        self._api.cut()


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _project(row: dict[str, Any]) -> Project:
    link_name, list_id = row.get("link_name"), row.get("list_id")
    if not isinstance(link_name, str) or not isinstance(list_id, str):
        raise Unanswered("Patchwork's answer to projects/ holds something that is not a project")
    users = row.get("maintainers")
    maintainers = tuple(map(_address, users)) if isinstance(users, list) else ()
    return Project(printable(link_name), printable(list_id), tuple(filter(None, maintainers)))


def _address(person: object) -> str:
    """The address of a person or an account, "" if Patchwork does not tell any."""
    return _text(person.get("email")) if isinstance(person, dict) else ""


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        submitter=_address(row.get("submitter")),
        delegate=_address(row.get("delegate")),
        state=printable(_text(row.get("state"))),
        archived=row.get("archived") is True,
    )


def _first_series(row: dict[str, Any]) -> dict[str, Any]:
    """The first series that a row is in, empty if it is in none."""
    series = row.get("series")
    first = series[0] if isinstance(series, list) and series else None
    return first if isinstance(first, dict) else {}


def _link_name(row: dict[str, Any]) -> str:
    project = row.get("project")
    named = project.get("link_name") if isinstance(project, dict) else None
    return printable(named) if isinstance(named, str) else ""


def _target(kind: str, row: dict[str, Any], projects: Sequence[str]) -> Target | None:
    """A row as a target, None if it is in no series or in none of these projects."""
    first = _first_series(row)
    if not is_id(first.get("id")) or not is_id(row.get("id")):
        return None
    if projects and _link_name(row) not in projects:
        return None
    return Target(first["id"], kind, row["id"], _link_name(row), _standing(row))


def _said(row: dict[str, Any]) -> Said:
    headers = row.get("headers")
    sender = headers.get("From") if isinstance(headers, dict) else None
    return Said(_text(sender), _text(row.get("content")))


def _event(row: dict[str, Any], kind: str) -> CommentEvent | BadEvent:
    date, id = seconds(row.get("date")), row.get("id")
    payload, project = row.get("payload"), row.get("project")
    named = payload if isinstance(payload, dict) else {}
    made, submission = named.get("comment"), named.get(kind)
    list_id = project.get("list_id") if isinstance(project, dict) else None
    if (
        is_id(id)
        and date is not None
        and isinstance(made, dict)
        and isinstance(submission, dict)
        and is_id(made.get("id"))
        and is_id(submission.get("id"))
        and isinstance(list_id, str)
        and (msgid := _text(made.get("msgid")))
    ):
        return CommentEvent(
            id=row["id"],
            date=date,
            sent=seconds(made.get("date")),
            filing=Filing(kind, submission["id"], made["id"], _bare(submission.get("msgid"))),
            msgid=msgid,
            list_id=_text(list_id).strip().lower(),
        )
    return BadEvent(row["id"] if is_id(id) else None, date, f"event {printable(id)}")


def _text(value: object) -> str:
    """Text that can be kept, for JSON can name halves of surrogate pairs; "" for anything else."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _bare(value: object) -> str:
    """A Message-ID without its angle brackets."""
    return _text(value).removeprefix("<").removesuffix(">")
