# SPDX-License-Identifier: BSD-3-Clause
"""What is PostgreSQL's own about its ledger: connections that are lost, leases that go with them,
other roles, orders of commits, and servers that it refuses."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from random import Random

import psycopg
import pytest

from ingest.errors import ConfigError, LostLease, NoLedger, StateUnavailable
from ingest.ledger import (
    WORKER_LEASE,
    Cursor,
    Event,
    Ledger,
    Opening,
    Outcome,
    Result,
    State,
    open_ledger,
    postgres_happenings,
)
from ingest.ledger.masking import masked
from tests.support import ledger_processes, postgres
from tests.support.ledger_values import NOON, arrival, claimed, record, request
from tests.support.relay import relayed


@pytest.fixture
def url(quick_path: Path) -> str:
    return postgres.ledger_url(quick_path)


@contextmanager
def database(name: str, how: str = "") -> Iterator[str]:
    """An empty database, dropped afterwards; its URL."""
    cluster = postgres.shared()
    cluster.execute(f"CREATE DATABASE {name} {how}")
    try:
        yield cluster.url(name)
    finally:
        cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


def cut(url: str) -> None:
    """End every connection to a database, and wait for that."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# Connections


def test_a_connection_that_was_lost_is_made_anew(url: str, ledger: Ledger) -> None:
    ledger.accept(arrival("a"))
    cut(url)
    assert ledger.totals().mails["queued"] == 1
    cut(url)
    assert ledger.accept(arrival("b"))[1]
    cut(url)
    assert claimed(ledger).message_id == "a"
    cut(url)
    assert [each.message_id for each in ledger.find("b")] == ["b"]


def test_what_was_begun_on_a_connection_that_was_lost_is_not_there(
    url: str, ledger: Ledger
) -> None:
    with pytest.raises(StateUnavailable), ledger.batch():
        ledger.accept(arrival("a"))
        cut(url)
        ledger.accept(arrival("b"))
    assert ledger.find("a") == ledger.find("b") == []


def test_a_mail_that_is_new_is_one_question_to_the_server(url: str, quick_path: Path) -> None:
    with relayed(url, quick_path) as (by_relay, relay), closing(open_ledger(by_relay)) as ledger:
        ledger.accept(arrival("first"))
        before = relay.asked
        for number in range(10):
            assert ledger.accept(arrival(str(number)))[1]
        assert relay.asked == before + 10


def test_a_mail_is_told_as_new_though_the_answer_of_its_commit_was_lost(
    url: str, quick_path: Path
) -> None:
    with (
        relayed(url, quick_path) as (by_relay, relay),
        closing(open_ledger(by_relay)) as ledger,
        closing(open_ledger(url)) as other,
    ):
        other.accept(arrival("b", source="elsewhere"))
        relay.lose(b"SELECT 1\0")
        assert ledger.accept(arrival("a")) == (2, True)
        assert relay.has_lost()
        assert ledger.accept(arrival("a")) == (2, False)
        relay.lose(b"SELECT 4\0")
        several = [arrival(each, at=NOON + 1) for each in ("a", "b", "c", "d", "c")]
        kept = ledger.accept_all(several)
        assert relay.has_lost()
        assert [new for _, new in kept] == [False, False, True, True, False]
        assert other.totals().mails["queued"] == 4


def reads(ledger: Ledger) -> object:
    return ledger.totals()


def writes(ledger: Ledger) -> object:
    return ledger.accept(arrival("late"))


def claims(ledger: Ledger) -> object:
    return ledger.claim(NOON, WORKER_LEASE)


@pytest.mark.parametrize("late", [reads, writes, claims])
def test_a_lease_that_was_lost_with_its_connection_ends_all_that_is_done_under_it(
    late: Callable[[Ledger], object], url: str, ledger: Ledger
) -> None:
    with ledger.lease("worker-1") as held:
        assert held
        cut(url)
        for _ in range(2):
            with pytest.raises(LostLease, match="was lost"):
                late(ledger)
        with closing(open_ledger(url)) as other, other.lease("worker-1") as taken_over:
            assert taken_over
    late(ledger)
    with ledger.lease("worker-1") as held:
        assert held


