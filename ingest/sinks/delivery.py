# SPDX-License-Identifier: BSD-3-Clause
"""The configured sinks, and when they are at work: once, or each in a thread of its own.

Once for ``pipe``, ``replay`` and ``work --once``, by way of the worker; in threads for ``serve``
and ``work``, so that one that hangs holds up nothing else.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from ingest.config.sink_tables import ReceiverSettings
from ingest.config.tables import Settings, sink_kinds
from ingest.errors import SinkUnavailable, StateUnavailable
from ingest.ledger import Cursor, Ledger, open_configured
from ingest.sinks import Clock, Configured, Sink, Stop, json_file

# Seconds between two looks at the request log, which other processes write, too.
POLL = 1.0
# Seconds that what hands over a request is given to end once there is no more time for it.
_LAST_WORDS = 1.5

log = logging.getLogger(__name__)


def wanted(settings: Settings) -> dict[str, tuple[str, ...]]:
    """All sinks by the names of their cursors, the retest JSON's first, and the patterns of the
    contexts that each is for, none for all."""
    named: dict[str, tuple[str, ...]] = {json_file.name(settings.retests.file): ()}
    for file in settings.json_file.values():
        named[json_file.name(file.file)] = file.contexts
    for kind in sink_kinds():
        if kind != "json_file":
            named |= {f"{kind}:{n}": each.contexts for n, each in getattr(settings, kind).items()}
    return named


def lag(ledger: Ledger, settings: Settings, now: float) -> bool:
    """Whether a sink has not got all requests, and is due."""
    last = ledger.last_request()
    cursors = {cursor.name: cursor for cursor in ledger.cursors()}
    return any(
        each.position < last and each.due <= now
        for each in (cursors.get(name, Cursor(name)) for name in wanted(settings))
    )


def files(settings: Settings) -> Iterator[json_file.JsonFile]:
    """The sinks that are files."""
    known = settings.requests.arguments
    pause = settings.worker.retry[0]
    table = settings.retests
    yield json_file.JsonFile(table.file, mode=table.mode, arguments=known, pause=pause)
    for each in settings.json_file.values():
        yield json_file.JsonFile(
            each.file, mode=each.mode, contexts=each.contexts, arguments=known, pause=pause
        )


def receivers(settings: Settings, ending: Stop | None = None) -> Iterator[Sink]:
    """The other sinks. ``ending``: see ``OneByOne``."""
    for receiver, table in configured(settings):
        from ingest.sinks.one_by_one import OneByOne

        yield OneByOne(
            receiver,
            table,
            settings.requests.arguments,
            ending,
            once_per_mail=receiver.once_per_mail,
        )


def configured(settings: Settings) -> Iterator[tuple[Configured, ReceiverSettings]]:
    """The receivers and their settings. Each kind's module is imported only if there is one."""
    for kind in sink_kinds():
        tables = getattr(settings, kind)
        if tables and kind != "json_file":
            module = import_module(f"ingest.sinks.{kind}")
            yield from ((module.receiver(name, settings), tables[name]) for name in tables)


def begin(ledger: Ledger, settings: Settings) -> None:
    """Give each sink a cursor: a new one begins with the requests that come from now on, but for
    the retest JSON, which has them all. To be called before a request is recorded."""
    if not _unknown(ledger, settings):
        return
    with ledger.batch():  # one that another process has begun meanwhile may have come further
        for name in _unknown(ledger, settings):
            ledger.set_cursor(Cursor(name, ledger.last_request(), time.time()))


def _unknown(ledger: Ledger, settings: Settings) -> list[str]:
    known = {cursor.name for cursor in ledger.cursors()}
    return [name for name in list(wanted(settings))[1:] if name not in known]


def deliver(
    sink: Sink, ledger: Ledger, *, clock: Clock = time.time, until: float | None, stop: Stop
) -> None:
    """Have one sink hand over what is due. What hinders it is told of, is kept in its cursor, and
    is tried again later."""
    try:
        sink.deliver(ledger, clock=clock, until=until, stop=stop)
    except SinkUnavailable as error:
        log.error("not published to %s: %s; it is tried again by itself", sink.name, error)


