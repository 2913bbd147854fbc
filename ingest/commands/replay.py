# SPDX-License-Identifier: BSD-3-Clause
"""The replay of archives: every mail through ``accept``, then one attempt at each.

``rehearse`` is its dry run, which writes nothing. Called by ``cli``; ``work_off`` by ``catch_up``,
too.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ingest import intake
from ingest.config.tables import Settings
from ingest.errors import NotFound, Refused, Unavailable
from ingest.ledger import Ledger, Outcome, Queued
from ingest.mail import headers
from ingest.patchwork import labels
from ingest.patchwork.lookup import Lookup, Patchwork, Target
from ingest.policy import Wanted
from ingest.sources.mbox import Item, Reader
from ingest.worker import Worker, connect, judge

_NOT_ASKED = "labels were not looked at: only Patchwork could tell which of them are wanted"

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
    """What would become of one mail with a request."""

    where: str
    message_id: str
    wanted: Wanted
    target: Target | None
    reason: str  # why there is no target


def replay(paths: Sequence[str], settings: Settings, ledger: Ledger) -> Summary:
    """Take in the mails of these archives and make one attempt at each that is due.

    Raises ``BadInput`` for a path that holds no mail, ``StateUnavailable`` if the ledger cannot
    be written; what was taken in until then stays.
    """
    summary = Summary()
    batch: list[Item] = []
    size = 0
    with _reading(paths, summary) as items:
        for item in items:
            batch.append(item)
            size += len(item.stored)
            if len(batch) >= _BATCH_MAILS or size >= _BATCH_BYTES:
                size = 0
                _take_in(batch, settings, ledger, summary)
        _take_in(batch, settings, ledger, summary)
    work_off(settings, ledger, connect(settings, ledger), summary)
    return summary


def work_off(settings: Settings, ledger: Ledger, patchwork: Patchwork, summary: Summary) -> None:
    """Make one attempt at each mail that is due, unless a worker is running that will."""
    before = ledger.last_request()
    with ledger.lease() as held:
        summary.worker_elsewhere = not held
        if held:

            def count(queued: Queued, outcome: Outcome, reason: str) -> None:
                summary.count(outcome.value, reason)

            Worker(ledger, patchwork, settings, told=count).work_off()
            summary.recorded = ledger.last_request() - before


def _take_in(batch: list[Item], settings: Settings, ledger: Ledger, summary: Summary) -> None:
    with ledger.batch():
        for item in batch:
            receipt = intake.accept(
                item.raw,
                f"replay {item.where}",
                ledger=ledger,
                now=time.time(),
                max_size=settings.intake.max_size,
            )
            summary.duplicates += receipt is intake.Receipt.DUPLICATE
            if receipt is intake.Receipt.REJECTED:
                summary.count(Outcome.REJECTED.value, "larger than [intake] max_size")
    batch.clear()


def rehearse(
    paths: Sequence[str], settings: Settings, *, offline: bool, each: Callable[[Rehearsal], None]
) -> Summary:
    """What a replay would record, told to ``each`` mail by mail. Nothing is written; with
    ``offline`` nothing is asked of Patchwork either."""
    summary = Summary(dry=True)
    patchwork = connect(settings, _Recollection())
    known: set[str] = set()
    down = ""
    with _reading(paths, summary) as items:
        for item in items:
            raw = item.raw
            head = headers.read(raw)
            identity = headers.identity(raw, head)
            if identity in known:
                summary.duplicates += 1
                continue
            known.add(identity)
            verdict = judge(raw, False, settings)
            if verdict.mail is None or verdict.wanted is None:
                summary.count(verdict.outcome.value, verdict.reason)
                continue
            target: Target | None = None
            reason = down
            wanted: Wanted | None = verdict.wanted
            if not offline and not down:
                trail: list[Lookup] = []
                try:
                    found = patchwork.resolve(verdict.mail, time.time(), trail)
                    wanted, reason = labels.known(
                        verdict.wanted, found, patchwork, settings.requests, trail
                    )
                    target = found
                except (NotFound, Refused) as error:
                    reason = str(error)
                except Unavailable as error:
                    reason = down = str(error)
                    summary.down = True
            if wanted is None:
                summary.count(Outcome.IGNORED.value, reason)
                continue
            if target or offline:
                summary.recorded += 1
            else:
                summary.count(Outcome.QUEUED.value, reason)
            each(Rehearsal(item.where, verdict.mail.message_id, wanted, target, reason))
    if offline and labels.are_asked_for(settings.requests):
        summary.warnings.append(_NOT_ASKED)
    return summary


class _Recollection:
    """A memory for Patchwork's answers that ends with the process."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    def recall(self, key: str, now: float) -> str | None:
        return self._answers.get(key)

    def remember(self, key: str, answer: str, expires: float) -> None:
        self._answers[key] = answer


@contextmanager
def _reading(paths: Sequence[str], summary: Summary) -> Iterator[Iterator[Item]]:
    """The mails that may hold a request, with a progress bar if a terminal is watching."""
    reader = Reader(*paths)
    with _progress(reader) as told:
        yield _wanted(reader, summary, told)
    summary.warnings += reader.warnings


def _wanted(reader: Reader, summary: Summary, told: Callable[[], None]) -> Iterator[Item]:
    for number, items in reader.sifted():
        summary.mails += number
        for item in items:
            if item.cut:
                # Half a line would be half a request, and keep the whole mail out later.
                summary.warnings.append(f"{item.where}: left out: the mail is cut short")
            else:
                summary.possible += 1
                yield item
        told()


@contextmanager
def _progress(reader: Reader) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal; what is given is to be called now and then."""
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
