# SPDX-License-Identifier: BSD-3-Clause
"""What ``serve`` does in threads: the workers, the sinks, and what asks other servers."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import Protocol

from ingest.background import WORKER, Background, Trouble
from ingest.commands.catch_up import Periodic
from ingest.commands.daily import Daily
from ingest.commands.wakeups import MAIL, REQUESTS, Wakeups
from ingest.config.tables import Settings
from ingest.ledger import Ledger, worker_lease
from ingest.patchwork.servers import Servers
from ingest.results.follower import Follower
from ingest.sinks.delivery import Delivery
from ingest.sources.forwarding import Forwarder
from ingest.sources.inboxes import Inboxes
from ingest.worker import POLL, Worker, connect

# Seconds between two looks whether mail still comes in to which a worker gives way.
_NAP = 0.005

log = logging.getLogger(__name__)


class _Part(Protocol):
    """What works in threads of its own."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def is_well(self) -> bool: ...
    def troubles(self) -> list[Trouble]: ...


class Working:
    """The workers' threads, each of which holds its lease as soon as it can have it, the threads
    of the sinks, of the spool and of the public-inboxes, those that catch up, those that follow
    requests, and that of the mail a day to the operator."""

    def __init__(
        self,
        settings: Settings,
        is_behind: Callable[[], bool] = lambda: False,
        rate: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``is_behind``: whether mail waits to be taken in, which goes before mail that waits to
        be worked on, as far as that comes on; ``rate``: mails that come a second."""
        self._settings = settings
        self._is_behind = is_behind
        self._rate = rate
        self._delivery = Delivery(settings, self._wake_followers)
        servers = settings.server_names
        self._followers = [Follower(settings, server) for server in servers]
        self._inboxes = Inboxes(settings, self.wake)
        woken: dict[str, Callable[[], None]] = {
            MAIL: self._wake_workers,
            REQUESTS: self._delivery.wake,
        }
        self._wakeups = Wakeups(settings.state, woken)
        # An attempt asks several questions, each of which may take a timeout.
        slowest = max(each.timeout for each in (settings.patchwork, *settings.servers.values()))
        patience = 100 * slowest + settings.state.busy_timeout
        self._workers = [
            Background(
                WORKER if number == 1 else f"{WORKER} {number}",
                settings.state,
                partial(self._work, worker_lease(number)),
                patience=patience,
            )
            for number in range(1, settings.worker.at_once + 1)
        ]
        self._others: tuple[_Part, ...] = (
            self._inboxes,
            Forwarder(settings, self.wake),
            Daily(settings),
            self._wakeups,
            *(Periodic(settings, server) for server in servers),
            *self._followers,
        )

    def start(self) -> None:
        """Begin."""
        self._delivery.start()
        parts: Iterable[Background | _Part] = (*self._workers, *self._others)
        for each in parts:
            each.start()

    def stop(self, timeout: float) -> None:
        """End them between two mails or requests; one that is waited on for longer is left as
        after a crash, to be taken up at the next start."""
        end = time.monotonic() + timeout
        parts: Iterable[Background | _Part] = (*self._workers, *self._others)
        for each in parts:
            each.stop()
        # Meanwhile the workers end, too; the sinks have something of their own to end.
        self._delivery.stop(timeout)
        for each in parts:
            each.wait(max(0.0, end - time.monotonic()))

    def wake(self) -> None:
        """Have the workers look at the queue now, here and on other machines."""
        self._wake_workers()
        self._wakeups.send(MAIL)

    def _wake_workers(self) -> None:
        for thread in self._workers:
            thread.wake()

    def is_well(self) -> bool:
        """Whether all of them live, and none is stuck."""
        workers = all(each.is_well() for each in self._workers)
        return workers and self._delivery.is_well() and all(each.is_well() for each in self._others)

    def troubles(self) -> list[Trouble]:
        """What keeps any of them from its work."""
        mine = [each.trouble for each in self._workers if each.trouble]
        others = (trouble for each in self._others for trouble in each.troubles())
        return [*mine, *self._delivery.troubles(), *others]

    def _publish(self, until: float | None) -> None:
        """There may be new requests."""
        self._delivery.wake(until)
        self._wakeups.send(REQUESTS)

    def _wake_followers(self) -> None:
        for thread in self._followers:
            thread.wake()

    def _work(self, lease: str, ledger: Ledger, thread: Background) -> None:
        waits = False
        with closing(connect(self._settings, ledger)) as chooser:
            while not thread.is_stopping():
                with ledger.lease(lease) as held:
                    if held:
                        if waits:
                            log.info("the other process has ended: this one works on the ledger")
                        waits = False
                        self._work_off(lease, ledger, chooser, thread)
                    elif not waits:
                        waits = True
                        log.info(
                            "another process works on this ledger; this one takes in mail, and "
                            "takes over when the other ends"
                        )
                thread.rest(POLL)

    def _work_off(self, lease: str, ledger: Ledger, chooser: Servers, thread: Background) -> None:
        """Work off the queue until the thread is stopped; only the holder of the lease may."""
        worker = Worker(
            ledger,
            chooser,
            self._settings,
            report=lambda *_: thread.sign(),
            publish=self._publish,
            holder=lease,
        )
        while not thread.is_stopping():
            # Beside a stream of mail, what came of it in a while is worked on together: each look
            # at the queue, and what the sinks do after it, costs the stream as much as many mails.
            self._give_way(thread, self._is_streaming)
            worker.work_off(stop=partial(self._is_over, thread))
            thread.rest(POLL)

    def _is_streaming(self) -> bool:
        return self._rate() > self._settings.serve.stream

    def _is_over(self, thread: Background) -> bool:
        """Whether to end before the next mail, having let in those that wait outside."""
        self._give_way(thread, self._is_behind)
        return thread.is_stopping()

    def _give_way(self, thread: Background, comes: Callable[[], bool]) -> None:
        """Wait while mail comes in, but not for ever."""
        until = time.monotonic() + self._settings.serve.gives_way
        while comes() and time.monotonic() < until and not thread.is_stopping():
            time.sleep(_NAP)
