# SPDX-License-Identifier: BSD-3-Clause
"""Revisions and servers in what is handed over: a series of a server with revisions is one entry,
or one for each revision; series of two servers are never in one document."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.config import tables
from ingest.handover import take
from ingest.handover.take import Order
from ingest.ledger import Ledger
from tests.support.ledger_values import NOON, record


@pytest.fixture
def settings(quick_path: Path) -> tables.Settings:
    return tables.Settings(
        servers={"fdo": tables.ServerSettings("https://fdo.example.org", lists=("x",))},
        state=tables.StateSettings(dir=str(quick_path)),
        retests=tables.RetestsSettings(
            file=str(quick_path / "retests.json"), patchwork="fdo", revisions=True
        ),
    )


def records(ledger: Ledger) -> None:
    """Requests for two revisions of a series, and one of another server's series of its number."""
    for name, server, revision in (("a", "fdo", 1), ("b", "fdo", 2), ("c", "", 0)):
        record(
            ledger,
            f"{name}@x.org",
            NOON,
            series=7,
            server=server,
            revision=revision,
            contexts=(f"igt-{name}",),
            arguments={},
        )


def taken(ledger: Ledger, settings: tables.Settings, order: Order) -> Any:
    told: list[str] = []
    take.take(ledger, settings, order, told.append)
    return json.loads(told[-1])


def test_with_revisions_each_one_has_its_entry_and_is_taken(
    ledger: Ledger, settings: tables.Settings
) -> None:
    records(ledger)
    retests = taken(ledger, settings, Order())["retests"]
    assert {key: entry["contexts"] for key, entry in retests.items()} == {
        "7/1": ["igt-a"],
        "7/2": ["igt-b"],
    }
    assert json.loads(Path(settings.retests.file).read_text())["retests"] == {}
    assert taken(ledger, settings, Order())["retests"] == {}


def test_without_them_the_series_is_the_entry(ledger: Ledger, settings: tables.Settings) -> None:
    records(ledger)
    plain = replace(settings, retests=replace(settings.retests, revisions=False))
    retests = taken(ledger, plain, Order())["retests"]
    assert {key: entry["contexts"] for key, entry in retests.items()} == {"7": ["igt-a", "igt-b"]}


def test_a_batch_is_of_one_server_and_leaves_the_file_when_it_is_confirmed(
    ledger: Ledger, settings: tables.Settings
) -> None:
    records(ledger)
    batch = taken(ledger, settings, Order(hold=True))
    assert set(batch["retests"]) == {"7/1", "7/2"}
    assert take.acknowledge(ledger, settings, batch["batch"])
    assert json.loads(Path(settings.retests.file).read_text())["retests"] == {}


def test_a_consumer_gets_the_requests_of_one_server_or_one_by_one_of_all(
    ledger: Ledger, settings: tables.Settings
) -> None:
    records(ledger)
    plain = taken(ledger, settings, Order("plain", server=""))["retests"]
    assert {key: entry["contexts"] for key, entry in plain.items()} == {"7": ["igt-c"]}
    fdo = taken(ledger, settings, Order("fdo"))["retests"]
    assert set(fdo) == {"7/1", "7/2"}
    rows = taken(ledger, settings, Order("all", single=True))
    shown = [(row["server"], row["series"], row["revision"]) for row in rows]
    assert shown == [("fdo", 7, 1), ("fdo", 7, 2), (None, 7, None)]
    assert rows[1]["links"]["mbox"].endswith("/api/1.0/series/7/revisions/2/mbox/")
