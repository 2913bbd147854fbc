# SPDX-License-Identifier: BSD-3-Clause
"""The replay of archives: every mail is accepted, then one attempt is made at each.

``rehearse`` is its dry run, which makes the same decisions and writes nothing.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ingest import decision, intake, signs
from ingest.config.tables import IntakeSettings, Settings
from ingest.decision import Decision
from ingest.ledger import (
    ARCHIVED,
    WORKER_LEASE,
    Envelope,
    Filing,
    Ledger,
    Outcome,
    Queued,
    Waiting,
)
from ingest.mail import headers
from ingest.mail.trust import Trust
from ingest.patchwork import labels
from ingest.patchwork.servers import Chooser
from ingest.sources.mbox import Reader
from ingest.sources.mbox_pieces import Item
from ingest.trust import verify
from ingest.trust.signature import CannotVerify
from ingest.worker import Worker, connect

_NOT_ASKED = "every label counts as wanted here: only Patchwork could say which of them are"

# Mails made durable by one commit: so many, or so many bytes.
_BATCH_MAILS, _BATCH_BYTES = 200, 4 << 20


@dataclass(slots=True)
class Summary:
    """What a replay came to. ``reasons`` counts the mails of each outcome by reason."""

    mails: int = 0
    possible: int = 0  # could hold a request, by their bytes
    duplicates: int = 0
    recorded: int = 0  # requests
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    worker_elsewhere: bool = False  # another process works off what was queued
    dry: bool = False
    down: bool = False  # Patchwork gave no usable answer to a dry run

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


def replay(paths: Sequence[str], settings: Settings, ledger: Ledger) -> Summary:
    """Take in the mails of these archives and make one attempt at each that is due.

    Raises ``BadInput`` for a path that holds no mail, ``StateUnavailable`` if the ledger cannot
    be written; what was taken in until then stays.
    """
    summary = Summary()
    batch: list[Item] = []
    size = 0
    with _reading(paths, settings.intake, summary) as items:
        for item in items:
            batch.append(item)
            size += len(item.stored)
            if len(batch) >= _BATCH_MAILS or size >= _BATCH_BYTES:
                size = 0
                _take_in(batch, settings, ledger, summary)
        _take_in(batch, settings, ledger, summary)
    signs.saw(settings.state.dir, signs.ARCHIVES, {"": summary.mails}, time.time())
    work_off(settings, ledger, connect(_unbounded(settings), ledger), summary)
    return summary


def work_off(settings: Settings, ledger: Ledger, patchwork: Chooser, summary: Summary) -> None:
    """Make one attempt at each mail that is due, unless a worker is running that will."""
    before = ledger.last_request()
    with ledger.lease(WORKER_LEASE) as held:
        summary.worker_elsewhere = not held
        if held:

            def count(queued: Queued, outcome: Outcome, reason: str) -> None:
                summary.count(outcome.value, reason)

            Worker(ledger, patchwork, settings, report=count).work_off()
            summary.recorded = ledger.last_request() - before


def _unbounded(settings: Settings) -> Settings:
    """The settings for an archive: its mails may cost any number of questions, and Patchwork has
    had its time to file them."""
    table = replace(settings.patchwork, questions=0, questions_per_sender=0, waits=())
    others = {
        name: replace(each, questions=0, questions_per_sender=0, waits=())
        for name, each in settings.servers.items()
    }
    return replace(settings, patchwork=table, servers=others)


def _take_in(batch: list[Item], settings: Settings, ledger: Ledger, summary: Summary) -> None:
    now = time.time()
    delivered = [
        intake.Delivered(item.raw, f"{ARCHIVED}{item.where}", now, in_order=True) for item in batch
    ]
    for receipt in intake.accept_all(delivered, ledger=ledger, max_size=settings.intake.max_size):
        summary.duplicates += receipt is intake.Receipt.DUPLICATE
        if receipt is intake.Receipt.REJECTED:
            summary.count(Outcome.REJECTED.value, "larger than [intake] max_size")
    batch.clear()


def rehearse(
    paths: Sequence[str],
    settings: Settings,
    *,
    offline: bool,
    show: Callable[[Rehearsal], None],
) -> Summary:
    """What a replay would decide, each mail with a request shown as soon as it is decided.

    Nothing is written; with ``offline`` Patchwork is asked nothing either. Raises ``BadInput``.
    """
    summary = Summary(dry=True)
    chooser = None if offline else connect(_unbounded(settings), _Recollection())
    known: set[str] = set()
    down: dict[str, str] = {}
    with _reading(paths, settings.intake, summary) as items:
        for item in items:
            head = headers.read(item.raw)
            identity = headers.identity(item.raw, head, null_sender=False)
            if identity in known:
                summary.duplicates += 1
                continue
            known.add(identity)
            made = _believed(decision.judge(item.raw, False, settings), item, settings, offline)
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
                show(Rehearsal(item.where, headers.message_id(head), made))
    if offline and labels.are_asked_for(settings.requests):
        summary.warnings.append(_NOT_ASKED)
    return summary


def _believed(made: Decision, item: Item, settings: Settings, offline: bool) -> Decision:
    """A decision about a mail whose sender is believed as far as the worker would believe it."""
    if not made.is_open or made.mail is None:
        return made
    proof = ""
    if verify.is_wanted(settings.policy):
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
    paths: Sequence[str], limits: IntakeSettings, summary: Summary
) -> Iterator[Iterator[Item]]:
    """The mails that may hold a request, with a progress bar if a terminal is watching."""
    processes = min(limits.processes, len(os.sched_getaffinity(0)))
    reader = Reader(*paths, longest=limits.max_size, processes=processes)
    with _progress(reader) as advance:
        yield _wanted(reader, summary, advance)
    summary.warnings += reader.warnings


def _wanted(reader: Reader, summary: Summary, advance: Callable[[], None]) -> Iterator[Item]:
    for number, items in reader.searched():
        summary.mails += number
        for item in items:
            if item.cut:
                # Half a line would be half a request, and keep the whole mail out later.
                summary.warnings.append(f"{item.where}: left out: the mail is cut short")
            else:
                summary.possible += 1
                yield item
        advance()


@contextmanager
def _progress(reader: Reader) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, and the function that moves it on."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("reading mails", total=reader.size)
        yield lambda: progress.update(task, completed=reader.position)
