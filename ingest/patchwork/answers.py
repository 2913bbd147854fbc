# SPDX-License-Identifier: BSD-3-Clause
"""What is remembered of a server's answers, and for how long. What is there stays there, and is
known for a day; what is not there may come any moment.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotFound
from ingest.ledger import Filing
from ingest.patchwork.attempt import Attempt, Memory
from ingest.patchwork.dialect import Clue, Dialect, Found, Project, Standing, Target

# Of a series, those whose checks are asked for.
_MOST_PATCHES = 100
_MOST_REVISIONS = 5
# Texts of answers of which is known what they say.
_MOST_READ = 100
_DAY = 86400.0
_ANEW = "patchwork is asked anew"
_T = TypeVar("_T")


def ask_anew(memory: Memory, now: float) -> None:
    """Have nothing count any more that was not found until now: somebody wants it tried again."""
    memory.remember(_ANEW, str(now), now + _DAY)


class Answers:
    """A server's answers, remembered or asked for. ``attempt``: the one under way, which is not
    told anything twice; its budget is charged by the questions themselves. Methods raise as
    ``Dialect`` does."""

    def __init__(
        self,
        dialect: Dialect,
        memory: Memory,
        table: PatchworkSettings,
        clock: Callable[[], float],
    ) -> None:
        self.dialect = dialect
        self.attempt: Attempt | None = None
        self._memory = memory
        self._table = table
        self._clock = clock
        self._read: dict[str, tuple[str, Any]] = {}

    def find(
        self,
        kind: str,
        message_id: str,
        projects: Sequence[str],
        *,
        clue: Clue = Clue(),  # noqa: B008
        anew: bool,
    ) -> tuple[Found, bool]:
        """The patch or cover letter of a Message-ID, and whether that was remembered. With
        ``anew`` it counts for nothing that it was not there a moment ago."""

        def ask() -> Found:
            found = self.dialect.find(kind, message_id, projects, clue)
            return replace(found, target=found.target and self._dated(found.target))

        return self._remembered(
            f"{kind} {' '.join(projects)} {message_id}",
            ask,
            lambda found: found.target is not None,
            lasts=lambda found: found.target is not None,
            write=asdict,
            read=_found,
            anew=anew,
        )

    def submission(self, filing: Filing, projects: Sequence[str]) -> Target | None:
        """What a mail was filed under; see ``Dialect``."""
        found = self.dialect.submission(filing, projects)
        return found and self._dated(found)

    def standings(self, target: Target) -> list[Standing]:
        """How a patch, or each patch of a cover letter's series, stands: as it was a moment ago."""
        if target.kind == "cover":

            def ask() -> list[Standing]:
                return self.dialect.standings_of(target.series)

            return self._remembered(
                f"standings in series {target.series}",
                ask,
                _never,
                lasts=_never,
                write=lambda standings: [asdict(each) for each in standings],
                read=lambda rows: [Standing(**row) for row in rows],
            )[0]
        if self._is_fresh(target.standing.as_of, self._clock()):
            return [target.standing]
        found = self.submission(Filing(target.kind, target.id, 0), ())
        return [found.standing if found else target.standing]

    def _dated(self, target: Target) -> Target:
        return replace(target, standing=replace(target.standing, as_of=self._clock()))

    def projects(self) -> list[Project]:
        """Every project of the server."""
        return self._remembered(
            "projects and their maintainers",
            self.dialect.projects,
            bool,
            write=lambda projects: [asdict(each) for each in projects],
            read=lambda rows: [
                Project(**{**row, "maintainers": tuple(row["maintainers"])}) for row in rows
            ],
        )[0]

    def tells_of_comments(self) -> bool:
        """Whether the server has events of comments."""
        ask = self.dialect.tells_of_comments
        return self._remembered("tells of comments", ask, _always, lasts=_always)[0]

    def keeps_comments(self) -> bool:
        """Whether the comments on a submission can be read."""
        ask = self.dialect.keeps_comments
        return self._remembered("keeps comments", ask, _always, lasts=_always)[0]

    def patches_of(self, series: int) -> list[int]:
        """The patches of a series whose checks are asked for, the last ones first: labs that test
        a series as a whole tell of it there. Raises ``NotFound`` if there are none."""

        def ask() -> list[int]:
            return self.dialect.patches_of(series) or []

        patches, _ = self._remembered(f"patches of series {series}", ask, _never)
        if not patches:
            raise NotFound(f"Patchwork at {self.dialect.base} knows no patch of series {series}")
        return patches[::-1][:_MOST_PATCHES]

    def contexts_of(self, patch: int, is_enough: Callable[[set[str]], bool]) -> set[str]:
        """The contexts of a patch's checks: as they were a moment ago, or at most a day ago if
        they are enough."""

        def ask() -> list[str]:
            return sorted({check.context for check in self.dialect.checks_of(patch)})

        def suffice(contexts: list[str]) -> bool:
            return is_enough(set(contexts))

        return set(self._remembered(f"contexts of patch {patch}", ask, suffice)[0])

    def tests_of(self, target: Target) -> set[str] | None:
        """The names of the tests that labs have told of for the target's series, as they were a
        moment ago: of its newest revisions, for a new one has none yet. None of a server that has
        checks of patches instead; see ``contexts_of``."""

        def ask() -> list[str] | None:
            found: set[str] = set()
            for revision in range(target.revision, max(0, target.revision - _MOST_REVISIONS), -1):
                results = self.dialect.results_of(target.series, revision)
                found |= {each.context for each in results or ()}
            return sorted(found)

        if not target.revision:
            return None
        key = f"tests of series {target.series} up to {target.revision}"
        return set(self._remembered(key, ask, _never)[0] or ())

    def _remembered(
        self,
        question: str,
        ask: Callable[[], _T],
        is_enough: Callable[[_T], bool],
        *,
        lasts: Callable[[_T], bool] = bool,
        write: Callable[[_T], Any] = lambda answer: answer,
        read: Callable[[Any], _T] = lambda value: value,
        anew: bool = False,
    ) -> tuple[_T, bool]:
        """An answer, and whether it was remembered: one that is enough or was given a moment ago,
        else a new one. ``lasts``: whether it is worth keeping longer than for a moment; ``write``
        and ``read`` make a value for JSON of it and back."""
        learnt = self.attempt.answers if self.attempt else {}
        if question in learnt:
            return read(learnt[question]), True
        key, now = f"{self.dialect.base} answer: {question}", self._clock()
        text = self._memory.recall(key, now)
        if text is not None:
            given, kept = self._parsed(question, text, read)
            if is_enough(kept) or (not anew and self._is_fresh(given, now)):
                return kept, True
        answer = ask()
        learnt[question] = value = write(answer)
        seconds = self._table.remember_found if lasts(answer) else self._table.remember_missing
        self._memory.remember(key, json.dumps([self._clock(), value]), now + seconds)
        return answer, False

    def _parsed(self, question: str, text: str, read: Callable[[Any], _T]) -> tuple[float, _T]:
        """When an answer was given, and the answer: many mails have the same text of it read."""
        known = self._read.get(question)
        if known is None or known[0] != text:
            given, value = json.loads(text)
            if len(self._read) >= _MOST_READ:
                self._read.clear()
            known = self._read[question] = text, (given, read(value))
        return known[1]

    def _is_fresh(self, given: float, now: float) -> bool:
        """Whether an answer was given a moment ago. One that was given later than now is one of a
        clock that was set back since."""
        if given <= float(self._memory.recall(_ANEW, now) or "-inf"):
            return False
        return given <= now < given + self._table.remember_missing


def _found(value: dict[str, Any]) -> Found:
    target = value["target"]
    if target:
        standing = Standing(**target.get("standing", {}))
        target = Target(**{**target, "standing": standing})
    return Found(target or None, value["is_there"], value["answer"])


def _always(answer: object) -> bool:
    return True


def _never(answer: object) -> bool:
    return False
