# SPDX-License-Identifier: BSD-3-Clause
"""Which check is the result of which label of which request, and what several of them come to.

Pure: checks and requests in, results out. DESIGN.md, What became of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.ledger import Request, Result, Seen, State
from ingest.patchwork import labels
from ingest.patchwork.dialect import Check
from ingest.results.word import bounded

# Of the checks of several patches the first of these that there is.
_WORST = (State.FAIL, State.WARNING, State.PENDING, State.SUCCESS)


@dataclass(frozen=True, slots=True)
class Watched:
    """A request and where its results are looked for: on these patches, among the checks that
    are newer than ``newest``, the id of the newest check that there was when it came."""

    request: Request
    patches: tuple[int, ...]
    newest: int

    def labels(self, patch: int, check: int, context: str) -> list[str]:
        """The labels that a check is a result of, by its patch, id and context."""
        if check <= self.newest or patch not in self.patches:
            return []
        return meant(self.request, context)


def meant(request: Request, context: str) -> list[str]:
    """The labels of a request that a check of this context is a result of."""
    names = labels.names([context])
    return [each for each in request.contexts if each in names]


def earlier(request: Request, checks: Iterable[tuple[int, Check]], newest: int) -> dict[str, State]:
    """What the checks of a request's labels said before it. ``checks``: those of its patches,
    each with its patch; ``newest``: the id of the newest check that there was when it came."""
    found: dict[tuple[str, int], Seen] = {}
    for patch, check in sorted(checks, key=lambda each: each[1].id):
        for label in meant(request, check.context) if check.id <= newest else ():
            if said := seen(request, label, patch, check):
                found[label, patch] = said
    of_label = {
        label: worst([said for (of, _), said in found.items() if of == label])
        for label in request.contexts
    }
    return {label: said.state for label, said in of_label.items() if said}


def seen(request: Request, label: str, patch: int, check: Check) -> Seen | None:
    """A check as what is known of a label; None if it is one that only says that a retest was
    asked for, or has a state that no Patchwork has."""
    if check.is_ours or check.state not in _WORST:
        return None
    who, url, summary = check.author or "Patchwork", check.url, check.description
    said = bounded(Result(request.number, label, State(check.state), 0.0, who, url, summary))
    return Seen(
        request=request.number,
        label=label,
        patch=patch,
        id=check.id,
        state=said.state,
        author=said.author,
        url=said.url,
        summary=said.summary,
    )


def worst(found: Sequence[Seen]) -> Seen | None:
    """Of the newest checks of several patches the worst, of equal ones the newest."""
    ordered = sorted(found, key=lambda each: (_WORST.index(each.state), -each.id))
    return ordered[0] if ordered else None


def result(found: Sequence[Seen], before: Sequence[Seen], now: float) -> Result | None:
    """The result that these checks come to; None if those before came to the same, so that what
    was learnt since from elsewhere stays."""
    made, was = worst(found), worst(before)
    if made is None or made == was:
        return None
    return Result(
        request=made.request,
        label=made.label,
        state=made.state,
        at=now,
        author=made.author,
        url=made.url,
        summary=made.summary,
    )
