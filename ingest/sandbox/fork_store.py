# SPDX-License-Identifier: BSD-3-Clause
"""What freedesktop's fork of Patchwork makes of mails: patches, series and their revisions.

It keeps no cover letter, but names the series after it; v1 and v2 of a series are one series. How
replies and new versions are filed here is a simple form of the fork's ``parsemail.py``.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

from ingest.sandbox import parser
from ingest.sandbox.models import Project, User
from ingest.sandbox.parser import Letter, NotFiled


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch; ``series`` is None while it is in none. ``updated``: when it was filed."""

    id: int
    project: Project
    submitter: int
    letter: Letter
    name: str
    date: datetime
    updated: datetime
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """The patches of a revision by their place in the series."""

    version: int
    total: int
    patches: Mapping[int, int] = field(default_factory=dict)

    @property
    def ids(self) -> list[int]:
        """Its patches in their order."""
        return [self.patches[place] for place in sorted(self.patches)]


@dataclass(frozen=True, slots=True)
class Series:
    """A series. ``root``: the Message-ID of the cover letter, or of the first patch."""

    id: int
    project: Project
    name: str
    submitter: int
    submitted: datetime
    updated: datetime
    revisions: tuple[Revision, ...] = ()

    @property
    def newest(self) -> Revision:
        """Its newest revision."""
        return self.revisions[-1]


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a lab says of one test of a revision."""

    test_name: str
    state: str
    url: str | None
    summary: str | None
    date: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A revision of a series is complete."""

    at: datetime
    series: int
    revision: int


@dataclass(slots=True)
class ForkStore:
    """Everything filed so far. Hold ``lock`` while reading more than one thing. ``zone``: of the
    dates of events and tests; those of mails are UTC."""

    clock: Callable[[], datetime]
    known: tuple[Project, ...]
    users: Mapping[str, User] = field(default_factory=dict)  # by password
    zone: tzinfo = UTC
    lock: threading.RLock = field(default_factory=threading.RLock)
    people: dict[str, int] = field(default_factory=dict)
    patches: dict[int, Patch] = field(default_factory=dict)
    series: dict[int, Series] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    results: dict[tuple[int, int, str], TestResult] = field(default_factory=dict)
    comments: dict[int, list[Letter]] = field(default_factory=dict)  # by patch
    # Series by the Message-IDs of their cover letters and patches.
    _filed: dict[tuple[int, str], int] = field(default_factory=dict)
    _patch_of: dict[tuple[int, str], int] = field(default_factory=dict)

    def counts(self) -> str:
        """What it holds, in words."""
        return f"{len(self.patches)} patches, {len(self.series)} series"

    def local_now(self) -> datetime:
        """The clock's time in the server's zone, without saying which."""
        moment = self.clock()
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return utc.astimezone(self.zone).replace(tzinfo=None)

    def file(self, raw: bytes) -> str:
        """File one mail; what became of it."""
        try:
            letter = parser.read(raw)
            if letter.ignored:
                raise NotFiled("X-Patchwork-Hint: ignore")
            with self.lock:
                projects = [each for each in self.known if each.list_id in letter.list_ids]
                if not projects:
                    raise NotFiled("no project")
                return self._file(letter, projects[0])
        except NotFiled as nothing:
            return str(nothing)

    def by_message_id(self, message_id: str) -> Patch | None:
        """The first patch of this Message-ID, in whatever project."""
        found = (each for each in self.patches.values() if each.letter.message_id == message_id)
        return next(found, None)

    def tell(self, series: int, revision: int, result: TestResult) -> None:
        """A lab's result, in the place of the one that stands under its name."""
        self.results[series, revision, result.test_name] = result

    def renew(self, series: int, revision: int) -> None:
        """Make a copy of a revision: how the fork is asked for a retest."""
        copied = self.series[series].revisions[revision - 1]
        self._put(series, replace(copied, version=self.series[series].newest.version + 1))

    def _file(self, letter: Letter, project: Project) -> str:
        name, prefixes = parser.name_and_prefixes(letter.subject, (project.link_name,))
        number, total = parser.series_marker(prefixes)
        if letter.diff:
            return self._file_patch(letter, project, name, number or 1, total or 1)
        if number == 0 and not letter.is_reply:
            self._series_for(letter, project, name, total or 1)
            return "cover letter"
        for reference in letter.references:
            if patch := self._patch_of.get((project.id, reference)):
                self._patch_of[project.id, letter.message_id] = patch
                self.comments.setdefault(patch, []).append(letter)
                return "comment"
        raise NotFiled("reply to nothing known")

    def _file_patch(
        self, letter: Letter, project: Project, name: str, number: int, total: int
    ) -> str:
        if (project.id, letter.message_id) in self._patch_of:
            raise NotFiled("duplicate")
        patch = Patch(
            id=len(self.patches) + 1,
            project=project,
            submitter=self._person(letter.sender_address),
            letter=letter,
            name=name,
            date=letter.date or self.local_now(),
            updated=self.local_now(),
        )
        self.patches[patch.id] = patch
        series = self._joined(letter, project, number, total)
        if series is None:
            series = self._series_for(letter, project, name, total)
        newest = self.series[series].newest
        if number in newest.patches:  # a patch that replaces one is a revision of its own
            newest = replace(newest, version=newest.version + 1)
        patches = {**newest.patches, number: patch.id}
        self.patches[patch.id] = replace(patch, series=series)
        self._filed[project.id, letter.message_id] = series
        self._patch_of[project.id, letter.message_id] = patch.id
        self._put(series, replace(newest, patches=patches))
        return "patch"

    def _joined(self, letter: Letter, project: Project, number: int, total: int) -> int | None:
        """The series of what a patch replies to, if it is one of its patches: the version in its
        subject is that of the newest revision, or it replies to the patch that it replaces."""
        parent = next(iter(letter.references), "")
        series = self._filed.get((project.id, parent))
        if series is None:
            return None
        newest = self.series[series].newest
        replaced = self._patch_of.get((project.id, parent)) == newest.patches.get(number, -1)
        return series if replaced or (number not in newest.patches) else None

    def _series_for(self, letter: Letter, project: Project, name: str, total: int) -> int:
        """The series that a cover letter, or a patch without one, begins, or has a new revision
        of: one of the same name and sender, whatever stands in the brackets."""
        title = _without_prefixes(name)
        who = self._person(letter.sender_address)
        found = (
            each
            for each in self.series.values()
            if (each.project, each.name, each.submitter) == (project, title, who)
        )
        series = next(found, None)
        if series is None:
            date = letter.date or self.local_now()
            id = len(self.series) + 1
            begun = Series(id, project, title, who, date, self.local_now(), (Revision(1, total),))
            self.series[id] = begun
        else:
            id = series.id
            again = Revision(series.newest.version + 1, total)
            self.series[id] = replace(series, revisions=(*series.revisions, again))
        self._filed[project.id, letter.message_id] = id
        return id

    def _put(self, series: int, revision: Revision) -> None:
        kept = self.series[series]
        before = tuple(each for each in kept.revisions if each.version != revision.version)
        self.series[series] = replace(kept, revisions=(*before, revision), updated=self.local_now())
        if len(revision.patches) == revision.total:
            self.events.append(Event(self.local_now(), series, revision.version))

    def _person(self, address: str) -> int:
        return self.people.setdefault(address.lower(), len(self.people) + 1)


def _without_prefixes(name: str) -> str:
    return name.partition("] ")[2] if name.startswith("[") and "] " in name else name
