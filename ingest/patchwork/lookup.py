# SPDX-License-Identifier: BSD-3-Clause
"""What Patchwork is asked about a mail: which series it replies to.

Called by the worker. One ``Patchwork`` a process, for connection reuse; what it learns is
remembered in the ledger. How a question is asked is ``rest``'s business.
"""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotFound, Unavailable
from ingest.mail.message import Mail, cover_number
from ingest.patchwork import checks
from ingest.patchwork.api import PER_PAGE as PER_PAGE
from ingest.patchwork.api import Api
from ingest.patchwork.api import is_id as is_id
from ingest.patchwork.api import stamp as stamp
from ingest.words import printable

# How far around a mail's date its comment event is looked for (DESIGN.md, Resolution).
_EVENTS_FROM, _EVENTS_TO = timedelta(hours=-1), timedelta(days=3)
# Of a mail that names more: the nearest, and the first of its thread.
_NEAREST, _FARTHEST = 30, 10
# Patchwork keeps 255 characters of a Message-ID with its brackets: a longer one is not found.
_LONGEST_ID = 253
# Of a series, those whose checks are asked for.
_MOST_PATCHES = 100
_T = TypeVar("_T", int, str)
PATHS = {"patch": "patches", "cover": "covers"}


class Memory(Protocol):
    """Where answers are remembered; a ``Ledger`` is one."""

    def recall(self, key: str, now: float) -> str | None:
        """A remembered answer, None if there is none or it has expired."""

    def remember(self, key: str, answer: str, expires: float) -> None:
        """Remember an answer until a Unix time."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a mail replies to, as Patchwork knows it."""

    series: int
    kind: str  # "patch" or "cover"
    id: int
    project: str  # the project's link name


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question to Patchwork and what came of it, for the mail's story."""

    asked: str
    answer: str


@dataclass(frozen=True, slots=True)
class _Project:
    link_name: str
    list_id: str


