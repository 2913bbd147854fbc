# SPDX-License-Identifier: BSD-3-Clause
"""A ledger that moves from SQLite to PostgreSQL and back loses nothing, and is closed where it
was."""

import math
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from ingest.config.tables import StateSettings
from ingest.errors import NoLedger, StateUnavailable, UsageError
from ingest.ledger import (
    WORKER_LEASE,
    Aside,
    Batch,
    Consumer,
    Cursor,
    Event,
    Feed,
    Filter,
    Keep,
    Ledger,
    Letter,
    Opening,
    Outcome,
    Pause,
    Seen,
    State,
    Waiting,
    open_ledger,
)
from ingest.ledger.copying import Table
from ingest.ledger.moving import move
from tests.support import postgres
from tests.support.ledger_values import NOON, arrival, claimed, finish, put_back, record
from tests.support.ledgers import LEDGERS

OUTCOMES = [Outcome.QUEUED, Outcome.IGNORED]
WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite")]


@pytest.fixture(params=WAYS, ids=" to ".join)
def way(request: pytest.FixtureRequest, quick_path: Path) -> tuple[str, str]:
    """The URLs of a ledger and of one that it is to move to."""
    old, new = request.param
    for name in ("old", "new"):
        (quick_path / name).mkdir()
    return LEDGERS[old](quick_path / "old"), LEDGERS[new](quick_path / "new")


def moved(old: str, new: str) -> list[Table]:
    return move(old, new, StateSettings(), lambda rows: None)


def fill(ledger: Ledger) -> None:
    """Something of each kind that a ledger keeps."""
    record(ledger, "done@example.org", arguments={"rebase": "main"}, reason="gr\u00fc\u00dfe")
    record(ledger, "gone@example.org")
    ledger.set_cursor(Cursor("webhook:lab", 2, NOON, 3, NOON + 9, "down", 2, NOON + 1))
    ledger.reruns(0.0, NOON)
    for name, outcome in (("old", Outcome.IGNORED), ("lost", Outcome.UNRESOLVED)):
        ledger.accept(arrival(name, sender=name))
        finish(ledger, claimed(ledger), outcome)
    ledger.prune(Keep(raw=NOON - 1, ignored=NOON + 1), NOON + 1)
    ledger.accept(arrival("waits", raw=bytes(range(256)), sender="a@x"))
    put_back(ledger, claimed(ledger), NOON + 60, Waiting.MISSING)
    ledger.accept(arrival("held", sender="a@x", received=NOON - 9.5))
    assert ledger.claim(NOON, WORKER_LEASE)
    ledger.accept_all([arrival(f"queued-{n}", sender="b@x") for n in range(3)])
    ledger.accept(arrival("notice", outcome=Outcome.NOTICE, reason="confirm"))
    ledger.results.see(Seen(1, "iol-a", 131182, 7, State.FAIL, "lab"))
    ledger.results.set_baselines([1], 41, "https://patches.example.org/api")
    ledger.set_consumer(Consumer("lab", 1, NOON, 2, NOON + 1))
    ledger.set_batch(Batch("lab", 0, 1, ("iol-*",), ledger.generation(), 1, NOON + 9, NOON, None))
    ledger.set_feed(Feed("inbox.dev", "0.git", "abc", NOON, NOON + 1, 2, "why"))
    ledger.asides.keep(Aside("webhook:lab", 1, NOON, 2, None, "too old"))
    ledger.letters.keep(Letter("m@x", "mail:author", 1, NOON, ("a@x",), b"raw"))
    ledger.steering.pause(Pause("check:pw", NOON, "moving"))
    ledger.notices.mark(ledger.notices.all()[0].mail_id, Event(NOON, "sent", {}), sent=True)


