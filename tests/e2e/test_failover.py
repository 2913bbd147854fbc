# SPDX-License-Identifier: BSD-3-Clause
"""A ledger in PostgreSQL whose servers are lost: what it said stays true."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from ingest.errors import StateUnavailable
from ingest.ledger import Ledger, open_ledger
from tests.support import history, postgres
from tests.support.ledger_values import arrival, record
from tests.support.postgres import Cluster, send
from tests.support.processes import running
from tests.support.replicas import Pair

pytestmark = pytest.mark.slow

# Failovers of the long test, ten for each ledger, and mails that are accepted in groups between two
# of them. By hand more.
FAILOVERS = int(os.environ.get("RECHECK_TEST_FAILOVERS", "10"))
MAILS = int(os.environ.get("RECHECK_TEST_MAILS", "200"))


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.remove()


@contextmanager
def repeated(do: Callable[[], None]) -> Iterator[None]:
    """Do something again and again until the block is left."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.05):
            do()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_what_was_acknowledged_is_there_after_the_primary_is_lost(
    pair: Pair, quick_path: Path
) -> None:
    with closing(open_ledger(pair.ledger(quick_path), timeout=2.0)) as ledger:
        first = [record(ledger, f"{number}@example.org") for number in range(20)]
        pair.take_over()
        print(f"promotion: acknowledged again after {accepted(ledger, 'b') * 1000:.0f} ms")
        assert not ledger.accept(arrival("7@example.org"))[1]
        assert ledger.requests() == first
        assert record(ledger, "new@example.org").number == 21


@contextmanager
def freezing() -> Iterator[Callable[[Cluster], None]]:
    """What has a server hang, until the block is left."""
    frozen: list[int] = []

    def freeze(primary: Cluster) -> None:
        frozen.extend(primary.processes())
        send(signal.SIGSTOP, frozen)

    try:
        yield freeze
    finally:
        send(signal.SIGCONT, frozen)


def accepted(ledger: Ledger, id: str) -> float:
    """Accept a mail as soon as that can be done; how many seconds that took."""
    began = time.monotonic()
    while True:
        try:
            ledger.accept(arrival(id))
            return time.monotonic() - began
        except StateUnavailable:
            time.sleep(0.01)


def test_a_primary_that_hangs_is_given_up_for_the_one_that_takes_over(
    pair: Pair, quick_path: Path
) -> None:
    with closing(open_ledger(pair.ledger(quick_path), timeout=2.0)) as ledger, freezing() as freeze:
        first = record(ledger, "a@example.org")
        pair.take_over(freeze)
        print(f"a hung primary: acknowledged again after {accepted(ledger, 'b'):.1f} s")
        assert ledger.requests() == [first]
        assert len(ledger.find("b")) == 1


def test_nothing_is_acknowledged_that_the_standby_lacks(pair: Pair, quick_path: Path) -> None:
    """Neither a new mail nor a copy of one whose acknowledgement was never given."""
    url = pair.ledger(quick_path)
    with closing(open_ledger(url, timeout=1.0)) as ledger:
        go_on = pair.stop_sending()
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                ledger.accept(arrival("a"))
        go_on()
        assert ledger.accept(arrival("a")) == (1, False)


def test_without_a_synchronous_standby_the_check_fails(quick_path: Path) -> None:
    """What the other tests look for can be seen."""
    pair = Pair(synchronous=False)
    try:
        url = pair.ledger(quick_path)
        with closing(open_ledger(url, timeout=2.0)) as ledger:
            record(ledger, "kept@example.org")
            pair.stop_sending()
            lost = record(ledger, "lost@example.org")
            pair.take_over()
            lines: list[history.Line] = [
                ("accepted", ["lost@example.org"]),
                ("recorded", [lost.number, lost.id]),
            ]
            assert len(history.faults(lines, ledger)) == 2
    finally:
        pair.remove()


def test_a_commit_whose_wait_for_the_standby_is_cancelled_is_a_failure(
    pair: Pair, quick_path: Path
) -> None:
    """The server says that it succeeded, with a warning."""
    url = pair.ledger(quick_path)
    with closing(open_ledger(url, timeout=20.0)) as ledger:
        go_on = pair.stop_sending()
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        with (
            repeated(lambda: pair.primary.execute(cancel)),
            pytest.raises(StateUnavailable, match="without waiting for its standby"),
        ):
            ledger.accept(arrival("a"))
        go_on()


def test_with_too_few_standbys_nothing_is_written(pair: Pair, quick_path: Path) -> None:
    url = pair.ledger(quick_path)
    with closing(open_ledger(url, timeout=2.0, replicas=1)) as ledger:
        assert ledger.accept(arrival("a"))[1]
        pair.standby.stop()
        refused = 0
        while not refused:  # believed for half a second
            try:
                ledger.accept(arrival(f"b-{time.monotonic_ns()}"))
            except StateUnavailable as error:
                refused += "0 of 1 synchronous standbys" in str(error)
        pair.standby.start()
    with closing(open_ledger(url, timeout=2.0, replicas=2)) as ledger:
        with pytest.raises(StateUnavailable, match="of 2 synchronous standbys"):
            ledger.accept(arrival("c"))
        assert len(ledger.find("a")) == 1