def test_two_threads_of_one_ledger_do_not_hold_one_lease(ledger: Ledger) -> None:
    with ledger.lease("worker-1") as held, ledger.lease("worker-1") as held_too:
        assert (held, held_too) == (True, False)


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up(quick_path: Path) -> None:
    """And what waits for it ends with an error of ours; afterwards all is well."""
    cluster = postgres.Cluster()
    try:
        url = cluster.database_for(quick_path)
        with closing(open_ledger(url, timeout=1.0)) as ledger:
            ledger.accept(arrival("a"))
            with cluster.hanging():
                with pytest.raises(StateUnavailable):
                    ledger.accept(arrival("b"))
                with pytest.raises(StateUnavailable):
                    open_ledger(url, timeout=1.0)
            assert ledger.accept(arrival("c"))[1]
    finally:
        cluster.remove()


def test_a_fork_may_not_use_the_ledger(ledger: Ledger) -> None:
    child = os.fork()
    if not child:
        try:
            ledger.totals()
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Orders of commits


@pytest.mark.slow
def test_numbers_are_in_the_order_of_commits_and_a_reader_misses_none(
    url: str, ledger: Ledger
) -> None:
    """Four processes append; a reader asks for what is behind the last number it saw."""
    seen: list[int] = []
    with ExitStack() as stack:
        those = [
            stack.enter_context(ledger_processes.other("append", url, who, "25")) for who in "abcd"
        ]
        ledger_processes.go(*those)
        while any(each.poll() is None for each in those):
            seen += [found.number for found in ledger.requests(after=seen[-1] if seen else 0)]
        assert [each.wait() for each in those] == [0] * 4
    seen += [found.number for found in ledger.requests(after=len(seen))]
    assert seen == list(range(1, 101))


@contextmanager
def holding_the_log(url: str, others: int) -> Iterator[Callable[[], None]]:
    """Nobody else appends until the block is left; what waits until so many others stand still
    before the log, or before one another."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM head FOR UPDATE")

        def wait() -> None:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            with psycopg.connect(url, autocommit=True) as looking:
                while looking.execute(waiting).fetchone() != (others,):
                    pass

        yield wait
        connection.execute("COMMIT")


@pytest.mark.slow
def test_one_who_is_stopped_while_it_appends_holds_up_nobody(url: str, ledger: Ledger) -> None:
    """All that is done while the log is locked is at the server before the lock is asked for."""
    with ledger_processes.other("append", url, "stopped", "1") as stopped:
        with holding_the_log(url, 1) as wait:
            ledger_processes.go(stopped)
            wait()
            stopped.send_signal(signal.SIGSTOP)
        assert record(ledger, "later@example.org").number == 2
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait() == 0
    assert [each.message_id for each in ledger.requests()] == ["stopped-0", "later@example.org"]


def test_of_two_mails_of_one_name_that_are_finished_together_no_label_is_asked_for_twice(
    url: str, ledger: Ledger
) -> None:
    name, labels = "a@example.org", (("iol-a", "iol-b"), ("iol-b", "iol-c"))
    ledger.accept_all([arrival(name, identity=f"{name} {n}", sender=str(n)) for n in range(2)])

    def finish_one(asked: tuple[str, ...]) -> None:
        with closing(open_ledger(url)) as own:
            mail = own.claim(NOON, asked[0])
            assert mail
            own.finish(mail, Outcome.DONE, "", [], [request(mail, contexts=asked)])

    with ThreadPoolExecutor() as threads:
        with holding_the_log(url, 2) as wait:
            finished = [threads.submit(finish_one, each) for each in labels]
            wait()
        for each in finished:
            each.result()
    entered = [label for each in ledger.requests() for label in each.contexts]
    assert sorted(entered) == ["iol-a", "iol-b", "iol-c"]


@pytest.mark.slow
def test_what_reruns_answers_partitions_the_log(url: str, ledger: Ledger) -> None:
    """Each answer is asked for from the second that the one before promised."""
    answers: list[int] = []
    since = 0.0
    with ExitStack() as stack:
        those = [
            stack.enter_context(ledger_processes.other("append", url, who, "25")) for who in "abcd"
        ]
        ledger_processes.go(*those)
        while any(each.poll() is None for each in those):
            found, since = ledger.reruns(since, NOON)
            answers += [each.number for each in found]
        assert [each.wait() for each in those] == [0] * 4
    answers += [each.number for each in ledger.reruns(since, NOON)[0]]
    assert answers == list(range(1, 101))


@pytest.mark.slow
def test_two_hosts_that_take_in_the_same_mails_in_another_order_do_not_wait_for_each_other(
    url: str, ledger: Ledger
) -> None:
    ids = [f"{number}@example.org" for number in range(300)]
    with (
        ledger_processes.other("accept-together", url, *ids) as one,
        ledger_processes.other("accept-together", url, *reversed(ids)) as two,
    ):
        ledger_processes.go(one, two)
        new = [int(ledger_processes.line(each)) for each in (one, two)]
        assert [each.wait() for each in (one, two)] == [0, 0]
    assert sum(new) == len(ids)
    assert ledger.totals().mails["queued"] == len(ids)


def mails_read(url: str) -> int:
    """Mails that the server has read so far, as it says when a connection has ended."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            " FROM pg_stat_user_tables WHERE relname = 'mail'"
        ).fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.slow
