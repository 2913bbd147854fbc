# SPDX-License-Identifier: BSD-3-Clause
"""Which series a mail replies to: in what order a server is asked, and which answer decides
(DESIGN.md, Resolution).
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from ingest.errors import IsSubmission, NotFound, NotYet
from ingest.ledger import Filing
from ingest.mail.message import Mail, cover_number
from ingest.patchwork.answers import Answers
from ingest.patchwork.api import MOST_PAGES
from ingest.patchwork.attempt import Attempt
from ingest.patchwork.dialect import Clue, CommentEvent, EventPage, Lookup, Target, described
from ingest.patchwork.feed import KINDS, ZONES, Walk
from ingest.value import replace

# A mail that was sent so long before it came was held up, and Patchwork filed it when it came,
# too; or it comes out of an archive, and Patchwork filed it when it was sent.
_HELD_UP = timedelta(days=3)
_EARLIER = timedelta(hours=1)
# Of a mail that names more: the nearest, and the first of its thread.
_NEAREST, _FARTHEST = 30, 10
# Patchwork keeps so many characters of a Message-ID with its brackets.
_COLUMN = 255
# Of those with a mail's title, how many are asked for their comments.
_MOST_TITLED = 10


class Resolution:
    """The resolution of one mail. ``waits``: seconds before each further question where it was
    filed, until a farther candidate counts; ``trail`` is given every question."""

    def __init__(
        self,
        mail: Mail,
        received: float,
        answers: Answers,
        attempt: Attempt,
        waits: Sequence[float],
        trail: list[Lookup],
    ) -> None:
        self._mail = mail
        self._received = datetime.fromtimestamp(received, UTC)
        self._answers = answers
        self._dialect = answers.dialect
        self._attempt = attempt
        self._waits = waits
        self._trail = trail
        self._projects = self._projects_of_list()
        self._kinds = KINDS[::-1] if cover_number(mail.subject) else KINDS
        self._walks = attempt.may_search_long()
        came = self._received
        self._clue = Clue(mail.subject, min(mail.date or came, came) + _EARLIER)
        # Patchwork may have filed such a mail as a comment: then it is one.
        self._is_doubtful = mail.submission == "cover letter"

    def target(self, filing: Filing) -> Target:
        """What the mail replies to. ``filing``: where it was filed, if that is known. Raises
        ``NotFound``, ``NotYet``, ``IsSubmission``, and what ``Dialect`` raises."""
        own = [self._mail.message_id] if self._is_doubtful and self._mail.message_id else []
        nearest, *farther = [*own, *self._bounded(self._mail.candidates)]
        target = self._ask(nearest, anew=True)
        if target and self._is_doubtful:
            raise IsSubmission(f"it is a {self._mail.submission} itself")
        if target:
            return target
        if filing:
            return self._filed(filing)
        known = None
        for candidate in farther:
            if found := self._ask(candidate, anew=False):
                if self._is_filed_under(found, nearest):
                    return found
                known = known or found
                if self._answers.tells_of_comments():
                    break  # they tell at once, of all submissions
        if filing := self._search():
            return self._filed(filing)
        if found := self._titled(nearest):
            return found
        if known is None:
            raise NotFound(f"Patchwork at {self._dialect.base} knows nothing that it replies to")
        self._wait(nearest)
        return known

    def _projects_of_list(self) -> list[str]:
        """The link names of the projects that have this list, of which there may be none.

        Several may share a list and split it by subject; then rows are filtered, not questions.
        """
        list_id = self._mail.list_id
        if not list_id:
            return []
        projects = [each for each in self._answers.projects() if each.list_id.lower() == list_id]
        if not projects:
            self._note(f"project of list {list_id}", "none; all projects are asked")
        return [each.link_name for each in projects]

    def _bounded(self, candidates: Sequence[str]) -> Sequence[str]:
        """The candidates to be asked for: all, or as many as one mail may ask for."""
        if len(candidates) <= _NEAREST + _FARTHEST:
            return candidates
        left_out = len(candidates) - _NEAREST - _FARTHEST
        self._note(f"{left_out} of {len(candidates)} references", "too many, not asked for")
        return [*candidates[:_NEAREST], *candidates[-_FARTHEST:]]

    def _ask(self, candidate: str, *, anew: bool) -> Target | None:
        """What a candidate is, None if Patchwork does not know it. Raises ``NotFound`` for the
        nearest one, which is asked for ``anew``, if it belongs to no series yet."""
        if not _can_exist(candidate):
            self._note(candidate[:60], "an id that Patchwork cannot have")
            return None
        scope = f" in {self._projects[0]}" if len(self._projects) == 1 else ""
        for kind in self._kinds:
            clue = replace(self._clue, walks=anew and self._walks)
            found, remembered = self._answers.find(
                kind, candidate, self._projects, clue=clue, anew=anew
            )
            answer = f"{found.answer} (remembered)" if remembered else found.answer
            self._note(f"{kind} <{candidate}>{scope}", answer)
            if found.target:
                return found.target
            if found.is_there and anew:
                raise NotFound(f"Patchwork at {self._dialect.base} has it in no series yet")
        return None

    def _is_filed_under(self, target: Target, nearest: str) -> bool:
        """Whether the mail, or the one that it replies to, is a comment on this."""
        ours = {_shown(each) for each in (nearest, self._mail.message_id) if each}
        is_among = not ours.isdisjoint(self._dialect.comments_on(target.kind, target.id))
        answer = "among them" if is_among else "not among them"
        self._note(f"comments on {target.kind} {target.id} for <{nearest}>", answer)
        return is_among

    def _filed(self, filing: Filing) -> Target:
        """What the mail was filed under, which decides. Raises ``NotFound``."""
        target = self._answers.submission(filing, self._projects)
        name = f"{filing.kind} {filing.submission}"
        self._note(f"{name}, under which Patchwork filed the mail", described(target))
        if target is None:
            raise NotFound(f"Patchwork filed it under {name}, which is in no series yet")
        return target

    def _titled(self, nearest: str) -> Target | None:
        """Of a server without comment events: what has the mail's title, and the mail, or the one
        that it replies to, among its comments."""
        title = self._clue.title
        if not self._walks or not title or not self._mail.message_id:
            return None
        if self._answers.tells_of_comments():
            return None
        for kind in self._kinds:
            for target in self._dialect.titled(kind, title, self._projects)[:_MOST_TITLED]:
                if self._is_filed_under(target, nearest):
                    return target
        return None

    def _search(self) -> Filing:
        """Where Patchwork filed this mail as a comment. No endpoint finds a comment by its
        Message-ID, but the event of its creation names both."""
        mail, searched = self._mail, self._attempt.searched
        if not mail.message_id:
            return Filing()
        if "filing" in searched:
            return Filing(**searched["filing"])
        if not self._answers.tells_of_comments():
            self._note("comment events", "this server has none: they came with API 1.3")
            return Filing()
        for kind in KINDS:
            for name, since, before in self._windows():
                if filing := self._search_events(kind, f"{kind} {name}", since, before):
                    searched["filing"] = asdict(filing)
                    return filing
            self._note(f"{kind} comment events for <{mail.message_id}>", "nothing")
        return Filing()

    def _windows(self) -> Iterator[tuple[str, datetime, datetime | None]]:
        """The times in which it may have been filed, as Patchwork's local time may have it."""
        came = self._received
        sent = min(self._mail.date or came, came)
        is_held_up = came - sent > _HELD_UP
        yield "recent", (came if is_held_up else sent) - _EARLIER - ZONES, None
        if is_held_up:
            yield "sent", sent - _EARLIER - ZONES, sent + _HELD_UP + ZONES

    def _search_events(
        self, kind: str, name: str, since: datetime, before: datetime | None
    ) -> Filing:
        searched, answers = self._attempt.searched, self._attempt.answers
        if name in answers or searched.get(name) == "all":
            return Filing()
        project = self._projects[0] if len(self._projects) == 1 else ""

        def read(page: str) -> EventPage:
            return self._dialect.comment_events(
                kind, project=project, since=since, before=before, page=page
            )

        walk = Walk(**searched.get(name, {}))
        try:
            for event in walk.events(read, MOST_PAGES):
                if isinstance(event, CommentEvent) and event.msgid == _shown(self._mail.message_id):
                    return event.filing
        finally:
            searched[name] = asdict(walk)
        answers[name] = "searched"
        if before:
            searched[name] = "all"
        return Filing()

    def _wait(self, nearest: str) -> None:
        """Raises ``NotYet`` as often as a farther candidate has to wait for the nearest one."""
        waited = self._attempt.searched.get("waits", 0)
        if waited < len(self._waits):
            self._attempt.searched["waits"] = waited + 1
            self._attempt.end()
            raise NotYet(
                f"Patchwork does not know <{nearest}> yet; a farther reference counts only later",
                self._waits[waited],
            )
        self._note(f"<{nearest}>", "not known in time: a farther reference counts")

    def _note(self, asked: str, answer: str) -> None:
        self._trail.append(Lookup(asked, answer))


def _shown(message_id: str) -> str:
    """An id as Patchwork shows it."""
    return f"<{message_id}>"[:_COLUMN]


def _can_exist(message_id: str) -> bool:
    """Whether Patchwork can have a patch or cover letter of this id, uncut. Its database may have
    no room beyond U+FFFF."""
    return len(message_id) <= _COLUMN - 2 and not any(
        each > "\uffff" or unicodedata.category(each) == "Cc" for each in message_id
    )