def told(ledger: Ledger) -> dict[str, object]:
    """All that a ledger says, but for its size."""
    everything = Filter(limit=1000)
    requests = ledger.requests()
    totals = ledger.totals()
    mails = ledger.search_mails(everything)
    return {
        "totals": {**vars(totals), "size": 0},
        "requests": requests,
        "mails": mails,
        "raw": [ledger.raw(each.id) for each in mails],
        "results": ledger.results.of([each.number for each in requests]),
        "open": ledger.results.open(0.0, before=math.inf),
        "baselines": ledger.results.baselines("https://patches.example.org/api"),
        "asides": ledger.asides.of("webhook:lab"),
        "letters": ledger.letters.due("mail:author", NOON, 99.0),
        "generation": ledger.generation(),
        "forwarded": ledger.notices.forwarded(0.0),
        "happened": {
            (each.mail_id, str(each.event))
            for each in ledger.happenings.newest(1000)
            if each.mail_id in (0, *(mail.id for mail in mails))  # not of one that was dropped
        },
    }


def test_all_that_a_ledger_says_it_says_where_it_has_moved(way: tuple[str, str]) -> None:
    old, new = way
    with closing(open_ledger(old)) as ledger:
        fill(ledger)
        before = told(ledger)
    tables = {table.name: table.rows for table in moved(old, new)}
    assert (tables["mail"], tables["request"], tables["known"]) == (9, 2, 1)
    with closing(open_ledger(new)) as ledger:
        assert told(ledger) == before


def test_work_goes_on_where_it_has_moved(way: tuple[str, str]) -> None:
    old, new = way
    with closing(open_ledger(old)) as ledger:
        fill(ledger)
        ledger.accept_all([arrival("a-2", sender="a@x"), arrival("c-1", sender="c@x")])
    moved(old, new)
    with closing(open_ledger(new)) as ledger:
        for name in ("done@example.org", "old"):
            assert not ledger.accept(arrival(name))[1]
        assert ledger.accept(arrival("new"))[1]
        assert ledger.recover(NOON, WORKER_LEASE) == 1
        later = record(ledger, "next", NOON)
        assert later.number == 3
        assert later.recorded >= ledger.reruns(0.0, NOON)[1] - 1
        assert ledger.batches()[0].generation == ledger.generation()


def test_there_and_back_it_is_the_same(quick_path: Path) -> None:
    server = LEDGERS["postgresql"](quick_path)
    urls = [f"sqlite:{quick_path}/old", server, f"sqlite:{quick_path}/new"]
    with closing(open_ledger(urls[0])) as ledger:
        fill(ledger)
    assert moved(urls[0], urls[1]) == moved(urls[1], urls[2])


