# SPDX-License-Identifier: BSD-3-Clause
"""Labels that stand for others: [groups]. For which ones shows once it is known what a request is
for, by the checks that this has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from ingest.config.tables import RequestsSettings, Settings
from ingest.config.values import BY_CHECKS, CHECK_STATES, states_of
from ingest.mail.recheck import MOST_LABELS, Recheck, capped
from ingest.patchwork import labels
from ingest.patchwork.dialect import Check, Lookup, Target
from ingest.patchwork.lookup import Patchwork
from ingest.value import Value
from ingest.words import counted, listed

# Of the patches of a cover letter's series so many are asked for their checks.
_MOST_PATCHES = 20
# Of the newest checks of several patches the first of these that there is.
_WORST = ("fail", "warning", "pending", "success")
_WILD = frozenset("*?[")


class Expanded(Value):
    """A request with the labels that its groups stand for, and these by the group's name."""

    wanted: Recheck
    groups: Mapping[str, tuple[str, ...]]


def expanded(
    wanted: Recheck,
    target: Target,
    patchwork: Patchwork,
    settings: Settings,
    trail: list[Lookup],
) -> Expanded:
    """A request whose groups are in their places the labels that they stand for; nothing is asked
    if it names none. A group that stands for nothing is left over. ``trail`` is given what each
    group stands for; raises as ``Patchwork.resolve``."""
    named = [each for each in wanted.contexts if each in settings.groups]
    if not named:
        return Expanded(wanted, {})
    states: dict[str, str] = {}
    if any(_asks(each) for name in named for each in settings.groups[name]):
        states = worst(patchwork.checks(target, _MOST_PATCHES))
    groups = {
        name: tuple(
            each
            for each in stands_for(settings.groups[name], states)
            if _is_wanted(each, settings.requests)
        )
        for name in named
    }
    for name, meant in groups.items():
        of = f"group {name} of {target.kind} {target.id}"
        trail.append(Lookup(of, listed(meant) or "no label"))
    every = [label for each in wanted.contexts for label in groups.get(each, (each,))]
    kept = tuple(dict.fromkeys(every))
    nothing = [f"{name} (stands for no label here)" for name, meant in groups.items() if not meant]
    more = len(kept) - MOST_LABELS
    nothing += [f"{counted(more, 'label')} more of {listed(groups)}"] if more > 0 else []
    left = capped([*wanted.leftovers, *nothing])
    return Expanded(replace(wanted, contexts=kept[:MOST_LABELS], leftovers=left), groups)


def worst(checks: Iterable[tuple[int, Check]]) -> dict[str, str]:
    """The state of each label: of the newest checks of each patch, without those of ours, the
    worst. ``checks``: each with its patch."""
    newest: dict[tuple[str, int], Check] = {}
    for patch, check in sorted(checks, key=lambda each: each[1].id):
        label = labels.of_context(check.context)
        if label and not check.is_ours and check.state in CHECK_STATES:
            newest[label, patch] = check
    found: dict[str, str] = {}
    for (label, _), check in newest.items():
        states = (check.state, found.get(label, check.state))
        found[label] = min(states, key=_WORST.index)
    return found


def stands_for(group: Iterable[str], states: Mapping[str, str]) -> list[str]:
    """The labels of a group, in order. ``states``: those of the labels that have checks."""
    found: dict[str, None] = {}
    for each in group:
        if each.startswith(BY_CHECKS):
            wanted = states_of(each)
            found |= dict.fromkeys(
                sorted(label for label, state in states.items() if state in wanted)
            )
        elif _asks(each):
            found |= dict.fromkeys(sorted(label for label in states if fnmatchcase(label, each)))
        else:
            found[each] = None
    return list(found)


def _asks(part: str) -> bool:
    """Whether checks say what a part of a group stands for; else it is a label itself."""
    return part.startswith(BY_CHECKS) or not _WILD.isdisjoint(part)


def _is_wanted(label: str, requests: RequestsSettings) -> bool:
    patterns = labels.patterns(requests)
    return not patterns or any(fnmatchcase(label, each) for each in patterns)
