# SPDX-License-Identifier: BSD-3-Clause
"""PostgreSQL finds what is looked for by indexes, or in narrow tables."""

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from ingest.ledger import Attention, Filter, Ledger, Outcome, State, open_ledger
from tests.support import postgres
from tests.support.ledger_values import NOON, record

REQUESTS = 40_000

# What is said of a mail or request, by its number.
_OF_A_MAIL = {
    "message_id": "'m' || n",
    "identity": "'m' || n",
    "digest": "sha256(n::text::bytea)",
    "list_id": "'list' || n % 40",
    "outcome": "CASE n % 1000 WHEN 3 THEN 'failed' ELSE 'done' END",
    "received": f"{NOON} + n",
}
_OF_A_REQUEST = {
    "id": "'r' || n",
    "mail": "n",
    "message_id": "'m' || n",
    "series": "n % 9000",
    "project": "'project' || n % 9",
    "server": "CASE n % 9 WHEN 0 THEN 'other' ELSE '' END",
    "recorded": f"{NOON} + n",
}
_OF_A_RESULT = {
    "label": "CASE WHEN label = 'iol-b' AND n % 9 = 0 THEN 'rare' ELSE label END",
    "state": "CASE n % 20 WHEN 0 THEN 'asked' ELSE 'success' END",
}
# Of each table, what tells its rows apart, and what is said in them by that.
_TABLES = {
    "mail": ("id", _OF_A_MAIL),
    "mail_search": ("mail", {"text": "'re: a fix ' || n"}),
    "request": ("number", _OF_A_REQUEST),
    "request_search": ("request", {"text": "'re: a fix ' || n"}),
    "result": ("request", _OF_A_RESULT),
}

# Rows of these are wide.
_WIDE = ("mail", "request", "result")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The URL of a ledger with many requests."""
    cluster = postgres.shared()
    cluster.execute("CREATE DATABASE long_log")
    url = cluster.url("long_log")
    with closing(open_ledger(url)) as ledger:
        record(ledger, "a@example.org")
    with psycopg.connect(url, autocommit=True) as connection:
        for table, (key, said) in _TABLES.items():
            listed = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            columns = [name for (name,) in connection.execute(listed, [table])]
            values = {each: each for each in columns} | {key: "n"} | said
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT"
                f" {', '.join(values[each] for each in columns)}"
                f" FROM {table}, generate_series(2, {REQUESTS}) AS n"
            )
        connection.execute(f"SELECT setval(pg_get_serial_sequence('mail', 'id'), {REQUESTS})")
        connection.execute(f"UPDATE head SET last = {REQUESTS}")
        connection.execute("VACUUM ANALYZE")
    yield url
    cluster.execute("DROP DATABASE long_log WITH (FORCE)")


def read_whole(url: str, *tables: str) -> dict[str, int]:
    """How often each of these was read from its first row on, by connections that are closed."""
    with psycopg.connect(url, autocommit=True) as connection:
        others = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        while connection.execute(others).fetchone() != (0,):
            pass
        found = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY(%s)"
        return dict(connection.execute(found, [list(tables)]).fetchall())


FILTERS = {
    "everything": Filter(),
    "a page far down": Filter(offset=REQUESTS // 2),
    "a state": Filter(states=(Outcome.FAILED,)),
    "a result": Filter(results=(State.ASKED,)),
    "a list": Filter(lists=("list7",)),
    "a list and a state": Filter(lists=("list7",), states=(Outcome.FAILED,)),
    "a series": Filter(series=(4711,)),
    "a label": Filter(labels=("rare",)),
    "a project": Filter(projects=("project3",)),
    "a server": Filter(servers=("other",)),
    "a server and a label": Filter(servers=("other",), labels=("rare",)),
    "a requester": Filter(requesters=("robin",)),
    "a text": Filter(texts=("a fix 4711",)),
    "a text that is nowhere": Filter(texts=("nowhere",)),
    "a time": Filter(since=NOON + REQUESTS - 99),
    "what is to come": Filter(active=True),
    "what needs a person": Filter(attention=Attention(("webhook:lab",), REQUESTS - 9)),
}
SEARCHES: list[Callable[[Ledger, Filter], object]] = [
    lambda ledger, filter: ledger.search_requests(filter),
    lambda ledger, filter: ledger.count_requests(filter),
    lambda ledger, filter: ledger.search_mails(filter),
]


@pytest.mark.slow
@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
def test_no_search_reads_a_wide_table_whole(filter: Filter, url: str) -> None:
    before = read_whole(url, *_WIDE)
    with closing(open_ledger(url)) as ledger:
        for search in SEARCHES:
            search(ledger, filter)
    assert read_whole(url, *_WIDE) == before


@pytest.mark.slow
def test_a_request_is_entered_without_reading_a_table_whole(url: str) -> None:
    """Also where the server has no statistics yet, as of a new ledger."""
    tables = (*_WIDE, "mail_search", "request_search")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname = 'head'"
        )
    before = read_whole(url, *tables)
    with closing(open_ledger(url)) as ledger:
        for number in range(8):  # the driver and the server prepare what is done several times
            record(ledger, f"new-{number}@example.org")
    assert read_whole(url, *tables) == before
