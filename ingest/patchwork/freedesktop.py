# SPDX-License-Identifier: BSD-3-Clause
"""The dialect of freedesktop's fork of Patchwork, whose targets are revisions of series.

A patch is found by the redirect of its web page, a cover letter by its title and by what the
first patch of a revision replies to (PATCHWORK-FACTS.md). It has no comments and no checks.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ingest.errors import Unanswered
from ingest.ledger import Filing
from ingest.mail import requester
from ingest.patchwork import fork_pages, fork_results, xmlrpc
from ingest.patchwork.api import Api, is_id
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
from ingest.patchwork.fork_pages import PatchPage
from ingest.words import printable

PER_PAGE = 100
# Of the series of a title, and of the revisions of each, how many are looked at.
_MOST_SERIES, _MOST_PATCHES = 4, 4
# Of a series, of how many patches it is asked how they stand: each is a question.
_MOST_STANDING = 20
# Characters of a title: the server looks for names that contain it.
_LONGEST_NAME = 150
# How git send-email numbers the mails of a series: the cover letter is the first.
_FIRST_OF_SERIES = re.compile(r"(\d{14}\.\d+-)1(-.+)")
_VERSION = re.compile(r"\[[^\]]*\bv(\d{1,3})\b[^\]]*\]", re.IGNORECASE)
Revisions = dict[int, list[int]]


class Freedesktop:
    """A ``Dialect``."""

    def __init__(self, api: Api, *, by_xml: bool = False) -> None:
        """``by_xml``: whether XML-RPC may be asked."""
        self._api = api
        self._by_xml = by_xml

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
        return Abilities(
            version="1.0",
            finds_by_message_id=True,
            tells_of_comments=False,
            date=root.headers.get("Date", ""),
            kind="freedesktop",
            keeps_comments=False,
        )

    def tells_of_comments(self) -> bool:
        """See ``Dialect``."""
        return False

    def keeps_comments(self) -> bool:
        """See ``Dialect``: it shows them to people only, without their Message-IDs."""
        return False

    def recent(self, kind: str, since: datetime, page: str = "") -> RecentPage:
        """See ``Dialect``."""
        return RecentPage((), "")

    def comments_of(self, kind: str, recent: Recent) -> list[Comment | BadEvent]:
        """See ``Dialect``."""
        return []

    def projects(self) -> list[Project]:
        """See ``Dialect``. It knows the address of a list, and not its List-Id, which is the
        address with a dot in the place of the @."""
        found = []
        for row in self._rows(f"projects/?perpage={PER_PAGE}") or ():
            name, address = row.get("linkname"), row.get("listemail")
            if not isinstance(name, str) or not isinstance(address, str):
                raise Unanswered("Patchwork's answer to projects/ holds something else")
            found.append(Project(printable(name), printable(address.replace("@", "."))))
        return found

    def find(
        self,
        kind: str,
        message_id: str,
        projects: Sequence[str],
        clue: Clue = Clue(),  # noqa: B008
    ) -> Found:
        """See ``Dialect``."""
        if kind == "cover":
            return self._cover(message_id, projects, clue)
        can_ask = _is_segment(message_id)
        found = self._patch(message_id) if can_ask else None
        if found is None or (projects and found[1].project not in projects):
            # Of a patch in several projects the web knows the first.
            named = self._named(message_id, projects, clue) if found or not can_ask else None
            if named is None:
                elsewhere = "it is there, but in another project" if found else described(None)
                return Found(None, False, elsewhere)
            found = named
        target = self._target(*found)
        if target is None:
            return Found(None, True, "it is there, but in no revision of a series")
        return Found(target, True, described(target))

    def _patch(self, message_id: str) -> tuple[int, PatchPage] | None:
        """The patch that the web has under a Message-ID, and its page, which must say so."""
        path = f"/patch/msgid/{quote(message_id, safe='@')}/"
        reply = self._api.web(path)
        if reply.status == 200 or (reply.status == 404 and not _is_missing(reply.body)):
            raise Unanswered(f"Patchwork's answer to {path} is not what it says of a patch")
        if reply.status == 404:
            return None
        patch = fork_pages.patch_of(reply.headers.get("Location", ""))
        if not patch:
            raise Unanswered(f"Patchwork redirects {path} to something that is not a patch")
        page = self._page(patch)
        if page is None or page.message_id != message_id:
            raise Unanswered(f"Patchwork's page of patch {patch} is not that of <{message_id}>")
        return patch, page

    def _page(self, patch: int) -> PatchPage | None:
        path = f"/patch/{patch}/"
        reply = self._api.web(path)
        page = fork_pages.patch(reply.body) if reply.status == 200 else None
        if page is None and not (reply.status == 404 and _is_missing(reply.body)):
            raise Unanswered(f"Patchwork's answer to {path} is not the page of a patch")
        return page

    def _named(
        self, message_id: str, projects: Sequence[str], clue: Clue
    ) -> tuple[int, PatchPage] | None:
        """A patch by the title of what replies to it, and its page, which has the Message-ID."""
        for project in projects if self._by_xml else ():
            row = self._api.find(f"projects/{quote(project, safe='')}/")
            number = row.get("id") if row and is_id(row.get("id")) else 0
            ids = xmlrpc.patches(self._api, message_id, int(number)) if number else []
            for patch in ids[:1]:
                page = self._page(patch)
                return (patch, page) if page and page.message_id == message_id else None
        for project in projects if clue.title else ():
            path = f"projects/{quote(project, safe='')}/patches/?ordering=-date&perpage=20"
            for row in self._first(f"{path}&name={_quoted(clue)}")[:_MOST_PATCHES]:
                page = self._page(row["id"])
                if page and page.message_id == message_id:
                    return row["id"], page
        return None

    def _target(self, patch: int, page: PatchPage) -> Target | None:
        """The newest revision that a patch is in: other patches of the series may have been
        replaced since, and this one is tested beside the new ones."""
        if not page.series:
            return None
        revisions = self.revisions(page.series) or {}
        mine = [version for version, patches in revisions.items() if patch in patches]
        if not mine:
            return None
        standing = _standing(page)
        return Target(page.series, "patch", patch, page.project, standing, max(mine))

    def _cover(self, message_id: str, projects: Sequence[str], clue: Clue) -> Found:
        """A revision whose first patch replies to a cover letter of this Message-ID."""
        version = _VERSION.search(clue.subject)
        for series in self._of_title(projects, clue):
            revisions = self.revisions(series) or {}
            looked_at: set[int] = set()
            for patches in _likely(revisions, int(version[1]) if version else 0):
                first = patches[0]
                if first in looked_at or len(looked_at) >= _MOST_PATCHES:
                    continue
                looked_at.add(first)
                page = self._page(first)
                if page and page.parent == message_id:
                    return self._revision_of(first, page, projects, revisions)
        if numbered := _FIRST_OF_SERIES.fullmatch(message_id):
            found = self._patch(f"{numbered[1]}2{numbered[2]}")
            if found and found[1].parent == message_id and found[1].series:
                revisions = self.revisions(found[1].series) or {}
                return self._revision_of(*found, projects, revisions)
        return Found(None, False, "unknown: the fork has no cover letters, and no series of it")

    def _revision_of(
        self, first: int, page: PatchPage, projects: Sequence[str], revisions: Revisions
    ) -> Found:
        """The newest revision that begins with a patch, as the target of its cover letter."""
        if projects and page.project not in projects:
            return Found(None, False, "it is there, but in another project")
        mine = [each for each, patches in revisions.items() if patches and patches[0] == first]
        if not mine:
            return Found(None, True, "it is there, but in no revision of a series")
        target = Target(page.series, "cover", 0, page.project, _standing(page), max(mine))
        return Found(target, True, described(target))

    def _of_title(self, projects: Sequence[str], clue: Clue) -> list[int]:
        """The newest series of a title, those first that have no other words in their name."""
        if not clue.title:
            return []
        scope = f"projects/{quote(projects[0], safe='')}/" if len(projects) == 1 else ""
        path = f"{scope}series/?name={_quoted(clue)}&ordering=-last_updated&perpage=20"
        rows = self._first(path)
        rows.sort(key=lambda row: row.get("name") != clue.name)
        return [row["id"] for row in rows[:_MOST_SERIES]]

    def _first(self, path: str) -> list[dict[str, Any]]:
        """The rows of the first page, as far as they have an id."""
        return [row for row in self._rows(path) or () if is_id(row.get("id"))]

    def _rows(self, path: str) -> list[dict[str, Any]] | None:
        """The first page of a list, None if there is no such list."""
        page = self._api.find(path)
        if page is None:
            return None
        rows = page.get("results")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unanswered(f"Patchwork's answer to {path} is not a list of results")
        return rows

    def revisions(self, series: int) -> Revisions | None:
        """The patches of each revision of a series, None if there is no such series."""
        path = f"series/{series}/revisions/?perpage={PER_PAGE}"
        rows = self._rows(path)
        if rows is None:
            return None
        found: Revisions = {}
        for row in rows:
            version, patches = row.get("version"), row.get("patches")
            if not is_id(version) or not isinstance(patches, list) or not all(map(is_id, patches)):
                raise Unanswered(f"Patchwork's answer to {path} holds something else")
            found[row["version"]] = patches
        return found

    def titled(self, kind: str, title: str, projects: Sequence[str]) -> list[Target]:
        """See ``Dialect``: nothing is under these targets that could be looked through."""
        return []

    def submission(self, filing: Filing, projects: Sequence[str]) -> Target | None:
        """See ``Dialect``."""
        page = self._page(filing.submission) if filing.kind == "patch" else None
        if page is None or (projects and page.project not in projects):
            return None
        return self._target(filing.submission, page)

    def comments_on(self, kind: str, submission: int) -> Iterator[str]:
        """See ``Dialect``: the fork shows comments without their Message-IDs."""
        return iter(())

    def said(self, kind: str, submission: int, message_id: str) -> list[Said]:
        """See ``Dialect``."""
        return []

    def comment_events(
        self,
        kind: str,
        *,
        project: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
        page: str = "",
    ) -> EventPage:
        """See ``Dialect``."""
        return EventPage((), "")

    def comment(self, event: CommentEvent) -> Comment | None:
        """See ``Dialect``."""
        return None

    def patches_of(self, series: int) -> list[int] | None:
        """See ``Dialect``: those of the newest revision."""
        revisions = self.revisions(series)
        return revisions[max(revisions)] if revisions else None

    def newest_revision(self, series: int) -> int:
        """See ``Dialect``."""
        return max(self.revisions(series) or {}, default=0)

    def standings_of(self, series: int) -> list[Standing]:
        """See ``Dialect``."""
        pages = map(self._page, (self.patches_of(series) or [])[:_MOST_STANDING])
        return [_standing(page) for page in pages if page]

    def checks_of(self, patch: int) -> list[Check]:
        """See ``Dialect``: there are test results of revisions instead."""
        return []

    def results_of(self, series: int, revision: int) -> list[Check] | None:
        """See ``Dialect``. A result has no id. Its date, which is in the server's own time and
        new with each, takes the place of one: its microseconds."""
        path = f"series/{series}/revisions/{revision}/test-results/"
        return [fork_results.of(row, path) for row in self._api.rows_of(path) or ()]

    def new_revisions(self, project: str) -> list[NewRevision]:
        """See ``Dialect``."""
        name = f"name=series-new-revision&perpage={PER_PAGE}"
        rows = self._rows(f"projects/{quote(project, safe='')}/events/?{name}") or ()
        found = []
        for row in rows:
            parameters = row.get("parameters")
            version = parameters.get("revision") if isinstance(parameters, dict) else None
            series, at = row.get("series"), row.get("event_time")
            if is_id(version) and is_id(series) and isinstance(at, str):
                found.append(NewRevision(row["series"], int(version or 0), at))
        return found

    def check_events(self, page: str = "") -> CheckPage:
        """See ``Dialect``."""
        return CheckPage((), "")

    def check(self, patch: int, check: int) -> Check | None:
        """See ``Dialect``."""
        return None

    def knows_login(self, authorization: str) -> bool:
        """See ``Dialect``."""
        return self._api.knows_login(authorization, "projects/?perpage=1")

    def close(self) -> None:
        """See ``Dialect``."""
        self._api.close()

    def cut(self) -> None:
        """See ``Dialect``."""
        self._api.cut()


def _is_segment(message_id: str) -> bool:
    """Whether an id can be asked for: it is one segment of a path, and not of dots alone."""
    return "/" not in message_id and bool(message_id.strip("."))


def _is_missing(body: bytes) -> bool:
    return fork_pages.is_not_found(body)


def _quoted(clue: Clue) -> str:
    return quote(clue.name[:_LONGEST_NAME], safe="")


def _likely(revisions: Revisions, version: int) -> list[list[int]]:
    """The revisions that have patches: the one that a subject names, then the newest."""
    order = sorted(revisions, key=lambda each: (each != version, -each))
    return [revisions[each] for each in order if revisions[each]]


def _standing(page: PatchPage) -> Standing:
    address = requester.read(page.head.first("from")).mailbox
    return Standing(submitter=address, state=printable(page.state))
