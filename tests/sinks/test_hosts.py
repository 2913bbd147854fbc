# SPDX-License-Identifier: BSD-3-Clause
"""The files of several machines that share a ledger: each has all requests once, whatever the
others' files hold."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.config import tables
from ingest.config.tables import Settings
from ingest.errors import UsageError
from ingest.handover import take
from ingest.ledger import Ledger, open_ledger
from ingest.sinks import delivery
from tests.support import postgres
from tests.support.ledger_values import NOON, record


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(postgres.ledger_url(tmp_path))
    yield opened
    opened.close()


def machine(folder: Path, *, file: bool = True, host: str = "") -> Settings:
    """A machine with a state folder of its own, and a retest JSON at the path that all use."""
    folder.mkdir(exist_ok=True)
    state = replace(tables.StateSettings(), dir=str(folder), ledger="postgresql://x/y", host=host)
    path = str(folder / "retests.json") if file else ""
    return replace(Settings(), state=state, retests=replace(tables.RetestsSettings(), file=path))


def publish(settings: Settings, ledger: Ledger) -> None:
    for file in delivery.files(settings):
        file.deliver(ledger, clock=lambda: NOON, until=None, stop=lambda: False)


def series(settings: Settings) -> list[str]:
    try:
        return sorted(json.loads(Path(settings.retests.file).read_text())["retests"])
    except FileNotFoundError:
        return []


def test_a_file_of_one_machine_says_nothing_of_anothers(ledger: Ledger, tmp_path: Path) -> None:
    one, other = machine(tmp_path / "a"), machine(tmp_path / "b")
    for each in (one, other):
        delivery.begin(ledger, each)
    assert not set(delivery.wanted(one)) & set(delivery.wanted(other))
    record(ledger, "1", series=1)
    publish(one, ledger)
    Path(one.retests.file).unlink()  # a lab took it
    record(ledger, "2", series=2)
    for each in (one, other):
        publish(each, ledger)
    assert (series(one), series(other)) == (["2"], ["1", "2"])


def test_a_new_machine_has_what_comes_from_now_on(ledger: Ledger, tmp_path: Path) -> None:
    record(ledger, "1", series=1)
    new = machine(tmp_path / "new")
    delivery.begin(ledger, new)
    record(ledger, "2", series=2)
    publish(new, ledger)
    assert series(new) == ["2"]


def test_a_machine_that_is_called_otherwise_goes_on_under_its_name(
    ledger: Ledger, tmp_path: Path
) -> None:
    named = machine(tmp_path / "a", host="lab-1")
    assert [each.name for each in delivery.files(named)] == list(delivery.wanted(named))
    assert all(each.startswith("json_file:lab-1:/") for each in delivery.wanted(named))


def test_without_a_file_of_its_own_a_machine_writes_none(ledger: Ledger, tmp_path: Path) -> None:
    settings = machine(tmp_path / "a", file=False)
    assert delivery.wanted(settings) == {}
    assert list(delivery.files(settings)) == []
    with pytest.raises(UsageError, match="take by --consumer"):
        take.take(ledger, settings, take.Order(), lambda text: None)


def test_the_default_consumers_of_two_machines_are_two(ledger: Ledger, tmp_path: Path) -> None:
    one, other = machine(tmp_path / "a"), machine(tmp_path / "b")
    for each in (one, other):
        delivery.begin(ledger, each)
    record(ledger, "1", series=1)
    texts: list[str] = []
    for each in (one, other):
        assert take.take(ledger, each, take.Order(hold=True), texts.append, clock=lambda: NOON)
    ids = [json.loads(text)["batch"] for text in texts]
    assert len(set(ids)) == 2
    for each, id in zip((one, other), ids, strict=True):
        assert take.acknowledge(ledger, each, id, clock=lambda: NOON)
        assert series(each) == []
