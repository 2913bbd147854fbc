# SPDX-License-Identifier: BSD-3-Clause
"""What a Patchwork server of any kind can be asked: the protocol ``Dialect``, and the values that
its answers are made of. Each kind of server is one module that implements it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Protocol

from ingest.ledger import Filing
from ingest.value import Value
from ingest.words import of_series


class Standing(Value):
    """How a patch or cover letter stood when Patchwork said so, ``as_of``, a Unix time.
    ``submitter`` and ``delegate``: their addresses, "" if there is none or Patchwork does not
    tell; ``state``: as "superseded", "" of a cover letter."""

    submitter: str = ""
    delegate: str = ""
    state: str = ""
    archived: bool = False
    as_of: float = 0.0


# A tag before a title, as lists and people write them; Patchwork keeps no such prefix in a name.
_PREFIX = re.compile(r"\s*(?:(?:re|aw|sv|antw|fwd?)\s*:|\[[^\]]*\])", re.IGNORECASE)
# Words of a title that are asked for: a long address would be refused.
_MOST_WORDS = 30
# What such a check of ours says.
_OURS = re.compile(r"retest requested by .* \(request \d+\)", re.DOTALL)
NEVER = datetime.max.replace(tzinfo=UTC)


class Clue(Value):
    """What a reply says of the mail that it replies to. ``subject``: its own; ``sent``: when, at
    the latest, the other was sent; ``walks``: whether a long search is worth its price now."""

    subject: str = ""
    sent: datetime = NEVER
    walks: bool = False

    @property
    def name(self) -> str:
        """The subject without what stands before a title."""
        rest = self.subject
        while prefix := _PREFIX.match(rest):
            rest = rest[prefix.end() :]
        return " ".join(rest.split())

    @property
    def title(self) -> str:
        """The words of the name, as a server looks for words."""
        return " ".join(self.name.replace(",", " ").split()[:_MOST_WORDS])


class Target(Value):
    """What a mail replies to, as Patchwork knows it."""

    series: int
    kind: str  # "patch" or "cover"
    id: int  # 0 of a cover letter where the server keeps none
    project: str  # the project's link name
    # It changes, and is not what makes a target another one.
    standing: Standing = field(default_factory=Standing, compare=False)
    revision: int = 0  # of the series, where the server has revisions of one
    server: str = ""  # the name of its table [patchwork.NAME]


class Lookup(Value):
    """One question about a mail and what came of it, for the mail's story."""

    asked: str
    answer: str


class Project(Value):
    """A project of the server, and the list whose mail it files."""

    link_name: str
    list_id: str
    maintainers: tuple[str, ...] = ()  # their addresses


class Abilities(Value):
    """What a server is and can do. ``version``: that of the API that is spoken; ``date``: its
    answer's Date header; ``kind``: as in [patchwork] kind; ``keeps_comments``: whether the
    comments of a submission can be read; ``zone``: by how many seconds its
    events are dated ahead of UTC, None if that cannot be told."""

    version: str
    finds_by_message_id: bool
    tells_of_comments: bool
    date: str
    kind: str = "patchwork"
    keeps_comments: bool = True
    zone: float | None = None


class Found(Value):
    """What came of the question for a Message-ID. ``target`` is None where there is no such patch
    or cover letter, and also while one that ``is_there`` belongs to no series yet."""

    target: Target | None
    is_there: bool
    answer: str


class CommentEvent(Value):
    """A mail was filed as a comment. ``id`` grows; ``date`` is in seconds and in the server's own
    time: it may be compared with others of them only. ``sent``: the mail's own Unix time;
    ``msgid``: its Message-ID as Patchwork shows it, in angle brackets and cut after 255
    characters."""

    id: int
    date: float
    sent: float | None
    filing: Filing
    msgid: str
    list_id: str  # of the project

    @property
    def message_id(self) -> str:
        """The Message-ID without angle brackets."""
        return self.msgid.removeprefix("<").removesuffix(">")

    @property
    def name(self) -> str:
        """Which comment it is, on this server."""
        return f"{self.filing} {self.msgid}"


class BadEvent(Value):
    """A row that should be the event of a comment, and is not. ``name`` tells it from others;
    ``id`` and ``date`` are as above where they can be read."""

    id: int | None
    date: float | None
    name: str


class EventPage(Value):
    """One page of events, newest first. ``following`` leads to the next one, "" at the end."""

    events: tuple[CommentEvent | BadEvent, ...]
    following: str


class Comment(Value):
    """A mail as Patchwork keeps it: header fields, several of one name as several pairs, and the
    text that it made of the body."""

    event: CommentEvent
    headers: tuple[tuple[str, str], ...]
    content: str


class Recent(Value):
    """A patch or cover letter, as far as it is looked through for comments."""

    id: int
    message_id: str
    list_id: str  # of the project


class RecentPage(Value):
    """One page of them, the newest first. ``following``: as in ``EventPage``."""

    submissions: tuple[Recent, ...]
    following: str


class Said(Value):
    """What a server tells of a comment. ``sender``: its From; ``content``: the text that it made of
    the body."""

    sender: str
    content: str