def test_a_mail_costs_no_more_when_its_sender_has_many(url: str) -> None:
    """Though the server knows nothing of the tables yet, as it does after a day of much mail."""

    def accept(ids: range) -> None:
        with closing(open_ledger(url)) as ledger:
            ledger.accept_all([arrival(str(id), sender="robin@example.org") for id in ids])

    accept(range(5000))
    before = mails_read(url)
    accept(range(5000, 5005))
    assert mails_read(url) - before < 100


@pytest.mark.slow
def test_a_mail_costs_no_more_when_there_were_few_when_its_statement_was_planned(url: str) -> None:
    """Though the server's statistics are those of that time, as they are for a minute."""

    def accept(ids: range) -> None:
        with closing(open_ledger(url)) as ledger:
            for id in ids:
                ledger.accept(arrival(str(id), sender=str(id)))

    accept(range(20))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    before = mails_read(url)
    accept(range(20, 1000))
    assert mails_read(url) - before < 50_000


def test_a_batch_whose_connection_was_lost_writes_nothing_whatever_is_caught(
    url: str, ledger: Ledger
) -> None:
    with pytest.raises(StateUnavailable), ledger.batch():
        ledger.set_cursor(Cursor("first", 1))
        cut(url)
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                ledger.cursors()
        with suppress(StateUnavailable):
            ledger.set_cursor(Cursor("second", 2))
    assert ledger.cursors() == ()