def schema(url: str) -> set[tuple[str, ...]]:
    """The indexes, constraints and triggers of a ledger."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:"))) as database:
            return set(database.execute("SELECT type, name, sql FROM sqlite_master"))
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT indexdef, '' FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
            " SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        )
        return set(found.fetchall())


def test_the_schema_where_it_has_moved_is_that_of_a_new_one(way: tuple[str, str]) -> None:
    old, new = way
    for url in way:
        with closing(open_ledger(url)) as ledger:
            if url == old:
                fill(ledger)
    before = schema(new)
    moved(old, new)
    assert schema(new) == before


@pytest.mark.slow
def test_many_mails_move_there_and_back(quick_path: Path) -> None:
    """As many as ``RECHECK_TEST_COPY`` says, which tells how long it took, too."""
    mails = int(os.environ.get("RECHECK_TEST_COPY", "10000"))
    urls = [
        f"sqlite:{quick_path}/old",
        LEDGERS["postgresql"](quick_path),
        f"sqlite:{quick_path}/new",
    ]
    with closing(open_ledger(urls[0])) as ledger:
        for first in range(0, mails, 5000):
            some = range(first, min(first + 5000, mails))
            ledger.accept_all([arrival(f"{each}", outcome=OUTCOMES[each % 2]) for each in some])
        [record(ledger, f"asks-{each}") for each in range(20)]
    tables = []
    for old, new in pairwise(urls):
        began = time.perf_counter()
        tables.append(moved(old, new))
        kinds = " to ".join(url.partition(":")[0] for url in (old, new))
        print(f"{mails} mails from {kinds}: {time.perf_counter() - began:.1f} s")
    assert tables[0] == tables[1]
    assert [table.rows for table in tables[0] if table.name == "mail"] == [mails + 20]


def writes(ledger: Ledger) -> None:
    ledger.accept(arrival("late"))


def moves_a_cursor(ledger: Ledger) -> None:
    ledger.set_cursor(Cursor("late", 1))


def works(ledger: Ledger) -> None:
    ledger.claim(NOON, WORKER_LEASE)


@pytest.mark.parametrize("late", [writes, moves_a_cursor, works])
def test_a_process_that_has_the_old_one_open_writes_nothing_and_says_where_it_went(
    late: Callable[[Ledger], None], way: tuple[str, str]
) -> None:
    old, new = way
    with closing(open_ledger(old)) as ledger:
        ledger.accept(arrival())
        before = ledger.find("a@example.org")
        moved(old, new)
        with pytest.raises(StateUnavailable, match="was moved to"):
            late(ledger)
        assert ledger.find("a@example.org") == before


def test_the_old_one_can_be_looked_at_and_not_be_opened_for_more(way: tuple[str, str]) -> None:
    old, new = way
    with closing(open_ledger(old)) as ledger:
        ledger.accept(arrival())
    moved(old, new)
    for opening in (Opening.WRITE, Opening.PIPE, Opening.USE, Opening.MOVE):
        with pytest.raises(StateUnavailable, match="was moved to"):
            open_ledger(old, opening=opening)
    with closing(open_ledger(old, opening=Opening.LOOK)) as ledger:
        assert ledger.totals().mails["queued"] == 1


def test_nothing_is_copied_into_a_ledger_that_has_mails(way: tuple[str, str]) -> None:
    old, new = way
    for url, name in ((old, "a"), (new, "b")):
        with closing(open_ledger(url)) as ledger:
            ledger.accept(arrival(name))
    with pytest.raises(StateUnavailable, match="not empty"):
        moved(old, new)
    with closing(open_ledger(old)) as ledger:
        assert ledger.accept(arrival("c"))[1]


def test_nothing_moves_from_where_there_is_no_ledger(quick_path: Path) -> None:
    with pytest.raises(NoLedger):
        moved(f"sqlite:{quick_path}/none", LEDGERS["postgresql"](quick_path))


def test_a_ledger_moves_to_a_role_that_owns_no_more_than_its_database(quick_path: Path) -> None:
    cluster = postgres.shared()
    old = f"sqlite:{quick_path}/old"
    with closing(open_ledger(old)) as ledger:
        fill(ledger)
    cluster.execute("CREATE ROLE mover LOGIN")
    cluster.execute("CREATE DATABASE of_mover OWNER mover")
    try:
        tables = moved(old, cluster.url("of_mover").replace("recheck@", "mover@"))
        assert "mail" in {table.name for table in tables}
    finally:
        cluster.execute("DROP DATABASE of_mover WITH (FORCE)")
        cluster.execute("DROP ROLE mover")


def test_two_of_one_kind_are_not_copied(quick_path: Path) -> None:
    with pytest.raises(UsageError, match="ledger backup"):
        moved(f"sqlite:{quick_path}/a", f"sqlite:{quick_path}/b")


def damage_sqlite(path: str) -> None:
    """Have the copy differ from what was read."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER fault AFTER INSERT ON mail BEGIN"
            " UPDATE mail SET reason = 'other' WHERE id = new.id; END"
        )


def damage_postgresql(url: str) -> None:
    with psycopg.connect(url) as database:
        database.execute(
            "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.reason = 'other'; RETURN NEW; END $$"
        )
        database.execute(
            "CREATE TRIGGER fault BEFORE INSERT ON mail FOR EACH ROW EXECUTE FUNCTION fault()"
        )


def test_a_copy_that_is_not_what_was_read_is_told_and_the_old_one_goes_on(
    way: tuple[str, str],
) -> None:
    old, new = way
    for url, name in ((old, "a"), (new, "")):
        with closing(open_ledger(url)) as ledger:
            if name:
                ledger.accept(arrival(name))
    if new.startswith("sqlite:"):
        damage_sqlite(new.removeprefix("sqlite:"))
    else:
        damage_postgresql(new)
    with pytest.raises(StateUnavailable, match="table mail"):
        moved(old, new)
    with closing(open_ledger(old)) as ledger:
        assert ledger.accept(arrival("b"))[1]
    with closing(open_ledger(new)) as ledger:
        assert ledger.search_mails(Filter()) == []
    if not new.startswith("sqlite:"):
        with psycopg.connect(new) as database:
            database.execute("DROP FUNCTION fault CASCADE")
