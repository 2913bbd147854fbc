# SPDX-License-Identifier: BSD-3-Clause
"""The replay of archives: every mail is accepted, then one attempt is made at each.

``rehearse`` is its dry run, which makes the same decisions and writes nothing.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ingest import decision, intake, signs
from ingest.commands import progress
from ingest.config.tables import IntakeSettings, Settings
from ingest.decision import Decision
from ingest.errors import Error, Interrupted
from ingest.ledger import (
    ARCHIVED,
    UNPUSHED,
    WORKER_LEASE,
    Envelope,
    Filing,
    Ledger,
    Outcome,
    Queued,
    Waiting,
    requests_after,
)
from ingest.mail import headers, message
from ingest.mail.trust import Trust
from ingest.patchwork import labels
from ingest.patchwork.servers import Chooser
from ingest.policy import rules, scope
from ingest.sinks import delivery
from ingest.sources.mbox import Reader
from ingest.sources.mbox_pieces import Item
from ingest.trust import verify
from ingest.trust.signature import CannotVerify
from ingest.words import counted
from ingest.worker import Worker, connect

_NOT_ASKED = "every label counts as wanted here: only Patchwork could say which of them are"

# Mails made durable by one commit: so many, or so many bytes.
_BATCH_MAILS, _BATCH_BYTES = 200, 4 << 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What of an archive is taken in, and how. ``list_id``: the list of mails that name none;
    ``since``: a Unix time; mails with an earlier date are left out, 0.0 for none; ``sinks``:
    whether sinks have the requests."""

    list_id: str = ""
    since: float = 0.0
    sinks: bool = True


ALL = Choice()