def test_numbers_that_are_not_in_the_order_of_commits_fail_the_check(quick_path: Path) -> None:
    """As those of an identity column are: the second one is there first, and a sink passes by."""
    url = postgres.ledger_url(quick_path)
    with closing(open_ledger(url)) as ledger, psycopg.connect(url) as late:
        those = [record(ledger, f"{number}@example.org") for number in range(2)]
        late.execute("CREATE TEMPORARY TABLE slow AS SELECT * FROM request WHERE number = 1")
        late.execute("DELETE FROM request WHERE number = 1")
        late.commit()
        late.execute("INSERT INTO request TABLE slow")
        read: list[history.Line] = [("read", [each.number, each.id]) for each in ledger.requests()]
        late.commit()
        assert history.faults(read, ledger) == ["no sink read 1"]
        assert history.faults([("read", [each.number, each.id]) for each in those], ledger) == []


def test_two_holders_of_one_lease_that_write_by_turns_fail_the_check(quick_path: Path) -> None:
    with closing(open_ledger(postgres.ledger_url(quick_path))) as ledger:
        requests = [record(ledger, f"{number}@example.org") for number in range(3)]
        first, second, third = (("recorded", [each.number, each.id]) for each in requests)
        held = ("held", ["worker-1"])
        assert history.faults([held, first, second, held, third], ledger) == []
        assert len(history.faults([held, first, third, held, second], ledger)) == 1


# Whatever happens


class Staff:
    """Processes on several hosts that use a ledger; each begins anew when it was killed."""

    def __init__(self, url: str, folder: Path, dice: random.Random, stack: ExitStack) -> None:
        self._url, self._folder, self._dice, self._stack = url, folder, dice, stack
        names = ["work worker-1", "work worker-2.a", "work worker-2.b"]
        names += [f"accept door-{number}" for number in range(4 if MAILS > 1000 else 1)]
        names += ["deliver sink-1", "deliver sink-2", "rerun lab"]
        self.diaries = history.Diaries(folder)
        self._processes = {name: self._start(name) for name in names}

    def _start(self, name: str) -> subprocess.Popen[str]:
        command, _, who = name.partition(" ")
        diary = str(self._folder / f"{who}.diary")
        clock = str(self._dice.choice([0, 0, 3600, -3600]))
        process = running("failover_processes", command, self._url, diary, who, clock)
        return self._stack.enter_context(process)

    def kill_one(self) -> None:
        """Kill one and start it again; of those that only one may be, it is the same one."""
        name = self._dice.choice([each for each in self._processes if "rerun" not in each])
        self._processes[name].kill()
        self._processes[name].wait()
        self._processes[name] = self._start(name)

    def wait_for(self, kind: str, more: int) -> None:
        """Go on until they have noted more of a kind."""
        enough = self.diaries.counted()[kind] + more
        while self.diaries.counted()[kind] < enough:
            time.sleep(0.1)


def killed(pair: Pair) -> None:
    pair.take_over()


def late(pair: Pair) -> None:
    """The standby lags behind when the primary is lost."""
    pair.stop_sending()
    time.sleep(0.5)
    pair.take_over()


def thawed(pair: Pair) -> None:
    """The primary hangs, is given up, and comes back while another one is there."""
    with freezing() as freeze:
        pair.take_over(freeze)
        time.sleep(0.5)
    time.sleep(1.0)
    pair.standby.kill()


def cut_off(pair: Pair) -> None:
    """All connections end, and then the primary."""
    pair.primary.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    time.sleep(0.2)
    pair.take_over()


@pytest.mark.timeout(300 + MAILS // 10)
@pytest.mark.parametrize("seed", range(FAILOVERS // 10))
def test_whatever_happens_what_was_said_stays_true(
    seed: int, pair: Pair, quick_path: Path, tmp_path: Path
) -> None:
    """RECHECK_TEST_FAILOVERS=100 RECHECK_TEST_MAILS=20000 takes a quarter of an hour."""
    dice = random.Random(seed)
    url = pair.ledger(quick_path)
    with ExitStack() as stack:
        staff = Staff(url, tmp_path, dice, stack)
        staff.wait_for("recorded", 50)
        for number in range(10):
            [killed, late, thawed, cut_off][(seed + number) % 4](pair)
            staff.wait_for("recorded", 5)
            staff.kill_one()
            pair.rejoin()
            staff.wait_for("accepted", MAILS)
            staff.wait_for("recorded", 5)
        staff.wait_for("read", 1)
    with closing(open_ledger(url)) as ledger:
        said = staff.diaries.counted()
        faults = history.faults(staff.diaries.lines(), ledger)
        print(
            f"{seed}: 10 failovers, {dict(said)}, {ledger.totals().requests} requests, "
            f"{len(faults)} faults",
            flush=True,
        )
        assert faults == []
        assert min(said[kind] for kind in ("accepted", "recorded", "read", "answered")) > 10
