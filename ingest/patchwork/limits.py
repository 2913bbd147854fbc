# SPDX-License-Identifier: BSD-3-Clause
"""What a server cannot do, and what follows from that, in plain words. Pure."""

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.config.values import DAY
from ingest.patchwork.outage import of_server
from ingest.words import counted

if TYPE_CHECKING:
    from ingest.patchwork.attempt import Memory
    from ingest.patchwork.dialect import Abilities

_KEY, _GONE = "cannot", "another server's requests"
_UPGRADE = "give its url without an API version, or ask for an upgrade"


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing. ``what``: in a word; ``text``: for ``check``; ``short``: for ``status``;
    ``ends_catching_up``: whether catching up cannot work."""

    what: str
    text: str
    short: str
    ends_catching_up: bool = False


def of(server: "Abilities") -> list[Limit]:
    """All that a server lacks."""
    if server.kind == "freedesktop":
        return [_FORK_COMMENTS, _FORK_RESULTS]
    found = []
    if not server.finds_by_message_id:
        found.append(
            Limit(
                "API",
                f"API {server.version} ignores the msgid filter, which 1.2 brought: patches are "
                "found by title and time, with more questions, and one whose reply has another "
                f"subject perhaps not; {_UPGRADE}",
                "finds no Message-ID: patches are found by title and time",
            )
        )
    if not server.keeps_comments:
        found.append(
            Limit(
                "comments",
                f"API {server.version} shows no comments, which came with 1.1: nothing can be "
                "caught up, and a reply without References to another reply is not resolved; "
                f"{_UPGRADE}",
                "shows no comments: nothing is caught up",
                ends_catching_up=True,
            )
        )
    elif not server.tells_of_comments:
        found.append(
            Limit(
                "comments",
                f"API {server.version} has no events of comments, which came with 1.3: catching up "
                "reads the comments on recent patches, [catch_up] walk of them in a run, and a "
                "reply without References to another reply is looked for on the patches of its "
                f"title; {_UPGRADE}",
                "has no events of comments: catching up reads those on recent patches",
            )
        )
    return found


_FORK_COMMENTS = Limit(
    "comments",
    "freedesktop's fork shows comments without their Message-IDs: nothing can be caught up, a "
    "reply to another reply counts for the patch in its References after [patchwork] waits, and "
    'what [policy] require "patchwork" asks for cannot be proved',
    "shows no comments to programs: nothing is caught up",
    ends_catching_up=True,
)
_FORK_RESULTS = Limit(
    "results",
    "freedesktop's fork has one test result for each test of a revision, and no checks of patches: "
    "[check.NAME] cannot be used there, [test_result.NAME] can",
    "has test results of revisions instead of checks",
)


def zone(server: "Abilities") -> str:
    """How the server dates its events, "" if that is not known."""
    if server.zone is None:
        return ""
    if not server.zone:
        return "events are dated in UTC"
    ahead = "ahead of" if server.zone > 0 else "behind"
    hours = f"{abs(server.zone) / 3600:g} hours"
    return f"events are dated {hours} {ahead} UTC, which makes no difference here"


def are_known(memory: "Memory", now: float, server: str) -> bool:
    """Whether somebody has asked of late what a server lacks. ``server``: the name of its table
    [patchwork.NAME]."""
    return memory.recall(of_server(_KEY, server), now) is not None


def known(memory: "Memory", now: float, server: str) -> tuple[str, ...]:
    """What a server is known to lack, in short."""
    kept = memory.recall(of_server(_KEY, server), now)
    gone = memory.recall(of_server(_GONE, server), now)
    return (*(json.loads(kept) if kept else ()), *([gone] if gone else []))


def note_gone(memory: "Memory", now: float, server: str, number: int) -> None:
    """Remember for ``status`` how many open requests were begun at another server, whose ids mean
    nothing at this one."""
    key = of_server(_GONE, server)
    has = f"has nothing of {counted(number, 'open request')} that another server was asked about"
    told = f"{has}: the lab has to say what became of them" if number else ""
    if told != (memory.recall(key, now) or ""):
        memory.remember(key, told, math.inf)


def note(memory: "Memory", now: float, server: str, found: "Abilities") -> None:
    """Remember what a server lacks, for ``status``."""
    shorts = json.dumps([each.short for each in of(found)])
    memory.remember(of_server(_KEY, server), shorts, now + DAY)
