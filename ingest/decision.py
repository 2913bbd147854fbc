# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of one mail: the decision that the worker records and a dry run prints.

It knows no ledger: mail, settings and Patchwork in, a ``Decision`` out.
"""

from collections.abc import Mapping
from dataclasses import field

from ingest.config import tables
from ingest.config.policy_tables import PolicySettings
from ingest.config.tables import Settings
from ingest.errors import (
    IsSubmission,
    NotFound,
    NotYet,
    OutOfTime,
    Permanent,
    StateUnavailable,
    Temporary,
    Unanswered,
    Unavailable,
)
from ingest.ledger import Filing, Outcome, Waiting
from ingest.mail import message, recheck
from ingest.mail.message import Mail
from ingest.mail.recheck import Recheck
from ingest.mail.trust import PATCHWORK, Trust
from ingest.patchwork import groups, labels
from ingest.patchwork.dialect import Lookup, Target
from ingest.patchwork.groups import Expanded
from ingest.patchwork.lookup import Patchwork
from ingest.policy import rules, selection
from ingest.value import Value, replace
from ingest.words import listed


class Decision(Value):
    """What becomes of a mail, and why.

    ``outcome`` is ``QUEUED`` while only Patchwork can tell: ``waiting`` says what for,
    ``retry_after`` how many seconds a server asked us to wait, and ``pause`` after how many
    seconds the same attempt goes on, if it does. ``mail`` is None if it cannot be read; ``wanted``
    is the part of its request that counts here; ``target`` what it is for. ``trail``: every
    question that Patchwork was asked; ``groups`` and ``delegates``: see ``Request``; ``raw``: the
    mail's bytes, as long as the decision is open.
    """

    outcome: Outcome
    reason: str
    mail: Mail | None = None
    wanted: Recheck | None = None
    target: Target | None = None
    trail: tuple[Lookup, ...] = ()
    waiting: Waiting = Waiting.NOTHING
    retry_after: float | None = None
    pause: float | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trust: Trust = Trust()
    delegates: tuple[str, ...] = ()
    raw: bytes = field(default=b"", repr=False)

    @property
    def is_open(self) -> bool:
        """Whether Patchwork is to be asked: the mail itself holds a request that is wanted."""
        return self.outcome is Outcome.QUEUED


def judge(raw: bytes, null_sender: bool, settings: Settings) -> Decision:
    """What a mail's own bytes say. Pure; the decision is open if Patchwork is to be asked.

    ``null_sender``: the envelope sender was empty, as a bounce's is.
    """
    try:
        mail = message.parse(raw)
    except Permanent as error:
        return Decision(Outcome.FAILED, str(error))
    reason = selection.no_request(mail, null_sender)
    if reason:
        return Decision(Outcome.IGNORED, reason, mail)
    grammar = recheck.Grammar(settings.requests.grammar)
    found = recheck.parse(mail.text, grammar)
    if not found:
        near = recheck.near_miss(mail.text, grammar)
        close = f"; {near}" if near else ""
        return Decision(Outcome.IGNORED, f"it has no Recheck-request line{close}", mail)
    if reason := rules.by_mail(settings.policy, mail.list_id):
        return Decision(Outcome.REJECTED, reason, mail)
    patterns = labels.patterns(settings.requests)
    if patterns:
        patterns = (*patterns, *settings.groups)
    wanted, reason = selection.select(found, patterns, settings.requests.arguments)
    if wanted is None:
        return Decision(Outcome.IGNORED, reason, mail)
    return Decision(Outcome.QUEUED, "", mail, wanted, raw=raw)


def believe(decision: Decision, trust: Trust, settings: Settings) -> Decision:
    """An open decision about a mail whose sender is believed so far: rejected, or as it was.
    Whether Patchwork has the mail shows once it is known what the mail is about."""
    trusted = replace(decision, trust=trust)
    reason = rules.by_trust(settings.policy, trust.by(PATCHWORK))
    return replace(trusted, outcome=Outcome.REJECTED, reason=reason) if reason else trusted


def resolve(
    decision: Decision,
    received: float,
    settings: Settings,
    patchwork: Patchwork,
    filing: Filing = Filing(),  # noqa: B008  frozen
) -> Decision:
    """An open decision, made with Patchwork's help; any other stays as it is.

    ``received``: Unix time of reception, used where the mail has no date; ``filing``: where
    Patchwork has filed the mail, if that is known. Only an error that
    says that Patchwork is down has the mail wait for the server; any other failed question
    concerns this mail alone. Raises ``OutOfTime`` and ``StateUnavailable``.
    """
    if not decision.is_open or decision.mail is None or decision.wanted is None:
        return decision
    trail: list[Lookup] = []
    try:
        target = patchwork.resolve(decision.mail, received, trail, filing)
        meant = groups.expanded(decision.wanted, target, patchwork, settings, trail)
        decision = replace(decision, wanted=meant.wanted, groups=meant.groups)
        if reason := _without_labels(meant):
            made = replace(decision, target=target, trail=tuple(trail))
            return replace(made, outcome=Outcome.IGNORED, reason=reason)
        standing = _standing(target, settings, patchwork, trail)
        trust, wanted, refused = _allowed(
            decision, target, standing, settings.policy, patchwork, trail
        )
        decision = replace(decision, trust=trust, delegates=standing.delegates)
        if wanted is None:
            trailed = replace(decision, target=target, trail=tuple(trail))
            return replace(trailed, outcome=Outcome.REJECTED, reason=refused)
        wanted, reason = labels.known(wanted, target, patchwork, settings.requests, trail)
    except (OutOfTime, StateUnavailable):
        raise
    except IsSubmission as error:
        return replace(decision, outcome=Outcome.IGNORED, reason=str(error), trail=tuple(trail))
    except NotYet as error:
        waits = _waits(decision, Waiting.MISSING, error, trail)
        return replace(waits, pause=error.pause)
    except NotFound as error:
        return _waits(decision, Waiting.MISSING, error, trail)
    except Unanswered as error:
        return _waits(decision, Waiting.FAILING, error, trail)
    except Unavailable as error:
        return _waits(decision, Waiting.DOWN, error, trail)
    except Temporary as error:
        return _waits(decision, Waiting.FAILING, error, trail)
    except Permanent as error:
        return replace(decision, outcome=Outcome.FAILED, reason=str(error), trail=tuple(trail))
    made = replace(decision, wanted=wanted, target=target, trail=tuple(trail))
    if wanted is None:
        return replace(made, outcome=Outcome.IGNORED, reason=reason)
    return replace(made, outcome=Outcome.DONE, reason=selection.summary(wanted, target))


def _without_labels(meant: Expanded) -> str:
    """Why a request whose groups stand for nothing is ignored, "" if it asks for something."""
    if meant.wanted.contexts or meant.wanted.arguments or not meant.groups:
        return ""
    return f"what it asks for stands for no label here: {listed(meant.groups)}"


def _allowed(
    decision: Decision,
    target: Target,
    standing: rules.Standing,
    policy: PolicySettings,
    patchwork: Patchwork,
    trail: list[Lookup],
) -> tuple[Trust, Recheck | None, str]:
    """How far the sender of a request is believed by now, and the part of it that the sender may
    ask for, or None and the reason. Patchwork is asked whether it has the mail as a comment only if
    a rule depends on that."""
    mail, wanted, trust = decision.mail, decision.wanted, decision.trust
    assert mail and wanted
    if reason := rules.by_project(policy, target.project):
        return trust, None, reason
    if rules.by_state(policy, standing):
        is_superseded = any("superseded" in states for states in standing.states)
        newer = patchwork.newer(target, mail.subject, trail) if is_superseded else 0
        return trust, None, rules.by_state(policy, standing, newer)
    at_best = trust.by(PATCHWORK)
    best = rules.by_sender(policy, mail.requester, standing, wanted, at_best)
    now = rules.by_sender(policy, mail.requester, standing, wanted, trust)
    if best[0] and (best != now or rules.by_trust(policy, trust)):
        patchwork.await_comment(target, mail, decision.raw, trail)
        return at_best, *best
    return trust, *now


def _standing(
    target: Target, settings: Settings, patchwork: Patchwork, trail: list[Lookup]
) -> rules.Standing:
    """How what a request is for stands. Patchwork is asked only if a rule or a route depends on
    that."""
    policy = settings.policy
    is_routed = any(each.delegates for each in tables.sinks(settings))
    if rules.by_project(policy, target.project):
        return rules.Standing()
    if not is_routed and not rules.need_standing(policy):
        return rules.Standing()
    found = patchwork.standings(target, trail)
    ours = (each for each in patchwork.projects() if each.link_name == target.project)
    in_charge = [each.delegate for each in found]
    in_charge += [address for project in ours for address in project.maintainers]
    states = [{each.state, *(["archived"] if each.archived else [])} for each in found]
    return rules.Standing(
        submitter=target.standing.submitter.lower(),
        maintainers=frozenset(address.lower() for address in in_charge if address),
        delegates=tuple(sorted({each.delegate.lower() for each in found if each.delegate})),
        states=tuple(map(frozenset, states)),
    )


def _waits(decision: Decision, waiting: Waiting, error: Temporary, trail: list[Lookup]) -> Decision:
    return replace(
        decision,
        reason=str(error),
        waiting=waiting,
        trail=tuple(trail),
        retry_after=getattr(error, "retry_after", None),
    )