class Patchwork(Api):
    """A Patchwork server whose answers are remembered for as long as its settings say; the rest as
    ``Api``."""

    def __init__(
        self,
        table: PatchworkSettings,
        memory: Memory,
        *,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(table, until=until, clock=clock)
        self._memory = memory
        self._found = table.remember_found
        self._missing = table.remember_missing

    def resolve(self, mail: Mail, received: float, trail: list[Lookup]) -> Target:
        """The series of the patch or cover letter that a mail replies to.

        ``received``: Unix time of reception, used where the mail has no date; ``trail`` is given
        every question asked, also when this raises. Raises ``NotFound`` (temporary: Patchwork
        may not have it yet), ``Unavailable`` or ``OutOfTime`` (both temporary), or ``Refused``
        (permanent).
        """
        projects = self._projects_of(mail.list_id, trail)
        kinds = ("cover", "patch") if cover_number(mail.subject) else ("patch", "cover")
        for candidate in _bounded(mail.candidates, trail):
            if len(candidate) > _LONGEST_ID:
                trail.append(Lookup(candidate[:60], "too long to be known to Patchwork"))
                continue
            for kind in kinds:
                if target := self._by_message_id(kind, candidate, projects, trail):
                    return target
        if target := self._by_event(mail, received, projects, trail):
            return target
        raise NotFound(f"Patchwork at {self.base} knows nothing that it replies to")

    def _by_message_id(
        self, kind: str, message_id: str, projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        scope = projects[0] if len(projects) == 1 else ""
        key = f"{self.base} {kind} {' '.join(projects)} {message_id}"
        asked = f"{kind} <{message_id}>" + (f" in {scope}" if scope else "")
        remembered = self._memory.recall(key, self._clock())
        if remembered is not None:
            found = json.loads(remembered)
            target = Target(**found) if found else None
            trail.append(Lookup(asked, f"{_told(target)} (remembered)"))
            return target
        path = f"{PATHS[kind]}/?msgid={quote(message_id, safe='')}"
        rows = self.rows(path + (f"&project={quote(scope, safe='')}" if scope else ""))
        ours = [row for row in rows if row.get("msgid") == f"<{message_id}>"]
        known = [target for row in ours if (target := _target(kind, row, projects))]
        target = known[0] if known else None
        if rows and not ours:
            answer = "nothing: the msgid filter was ignored; is this API older than 1.2?"
        elif ours and not target:
            answer = f"it is there, but in no series{' of this project' if projects else ''} yet"
        else:
            answer = _told(target)
        trail.append(Lookup(asked, answer))
        kept = self._found if target else self._missing
        self._memory.remember(
            key, json.dumps(asdict(target) if target else None), self._clock() + kept
        )
        return target

    def _by_event(
        self, mail: Mail, received: float, projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        """Where Patchwork itself filed this mail as a comment. No endpoint finds a comment by
        its Message-ID, but the event of its creation names both."""
        if not mail.message_id:
            return None
        date = mail.date or datetime.fromtimestamp(received, UTC)
        try:
            since, before = date + _EVENTS_FROM, date + _EVENTS_TO
        except OverflowError:
            return None
        for kind in ("patch", "cover"):
            query = (
                f"events/?category={kind}-comment-created&per_page={PER_PAGE}"
                f"&since={stamp(since)}&before={stamp(before)}"
            )
            if len(projects) == 1:
                query += f"&project={quote(projects[0], safe='')}"
            for event in self.pages(query):
                payload = event.get("payload")
                if not isinstance(payload, dict):
                    continue
                comment, submission = payload.get("comment"), payload.get(kind)
                if (
                    isinstance(comment, dict)
                    and isinstance(submission, dict)
                    and comment.get("msgid") == f"<{mail.message_id}>"
                    and is_id(submission.get("id"))
                ):
                    return self._by_id(kind, submission, projects, trail)
            trail.append(Lookup(f"{kind} comment events for <{mail.message_id}>", "nothing"))
        return None

    def _by_id(
        self, kind: str, named: dict[str, Any], projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        row = self.get(f"{PATHS[kind]}/{named['id']}/")
        same = isinstance(row, dict) and all(row.get(k) == named.get(k) for k in ("id", "msgid"))
        target = _target(kind, row, projects) if same else None
        trail.append(Lookup(f"{kind} {named['id']}, named by our comment's event", _told(target)))
        return target

    def contexts(self, target: Target, wanted: Collection[str]) -> frozenset[str]:
        """The contexts of the checks that the target's patch has, or for a cover letter the
        patches of its series: as many as it takes to find those ``wanted``, else all. Labs add to
        them, and so it is remembered only briefly that one is missing. Raises as ``resolve``."""
        found: set[str] = set()
        for patch in [target.id] if target.kind == "patch" else self._patches_of(target.series):
            missing = set(wanted) - found
            if not missing:
                break
            known = self._remembered(
                f"contexts of patch {patch}", partial(self._contexts_of, patch), missing.issubset
            )
            found.update(known)
        return frozenset(found)

    def _patches_of(self, series: int) -> list[int]:
        """The patches whose checks are asked for, the last ones first: labs that test a series as
        a whole tell of it there."""
        ask = partial(checks.patches_of, self, series)
        patches = self._remembered(f"patches of series {series}", ask, lambda _: False)
        if not patches:
            raise NotFound(f"Patchwork at {self.base} knows no patch of series {series}")
        return patches[::-1][:_MOST_PATCHES]

    def _contexts_of(self, patch: int) -> list[str]:
        return sorted({check.context for check in checks.of_patch(self, patch)})

    def _remembered(
        self, what: str, ask: Callable[[], list[_T] | None], is_enough: Callable[[list[_T]], bool]
    ) -> list[_T]:
        """A list that may grow: as it was remembered, if it is enough or was asked for a moment
        ago, else asked for anew."""
        key, now = f"{self.base} {what}", self._clock()
        remembered = self._memory.recall(key, now)
        if remembered is not None:
            asked_at, found = json.loads(remembered)
            if asked_at <= now < asked_at + self._missing or is_enough(found):
                kept: list[_T] = found
                return kept
        answer = ask() or []
        self._memory.remember(key, json.dumps([self._clock(), answer]), now + self._found)
        return answer

    def _projects_of(self, list_id: str, trail: list[Lookup]) -> list[str]:
        """The link names of the projects whose list this is; none if it is no project's list.

        Several may share a list and split it by subject; then rows are filtered, not questions.
        """
        if not list_id:
            return []
        projects = [each for each in self.projects() if each.list_id.lower() == list_id]
        if not projects:
            trail.append(Lookup(f"project of list {list_id}", "none; all projects are asked"))
        return [each.link_name for each in projects]

    def projects(self) -> list[_Project]:
        """Every project of the server, remembered once fetched."""
        key = f"{self.base} projects"
        remembered = self._memory.recall(key, self._clock())
        if remembered is not None:
            return [_Project(*each) for each in json.loads(remembered)]
        found = [_project(row) for row in self.pages(f"projects/?per_page={PER_PAGE}")]
        text = json.dumps([[each.link_name, each.list_id] for each in found])
        kept = self._found if found else self._missing
        self._memory.remember(key, text, self._clock() + kept)
        return found


def _bounded(candidates: Sequence[str], trail: list[Lookup]) -> Sequence[str]:
    """The candidates to be asked for: all, or so many that one mail is no attack on Patchwork."""
    if len(candidates) <= _NEAREST + _FARTHEST:
        return candidates
    left_out = len(candidates) - _NEAREST - _FARTHEST
    trail.append(Lookup(f"{left_out} of {len(candidates)} references", "too many, not asked for"))
    return [*candidates[:_NEAREST], *candidates[-_FARTHEST:]]


def _project(row: dict[str, Any]) -> _Project:
    link_name, list_id = row.get("link_name"), row.get("list_id")
    if not isinstance(link_name, str) or not isinstance(list_id, str):
        raise Unavailable("Patchwork's answer to projects/ holds something that is no project")
    return _Project(printable(link_name), printable(list_id))


def _target(kind: str, row: dict[str, Any], projects: Sequence[str]) -> Target | None:
    """A row as a target, None if it is in no series or in none of these projects."""
    project = row.get("project")
    named = project.get("link_name") if isinstance(project, dict) else None
    link_name = printable(named) if isinstance(named, str) else ""
    series = row.get("series")
    first = series[0] if isinstance(series, list) and series else None
    if not isinstance(first, dict) or not is_id(first.get("id")) or not is_id(row.get("id")):
        return None
    if projects and link_name not in projects:
        return None
    return Target(first["id"], kind, row["id"], link_name)


def _told(target: Target | None) -> str:
    return f"{target.kind} {target.id}, series {target.series}" if target else "unknown"