@dataclass(slots=True)
class Summary:
    """What a replay came to. ``reasons``: the mails of each outcome by reason; ``passed_over``: by
    sink, the requests that are older than the policy's max_age."""

    mails: int = 0
    possible: int = 0  # could hold a request, by their bytes
    older: int = 0  # of these, left out for their date
    duplicates: int = 0
    recorded: int = 0  # requests
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    worker_elsewhere: bool = False  # another process works off what was queued
    dry: bool = False
    down: bool = False  # mails wait, or would, because Patchwork gives no usable answer

    def count(self, outcome: str, reason: str) -> None:
        """Count one mail."""
        counts = self.reasons.setdefault(outcome, {})
        counts[reason] = counts.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would become of one mail with a request. ``where``: its place in the archive."""

    where: str
    message_id: str
    decision: Decision


def replay(
    paths: Sequence[str], settings: Settings, ledger: Ledger, choice: Choice = ALL
) -> Summary:
    """Take in the mails of these archives and make one attempt at each that is due.

    Raises ``BadInput`` for a path that holds no mail, ``StateUnavailable`` if the ledger cannot
    be written, ``Interrupted`` if the user ends it; what was taken in until then stays.
    """
    summary = Summary()
    try:
        _take_in_all(paths, settings, ledger, choice, summary)
    except KeyboardInterrupt as error:
        raise _interrupted(ledger, "the same replay again, which skips what is known") from error
    signs.saw(settings.state.dir, signs.ARCHIVES, {"": summary.mails}, time.time())
    try:
        chooser = connect(_unbounded(settings), ledger)
        work_off(settings, ledger, chooser, summary, sinks=choice.sinks)
    except KeyboardInterrupt as error:
        raise _interrupted(ledger, "recheck-ingest work --once, or serve") from error
    return summary


def _take_in_all(
    paths: Sequence[str], settings: Settings, ledger: Ledger, choice: Choice, summary: Summary
) -> None:
    batch: list[Item] = []
    size = 0
    with _reading(paths, settings.intake, choice, summary) as items:
        for item in items:
            batch.append(item)
            size += len(item.stored)
            if len(batch) >= _BATCH_MAILS or size >= _BATCH_BYTES:
                size = 0
                _take_in(batch, settings, ledger, choice, summary)
        _take_in(batch, settings, ledger, choice, summary)


def _interrupted(ledger: Ledger, how: str) -> Interrupted:
    waiting = counted(ledger.totals().mails[Outcome.QUEUED], "mail")
    return Interrupted(f"stopped; {waiting} queued and nothing lost; to go on, run: {how}")


def work_off(
    settings: Settings, ledger: Ledger, patchwork: Chooser, summary: Summary, *, sinks: bool = True
) -> None:
    """Make one attempt at each mail that is due, unless a worker is running that will. ``sinks``:
    whether they are at work meanwhile."""
    before = ledger.last_request()
    with ledger.lease(WORKER_LEASE) as held:
        summary.worker_elsewhere = not held
        if not held:
            return
        totals = ledger.totals()
        fresh = totals.mails[Outcome.QUEUED] - sum(totals.waiting.values())
        with progress.of_mails("asking Patchwork", fresh) as advance:

            def count(queued: Queued, outcome: Outcome, reason: str) -> None:
                summary.count(outcome.value, reason)
                advance()

            publish = None if sinks else _to_nobody
            Worker(ledger, patchwork, settings, report=count, publish=publish).work_off()
    summary.recorded = ledger.last_request() - before
    known = settings.requests.arguments
    for request in requests_after(ledger, before):
        for receiver, table in delivery.configured(settings):
            is_wanted = scope.of_table(table).narrow(request, known)
            if is_wanted and rules.by_age(settings.policy.max_age, request):
                name = receiver.name
                summary.passed_over[name] = summary.passed_over.get(name, 0) + 1


def _to_nobody(until: float | None) -> None:
    """What is recorded is handed to no sink for now."""


def _unbounded(settings: Settings) -> Settings:
    """The settings for an archive: its mails may cost any number of questions, and Patchwork has
    had its time to file them."""
    table = replace(settings.patchwork, questions=0, questions_per_sender=0, waits=())
    others = {
        name: replace(each, questions=0, questions_per_sender=0, waits=())
        for name, each in settings.servers.items()
    }
    return replace(settings, patchwork=table, servers=others)


def _take_in(
    batch: list[Item], settings: Settings, ledger: Ledger, choice: Choice, summary: Summary
) -> None:
    now, source = time.time(), ARCHIVED if choice.sinks else UNPUSHED

    def take(items: Sequence[Item]) -> list[intake.Receipt]:
        delivered = [
            intake.Delivered(_raw(item, choice), f"{source}{item.where}", now, in_order=True)
            for item in items
        ]
        return intake.accept_all(delivered, ledger=ledger, max_size=settings.intake.max_size)

    for item, receipt in zip(batch, intake.apart(take, batch), strict=True):
        if isinstance(receipt, Error):
            raise receipt
        if isinstance(receipt, Exception):
            summary.warnings.append(f"{item.where}: left out: it cannot be taken in: {receipt!r}")
            continue
        summary.duplicates += receipt is intake.Receipt.DUPLICATE
        if receipt is intake.Receipt.REJECTED:
            summary.count(Outcome.REJECTED.value, "larger than [intake] max_size")
    batch.clear()


def _raw(item: Item, choice: Choice) -> bytes:
    return headers.with_list(item.raw, choice.list_id)


def rehearse(
    paths: Sequence[str],
    settings: Settings,
    *,
    offline: bool,
    choice: Choice = ALL,
    show: Callable[[Rehearsal], None],
) -> Summary:
    """What a replay would decide, each mail with a request shown as soon as it is decided.

    Nothing is written; with ``offline`` Patchwork is asked nothing either. Raises ``BadInput``.
    """
    summary = Summary(dry=True)
    chooser = None if offline else connect(_unbounded(settings), _Recollection())
    known: set[str] = set()
    down: dict[str, str] = {}
    with _reading(paths, settings.intake, choice, summary) as items:
        for item in items:
            raw = _raw(item, choice)
            head = headers.read(raw)
            identity = headers.identity(raw, head, null_sender=False)
            if identity in known:
                summary.duplicates += 1
                continue
            known.add(identity)
            made = _believed(decision.judge(raw, False, settings), item, settings, offline)
            if made.is_open and not made.waiting and made.mail and chooser:
                patchwork = chooser.for_mail(made.mail, Filing())
                if reason := down.get(patchwork.name):
                    made = replace(made, waiting=Waiting.DOWN, reason=reason)
                else:
                    made = decision.resolve(made, time.time(), settings, patchwork)
                if made.waiting is Waiting.DOWN:
                    summary.down, down[patchwork.name] = True, made.reason
            if made.outcome is Outcome.DONE or (offline and made.is_open and not made.waiting):
                summary.recorded += 1
            else:
                summary.count(made.outcome.value, made.reason)
            if made.wanted:
                # Whoever keeps what is shown does not keep the mail.
                made = replace(made, mail=None, raw=b"")
                show(Rehearsal(item.where, headers.message_id(head), made))
    if offline and labels.are_asked_for(settings.requests):
        summary.warnings.append(_NOT_ASKED)
    return summary


def _believed(made: Decision, item: Item, settings: Settings, offline: bool) -> Decision:
    """A decision about a mail whose sender is believed as far as the worker would believe it."""
    if not made.is_open or made.mail is None:
        return made
    proof = ""
    if settings.policy.proves_authors:
        source, lookup = f"{ARCHIVED}{item.where}", _no_lookup if offline else None
        try:
            proof = verify.author(item.raw, made.mail, source, Envelope(), settings.policy, lookup)
        except CannotVerify as error:
            return replace(made, reason=str(error), waiting=Waiting.FAILING)
    return decision.believe(made, Trust("", proof), settings)


def _no_lookup(name: str) -> bytes:
    raise CannotVerify("DNS is not asked for keys offline")


class _Recollection:
    """A memory for Patchwork's answers that ends with the process."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def recall(self, key: str, now: float) -> str | None:
        return self._answers.get(key)

    def remember(self, key: str, answer: str, expires: float) -> None:
        self._answers[key] = answer


@contextmanager
def _reading(
    paths: Sequence[str], limits: IntakeSettings, choice: Choice, summary: Summary
) -> Iterator[Iterator[Item]]:
    """The mails that may hold a request, with a progress bar if a terminal is watching."""
    processes = min(limits.processes, len(os.sched_getaffinity(0)))
    reader = Reader(*paths, longest=limits.max_size, processes=processes)
    with progress.of_bytes("reading mails", reader.size, lambda: reader.position) as advance:
        yield _wanted(reader, choice, summary, advance)
    summary.warnings += reader.warnings


def _wanted(
    reader: Reader, choice: Choice, summary: Summary, advance: Callable[[], None]
) -> Iterator[Item]:
    for number, items in reader.searched():
        summary.mails += number
        for item in items:
            if item.cut:
                # Half a line would be half a request, and keep the whole mail out later.
                summary.warnings.append(f"{item.where}: left out: the mail is cut short")
                continue
            summary.possible += 1
            if choice.since and _is_older(item.raw, choice.since):
                summary.older += 1
            else:
                yield item
        advance()


def _is_older(raw: bytes, since: float) -> bool:
    """Whether a mail's own date is before a time. One without a date is not."""
    date = message.date_of(headers.read(raw).first("date"))
    return date is not None and date.timestamp() < since
