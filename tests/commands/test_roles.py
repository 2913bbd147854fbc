# SPDX-License-Identifier: BSD-3-Clause
"""The roles of contrib/postgresql/roles.sql: the program runs with what its role may do, and with
no more."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from ingest.errors import StateUnavailable
from ingest.ledger import Cursor, Opening, open_ledger
from ingest.sandbox import Sandbox
from tests.support.command_line import Command, reply
from tests.support.ledger_values import NOON, arrival, record
from tests.support.places import ROOT
from tests.support.postgres import Cluster

pytestmark = pytest.mark.slow

OWNER, PROGRAM, LOOKER = "recheck_owner", "recheck", "recheck_look"


@pytest.fixture(scope="module")
def empty() -> Iterator[Cluster]:
    """A server whose superuser has loaded the script."""
    made = Cluster(superuser="postgres")
    made.load(ROOT / "contrib" / "postgresql" / "roles.sql")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def cluster(empty: Cluster) -> Cluster:
    """The same, with the ledger that its owner has made."""
    open_ledger(empty.url("recheck", OWNER)).close()
    return empty


def test_the_program_does_not_make_the_tables_and_says_who_does(empty: Cluster) -> None:
    with pytest.raises(StateUnavailable, match="as the role that owns the tables"):
        open_ledger(empty.url("recheck", PROGRAM))


def test_the_program_runs(cluster: Cluster, command: Command, patchwork: Sandbox) -> None:
    shared = {"RECHECK_INGEST_STATE_LEDGER": cluster.url("recheck", PROGRAM)}
    lines: list[tuple[tuple[str, ...], bytes]] = [
        (("pipe",), reply("one@example.org")),
        (("pipe",), reply("two@example.org", "Recheck-request: iol-b\n")),
        (("work", "--once"), b""),
        (("result", "1", "iol-a", "success"), b""),
        (("note", "1", "looks well", "--by", "robin"), b""),
        (("take", "--consumer", "lab"), b""),
        (("show", "1"), b""),
        (("status",), b""),
    ]
    for words, mail in lines:
        done = command(*words, mail=mail, url=patchwork.url, environment=shared)
        assert (done.returncode, done.stderr) == (0, b""), words


def test_what_is_kept_of_rows_is_all_that_the_program_may_change(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url("recheck", PROGRAM), autocommit=True) as connection:
        for forbidden in (
            "DROP TABLE mail",
            "TRUNCATE mail",
            "ALTER TABLE mail ADD more text",
            "CREATE TABLE more ()",
            "CREATE TEMPORARY TABLE more ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)


def test_every_table_has_the_programs_rights_and_the_lookers(cluster: Cluster) -> None:
    """Of whatever release."""
    found = (
        "SELECT relname, relkind, has_table_privilege(%s, oid, 'INSERT'),"
        " has_table_privilege(%s, oid, 'SELECT'), has_table_privilege(%s, oid, 'INSERT')"
        " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    with psycopg.connect(cluster.url("recheck")) as connection:
        tables = connection.execute(found, (PROGRAM, LOOKER, LOOKER)).fetchall()
    assert len(tables) > 20
    assert {tuple(rights) for _, _, *rights in tables} == {(True, True, False)}


def test_who_looks_sees_all_and_changes_nothing(cluster: Cluster) -> None:
    with closing(open_ledger(cluster.url("recheck", PROGRAM))) as ledger:
        record(ledger, "looked-at@example.org")
    looking = open_ledger(cluster.url("recheck", LOOKER), opening=Opening.LOOK)
    with closing(looking) as ledger:
        assert ledger.find("looked-at@example.org")
        assert ledger.totals().requests
        for change in (
            lambda: ledger.accept(arrival("b")),
            lambda: ledger.set_cursor(Cursor("a", 1, NOON)),
        ):
            with pytest.raises(StateUnavailable, match="permission denied"):
                change()
