# SPDX-License-Identifier: BSD-3-Clause
"""Everybody who writes to the PostgreSQL ledger takes locks in one order: nobody ever waits for
somebody who waits in turn (see ``locking``)."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from ingest.errors import StateUnavailable
from ingest.ledger import Cursor, Keep, Outcome, open_ledger, postgres_arrivals
from tests.support.ledger_values import NOON, arrival, claimed, finish, record
from tests.support.postgres import Cluster
from tests.support.writers import Writers

WRITERS = 6
# Of each of them; with RECHECK_TEST_STEPS=10000 it takes minutes.
STEPS = int(os.environ.get("RECHECK_TEST_STEPS", "250"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that says what went wrong, and looks for deadlocks early."""
    made = Cluster(log_min_messages="error", deadlock_timeout="20ms")
    yield made
    made.remove()


@pytest.fixture
def url(cluster: Cluster, quick_path: Path) -> str:
    return cluster.database_for(quick_path)


def deadlocks(cluster: Cluster) -> int:
    """How many there were."""
    return (cluster.folder / "log").read_text(errors="replace").count("deadlock detected")


def at_once(*actions: Callable[[], object]) -> list[str]:
    """What went wrong in functions that run side by side."""
    wrong: list[str] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  told to the test
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=guarded, args=[each]) for each in actions]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return wrong


@contextmanager
def holding(url: str, statement: str) -> Iterator[Callable[[Callable[[int], bool]], None]]:
    """Somebody holds what a statement locks, until it is enough of those who wait for a lock."""
    with psycopg.connect(url) as connection, psycopg.connect(url, autocommit=True) as watching:
        connection.execute(statement)

        def until(is_enough: Callable[[int], bool]) -> None:
            count = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not is_enough(watching.execute(count).fetchone()[0]):  # type: ignore[index]
                time.sleep(0.005)
            connection.commit()

        yield until


def test_who_drops_a_mail_and_who_cancels_its_request_do_not_wait_for_each_other(
    cluster: Cluster, url: str
) -> None:
    before = deadlocks(cluster)
    with closing(open_ledger(url)) as one, closing(open_ledger(url)) as other:
        record(one, "a@example.org")
        one.set_cursor(Cursor("file", 1))
        done: dict[str, object] = {}
        with holding(url, "SELECT 1 FROM result WHERE label = 'iol-b' FOR UPDATE") as until:

            def prune() -> None:
                done["dropped"] = one.prune(Keep(0.0, 0.0, NOON + 1), NOON)

            def cancel() -> None:
                done["cancelled"] = other.steering.cancel_request(1, "no", "me", NOON)

            wrong = at_once(prune, cancel, lambda: until(lambda waiting: waiting + len(done) > 1))
        assert wrong == []
        assert deadlocks(cluster) == before
        assert done in ({"dropped": 1, "cancelled": False}, {"dropped": 0, "cancelled": True})


def test_a_mail_that_is_dropped_while_a_copy_of_it_comes_stays_known(url: str) -> None:
    drop = "WITH gone AS (DELETE FROM mail RETURNING digest) INSERT INTO known TABLE gone"
    with closing(open_ledger(url)) as ledger:
        ledger.accept(arrival())
        kept: list[tuple[int, bool]] = []
        with holding(url, drop) as until:
            accept = partial(ledger.accept, arrival())
            wrong = at_once(
                lambda: kept.append(accept()), lambda: until(lambda waiting: waiting > 0)
            )
        assert (wrong, kept) == ([], [(0, False)])
        assert ledger.totals().mails["queued"] == 0


def test_a_mail_that_comes_together_with_one_that_is_dropped_meanwhile_is_new(url: str) -> None:
    drop = "WITH gone AS (DELETE FROM mail RETURNING digest) INSERT INTO known TABLE gone"
    with closing(open_ledger(url)) as ledger:
        ledger.accept(arrival())
        kept: list[tuple[int, bool]] = []
        with holding(url, drop) as until:
            mails = [arrival(), arrival("b@example.org")]
            wrong = at_once(
                lambda: kept.extend(ledger.accept_all(mails)),
                lambda: until(lambda waiting: waiting > 0),
            )
        assert (wrong, [is_new for _, is_new in kept]) == ([], [False, True])


