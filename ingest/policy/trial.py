# SPDX-License-Identifier: BSD-3-Clause
"""What a policy would have done with requests of the past. Pure."""

from collections.abc import Callable, Iterable, Iterator

from ingest.config.policy_tables import PolicySettings
from ingest.ledger import Request
from ingest.mail.recheck import Recheck
from ingest.mail.trust import PATCHWORK
from ingest.policy import rules
from ingest.policy.rules import Standing
from ingest.value import Value


class Judged(Value):
    """A request, and what the policy would have done: nothing if ``reason`` is "", else left out
    all of it, or ``left`` of its labels. ``depends``: on how the patch stood, which nobody knows
    any more; then ``reason`` is what happens at worst."""

    request: Request
    reason: str = ""
    left: tuple[str, ...] = ()
    depends: bool = False


def tried(
    requests: Iterable[Request], policy: PolicySettings, list_of: Callable[[Request], str]
) -> Iterator[Judged]:
    """Each request of the log, in order, judged by a policy. ``list_of``: the List-Id by which a
    request came; asked only if a rule depends on it. Rates count what the policy lets through."""
    through: list[Request] = []
    for request in requests:
        judged = _judged(request, policy, list_of, through)
        if not judged.reason or judged.left:
            through.append(request)
        yield judged


def _judged(
    request: Request,
    policy: PolicySettings,
    list_of: Callable[[Request], str],
    through: list[Request],
) -> Judged:
    # Whether Patchwork had the mail was not asked if nothing depended on it.
    asks, trust, believed = request.requester, request.trust, request.trust.by(PATCHWORK)
    reason = rules.by_trust(policy, believed)
    if not reason and policy.lists:
        reason = rules.by_mail(policy, list_of(request))
    reason = reason or rules.by_project(policy, request.project)
    if reason:
        return Judged(request, reason)
    wanted = Recheck(request.contexts, request.arguments, ())
    key = asks.mailbox.lower()
    best = Standing(submitter=key, maintainers=frozenset([key] if key else []))
    kept, reason = rules.by_sender(policy, asks, Standing(), wanted, trust)
    at_best, _ = rules.by_sender(policy, asks, best, wanted, believed)
    if lacking := rules.by_trust(policy, trust):
        kept, reason = None, lacking
    depends = kept != at_best
    if kept is None and at_best is None:
        return Judged(request, reason)

    def history(seconds: float, most: int, who: str, series: int, proved: bool) -> list[float]:
        times = [
            each.recorded
            for each in reversed(through)
            if each.rated
            and each.recorded > request.recorded - seconds
            and who in ("", each.requester.key)
            and (not series or (series, request.server) == (each.series, each.server))
            and (each.trust.author or not proved)
        ]
        return times[:most]

    proved = bool(trust.author)
    over = rules.by_rate(policy, asks, request.series, request.recorded, history, proved=proved)
    if request.rated and over:
        return Judged(request, over)
    if kept is None:
        return Judged(request, reason, depends=True)
    left = tuple(each for each in request.contexts if each not in kept.contexts)
    told = f"policy senders: {asks} may not ask for all of it" if left else ""
    return Judged(request, told, left, depends)
