# SPDX-License-Identifier: BSD-3-Clause
"""One Patchwork server as the program asks it about mails: its dialect, what is remembered of its
answers, and what one mail may cost.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from ingest.config.tables import PatchworkSettings
from ingest.config.values import DAY
from ingest.errors import (
    IsSubmission,
    NoApi,
    NotFound,
    NotYet,
    StateUnavailable,
    Temporary,
    Unavailable,
)
from ingest.ledger import Filing
from ingest.ledger.timings import PATCHWORK
from ingest.mail import headers, message
from ingest.mail.message import Mail
from ingest.patchwork.answers import Answers
from ingest.patchwork.api import Api
from ingest.patchwork.attempt import Attempt, Measuring, Memory
from ingest.patchwork.dialect import (
    Abilities,
    Check,
    Clue,
    Dialect,
    Lookup,
    Project,
    Said,
    Standing,
    Target,
)
from ingest.patchwork.resolution import Resolution
from ingest.patchwork.rest import Rest
from ingest.value import replace
from ingest.words import listed

# The kinds of servers, the usual one first, and the setting that leaves it open.
KINDS, AUTO = ("patchwork", "freedesktop"), "auto"
_KIND_REMEMBERED = 30 * DAY
# Questions, or seconds, of which is noted together how long questions took.
_MEASURED_TOGETHER, _MEASURED_EVERY = 20, 1.0
_T = TypeVar("_T")


class Patchwork:
    """A Patchwork server whose answers are remembered for as long as its settings say. ``name``:
    that of its table [patchwork.NAME], "" for [patchwork]."""

    def __init__(
        self,
        table: PatchworkSettings,
        memory: Memory,
        *,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
        name: str = "",
    ) -> None:
        """``until``: the moment of ``time.monotonic`` after which nothing is asked any more."""
        self.name = name
        self._table = table
        self._memory = memory
        self._clock = clock
        self._until = until
        self._attempt: Attempt | None = None
        self._before_asking: Callable[[], None] = lambda: None
        self._took: dict[str, list[float]] = {}
        self._measured = -math.inf
        known = memory.recall(self._kind_key, clock()) if table.kind == AUTO else None
        self._kind = table.kind if table.kind != AUTO else known or KINDS[0]
        self.dialect = self._connected(self._kind)
        self._answers = Answers(self.dialect, memory, table, clock)

    @property
    def _kind_key(self) -> str:
        return f"{self._table.url} kind"

    def _connected(self, kind: str) -> Dialect:
        is_fork = kind == "freedesktop"
        api = Api(
            self._table,
            until=self._until,
            clock=self._clock,
            before_any=lambda: self._before_asking(),
            before_each=self._spend,
            after_each=self._measure,
            is_fork=is_fork,
        )
        by_xml = self._table.xmlrpc
        if not is_fork:
            return Rest(api, by_xml=by_xml)
        from ingest.patchwork.freedesktop import Freedesktop  # with a parser of HTML

        return Freedesktop(api, by_xml=by_xml)

    def is_other_kind(self) -> bool:
        """Whether the server turns out to be of another kind than was thought, as which it is
        asked from now on. Asks only if [patchwork] kind leaves it open."""
        if self._table.kind != AUTO:
            return False
        kind = next(each for each in KINDS if each != self._kind)
        dialect = self._connected(kind)
        try:
            dialect.answers()
        except Unavailable:
            dialect.close()
            return False
        self.dialect.close()
        self._kind, self.dialect = kind, dialect
        self._answers = Answers(dialect, self._memory, self._table, self._clock)
        self._memory.remember(self._kind_key, kind, self._clock() + _KIND_REMEMBERED)
        return True

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """An answer, asked for once more if the server turns out to be of another kind."""
        try:
            return ask()
        except NoApi:
            if not self.is_other_kind():
                raise
        return ask()

    def for_mail(self, mail: Mail, filing: Filing) -> "Patchwork":
        """See ``Servers``: this is the only one."""
        return self

    def before_asking(self, do: Callable[[], None]) -> None:
        """See ``Chooser``."""
        self._before_asking = do

    @property
    def base(self) -> str:
        """The address of its API."""
        return self.dialect.base

    def probe(self) -> Abilities:
        """What it can do, asked anew. Raises ``Unavailable`` or ``Unanswered``."""
        return self._asked(lambda: self.dialect.probe())

    def knows_login(self, authorization: str) -> bool:
        """Whether an account has these credentials, as in the header Authorization. Raises as
        ``probe``."""
        return self.dialect.knows_login(authorization)

    def projects(self) -> list[Project]:
        """Every project of the server, remembered once fetched. Raises as ``probe``."""
        return self._asked(lambda: self._answers.projects())

    def tells_of_comments(self) -> bool:
        """Whether it has events of comments, asked once a day. Raises as ``probe``."""
        return self._asked(lambda: self._answers.tells_of_comments())

    def keeps_comments(self) -> bool:
        """Whether the comments on a submission can be read, asked once a day. Raises as
        ``probe``."""
        return self._asked(lambda: self._answers.keeps_comments())

    def resolve(
        self,
        mail: Mail,
        received: float,
        trail: list[Lookup],
        filing: Filing = Filing(),  # noqa: B008  frozen
    ) -> Target:
        """The series of the patch or cover letter that a mail replies to.

        ``received``: Unix time of reception; ``filing``: where Patchwork filed this very mail, if
        that is known; ``trail`` is given every question asked, also when this raises. Raises
        ``NotFound`` (Patchwork may not have it yet), ``NotYet`` (it is asked again soon),
        ``Unanswered``, ``Unavailable`` or ``OutOfTime``, all temporary, and ``IsSubmission``.
        """

        def ask() -> Target:
            self._attempt = Attempt(self._memory, self.base, mail, self._table, self._clock)
            with self._attempted() as attempt:
                waits = self._table.waits
                resolution = Resolution(mail, received, self._answers, attempt, waits, trail)
                # Numbers of a server that is not asked any more mean nothing here.
                own = filing if filing.server == self.name else Filing()
                return replace(resolution.target(own), server=self.name)

        return self._asked(ask)

    def patches_of(self, series: int) -> list[int] | None:
        """The patches of a series, None if there is no such series. Raises as ``probe``."""
        return self._asked(lambda: self.dialect.patches_of(series))

    def newest_revision(self, series: int) -> int:
        """The newest revision of a series, 0 where series have none. Raises as ``probe``."""
        return self._asked(lambda: self.dialect.newest_revision(series))

    def contexts(self, target: Target, is_enough: Callable[[set[str]], bool]) -> set[str]:
        """The contexts of the checks that the target's patch has, or for a cover letter the
        patches of its series: of as many patches as it takes until they are enough, else of all.
        The questions are those of the attempt at the mail that was resolved last. Raises as
        ``resolve``."""
        found: set[str] = set()

        def is_enough_with(more: set[str]) -> bool:
            return is_enough(found | more)

        with self._attempted() as attempt:
            of_revision = self._answers.tests_of(target)
            if of_revision is not None:
                attempt.end()
                return of_revision
            patches = (
                [target.id] if target.kind == "patch" else self._answers.patches_of(target.series)
            )
            for patch in patches:
                if is_enough(found):
                    break
                found |= self._answers.contexts_of(patch, is_enough_with)
            attempt.end()
        return found

    def checks(self, target: Target, most: int) -> list[tuple[int, Check]]:
        """The checks of the target's patch, or for a cover letter of the first and last patches of
        its series, ``most`` in all, each with its patch, as they are now; where labs speak of
        revisions, what they say of this one, of patch 0. The questions are those of the attempt at
        the mail that was resolved last. Raises as ``resolve``."""
        with self._attempted() as attempt:
            results = None
            if target.revision:
                results = self.dialect.results_of(target.series, target.revision)
            if results is not None:
                found = [(0, each) for each in results]
            else:
                patches = [target.id]
                if target.kind == "cover":
                    patches = self._answers.patches_of(target.series)
                first = patches[: most // 2]
                those = [*first, *patches[len(first) :][-(most - most // 2) :]]
                found = [(each, check) for each in those for check in self.dialect.checks_of(each)]
            attempt.end()
        return found

    def standings(self, target: Target, trail: list[Lookup]) -> list[Standing]:
        """How a patch, or each patch of a cover letter's series, stands now. The questions are
        those of the attempt at the mail that was resolved last. ``trail`` and what is raised: as
        ``resolve``."""
        with self._attempted():
            found = self._answers.standings(target)
        of = f"series {target.series}" if target.kind == "cover" else f"patch {target.id}"
        states = [f"{each.state}{', archived' * each.archived}" for each in found]
        trail.append(Lookup(f"state of {of}", listed(dict.fromkeys(states)) or "unknown"))
        return found

    def newer(self, target: Target, subject: str, trail: list[Lookup]) -> int:
        """The newest series that came after a target's, of the same submitter and title; 0 if there
        is none, or if Patchwork does not tell now: nothing depends on it. ``subject``: that of a
        reply to the target; ``trail``: as ``resolve``."""
        title = Clue(subject).title
        if not title or not target.standing.submitter:
            return 0
        try:
            with self._attempted():
                found = self.dialect.titled(target.kind, title, [target.project])
        except Temporary:
            return 0
        by = target.standing.submitter.lower()
        theirs = [each.series for each in found if each.standing.submitter.lower() == by]
        newest = max(theirs, default=0)
        told = f"series {newest}" if newest > target.series else "none"
        trail.append(Lookup(f"a newer series of {title!r}", told))
        return newest if newest > target.series else 0

    def await_comment(self, target: Target, mail: Mail, raw: bytes, trail: list[Lookup]) -> None:
        """Return once a mail is a comment by its sender on what was resolved, with its text. Raises
        ``NotYet`` a few times and then ``NotFound`` as long as it is not, and as ``resolve``."""
        with self._attempted() as attempt:
            ours = Said(_address(headers.read(raw).first("from")), message.stored(raw).strip())
            found = [
                Said(_address(each.sender), each.content.strip())
                for each in self.dialect.said(target.kind, target.id, mail.message_id)
            ]
            asked = f"<{mail.message_id}> among the comments on {target.kind} {target.id}"
            if ours in found:
                trail.append(Lookup(asked, "there"))
                return
            trail.append(Lookup(asked, "with another sender or text" if found else "not there"))
            what = f"a comment on {target.kind} {target.id}"
            why = f"policy require: Patchwork does not have it as {what} yet"
            waited = attempt.searched.get("comment waits", 0)
            if waited < len(self._table.waits):
                attempt.searched["comment waits"] = waited + 1
                attempt.end()
                raise NotYet(why, self._table.waits[waited])
            raise NotFound(why)

    @contextmanager
    def _attempted(self) -> Iterator[Attempt]:
        """A part of an attempt at a mail, which is kept if it is to go on later."""
        assert self._attempt is not None
        attempt = self._answers.attempt = self._attempt
        try:
            yield attempt
        except (NotFound, IsSubmission):
            attempt.end()
            raise
        except Temporary:
            attempt.suspend()
            raise
        finally:
            self._answers.attempt = None
            if self._took and time.monotonic() - self._measured >= _MEASURED_EVERY:
                self._keep_measures()
        attempt.settle()

    def _spend(self) -> None:
        if self._answers.attempt:
            self._answers.attempt.spend()

    def _measure(self, status: str, took: float) -> None:
        """Note how long a question took. Noted together, they cost the ledger little."""
        self._took.setdefault(status, []).append(took)
        if sum(map(len, self._took.values())) >= _MEASURED_TOGETHER:
            self._keep_measures()

    def _keep_measures(self) -> None:
        took, self._took = self._took, {}
        self._measured = time.monotonic()
        if isinstance(self._memory, Measuring):
            # Figures are not worth a mail, or an answer.
            with suppress(StateUnavailable):
                for status, durations in took.items():
                    self._memory.timings.add(f"{PATCHWORK} {status}", durations)

    def close(self) -> None:
        """Close the connection."""
        self._keep_measures()
        self.dialect.close()

    def cut(self) -> None:
        """Have the question that another thread waits for raise ``Unavailable`` now."""
        self.dialect.cut()


def _address(sender: str) -> str:
    """The address in a From field, in lower case."""
    return message.parse(f"From: {sender}\n\n".encode("utf-8", "replace")).address.lower()
