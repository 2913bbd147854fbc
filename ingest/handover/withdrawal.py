# SPDX-License-Identifier: BSD-3-Clause
"""Cancelling: a mail that is not dealt with, or requests that nobody was handed yet.

Whoever could hand a request over is held off meanwhile, so that what is said to be cancelled goes
nowhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from ingest.config.tables import Settings
from ingest.errors import NothingFound
from ingest.handover.from_file import leased
from ingest.handover.take import FIRST_TAKES
from ingest.ledger import Cursor, Ledger, Record, Request
from ingest.ledger.progress import default_consumer
from ingest.policy.scope import Scope
from ingest.sinks import delivery, lease_name
from ingest.story import consumers as consumer_states
from ingest.story import sinks as sink_states
from ingest.words import listed, named

# Seconds to wait for a sink or consumer that is at work.
PATIENCE = 5.0

# What is said of a request that a sink or consumer has had, or may have had.
_HAD = ("published", "handed over", "on its way", "held", "taken")


def withdraw(
    ledger: Ledger,
    settings: Settings,
    mails: Iterable[Record],
    requests: Iterable[Request],
    *,
    reason: str,
    by: str,
    now: float,
    patience: float = PATIENCE,
) -> list[str]:
    """Cancel these mails, with all their requests, and these requests; what was cancelled, in
    words. ``now`` is a Unix time.

    All are cancelled or none. Raises ``NothingFound`` if one cannot be, and says which and why;
    ``SinkUnavailable`` if a sink or consumer is at work for ``patience`` seconds.
    """
    chosen = {each.number: each for each in requests}
    ended = {mail.id: mail for mail in mails if not mail.requests}
    chosen |= {each.number: each for mail in mails for each in mail.requests if not each.cancelled}
    with _held_off(ledger, settings, patience), ledger.batch():
        ledger.steering.hold([*ended, *(each.mail_id for each in chosen.values())])
        for _, mail in sorted(ended.items()):
            if not ledger.steering.cancel(mail.id, reason, now):
                raise NothingFound(
                    f"{named(mail.message_id, mail.id)} is not cancelled: it is {mail.outcome}"
                )
        for _, request in sorted(chosen.items()):
            if those := list(_had(ledger, settings, request)):
                raise NothingFound(
                    f"request {request.number} is not cancelled: {listed(those)} had it"
                )
            if not ledger.steering.cancel_request(request.number, reason, by, now):
                raise NothingFound(_too_late(request))
    told = [f"request {number}" for number in sorted(chosen)]
    return [*told, *(named(mail.message_id, mail.id) for mail in ended.values())]


def _too_late(request: Request) -> str:
    if request.cancelled:
        return f"request {request.number} was cancelled before: {request.cancelled}"
    return f"request {request.number} is not cancelled: reruns handed it out"


def _held_off(ledger: Ledger, settings: Settings, patience: float) -> ExitStack:
    """Everybody who hands requests over, at rest until the end of the block."""
    with ExitStack() as stack:
        whose = "somebody else who cancels, or a consumer's first take,"
        stack.enter_context(leased(ledger, FIRST_TAKES, whose, patience))
        ours = default_consumer(delivery.host_of(settings.state))
        names = {each.name for each in ledger.consumers()} | {ours}
        leases = {f"the consumer {name}": f"take-{name}" for name in sorted(names)}
        # Another machine's sinks, too.
        sinks = {**delivery.wanted(settings), **{each.name: () for each in ledger.cursors()}}
        leases |= {f"the sink {name}": lease_name(name) for name in sorted(sinks)}
        for whose, lease in leases.items():
            stack.enter_context(leased(ledger, lease, whose, patience))
        return stack.pop_all()


def _had(ledger: Ledger, settings: Settings, request: Request) -> Iterator[str]:
    """Who has had a request, or may have had it."""
    configured = delivery.wanted(settings)
    cursors = ledger.cursors()
    sinks = {each.name: configured.get(each.name, Scope()) for each in cursors}
    [mail] = ledger.find(f"mail-{request.mail_id}")
    known = settings.requests.arguments
    for each in sink_states.deliveries(request, mail.story, cursors, sinks, known, 0.0):
        if each.state in _HAD or _is_begun(cursors, each.to, request):
            yield each.to
    begun = {each.name: each.begun for each in ledger.consumers()}
    for consumer in consumer_states.consumers(ledger.consumers(), ledger.batches()):
        state = consumer_states.delivery(consumer, request.number, mail.story).state
        if state in _HAD or consumer.position < request.number <= begun[consumer.name]:
            yield f"consumer {consumer.name}"


def _is_begun(cursors: Sequence[Cursor], name: str, request: Request) -> bool:
    """Whether a sink was at a request when it ended, whether or not it tries that again."""
    return any(
        each.name == name and each.position < request.number <= each.begun for each in cursors
    )
