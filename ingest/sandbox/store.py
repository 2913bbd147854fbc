# SPDX-License-Identifier: BSD-3-Clause
"""What the sandbox Patchwork knows: mails filed as projects, series, patches, covers, comments.

The rules by which a mail is filed are facts of Patchwork's ``parser.py``, ``models.py`` and
``signals.py``.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from ingest.sandbox import parser
from ingest.sandbox.models import (
    CI,
    DPDK,
    Check,
    Comment,
    Event,
    FirstIds,
    Kind,
    Person,
    Project,
    Series,
    Submission,
    User,
)
from ingest.sandbox.parser import COLUMN, Letter, NotFiled

# Without references, mails this far apart are not parts of one series.
_SERIES_WINDOW = timedelta(minutes=20)


@dataclass(slots=True)
class Store:
    """Everything filed so far. Hold ``lock`` while reading more than one thing."""

    first: FirstIds
    clock: Callable[[], datetime]
    known: tuple[Project, ...] | None = None  # None: DPDK's two, and one for each List-Id seen
    users: Mapping[str, User] = field(default_factory=dict)  # by token
    zone: tzinfo = UTC  # of the dates of events and checks; those of mails are UTC
    lock: threading.RLock = field(default_factory=threading.RLock)
    projects: dict[int, Project] = field(default_factory=dict)
    people: dict[int, Person] = field(default_factory=dict)
    patches: dict[int, Submission] = field(default_factory=dict)
    covers: dict[int, Submission] = field(default_factory=dict)
    series: dict[int, Series] = field(default_factory=dict)
    patch_comments: dict[int, Comment] = field(default_factory=dict)
    cover_comments: dict[int, Comment] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    _people_by_address: dict[str, int] = field(default_factory=dict)
    _series_by_reference: dict[tuple[int, str], int] = field(default_factory=dict)
    _members: dict[int, list[int]] = field(default_factory=dict)
    _submissions: dict[tuple[Kind, int, str], int] = field(default_factory=dict)
    _commented: dict[tuple[Kind, int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for project in (DPDK, CI) if self.known is None else self.known:
            self.projects[project.id] = project

    def now(self) -> datetime:
        """The clock's time as Patchwork keeps it: UTC without a zone."""
        moment = self.clock()
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment

    def local_now(self) -> datetime:
        """The clock's time in the server's zone, without saying which: the date of an event or a
        check, from Patchwork 3.2 on."""
        return self.now().replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None, fold=0)

    def counts(self) -> str:
        """What it holds, in words."""
        comments = len(self.patch_comments) + len(self.cover_comments)
        return ", ".join(
            (
                _several(len(self.patches), "patch", "patches"),
                _several(len(self.covers), "cover letter", "cover letters"),
                _several(len(self.series), "series", "series"),
                _several(comments, "comment", "comments"),
            )
        )

    def patches_of(self, series: Series) -> list[Submission]:
        """The patches of a series by date."""
        members = (self.patches[patch] for patch in self._members.get(series.id, ()))
        return sorted(members, key=lambda patch: (patch.date, patch.id))

    def file(self, raw: bytes) -> str:
        """File one mail. Returns what became of it: "patch", "cover letter", "comment", or why
        nothing did. Raises ``errors.Unreadable`` as ``mail.parse`` does."""
        try:
            letter = parser.read(raw)
            if letter.ignored:
                raise NotFiled("X-Patchwork-Hint: ignore")
            with self.lock:
                return self._file(letter, self._project(letter))
        except NotFiled as nothing:
            return str(nothing)

    def add_check(
        self,
        patch: Submission,
        user: User,
        state: str,
        target_url: str | None,
        context: str,
        description: str | None,
    ) -> Check:
        """A lab's new check; the values are valid already."""
        with self.lock:
            number = self.first.check + len(self.checks)
            check = Check(
                number, patch.id, user, self.local_now(), state, target_url, context, description
            )
            self.checks[number] = check
            self._event("check-created", patch.project, patch=patch.id, check=number, actor=user)
            return check

    def _project(self, letter: Letter) -> Project:
        for list_id in letter.list_ids:
            for project in self.projects.values():
                if project.list_id == list_id:
                    return project
        if self.known is not None or not letter.list_ids:
            raise NotFiled("no project")
        list_id = letter.list_ids[0]
        label, _, domain = list_id.partition(".")
        taken = {project.link_name for project in self.projects.values()}
        link_name = list_id.replace(".", "-") if label in taken else label
        project = Project(
            max(self.projects) + 1, link_name, link_name, list_id, f"{label}@{domain}"
        )
        self.projects[project.id] = project
        return project

    def _file(self, letter: Letter, project: Project) -> str:
        name, prefixes = parser.name_and_prefixes(letter.subject, (project.link_name,))
        number, total = parser.series_marker(prefixes)
        version = parser.version(name, prefixes)
        if not (letter.diff or letter.message):
            raise NotFiled("empty")
        if not letter.is_reply and (letter.diff or letter.pull_url):
            return self._file_patch(letter, project, name[:COLUMN], version, number, total)
        if number == 0 and not letter.is_reply and self._is_new_cover(letter, name[:COLUMN]):
            return self._file_cover(letter, project, name[:COLUMN], version, total or 0)
        return self._file_comment(letter, project)

    def _is_new_cover(self, letter: Letter, name: str) -> bool:
        if not letter.references:
            return True
        return all(cover.name != name for cover in self.covers.values())

    def _file_patch(
        self,
        letter: Letter,
        project: Project,
        name: str,
        version: int,
        number: int | None,
        total: int | None,
    ) -> str:
        author = self._author(letter)
        self._refuse_duplicate("patch", project, letter)
        patch = Submission(
            id=self.first.patch + len(self.patches),
            kind="patch",
            project=project,
            submitter=author,
            letter=letter,
            name=name,
            date=letter.date or self.now(),
            hash=parser.diff_hash(letter.diff) if letter.diff else None,
        )
        self.patches[patch.id] = patch
        self._submissions["patch", project.id, letter.message_id] = patch.id
        self._event("patch-created", project, patch=patch.id)
        series = None
        if total:
            series = self._series_for(patch, author, version, number, total)
        else:
            number = total = 1
        if series is None or self._holds(series, number):
            series = self._new_series(patch, author, version, total)
            for reference in (*letter.references, letter.message_id):
                self._series_by_reference.setdefault((project.id, reference), series.id)
        if number:
            self._add_patch(series, patch, number)
        return "patch"

    def _series_for(
        self, patch: Submission, author: int, version: int, number: int | None, total: int
    ) -> Series | None:
        for reference in (patch.letter.message_id, *patch.letter.references):
            if found := self._series_by_reference.get((patch.project.id, reference)):
                return self.series[found]
        alike = [
            series
            for series in self.series.values()
            if (series.project, series.submitter) == (patch.project, author)
            and (series.version, series.total) == (version, total)
            and abs(series.date - patch.date) <= _SERIES_WINDOW
        ]
        if len(alike) == 1:
            return alike[0]
        alike.sort(key=lambda series: series.date, reverse=True)
        return next((series for series in alike if not self._holds(series, number)), None)

    def _holds(self, series: Series, number: int | None) -> bool:
        return any(patch.number == number for patch in self.patches_of(series))

    def _new_series(self, first: Submission, author: int, version: int, total: int) -> Series:
        series = Series(
            id=self.first.series + len(self.series),
            project=first.project,
            submitter=author,
            date=first.date,
            version=version,
            total=total,
        )
        self.series[series.id] = series
        self._event("series-created", series.project, series=series.id)
        return series

    def _add_patch(self, series: Series, patch: Submission, number: int) -> None:
        if not series.name and number == 1:
            series = self.series[series.id] = replace(series, name=patch.name)
        self.patches[patch.id] = replace(patch, series=series.id, number=number)
        self._members.setdefault(series.id, []).append(patch.id)
        by_number = {p.number: p.id for p in self.patches_of(series)}
        if all(before in by_number for before in range(1, number)):
            while number in by_number:
                self._event(
                    "patch-completed",
                    series.project,
                    patch=by_number[number],
                    series=series.id,
                )
                number += 1
        if len(by_number) >= series.total:
            self._event("series-completed", series.project, series=series.id)

    def _file_cover(
        self, letter: Letter, project: Project, name: str, version: int, total: int
    ) -> str:
        author = self._author(letter)
        cover = Submission(
            id=self.first.cover + len(self.covers),
            kind="cover",
            project=project,
            submitter=author,
            letter=letter,
            name=name,
            date=letter.date or self.now(),
        )
        reference = project.id, letter.message_id
        if reference in self._series_by_reference:
            series = self.series[self._series_by_reference[reference]]
        else:
            series = self._new_series(cover, author, version, total)
            self._series_by_reference[reference] = series.id
        self._refuse_duplicate("cover", project, letter)
        self._submissions["cover", project.id, letter.message_id] = cover.id
        self._event("cover-created", project, cover=cover.id)
        if series.cover is None:
            first = next((p.name for p in self.patches_of(series) if p.number == 1), None)
            named_by_cover = not series.name or series.name == first
            self.series[series.id] = replace(
                series,
                cover=cover.id,
                name=_without_prefixes(name) if named_by_cover else series.name,
            )
            cover = replace(cover, series=series.id)
        self.covers[cover.id] = cover
        return "cover letter"

    def _file_comment(self, letter: Letter, project: Project) -> str:
        kinds: tuple[Kind, ...] = ("patch", "cover")
        for kind in kinds:
            for reference in letter.references:
                key = kind, project.id, reference
                parent = self._submissions.get(key) or self._commented.get(key)
                if parent:
                    return self._add_comment(letter, project, kind, parent)
        raise NotFiled("reply to nothing known")

    def _add_comment(self, letter: Letter, project: Project, kind: Kind, parent: int) -> str:
        comments = self.patch_comments if kind == "patch" else self.cover_comments
        first = self.first.patch_comment if kind == "patch" else self.first.cover_comment
        author = self._author(letter)
        if self._commented.get((kind, project.id, letter.message_id)) == parent:
            raise NotFiled("duplicate")
        comment = Comment(
            id=first + len(comments),
            kind=kind,
            parent=parent,
            submitter=author,
            letter=letter,
            date=letter.date or self.now(),
        )
        comments[comment.id] = comment
        self._commented[kind, project.id, letter.message_id] = parent
        if kind == "patch":
            self._event("patch-comment-created", project, patch=parent, comment=comment.id)
        else:
            self._event("cover-comment-created", project, cover=parent, comment=comment.id)
        return "comment"

    def _refuse_duplicate(self, kind: Kind, project: Project, letter: Letter) -> None:
        if (kind, project.id, letter.message_id) in self._submissions:
            raise NotFiled("duplicate")

    def _author(self, letter: Letter) -> int:
        address = letter.sender_address
        number = self._people_by_address.setdefault(
            address.lower(), self.first.person + len(self.people)
        )
        person = self.people.get(number, Person(number, letter.sender_name, address))
        self.people[number] = replace(person, name=letter.sender_name or person.name)
        return number

    def _event(
        self,
        category: str,
        project: Project,
        *,
        patch: int | None = None,
        cover: int | None = None,
        series: int | None = None,
        comment: int | None = None,
        check: int | None = None,
        actor: User | None = None,
    ) -> None:
        number = self.first.event + len(self.events)
        self.events[number] = Event(
            number, category, project, self.local_now(), patch, cover, series, comment, check, actor
        )


def users_by_token(
    tokens: Mapping[str, tuple[str, Iterable[str]] | tuple[str, Iterable[str], str]],
) -> dict[str, User]:
    """Accounts out of the public ``tokens`` argument: token to user name, link names of the
    projects it maintains and, if the account's address matters, that."""
    return {
        token: User(
            id=number,
            username=account[0],
            email=account[2] if len(account) == 3 else f"{account[0]}@example.org",
            maintains=frozenset(account[1]),
        )
        for number, (token, account) in enumerate(tokens.items(), 1)
    }


def _without_prefixes(name: str) -> str:
    return name.partition("] ")[2] if name.startswith("[") and "] " in name else name


def _several(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
