# SPDX-License-Identifier: BSD-3-Clause
"""A request that no mail asks for, and remarks: what a person or a program does by a command or
over HTTP.
"""

import re
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from ingest.config.tables import Settings
from ingest.errors import NothingFound, UsageError
from ingest.ledger import Arrival, Event, Ledger, Outcome, Request, Submission
from ingest.mail.recheck import LONGEST_NAME, MOST_ARGUMENTS, MOST_LABELS, Recheck
from ingest.mail.requester import Requester
from ingest.patchwork import labels
from ingest.policy import selection
from ingest.words import on_one_line, printable

# The story's step, and the source of what was asked for so.
NOTE, SOURCE = "note", "by hand"

_NAME = re.compile(r"(?!-)[\w-]+")
_LONGEST_AUTHOR, _LONGEST_TEXT = 200, 2000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for by hand. ``author``: who asks; ``way``: how, as "token lab" or "command";
    ``reason``: why, "" if nobody says; ``server``: whose series it is, see ``Request``."""

    series: int
    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    author: str
    way: str
    reason: str = ""
    server: str = ""

    @property
    def requester(self) -> str:
        """Who asks, as it is shown."""
        return f"{on_one_line(self.author, _LONGEST_AUTHOR)} ({self.way})"


@dataclass(frozen=True, slots=True)
class Target:
    """What Patchwork says of a series that is asked for: a patch of it, and its newest revision, 0
    where series have none."""

    submission: Submission = Submission("", 0)  # noqa: RUF009  frozen
    revision: int = 0


UNKNOWN = Target()


def check(wish: Wish, settings: Settings) -> None:
    """Raise ``UsageError`` for what cannot be asked for here."""
    _wanted(wish, settings)


def target(ledger: Ledger, settings: Settings, wish: Wish) -> Target:
    """The target of a wish: the first patch that Patchwork has in the series. Patchwork is not
    asked about a series that somebody asked for before. Raises ``UsageError`` for what cannot be
    asked for here, ``NothingFound`` if Patchwork has no such series, and as ``Patchwork.probe``."""
    _wanted(wish, settings)
    if ledger.requests_of(wish.series, 1 << 62, wish.server):
        return UNKNOWN
    from ingest.patchwork.lookup import Patchwork

    table = settings.server(wish.server)
    assert table  # see _wanted
    with closing(Patchwork(table, ledger, name=wish.server)) as patchwork:
        patches = patchwork.patches_of(wish.series)
        if not patches:
            raise NothingFound(f"{table.url} has no series {wish.series}")
        return Target(Submission("patch", patches[0]), patchwork.newest_revision(wish.series))


def ask(
    ledger: Ledger,
    settings: Settings,
    wish: Wish,
    now: float,
    *,
    key: str = "",
    target: Target = UNKNOWN,
) -> tuple[Request, bool]:
    """Record a request; the request, and whether it is new. ``now``: a Unix time; ``key``: the same
    one never makes a second request; ``target``: see above. Raises ``UsageError`` for what cannot
    be asked for here."""
    wanted = _wanted(wish, settings)
    known = ledger.requests_of(wish.series, 1 << 62, wish.server)
    before = known[-1] if known else None
    asked = Request(
        number=0,
        mail_id=0,
        message_id="",
        series=wish.series,
        submission=before.submission if before else target.submission,
        project=before.project if before else "",
        contexts=wanted.contexts,
        arguments=wanted.arguments,
        leftovers=wanted.leftovers,
        requester=Requester(wish.requester),
        subject=before.subject if before else "",
        date=now,
        recorded=now,
        received=now,
        reason=on_one_line(wish.reason, _LONGEST_TEXT),
        server=wish.server,
        revision=before.revision if before else target.revision,
        rated=False,
        delegates=before.delegates if before else (),
    )
    arrival = Arrival(
        raw=b"",
        identity=f"{SOURCE} {key or uuid.uuid4().hex}",
        message_id="",
        list_id="",
        source=f"{SOURCE}, {wish.way}",
        received=now,
        outcome=Outcome.DONE,
        reason=selection.summary(wanted, asked),
        author=wish.requester,
    )
    told = {"series": wish.series, "by": wish.requester}
    if asked.reason:
        told["why"] = asked.reason
    found, is_new = ledger.enter(arrival, asked, [Event(now, "recorded", told)])
    if found is None:
        raise UsageError("this was asked for before, and is dropped since: give it another key")
    return found, is_new


def note(ledger: Ledger, mail: int, text: str, author: str, now: float) -> Event:
    """Add a remark to the story of the mail of this number. Raises ``UsageError`` if it says
    nothing."""
    said = on_one_line(text, _LONGEST_TEXT)
    if not said:
        raise UsageError("the remark is empty: say something")
    remark = Event(now, NOTE, {"by": on_one_line(author, _LONGEST_AUTHOR), "text": said})
    ledger.tell(mail, [remark])
    return remark


def _wanted(wish: Wish, settings: Settings) -> Recheck:
    """What is asked for, as far as it is wanted here."""
    if wish.server and wish.server not in settings.server_names:
        raise UsageError(f"there is no [patchwork.{printable(wish.server)}]")
    if not wish.contexts and not wish.arguments:
        raise UsageError("name a label or an argument")
    if len(wish.contexts) > MOST_LABELS or len(wish.arguments) > MOST_ARGUMENTS:
        raise UsageError(f"there are at most {MOST_LABELS} labels and {MOST_ARGUMENTS} arguments")
    for each in (*wish.contexts, *wish.arguments, *wish.arguments.values()):
        if not _NAME.fullmatch(each) or len(each) > LONGEST_NAME:
            raise UsageError(
                f"{printable(each)!r} is not a label, nor a part of an argument: these have"
                " letters, digits, '_' and '-', and do not begin with '-'"
            )
    if groups := [each for each in wish.contexts if each in settings.groups]:
        raise UsageError(
            f"{groups[0]} stands for other labels ([groups]), which only a mail can ask for: name "
            "the labels"
        )
    given = Recheck(tuple(dict.fromkeys(wish.contexts)), dict(wish.arguments), ())
    patterns = labels.patterns(settings.requests)
    wanted, reason = selection.select(given, patterns, settings.requests.arguments)
    if wanted is None:
        raise UsageError(reason)
    return wanted
