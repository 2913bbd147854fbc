# SPDX-License-Identifier: BSD-3-Clause
"""Who may ask for what: decisions over a mail, the patch that it is about, and what was asked
before (DESIGN.md, Who may ask). Pure. Each reason begins with the word policy and its rule's name.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ingest.config import values
from ingest.config.policy_tables import PolicySettings
from ingest.config.values import DAY
from ingest.ledger import Request
from ingest.mail.recheck import Recheck, capped
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from ingest.value import Value
from ingest.words import instant, listed, utc

# Behind a label that its sender may not ask for.
_NOT_ALLOWED = "(policy senders: its sender may not ask for it)"


class Standing(Value):
    """How a patch or series stands on Patchwork. ``maintainers``: of the project, and the patch's
    delegate, who is one of ``delegates``, too; ``states``: of each of its patches those that it is
    in, "archived" among them. All addresses are in lower case."""

    project: str = ""
    submitter: str = ""
    maintainers: frozenset[str] = frozenset()
    delegates: tuple[str, ...] = ()
    states: tuple[frozenset[str], ...] = ()


# The times (Unix) at which the last requests were recorded, newest first: those within so many
# seconds, at most so many, of the one sender whose key is given, for the one series that is, and
# if so asked only those whose author was proved.
History = Callable[[float, int, str, int, bool], Sequence[float]]


def by_mail(policy: PolicySettings, list_id: str) -> str:
    """Why the mail itself rules its request out, "" if it does not."""
    if policy.lists and list_id not in map(str.lower, policy.lists):
        by = f"the list {list_id}" if list_id else "no list"
        return f"policy lists: it came by {by}"
    return ""


def need_standing(policy: PolicySettings) -> bool:
    """Whether any rule depends on how a patch stands."""
    named = {*policy.senders, *(each for group in policy.group.values() for each in group.senders)}
    by_role = bool(named & {"submitter", "maintainer"})
    return bool(policy.states or policy.submitter_labels or by_role)


def by_trust(policy: PolicySettings, trust: Trust) -> str:
    """Why a mail is not believed enough, "" if it is."""
    lacking = trust.lacks(policy.require)
    return f"policy require: not proved of it: {listed(lacking)}" if lacking else ""


def by_project(policy: PolicySettings, project: str) -> str:
    """Why a project rules a request out, "" if it does not."""
    if policy.projects and project not in policy.projects:
        return f"policy projects: it is for project {project or 'unknown'}"
    return ""


def by_state(policy: PolicySettings, standing: Standing, newer: int = 0) -> str:
    """Why the state of the patches rules a request out, "" if it does not: none is left in a
    state in which it is tested. ``newer``: the series that replaces it, 0 if none is known."""
    skipped = [patch.intersection(policy.states) for patch in standing.states]
    if not skipped or not all(skipped):
        return ""
    states = sorted({state for patch in skipped for state in patch})
    instead = f"; the newer series is {newer}" if newer else ""
    return f"policy states: the patch is {listed(states)}{instead}"


def by_sender(
    policy: PolicySettings,
    asks: Requester,
    standing: Standing,
    wanted: Recheck,
    trust: Trust = Trust(),  # noqa: B008  frozen
) -> tuple[Recheck | None, str]:
    """The part of a request that its sender may ask for, or None and the reason. A request that
    names no label is for all of them."""
    allowed = list(_allowed(policy, asks.mailbox.lower(), standing, trust))
    if None in allowed:
        return wanted, ""
    patterns = [pattern for each in allowed if each for pattern in each]

    def may(label: str) -> bool:
        return any(fnmatchcase(label, pattern) for pattern in patterns)

    kept = tuple(filter(may, wanted.contexts))
    if not kept:
        what = listed(wanted.contexts) or "all labels"
        return None, f"policy senders: {asks} may not ask for {what}"
    if len(kept) == len(wanted.contexts):
        return wanted, ""
    left = [f"{label} {_NOT_ALLOWED}" for label in wanted.contexts if not may(label)]
    return replace(wanted, contexts=kept, leftovers=capped([*left, *wanted.leftovers])), ""


def _allowed(
    policy: PolicySettings, sender: str, standing: Standing, trust: Trust
) -> Iterator[Sequence[str] | None]:
    """The patterns of labels that a sender may ask for, None for every label."""
    if not (policy.senders or policy.group or policy.submitter_labels):
        yield None
    if _is_one_of(policy.senders, sender, standing):
        yield None
    for group in policy.group.values():
        if _is_one_of(group.senders, sender, standing) and not trust.lacks(group.require):
            yield group.labels or None
    if policy.submitter_labels and sender and sender == standing.submitter:
        yield policy.submitter_labels


def _is_one_of(senders: Iterable[str], sender: str, standing: Standing) -> bool:
    def is_meant(by: str) -> bool:
        if by == "anyone":
            return True
        if not sender:
            return False
        if by == "submitter":
            return sender == standing.submitter
        if by == "maintainer":
            return sender in standing.maintainers
        return sender == by or (by.startswith("@") and sender.endswith(by))

    return any(map(is_meant, senders))


def by_rate(
    policy: PolicySettings,
    asks: Requester,
    series: int,
    now: float,
    history: History,
    *,
    proved: bool = False,
) -> str:
    """Why a request is one too many at ``now``, "" if it is not, and from when on it would be
    allowed if nobody else asked meanwhile. ``proved``: its author was; what anybody may send uses
    up nothing of the rates for him and for the series that he asks for.
    """
    key, found = asks.key, []
    for rate in policy.rate_sender:
        reason = f"policy rate_sender: there were {rate} of {asks} already"
        found.append((_free(rate, _had(history, rate, key, proved=proved)), reason))
    for rate in policy.rate_series:
        reason = f"policy rate_series: there were {rate} for series {series} already"
        found.append((_free(rate, _had(history, rate, "", series, proved=proved)), reason))
    for rate in policy.rate:
        found += _shared(policy, rate, asks, now, history, proved)
    again, reason = max(found, key=lambda each: each[0], default=(now, ""))
    if again <= now:
        return ""
    return f"{reason}; the next one may come from {instant(utc(math.ceil(again)))} on"


def _shared(
    policy: PolicySettings, rate: str, asks: Requester, now: float, history: History, proved: bool
) -> Iterator[tuple[float, str]]:
    """From when on the overall rate has room, and why not before.

    It is shared: a sender may have no more of it than is left, so that one who asks without end
    gets half of it, and there is room for who comes next. Where authors are proved, all who were
    not are one sender in this, so that they leave half of it to those who were.
    """
    everybody, own = _had(history, rate), _had(history, rate, asks.key, proved=proved)
    reason = f"policy rate: there were {rate} in all already"
    is_room = _free(rate, everybody) <= now
    if is_room:
        reason = f"policy rate: of {rate} in all, {asks} has had {len(own)}: others come first"
    yield _free(rate, _merged(everybody, own)), reason
    if not proved and policy.proves_authors:
        others = Counter(everybody) - Counter(_had(history, rate, proved=True))
        unproved = list(others.elements())
        if is_room:
            reason = f"policy rate: of {rate} in all, senders not proved have had {len(unproved)}"
        yield _free(rate, _merged(everybody, unproved)), reason


def _had(
    history: History, rate: str, sender: str = "", series: int = 0, *, proved: bool = False
) -> Sequence[float]:
    """What counts for a rate now, as far as it matters."""
    most, seconds = values.rate(rate)
    return history(seconds, most, sender, series, proved)


def _merged(some: Sequence[float], others: Sequence[float]) -> Sequence[float]:
    return sorted([*some, *others], reverse=True)


def _free(rate: str, times: Sequence[float]) -> float:
    """From when on there is room for one more, by the times of those that count, newest first."""
    most, seconds = values.rate(rate)
    return times[most - 1] + seconds if len(times) >= most else 0.0


def by_age(max_age: float, request: Request) -> str:
    """Why a request's age keeps it from being handed over, "" if it does not: its mail was older
    than ``max_age`` seconds when it came; 0 is for any age."""
    age = (request.received or request.recorded) - request.date
    if not max_age or age <= max_age:
        return ""
    return f"policy max_age: its mail was {age / DAY:.0f} days old when it came"
