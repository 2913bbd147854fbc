# SPDX-License-Identifier: BSD-3-Clause
"""The configured sinks, and when they are at work: once, or each in a thread of its own.

Once for ``pipe``, ``replay`` and ``work --once``, by way of the worker; in threads for ``serve``
and ``work``, so that one that hangs holds up nothing else.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module

from ingest.background import Background, Thread, Trouble, wait_all
from ingest.config.sink_tables import ReceiverSettings
from ingest.config.tables import Settings, StateSettings, sink_kinds
from ingest.config.values import DAY
from ingest.errors import SinkUnavailable, StateUnavailable
from ingest.ledger import Cursor, Event, Ledger, Request
from ingest.policy import scope
from ingest.policy.scope import Scope
from ingest.sinks import Clock, Configured, Sink, Stop, host, json_file

# Seconds between two looks at the request log, which other processes write, too.
POLL = 1.0
# Seconds that what hands over a request is given to end once there is no more time for it.
_LAST_WORDS = 1.5

log = logging.getLogger(__name__)


def wanted(settings: Settings) -> dict[str, Scope]:
    """All sinks by the names of their cursors, the retest JSON's first, and what each is for."""
    table, whose = settings.retests, host_of(settings.state)
    named = {}
    if table.file:
        named[json_file.name(table.file, whose)] = Scope((), table.patchwork)
    for file in settings.json_file.values():
        named[json_file.name(file.file, whose)] = scope.of_table(file)
    for kind in sink_kinds():
        if kind != "json_file":
            for name, each in getattr(settings, kind).items():
                named[f"{kind}:{name}"] = scope.of_table(each)
    return named


def host_of(state: StateSettings) -> str:
    """This machine's name in the names of its files' cursors, "" if no other shares the ledger, or
    nothing was written here yet. Raises ``StateUnavailable``."""
    return _host(state, host.known)


def _host(state: StateSettings, find: Callable[[str], str]) -> str:
    if not state.is_shared:
        return ""
    try:
        return state.host or find(state.dir)
    except OSError as error:
        raise StateUnavailable(f"this machine's id in {state.dir}: {error}") from error


def lag(ledger: Ledger, settings: Settings, now: float) -> bool:
    """Whether a sink that is not paused has not got all requests, and is due."""
    last = ledger.last_request()
    cursors = {cursor.name: cursor for cursor in ledger.cursors()}
    paused = {each.sink for each in ledger.steering.pauses()}
    if any(each.is_due(ledger, now) for each in forwarders(settings)):
        return True
    return any(
        (each.position < last and each.due <= now) or ledger.asides.due(each.name, now, DAY, 1)
        for each in (cursors.get(name, Cursor(name)) for name in wanted(settings))
        if each.name not in paused
    )


def is_paused(ledger: Ledger, name: str) -> bool:
    """Whether an operator wants a sink to hand nothing over."""
    return any(each.sink == name for each in ledger.steering.pauses())


def files(settings: Settings) -> Iterator[json_file.JsonFile]:
    """The sinks that are files."""
    known = settings.requests.arguments
    pause = settings.worker.retry[0]
    table, whose = settings.retests, _host(settings.state, host.kept)
    if table.file:
        yield json_file.JsonFile(
            table.file,
            mode=table.mode,
            host=whose,
            arguments=known,
            scope=Scope((), table.patchwork),
            revisions=table.revisions,
            pause=pause,
        )
    for each in settings.json_file.values():
        yield json_file.JsonFile(
            each.file,
            mode=each.mode,
            host=whose,
            scope=scope.of_table(each),
            arguments=known,
            revisions=each.revisions,
            pause=pause,
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
            manners=receiver.manners,
            max_age=settings.policy.max_age,
        )
    yield from forwarders(settings)
    yield from follow_ups(settings)
    yield from refusals(settings)


def forwarders(settings: Settings) -> Iterator[Sink]:
    """What forwards notices, if anything does."""
    if settings.notices.forward_to:
        from ingest.sinks.notices import Forwarder

        yield Forwarder(settings)


def follow_ups(settings: Settings) -> Iterator[Sink]:
    """The sinks of second answers."""
    if any(table.results for table in settings.mail.values()):
        from ingest.sinks.follow_up import FollowUp
        from ingest.sinks.mail import receiver

        for name, table in settings.mail.items():
            if table.results:
                yield FollowUp(name, receiver(name, settings), settings)


def refusals(settings: Settings) -> Iterator[Sink]:
    """What tells people why they were refused."""
    names = [name for name, table in settings.mail.items() if table.refusals]
    if names and settings.policy.refuses():
        from ingest.sinks.refusals import Refusals

        yield from (Refusals(name, settings) for name in names)


def refused(ledger: Ledger, settings: Settings, request: Request, reason: str, now: float) -> None:
    """Have whoever asked be told why the policy refuses a request, see ``refusals.keep``."""
    if any(table.refusals for table in settings.mail.values()):
        from ingest.sinks import refusals

        refusals.keep(ledger, settings, request, reason, now)