def test_a_long_list_is_taken_in_by_two_in_opposite_orders(cluster: Cluster, url: str) -> None:
    before = deadlocks(cluster)
    mails = [arrival(f"{number}@example.org") for number in range(2000)]
    new: list[int] = []

    def accept(order: int) -> None:
        with closing(open_ledger(url)) as ledger:
            taken = ledger.accept_all(mails[::order])
            new.append(sum(is_new for _, is_new in taken))

    with holding(url, "LOCK TABLE mail IN SHARE MODE") as until:
        begin_together = partial(until, lambda waiting: waiting > 1)
        assert at_once(partial(accept, 1), partial(accept, -1), begin_together) == []
    assert deadlocks(cluster) == before
    assert sum(new) == len(mails)


def test_a_ledger_is_closed_though_somebody_writes_to_its_tables_in_another_order(
    cluster: Cluster, url: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    cluster.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '1s'")  # as servers have it
    before = deadlocks(cluster)
    with closing(open_ledger(url)) as ledger, psycopg.connect(url) as writer:
        record(ledger, "a@example.org")
        writer.execute("UPDATE result SET url = 'x'")

        def write() -> None:
            with psycopg.connect(url, autocommit=True) as watching:
                waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
                while not watching.execute(waiting).fetchone():
                    time.sleep(0.005)
            writer.execute("DELETE FROM answer")
            writer.commit()

        assert at_once(partial(ledger.side().refuse, "it was moved"), write) == []
        with pytest.raises(StateUnavailable, match="it was moved"):
            ledger.accept(arrival())
    assert deadlocks(cluster) == before
    cluster.execute(f"ALTER DATABASE {name} RESET deadlock_timeout")


def test_who_holds_a_mail_holds_the_place_in_the_queue_that_it_is_given_meanwhile(
    cluster: Cluster, url: str
) -> None:
    before, is_held = deadlocks(cluster), threading.Event()
    with (
        closing(open_ledger(url)) as ledger,
        psycopg.connect(url) as retrying,
        psycopg.connect(url, autocommit=True) as watching,
    ):

        def somebody_waits() -> None:
            while not watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                time.sleep(0.005)

        ledger.accept(arrival("a"))
        finish(ledger, claimed(ledger), Outcome.UNRESOLVED)
        ledger.accept(arrival("b"))
        retrying.execute("UPDATE mail SET outcome = 'queued', ended = NULL WHERE id = 1")
        retrying.execute("INSERT INTO queue (mail, turn, due, since, begun) VALUES (1, 0, 0, 0, 0)")

        def cancel() -> None:
            with ledger.batch():
                ledger.steering.hold([1, 2])
                is_held.set()
                somebody_waits()
                assert all(ledger.steering.cancel(id, "no", NOON) for id in (1, 2))

        def hasten() -> None:
            somebody_waits()
            retrying.commit()
            is_held.wait()
            for id in (1, 2):
                retrying.execute("SELECT 1 FROM queue WHERE mail = %s FOR UPDATE", [id])
            retrying.commit()

        assert at_once(cancel, hasten) == []
    assert deadlocks(cluster) == before


@pytest.mark.slow
def test_all_writers_at_once_never_wait_for_each_other_in_a_circle(
    cluster: Cluster, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_arrivals, "MOST_NOTICES", 5)
    before, done = deadlocks(cluster), Counter[str]()

    def write(name: str) -> None:
        with closing(open_ledger(url)) as ledger:
            writers = Writers(ledger, name)
            for _ in range(STEPS):
                writers.act()
            done.update(writers.done)

    wrong = at_once(*(partial(write, f"worker-{number}") for number in range(WRITERS)))
    print(f"{sum(done.values())} steps, {deadlocks(cluster) - before} deadlocks")
    assert wrong == []
    assert deadlocks(cluster) == before
    assert min(done.values()) > 0
