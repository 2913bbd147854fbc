# SPDX-License-Identifier: BSD-3-Clause
"""``take --peek`` tells what the next take gives, and changes nothing."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.commands import cli
from ingest.handover import take
from ingest.handover.peek import peek
from ingest.ledger import Ledger, Opening, Pause, open_ledger
from ingest.sinks import json_file
from tests.support.desk import HOLD, Desk, labels
from tests.support.ledger_values import NOON, record
from tests.support.leftovers import memory

ORDERS = [
    {"consumer": consumer, "single": single, "hold": hold}
    for consumer in ("default", "lab")
    for single in (False, True)
    for hold in (False, True)
]
STEPS: dict[str, Callable[[Desk], object]] = {
    "asks": lambda desk: desk.asks("iol-a", "iol-b", series=1, rebase="main"),
    "asks for another series": lambda desk: desk.asks("iol-c", series=2),
    "publishes": lambda desk: desk.publishes(),
    "default takes": lambda desk: desk.takes(),
    "default holds": lambda desk: desk.takes(hold=True),
    "lab takes": lambda desk: desk.takes("lab"),
    "lab holds": lambda desk: desk.takes("lab", hold=True),
    "another program writes": lambda desk: desk.writes("7", "other"),
    "the file is moved away": lambda desk: desk.moved_away(),
    "time goes by": lambda desk: setattr(desk.clock, "now", desk.clock() + HOLD + 1),
}


def peeked(desk: Desk, **order: Any) -> Any:
    """What would be given, as JSON."""
    ledger = open_ledger(desk.ledger_url, opening=Opening.LOOK)
    try:
        text = peek(ledger, desk.settings, take.Order(**order), clock=desk.clock)
    finally:
        ledger.close()
    return json.loads(text)


def state(folder: Path) -> dict[str, str]:
    """All that is there but SQLite's index of its log, which its readers share."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if not path.name.endswith("-shm")
    }


def without_second(got: Any) -> Any:
    """What a consumer got, but for the second that is promised with it."""
    return {**got, "last_comment_timestamp": None} if "retests" in got else got


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=7), st.sampled_from(ORDERS))
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_what_is_seen_is_what_is_given_next_and_seeing_it_changes_nothing(
    steps: list[str], order: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        desk = Desk(Path(folder))
        desk.asks("iol-first", series=3)
        for step in steps:
            STEPS[step](desk)
        before = state(desk.folder)
        seen = peeked(desk, **order)
        assert state(desk.folder) == before
        assert without_second(desk.takes(**order)) == seen


def test_a_document_that_is_only_seen_carries_no_second(quick_path: Path, ledger_url: str) -> None:
    desk = Desk(quick_path, ledger_url)
    desk.asks("iol-a")
    desk.takes("lab")
    desk.asks("iol-b", series=2)
    seen = peeked(desk, consumer="lab")
    assert (labels(seen), seen["last_comment_timestamp"]) == (["iol-b"], None)


def test_of_a_paused_retest_json_only_what_is_in_it_is_seen(
    quick_path: Path, ledger_url: str
) -> None:
    desk = Desk(quick_path, ledger_url)
    desk.asks("iol-a")
    desk.publishes()
    with desk.opened() as ledger:
        ledger.steering.pause(Pause(json_file.name(str(desk.retests)), NOON))
    desk.asks("iol-b", series=2)
    assert labels(peeked(desk, single=True)) == ["iol-a"]
    assert labels(desk.takes(single=True)) == ["iol-a"]


def test_the_command_prints_it_as_often_as_it_is_asked(
    ledger: Ledger,
    ledger_url: str,
    quick_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HOME", str(quick_path))
    monkeypatch.setenv("RECHECK_INGEST_STATE_LEDGER", ledger_url)
    record(ledger, "a@example.org")
    for _ in range(2):
        flags = ["--consumer", "lab", "--requests", "--state", str(quick_path)]
        assert cli.main(["take", "--peek", *flags]) == 0
        [request] = json.loads(capfd.readouterr().out)
        assert request["number"] == 1
    assert ledger.consumers() == ()
    assert cli.main(["take", "--peek", "--wait", "5", *flags]) == 64
    monkeypatch.delenv("RECHECK_INGEST_STATE_LEDGER")
    assert cli.main(["take", "--peek", "--state", str(quick_path / "none")]) == 1