class Check(Value):
    """A check, as far as this program cares. ``id`` grows; it is 0 before Patchwork gave one.
    ``author``: the name of the account that posted it, "" if it is not known."""

    context: str
    state: str
    description: str
    id: int = 0
    url: str = ""
    author: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is what the sink of checks posts, of whichever installation, which only says
        that a retest was asked for: see ``sinks.check.description``."""
        return self.state == "pending" and bool(_OURS.fullmatch(self.description))


class CheckEvent(Value):
    """A check was posted on a patch. ``id`` and ``date`` are the event's, as in ``CommentEvent``;
    the check's own id grows, too."""

    id: int
    date: float | None
    patch: int
    check: int
    context: str


class NewRevision(Value):
    """A series has a revision more. ``at``: when the server learnt it, in its own time and words;
    of two the later one is greater."""

    series: int
    revision: int
    at: str


class CheckPage(Value):
    """One page of such events, as ``EventPage``."""

    events: tuple[CheckEvent, ...]
    following: str


def described(target: Target | None) -> str:
    """What was found, for the mail's story."""
    if target is None:
        return "unknown"
    named = f"{target.kind} {target.id}" if target.id else f"{target.kind} letter"
    return f"{named}, {of_series(target)}"


class Dialect(Protocol):
    """How one kind of server is asked. Nothing is remembered here. Every method raises
    ``Unavailable`` if the server is down, ``Unanswered`` if only this question has no usable
    answer, and ``OutOfTime``."""

    @property
    def base(self) -> str:
        """The address of its API, which tells it from other servers."""

    def answers(self) -> None:
        """Ask the neutral question, by whose answer the server is known to be of this kind. Raises
        ``NoApi`` if it is not."""

    def probe(self) -> Abilities:
        """What it can do."""

    def tells_of_comments(self) -> bool:
        """Whether it has events of comments. Where it has none it answers as if there were no
        comments, so ask this first."""

    def keeps_comments(self) -> bool:
        """Whether the comments on a submission can be read."""

    def recent(self, kind: str, since: datetime, page: str = "") -> RecentPage:
        """A page of the patches or cover letters that were sent since a time: the first, or the
        one that ``page`` leads to."""

    def comments_of(self, kind: str, recent: Recent) -> list[Comment | BadEvent]:
        """The comments on a patch or cover letter, each as if an event had told of it."""

    def projects(self) -> list[Project]:
        """Every project."""

    def find(
        self,
        kind: str,
        message_id: str,
        projects: Sequence[str],
        clue: Clue = Clue(),  # noqa: B008  frozen
    ) -> Found:
        """The patch or cover letter of a Message-ID, in one of these projects if any are named.
        ``clue``: what helps a server that cannot find a Message-ID."""

    def titled(self, kind: str, title: str, projects: Sequence[str]) -> list[Target]:
        """The newest patches or cover letters whose name holds every word of a title."""

    def submission(self, filing: Filing, projects: Sequence[str]) -> Target | None:
        """What a mail was filed under; None if that is not there, not in one of these projects,
        or in no series."""

    def comments_on(self, kind: str, submission: int) -> Iterator[str]:
        """The Message-IDs, as Patchwork shows them, of the comments on a patch or cover letter."""

    def said(self, kind: str, submission: int, message_id: str) -> list[Said]:
        """The comments of this Message-ID on a patch or cover letter; none where a server keeps no
        comments."""

    def comment_events(
        self,
        kind: str,
        *,
        project: str = "",
        since: datetime | None = None,
        before: datetime | None = None,
        page: str = "",
    ) -> EventPage:
        """A page of the events of comments, newest first: the first, or the one that ``page``, a
        page's ``following``, leads to. The server compares the times with its own local time."""

    def comment(self, event: CommentEvent) -> Comment | None:
        """The comment that an event names, None if it is not there any more."""

    def patches_of(self, series: int) -> list[int] | None:
        """The patches of a series in their order, None if there is no such series."""

    def newest_revision(self, series: int) -> int:
        """The newest revision of a series, 0 where series have no revisions."""

    def standings_of(self, series: int) -> list[Standing]:
        """How the patches of a series stand."""

    def checks_of(self, patch: int) -> list[Check]:
        """The checks of a patch, oldest first."""

    def results_of(self, series: int, revision: int) -> list[Check] | None:
        """What labs say of a revision of a series; None of a server where they say it of patches,
        see ``checks_of``."""

    def new_revisions(self, project: str) -> list[NewRevision]:
        """The newest revisions of a project's series, the newest first; none where series have no
        revisions."""

    def check_events(self, page: str = "") -> CheckPage:
        """A page of the events of checks, newest first: the first, or the one that ``page``
        leads to. A server without such events, or without checks, has none."""

    def check(self, patch: int, check: int) -> Check | None:
        """One check of a patch, None if it is not there any more."""

    def knows_login(self, authorization: str) -> bool:
        """Whether an account has these credentials, as they stand in the header Authorization."""

    def close(self) -> None:
        """Close the connection."""

    def cut(self) -> None:
        """End the question that another thread waits for."""