def test_what_the_driver_ignores_of_a_lost_connection_is_not_logged(
    url: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told by the error that is raised."""
    ledger.accept(arrival("a"))
    with pytest.raises(StateUnavailable), ledger.batch():
        mail = claimed(ledger)
        cut(url)
        ledger.finish(mail, Outcome.DONE, "", [], [request(mail)])
    assert caplog.messages == []


def test_a_name_that_no_index_takes_is_told_and_harms_nothing(ledger: Ledger) -> None:
    name = f"json_file:/{Random(1).randbytes(3000).hex()}"
    with pytest.raises(
        StateUnavailable, match=r"longer than an index takes.*give it a shorter one"
    ):
        ledger.set_cursor(Cursor(name, 1))
    ledger.set_cursor(Cursor("short", 1))
    assert [each.name for each in ledger.cursors()] == ["short"]


def test_what_happens_is_followed_without_a_gap(url: str, ledger: Ledger) -> None:
    """A number is given before its transaction ends."""

    def told() -> list[str]:
        return [each.event.what for each in ledger.happenings.after(0)]

    with psycopg.connect(url) as slow:
        slow.execute("INSERT INTO event (text) VALUES (%s)", ['[1.0, "first", {}]'])
        ledger.happenings.tell(Event(2.0, "second", {}))
        assert told() == []
        slow.commit()
        assert told() == ["first", "second"]
        slow.execute("INSERT INTO event (text) VALUES ('')")
        slow.rollback()
        ledger.happenings.tell(Event(3.0, "third", {}))
        assert told() == ["first", "second"]
        slow.execute("UPDATE event SET came = came - interval '1 minute'")
        slow.commit()
    assert told() == ["first", "second", "third"]


def test_a_gap_is_waited_at_for_as_long_as_somebody_may_fill_it(
    url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_happenings, "_YOUNG", -1.0)

    def told() -> list[str]:
        return [each.event.what for each in ledger.happenings.after(0)]

    ledger.happenings.tell(Event(1.0, "first", {}))
    first = ledger.happenings.settled()
    with psycopg.connect(url) as slow, psycopg.connect(url) as looking:
        looking.execute("SELECT count(*) FROM event")  # a dump, which reads for hours
        slow.execute("INSERT INTO event (text) VALUES (%s)", ['[2.0, "second", {}]'])
        ledger.happenings.tell(Event(3.0, "third", {}))
        assert (told(), ledger.happenings.settled()) == (["first"], first)
        slow.commit()
        assert (told(), ledger.happenings.settled()) == (["first", "second", "third"], first + 2)
        slow.execute("INSERT INTO event (text) VALUES ('')")
        slow.rollback()
        ledger.happenings.tell(Event(4.0, "fourth", {}))
        slow.execute("SELECT pg_current_xact_id()")  # who began behind the gap
        assert (told()[-1], ledger.happenings.settled()) == ("fourth", first + 4)


def test_two_that_note_how_long_things_took_in_another_order_do_not_wait_for_each_other(
    url: str, ledger: Ledger
) -> None:
    durations = [0.01, 1.0, 100.0, 10_000.0]

    def note(those: list[float]) -> None:
        with closing(open_ledger(url)) as own:
            for _ in range(100):
                own.timings.add("patchwork 200", those)

    with ThreadPoolExecutor() as threads:
        list(threads.map(note, (durations, durations[::-1])))
    assert sum(ledger.timings.all()["patchwork 200"].numbers) == 800


def test_results_and_their_request_cancelled_meanwhile_do_not_wait_for_each_other(
    url: str, ledger: Ledger
) -> None:
    requests = [record(ledger, f"{number}@example.org") for number in range(60)]

    def tell() -> None:
        with closing(open_ledger(url)) as own:
            for each in requests:
                for label in each.contexts:
                    own.results.tell(Result(each.number, label, State.PENDING, NOON))

    def cancel() -> None:
        with closing(open_ledger(url)) as own:
            for each in requests:
                assert own.steering.cancel_request(each.number, "not needed", "an operator", NOON)

    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(tell), threads.submit(cancel)]:
            done.result()


def test_results_handed_over_and_told_together_do_not_wait_for_each_other(
    url: str, ledger: Ledger
) -> None:
    requests = [record(ledger, f"{number}@example.org") for number in range(150)]

    def hand_over() -> None:
        with closing(open_ledger(url)) as own:
            own.results.handed_over(requests[::-1], "json_file:/x", NOON)

    def tell() -> None:
        with closing(open_ledger(url)) as own, own.batch():
            for each in requests:
                for label in each.contexts:
                    own.results.tell(Result(each.number, label, State.OVERDUE, NOON))

    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(hand_over), threads.submit(tell)]:
            done.result()


def test_what_is_committed_together_with_a_claim_is_not_lost_with_a_server(
    url: str, ledger: Ledger
) -> None:
    """A claim alone is on the disk a while later, for nobody waits for that."""

    def is_written() -> bool:
        with psycopg.connect(url, autocommit=True) as connection:
            found = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
            return connection.execute(found).fetchone() == (True,)

    ledger.accept_all([arrival(each, sender=each) for each in "abc"])
    with ledger.batch():
        claimed(ledger)
        ledger.accept(arrival("d"))
    assert is_written()


# Databases, roles, releases


@pytest.mark.slow
def test_several_processes_make_one_ledger() -> None:
    with database("nobody_has_made") as empty, ExitStack() as stack:
        those = [
            stack.enter_context(ledger_processes.other("accept", empty, each)) for each in "abcd"
        ]
        ledger_processes.go(*those)
        assert [ledger_processes.line(each) for each in those] == [
            f"{each} True" for each in "abcd"
        ]
        assert [each.wait() for each in those] == [0] * 4


def test_where_there_is_no_ledger_a_look_makes_none() -> None:
    with database("nothing_there") as empty:
        for opening in (Opening.LOOK, Opening.USE):
            with pytest.raises(NoLedger, match="no ledger in"):
                open_ledger(empty, opening=opening)


def test_a_database_that_cannot_hold_every_text_is_refused() -> None:
    how = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    with database("ascii", how) as ascii, pytest.raises(StateUnavailable, match="SQL_ASCII"):
        open_ledger(ascii)


def test_a_role_of_its_own_needs_no_more_than_the_schema(url: str) -> None:
    cluster = postgres.shared()
    cluster.execute("DROP ROLE IF EXISTS plain")
    cluster.execute("CREATE ROLE plain LOGIN")
    cluster.execute("ALTER ROLE plain SET synchronous_commit = off")
    with (
        database("of_plain", "OWNER plain") as theirs,
        closing(open_ledger(theirs.replace("recheck@", "plain@"))) as ledger,
    ):
        record(ledger, "a@example.org")
        ledger.totals(), ledger.damage()
        assert ledger.generation()


def test_a_copy_of_the_database_is_another_generation(url: str, ledger: Ledger) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    before = ledger.generation()
    ledger.close()
    with (
        database("copied", f"TEMPLATE {name}") as copied,
        closing(open_ledger(copied)) as copy,
        closing(open_ledger(url)) as original,
    ):
        assert original.generation() == before
        assert copy.generation() != before


def set_meta(url: str, key: str, value: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE meta SET value = %s WHERE key = %s", (value, key))


def test_a_newer_release_may_have_added_to_the_schema(url: str) -> None:
    set_meta(url, "schema", "99")
    with closing(open_ledger(url)) as ledger:
        assert ledger.accept(arrival())[1]


def test_a_newer_release_may_leave_older_ones_behind(url: str) -> None:
    set_meta(url, "oldest", "99")
    with pytest.raises(StateUnavailable, match="newer release"):
        open_ledger(url)


def test_a_database_that_is_not_there_is_told_with_what_to_do(url: str) -> None:
    missing = postgres.shared().url("not_there")
    with pytest.raises(StateUnavailable, match="make the database"):
        open_ledger(missing)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("postgresql://db1,db2/recheck", "postgresql://db1,db2/recheck"),
        ("postgresql://me@db1/recheck?sslmode=require", "postgresql://me@db1/recheck?sslmode=require"),
        ("postgresql://me:s3cret@db1/recheck", "postgresql://me:***@db1/recheck"),
        ("postgresql://me:s3@cret@db1:5432,db2/x", "postgresql://me:***@db1:5432,db2/x"),
        ("postgresql:///x?user=me&password=s3cret&host=/run", "postgresql:///x?user=me&password=***&host=/run"),
        ("sqlite:/var/lib/x", "sqlite:/var/lib/x"),
    ],
)  # fmt: skip
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert masked(url) == shown


# A pooler


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_that_lends_connections_by_transaction_is_refused(mode: str, url: str) -> None:
    with postgres.pooler(mode) as pooled:
        through = pooled(url)
        if mode == "session":
            with closing(open_ledger(through)) as ledger:
                assert ledger.accept(arrival())[1]
            return
        with pytest.raises(ConfigError, match="pool_mode = session"):
            open_ledger(through)


@pytest.mark.parametrize("secret", ["hush%zz", "hush%00", 'hush"%zz'])
@pytest.mark.parametrize("rest", ["@host/db", "@[::1/db"])
def test_a_url_that_cannot_be_read_is_told_without_its_password(secret: str, rest: str) -> None:
    with pytest.raises(ConfigError) as met:
        open_ledger(f"postgresql://user:{secret}{rest}")
    assert "hush" not in str(met.value)
    assert str(met.value).startswith("[state] ledger is postgresql://user:***@")
