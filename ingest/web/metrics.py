# SPDX-License-Identifier: BSD-3-Clause
"""/metrics: the ledger at a glance, as Prometheus reads it.

Each scrape looks once at the same ``story.Status`` as the command ``status``, and at what the
ledger has counted and measured. Nothing is counted here, so that several processes on one ledger
say the same, and a restart changes nothing.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ingest import __version__, look
from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.ledger import Ledger, State
from ingest.ledger.timings import PATCHWORK, RECORDED
from ingest.ledger.values import BOUNDS, Timing
from ingest.story.feeds import Seen
from ingest.story.status import Sink, Status
from ingest.web.database_metrics import DATABASE
from ingest.web.families import Family, Sample, by_name, one
from ingest.web.head import Head
from ingest.web.ledger_thread import LedgerThread
from ingest.web.reading import Reading
from ingest.web.tokens import CHALLENGE
from ingest.words import harmless

if TYPE_CHECKING:
    from prometheus_client import Metric

log = logging.getLogger(__name__)

PREFIX = "recheck_ingest_"
# The content type of the text format. Every release of Prometheus reads it.
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
# The label of mails that are not counted by their list.
_OTHER_LISTS = "other lists"

# Labels of requests that are counted by themselves: anybody can ask for labels of any name.
_MOST_LABELS = 100
_OTHER_LABELS = "other labels"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the ledger has measured. ``timings``: see ``Ledger.timings``; ``results``: how many
    requests have which result for which label."""

    timings: Mapping[str, Timing] = field(default_factory=dict)
    results: Mapping[tuple[str, State], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A metric of durations. ``read``: the values of its labels, and the durations."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Measured], Iterable[tuple[tuple[str, ...], Timing]]]


class Metrics:
    """Answers a scrape, with the settings that count now."""

    def __init__(self, settings: Settings, ledger: LedgerThread) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reading = Reading(settings)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        try:
            if not self._reading.allows(Head(request.scope)):
                return PlainTextResponse("A token that may read is needed.\n", 401, CHALLENGE)
            return Response(await self._ledger.ask(self._text), media_type=_TEXT)
        except (Temporary, OSError) as error:
            log.error("/metrics cannot be answered now: %s", error)
            return PlainTextResponse("Try again later; the log says why.\n", 503)

    def _text(self, ledger: Ledger) -> bytes:
        status = configured(look.status(ledger, self._settings, time.time()), self._settings)
        return text(status, Measured(ledger.timings.all(), ledger.results.counts()))


def configured(status: Status, settings: Settings) -> Status:
    """A status without what is configured no longer: nobody should be called for it."""
    inboxes = {f"inbox.{name}" for name in settings.inbox}
    return replace(
        status,
        sinks=tuple(each for each in status.sinks if each.configured),
        feeds=tuple(each for each in status.feeds if each.name in inboxes),
        catch_up=status.catch_up if settings.catch_up.interval else None,
    )


def text(status: Status, measured: Measured = Measured()) -> bytes:
    """Every metric, in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(status, measured))
    return generate_latest(registry)


class _Collector:
    """What one scrape finds."""

    def __init__(self, status: Status, measured: Measured) -> None:
        self._status = status
        self._measured = measured

    def collect(self) -> Iterator["Metric"]:
        """See ``prometheus_client.registry.Collector``."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        samples = {each: each.read(self._status) for each in FAMILIES}
        samples[LABELS] = _results(self._measured)
        for each, found in samples.items():
            kind = CounterMetricFamily if each.is_counter else GaugeMetricFamily
            made = kind(PREFIX + each.name, each.help, labels=each.labels)
            # Made harmless, two names can be the same one; nothing may be there twice.
            by_name = {tuple(map(harmless, values)): value for values, value in found}
            for values, value in by_name.items():
                made.add_metric(values, value)
            yield made
        yield from map(self._histogram, HISTOGRAMS)

    def _histogram(self, histogram: Histogram) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily

        made = HistogramMetricFamily(
            PREFIX + histogram.name, histogram.help, labels=histogram.labels
        )
        for values, timing in histogram.read(self._measured):
            until = accumulate(timing.numbers)
            bounds = (*(str(each) for each in BOUNDS), "+Inf")
            made.add_metric(values, list(zip(bounds, until, strict=True)), timing.seconds)
        return made


def _results(measured: Measured) -> Iterator[Sample]:
    """The labels that are asked for most, each by itself, and all others together."""
    of_label = Counter[str]()
    for (label, _), number in measured.results.items():
        of_label[label] += number
    most = {label for label, _ in of_label.most_common(_MOST_LABELS)}
    found = Counter[tuple[str, str]]()
    for (label, state), number in measured.results.items():
        found[label if label in most else _OTHER_LABELS, state.value] += number
    return (((label, state), number) for (label, state), number in sorted(found.items()))


def _time(at: datetime | None) -> float:
    """A Unix time, 0 for never."""
    return at.timestamp() if at else 0.0


def _time_if_any(at: datetime | None) -> list[Sample]:
    return one(_time(at)) if at else []


def _queue(status: Status) -> Iterator[Sample]:
    tried = sum(status.waiting.values())
    return by_name({"worker": status.mails.get("queued", 0) - tried, **status.waiting})


def _of_lists(value: Callable[[Seen], float]) -> Callable[[Status], Iterator[Sample]]:
    def read(status: Status) -> Iterator[Sample]:
        for each in status.seen:
            name = _OTHER_LISTS if each.list is None else each.list
            yield (each.source, name), value(each)

    return read


def _of_sinks(value: Callable[[Sink], float]) -> Callable[[Status], Iterator[Sample]]:
    return lambda status: (((each.name,), value(each)) for each in status.sinks)


def _feeds(status: Status) -> Iterator[tuple[str, datetime | None, int]]:
    for each in status.feeds:
        yield each.name, each.read, each.failures
    if status.catch_up:
        yield "catch-up", status.catch_up.moved, status.catch_up.tries


FAMILIES = (
    Family(
        "build_info",
        "The release that answers; always 1.",
        ("version",),
        lambda status: [((__version__,), 1)],
    ),
    Family(
        "mails",
        "Mails in the ledger, by what became of them.",
        ("outcome",),
        lambda status: by_name(status.mails),
    ),
    Family(
        "queue_mails",
        "Queued mails, by what they wait for.",
        ("waits_for",),
        _queue,
    ),
    Family(
        "queue_oldest_timestamp_seconds",
        "When the oldest queued mail came; not there while none is queued.",
        (),
        lambda status: _time_if_any(status.oldest),
    ),
    Family(
        "queue_due_timestamp_seconds",
        "When the next queued mail is to be tried; not there while none is queued.",
        (),
        lambda status: _time_if_any(status.due),
    ),
    Family(
        "last_mail_timestamp_seconds",
        "When the newest mail of the ledger came, one that could hold a request; 0: never.",
        (),
        lambda status: one(_time(status.last_received)),
    ),
    Family(
        "source_mails_total",
        "Mails that a source saw of a list, whether or not they could hold a request.",
        ("source", "list"),
        _of_lists(lambda seen: seen.mails),
    ),
    Family(
        "source_last_mail_timestamp_seconds",
        "When a source last saw a mail of a list.",
        ("source", "list"),
        _of_lists(lambda seen: _time(seen.last)),
    ),
    Family(
        "source_silent",
        "1 if a source sees nothing of a list for longer than ever, else 0.",
        ("source", "list"),
        _of_lists(lambda seen: seen.silent),
    ),
    Family(
        "requests_total",
        "Requests recorded, by the number of the newest one.",
        (),
        lambda status: one(status.last_request),
    ),
    Family(
        "labels_overdue",
        "Labels that were asked for and have not been seen to run.",
        (),
        lambda status: one(status.overdue),
    ),
    Family(
        "patchwork_last_answer_timestamp_seconds",
        "When Patchwork last gave a usable answer, to within a minute; 0: never.",
        (),
        lambda status: one(_time(status.patchwork_answered)),
    ),
    Family(
        "patchwork_down",
        "1 if mails wait because Patchwork gives no usable answer, else 0.",
        (),
        lambda status: one(bool(status.waiting.get("down"))),
    ),
    Family(
        "sink_lag_requests",
        "Requests that a sink has not had.",
        ("sink",),
        _of_sinks(lambda sink: sink.lag),
    ),
    Family(
        "sink_moved_timestamp_seconds",
        "When a sink last came further in the request log; 0: never.",
        ("sink",),
        _of_sinks(lambda sink: _time(sink.moved)),
    ),
    Family(
        "sink_tries",
        "Failed attempts in a row to hand over to a sink.",
        ("sink",),
        _of_sinks(lambda sink: sink.tries),
    ),
    Family(
        "sink_paused",
        "1 if an operator has paused a sink, else 0.",
        ("sink",),
        _of_sinks(lambda sink: sink.paused is not None),
    ),
    Family(
        "sink_aside_requests",
        "Requests that a sink turned away and that are tried again.",
        ("sink",),
        _of_sinks(lambda sink: sink.aside),
    ),
    Family(
        "sink_skipped_requests",
        "Requests that a sink has not had and that only retry --sink hands over.",
        ("sink",),
        _of_sinks(lambda sink: sink.skipped),
    ),
    Family(
        "consumer_lag_requests",
        "Requests that a consumer has not taken.",
        ("consumer",),
        lambda status: by_name({each.name: each.lag for each in status.consumers}),
    ),
    Family(
        "feed_last_success_timestamp_seconds",
        "When a feed was last read without an error; 0: never.",
        ("feed",),
        lambda status: (((name,), _time(read)) for name, read, _ in _feeds(status)),
    ),
    Family(
        "feed_failures",
        "Failed attempts in a row to read a feed.",
        ("feed",),
        lambda status: (((name,), failures) for name, _, failures in _feeds(status)),
    ),
    Family(
        "trouble_since_timestamp_seconds",
        "Since when a part of the service cannot do its work; not there while it can.",
        ("part",),
        lambda status: (((each.name,), _time(each.since)) for each in status.troubles),
    ),
    Family(
        "spooled_mails",
        "Mails on this machine that a ledger on another one has not had.",
        (),
        lambda status: one(status.spooled.mails if status.spooled else 0),
    ),
    *DATABASE,
    Family(
        "ledger_size_bytes",
        "Bytes of the ledger on the disk.",
        (),
        lambda status: one(status.ledger_size),
    ),
)
# Beside those of the status: how many requests have which result for which label.
LABELS = Family(
    "labels",
    "Labels that were asked for, by what became of them.",
    ("label", "state"),
    lambda status: (),
)
HISTOGRAMS = (
    Histogram(
        "mail_to_record_seconds",
        "From a mail's reception to the recording of its request.",
        (),
        lambda measured: (
            ((), timing) for what, timing in measured.timings.items() if what == RECORDED
        ),
    ),
    Histogram(
        "patchwork_question_seconds",
        "Questions to Patchwork, by the status of the answer; none: there was no answer.",
        ("status",),
        lambda measured: (
            ((what.removeprefix(f"{PATCHWORK} "),), timing)
            for what, timing in measured.timings.items()
            if what.startswith(f"{PATCHWORK} ")
        ),
    ),
)