def configured(settings: Settings) -> Iterator[tuple[Configured, ReceiverSettings]]:
    """The receivers and their settings. Each kind's module is imported only if there is one."""
    for kind in sink_kinds():
        tables = getattr(settings, kind)
        if tables and kind != "json_file":
            module = import_module(f"ingest.sinks.{kind}")
            yield from ((module.receiver(name, settings), tables[name]) for name in tables)


def begin(ledger: Ledger, settings: Settings) -> None:
    """Give each sink a cursor: a new one begins with the requests that come from now on, but for
    the retest JSON of a ledger that is this machine's alone, which has them all. To be called
    before a request is recorded."""
    _host(settings.state, host.kept)
    known = {cursor.name for cursor in ledger.cursors()}
    has_all = "" if settings.state.is_shared else json_file.name(settings.retests.file)
    for name in wanted(settings):
        if name not in known and name != has_all:
            ledger.begin_cursor(name, time.time())
    if any(table.results for table in settings.mail.values()):
        from ingest.sinks import follow_up

        follow_up.begin(ledger, settings, time.time())


def deliver(
    sink: Sink, ledger: Ledger, *, clock: Clock = time.time, until: float | None, stop: Stop
) -> None:
    """Have one sink hand over what is due, unless it is paused. What hinders it is logged, is kept
    in its cursor, and is tried again later."""
    if is_paused(ledger, sink.name):
        return

    def is_over() -> bool:
        return stop() or is_paused(ledger, sink.name)

    failed = ledger.cursor(sink.name).tries
    try:
        sink.deliver(ledger, clock=clock, until=until, stop=is_over)
    except SinkUnavailable as error:
        log.error("%s: %s; it is tried again by itself", sink.name, error)
        if not failed and ledger.cursor(sink.name).tries:
            told = {"sink": sink.name, "reason": str(error)}
            ledger.happenings.tell(Event(clock(), "sink fails", told))
    else:
        if failed and not ledger.cursor(sink.name).tries:
            ledger.happenings.tell(Event(clock(), "sink works again", {"sink": sink.name}))


def once(
    ledger: Ledger,
    settings: Settings,
    *,
    clock: Clock = time.time,
    until: float | None = None,
    known: Iterable[Sink] = (),
) -> None:
    """Have every sink hand over what is due, the files first.

    ``known``: those of ``files``, from whoever calls again, for they know what they wrote;
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

    for each in known or files(settings):
        deliver(each, ledger, clock=clock, until=until, stop=over.is_set)
    threads = [Thread(each.name, partial(work, each)) for each in receivers(settings, is_ending)]
    try:
        for thread in threads:
            thread.start()
        wait_all(threads, None if until is None else until - clock())
    except BaseException:
        over.set()
        raise
    finally:
        wait_all(threads, _LAST_WORDS)
        over.set()


def _nothing() -> None:
    """What is done where there is nothing to do."""


class Delivery:
    """Every sink in a thread of its own, each with its own connection to the ledger.

    ``then`` is called when the first file, if there is one, has what they were woken for: whoever
    reads that file waits for it, and for the rest of this process nobody does."""

    def __init__(self, settings: Settings, then: Callable[[], None] = _nothing) -> None:
        self._ending = threading.Event()
        known = list(files(settings))
        self._then = _nothing if known else then
        self._threads = [
            Background(
                each.name,
                settings.state,
                partial(_deliver_on, each, settings, then if each in known[:1] else _nothing),
            )
            for each in (*known, *receivers(settings, self._ending.is_set))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self, until: float | None = None) -> None:
        """Have each look at the request log now."""
        for thread in self._threads:
            thread.wake()
        self._then()

    def stop(self, timeout: float) -> None:
        """End them between two requests. What is still at one shortly before ``timeout`` seconds
        are over is told to end; what does not is left as after a crash."""
        for thread in self._threads:
            thread.stop()
        end = time.monotonic() + timeout
        wait_all(self._threads, timeout - min(_LAST_WORDS, timeout / 2))
        self._ending.set()
        wait_all(self._threads, end - time.monotonic())

    def is_well(self) -> bool:
        """Whether all of them are."""
        return all(thread.is_well() for thread in self._threads)

    def troubles(self) -> list[Trouble]:
        """What keeps any of them from its work, other than what its receiver does."""
        return [thread.trouble for thread in self._threads if thread.trouble]


def _deliver_on(
    sink: Sink, settings: Settings, then: Callable[[], None], ledger: Ledger, thread: Background
) -> None:
    """Have one sink hand over what comes, until its thread is stopped. ``then`` is called when it
    has done what it was woken for."""
    begin(ledger, settings)
    is_woken = False
    while not thread.is_stopping():
        if sink.is_due(ledger, time.time()):
            deliver(sink, ledger, until=None, stop=thread.is_stopping)
        if is_woken:
            then()
        is_woken = thread.rest(POLL)