def once(
    ledger: Ledger, settings: Settings, *, clock: Clock = time.time, until: float | None = None
) -> None:
    """Have every sink hand over what is due, the files first.

    ``until``: a Unix time after which what hands over a request is to end, as far as it can; it
    is tried again later. Raises ``StateUnavailable``.
    """
    over = threading.Event()

    def is_ending() -> bool:
        return over.is_set() or (until is not None and clock() >= until)

    def work(sink: Sink) -> None:
        try:
            deliver(sink, ledger, clock=clock, until=until, stop=over.is_set)
        except StateUnavailable as error:
            log.error("%s", error)

    for each in files(settings):
        deliver(each, ledger, clock=clock, until=until, stop=over.is_set)
    threads = [_Thread(each, work) for each in receivers(settings, is_ending)]
    try:
        for thread in threads:
            thread.start()
        _wait(threads, None if until is None else until - clock())
    except BaseException:
        over.set()
        raise
    finally:
        _wait(threads, _LAST_WORDS)
        over.set()


class _Thread:
    """A sink at work. It is waited for by an event, because a signal that interrupts
    ``Thread.join`` makes Python take the thread for ended (bpo-45274, until 3.13)."""

    def __init__(self, sink: Sink, work: Callable[[Sink], None]) -> None:
        self._sink = sink
        self._work = work
        self._thread = threading.Thread(target=self._run, name=sink.name, daemon=True)
        self._ended = threading.Event()
        self._ended.set()

    def start(self) -> None:
        self._ended.clear()
        self._thread.start()

    def wait(self, seconds: float | None) -> None:
        """Until it has ended, or for so long."""
        self._ended.wait(seconds)

    def is_alive(self) -> bool:
        return not self._ended.is_set()

    def _run(self) -> None:
        try:
            self._work(self._sink)
        finally:
            self._ended.set()


def _wait(threads: Sequence[_Thread], seconds: float | None) -> None:
    end = None if seconds is None else time.monotonic() + seconds
    for thread in threads:
        thread.wait(None if end is None else max(0.0, end - time.monotonic()))


class Delivery:
    """Every sink in a thread of its own, each with its own connection to the ledger."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._ending = threading.Event()
        self._wanted: dict[str, threading.Event] = {}
        self._threads: list[_Thread] = []
        for sink in (*files(settings), *receivers(settings, self._ending.is_set)):
            self._wanted[sink.name] = threading.Event()
            self._threads.append(_Thread(sink, self._run))

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self, until: float | None = None) -> None:
        """Have each look at the request log now."""
        for wanted in self._wanted.values():
            wanted.set()

    def stop(self, timeout: float) -> None:
        """End them between two requests. What is still at one shortly before ``timeout`` seconds
        are over is told to end; what does not is left as after a crash."""
        self._stopping.set()
        self.wake()
        end = time.monotonic() + timeout
        _wait(self._threads, timeout - min(_LAST_WORDS, timeout / 2))
        self._ending.set()
        _wait(self._threads, end - time.monotonic())

    def is_well(self) -> bool:
        """Whether all of them are alive."""
        return all(thread.is_alive() for thread in self._threads)

    def _run(self, sink: Sink) -> None:
        wanted = self._wanted[sink.name]
        while not self._stopping.is_set():
            try:
                with contextlib.closing(open_configured(self._settings.state)) as ledger:
                    begin(ledger, self._settings)
                    self._look(sink, ledger, wanted)
            except StateUnavailable as error:
                log.error("%s: %s", sink.name, error)
                wanted.wait(POLL)
                wanted.clear()

    def _look(self, sink: Sink, ledger: Ledger, wanted: threading.Event) -> None:
        while not self._stopping.is_set():
            wanted.clear()
            if ledger.cursor(sink.name).position < ledger.last_request():
                deliver(sink, ledger, until=None, stop=self._stopping.is_set)
            wanted.wait(POLL)
