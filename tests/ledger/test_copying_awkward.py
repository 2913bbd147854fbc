# SPDX-License-Identifier: BSD-3-Clause
"""Ledgers of older releases, and ledgers with all that a sender may send, move from SQLite to
PostgreSQL and back, and are the same there."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.config.tables import IntakeSettings
from ingest.ledger import (
    Consumer,
    Cursor,
    Event,
    Feed,
    Filter,
    Ledger,
    Letter,
    Outcome,
    Pause,
    Result,
    State,
    open_ledger,
)
from ingest.ledger.schema import MIGRATIONS
from ingest.mail.requester import Requester
from tests.ledger.test_copying import moved, told
from tests.ledger.test_sqlite_schema import DUMPS
from tests.support.ledger_values import NOON, arrival, record
from tests.support.ledgers import LEDGERS

# Half of a surrogate, NUL, what SQL, COPY, LIKE and shells take for their own, and other planes.
AWKWARD = "a\0b\ud800\udfff\\x00\\N\t\r\n\x1b'\"`$${}%_!\u2028\ufffe\U0001f600\u00e9e\u0301"


@contextmanager
def older(file: Path, version: int) -> Iterator[sqlite3.Connection]:
    """The ledger of an older release, to be changed by hand."""
    with closing(sqlite3.connect(file)) as database:
        database.executescript((DUMPS / f"v{version}.sql").read_text())
        yield database
        database.commit()


def there_and_back(folder: Path, old: Path) -> tuple[dict[str, object], dict[str, object]]:
    """What the ledger in PostgreSQL says to which one in a file has moved, and what that one says
    to which it has moved from there. What moved is the same both times."""
    server, back = LEDGERS["postgresql"](folder), f"sqlite:{folder}/back.sqlite"
    there = moved(f"sqlite:{old}", server)
    with closing(open_ledger(server)) as ledger:
        said = told(ledger)
    assert moved(server, back) == there
    with closing(open_ledger(back)) as ledger:
        return said, told(ledger)


def without_happenings(said: dict[str, object]) -> dict[str, object]:
    """All but what an older release told in stories alone."""
    return {name: value for name, value in said.items() if name != "happened"}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_ledger_of_every_release_moves_there_and_back(quick_path: Path, version: int) -> None:
    old = quick_path / "old.sqlite"
    with older(old, version):
        pass
    with closing(open_ledger(f"sqlite:{old}")) as ledger:
        before = told(ledger)
    there, back = there_and_back(quick_path, old)
    assert without_happenings(there) == without_happenings(before)
    assert back == there
    assert len(ledger_mails(back)) == 6


def ledger_mails(said: dict[str, Any]) -> Any:
    return said["mails"]


# Schemas of releases that kept NUL as it came.
@pytest.mark.parametrize("version", range(1, 4))
def test_a_nul_that_an_older_release_kept_is_an_escape_from_then_on(
    quick_path: Path, version: int
) -> None:
    old = quick_path / "old.sqlite"
    with older(old, version) as database:
        database.execute("UPDATE mail SET reason = 'a' || char(0) || 'b', identity = char(0)"
                         " WHERE message_id = 'failed@example.org'")  # fmt: skip
        database.execute("UPDATE request SET subject = char(0) || subject")
    with closing(open_ledger(f"sqlite:{old}")) as ledger:
        assert ledger.find("failed@example.org")[0].reason == "a\\x00b"
        before = told(ledger)
    there, back = there_and_back(quick_path, old)
    assert without_happenings(there) == without_happenings(before)
    assert back == there


@pytest.mark.parametrize("version", range(1, 4))
def test_a_nul_whose_escape_is_another_rows_name_becomes_an_escape_too(
    quick_path: Path, version: int
) -> None:
    """Two mails whose identities differ in how one of them spells NUL stay two mails."""
    old = quick_path / "old.sqlite"
    with older(old, version) as database:
        for outcome, identity in (("failed", "a\0"), ("ignored", "a\\x00"), ("done", "a\\x000")):
            database.execute(
                "UPDATE mail SET identity = ?, raw = iif(? < 3, NULL, raw),"  # to keep it
                " reason = char(0) || 'why' WHERE message_id = ?",
                (identity, version, f"{outcome}@example.org"),
            )
    with closing(open_ledger(f"sqlite:{old}")) as ledger:
        names = ("failed", "ignored", "done")
        reasons = [ledger.find(f"{name}@example.org")[0].reason for name in names]
        assert reasons == ["\\x0000why", "\\x00why", "\\x00why"]
        before = told(ledger)
    there, _ = there_and_back(quick_path, old)
    assert without_happenings(there) == without_happenings(before)


def fill(ledger: Ledger) -> None:
    """What senders and operators may say, everywhere."""
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2000))
    for name in (AWKWARD, long, "x" * 10_000, "é" * 255, ""):
        record(
            ledger,
            f"{name}@example.org",
            requester=Requester(name, f"{name[:99]}@example.org"),
            subject=name,
            contexts=(name[:255] or "iol-a",),
            arguments={name[:255]: name[:255]},
            leftovers=(name[:200],),
            reason=name,
        )
        said = Event(NOON, "note", {"text": name, name[:99]: name})
        [found] = ledger.find(f"{name}@example.org")[:1]
        ledger.tell(found.id, [said])
        ledger.happenings.tell(said)
        ledger.results.tell(
            Result(found.requests[0].number, name[:255] or "iol-a", State.FAIL, NOON, name, name)
        )
        short = name[:500]
        ledger.set_cursor(Cursor(f"webhook:{short}", 1, reason=name))
        ledger.set_consumer(Consumer(short, 1))
        ledger.set_feed(Feed(f"inbox.{short}", short, name, NOON, reason=name))
        ledger.letters.keep(Letter(short, "mail:author", 1, NOON, (name,), b"\0\xff", reason=name))
        ledger.steering.pause(Pause(short, NOON, name))


def test_whatever_a_sender_says_moves_there_and_back(quick_path: Path) -> None:
    old = quick_path / "old.sqlite"
    with closing(open_ledger(f"sqlite:{old}")) as ledger:
        fill(ledger)
        before = told(ledger)
    there, back = there_and_back(quick_path, old)
    assert there == before
    assert back == before
    with closing(open_ledger(f"sqlite:{quick_path}/back.sqlite")) as ledger:
        assert not ledger.accept(arrival("other", identity=f"{AWKWARD}@example.org dev.dpdk.org"))[
            1
        ], "it is known"
        assert ledger.count_mails(Filter(texts=("\U0001f600",))) == 1


@pytest.mark.slow
def test_the_largest_mail_moves_there_and_back(quick_path: Path) -> None:
    old, raw = quick_path / "old.sqlite", random.Random(2).randbytes(IntakeSettings().max_size)
    with closing(open_ledger(f"sqlite:{old}")) as ledger:
        ledger.accept(arrival(raw=raw))
        ledger.accept(replace(arrival("b"), outcome=Outcome.NOTICE, raw=b""))
    there, back = there_and_back(quick_path, old)
    assert sorted(map(len, there["raw"])) == [0, len(raw)]  # type: ignore[call-overload]
    assert raw in back["raw"]  # type: ignore[operator]
