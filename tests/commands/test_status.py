# SPDX-License-Identifier: BSD-3-Clause
"""All that ``status`` prints, to the letter."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import background, look, signs
from ingest.commands import report
from ingest.config import load
from ingest.ledger import Aside, Batch, Consumer, Cursor, Feed, Ledger, Outcome, Pause, Waiting
from ingest.patchwork import outage
from tests.support.ledger_values import NOON, arrival, claimed, finish, put_back, record
from tests.support.places import DATA

MAIL = b"List-Id: <dev.example.org>\n\nhello\n"
CONFIGURATION = """
[patchwork.other]
url = "https://other.example.org"
lists = ["other.*"]
[webhook.lab]
url = "https://lab.example.org/"
[command.run]
program = ["true"]
"""


@pytest.fixture
def in_utc() -> Iterator[None]:
    """Times are printed in this machine's zone: here it is UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def fill(ledger: Ledger, folder: Path) -> None:
    """Something of everything."""
    for number in range(1, 5):
        record(ledger, f"{number}@example.org", series=number)
    ledger.accept(arrival("notice", outcome=Outcome.NOTICE, reason="not verified: “confirm 1”"))
    for outcome in (Outcome.FAILED, Outcome.IGNORED):
        ledger.accept(arrival(outcome.value))
        finish(ledger, claimed(ledger), outcome)
    ledger.accept(arrival("waits"))
    put_back(ledger, claimed(ledger), NOON + 7200, Waiting.DOWN)
    ledger.steering.cancel_request(4, "why", "operator", NOON)
    ledger.set_cursor(Cursor("webhook:lab", 2, NOON))
    ledger.steering.pause(Pause("webhook:lab", NOON, "moving house"))
    ledger.set_cursor(Cursor("command:run", 3, NOON, tries=2, due=NOON + 3660, reason="it is down"))
    ledger.asides.keep(Aside("command:run", 1, NOON, 4, None, "exit code 1"))
    ledger.set_consumer(Consumer("lab", 2, NOON))
    ledger.set_batch(Batch("lab", 1, 2, generation="c0ffee", given=2, due=NOON + 3900))
    ledger.set_feed(Feed("inbox.dev", moved=NOON, tries=2, reason="no network"))
    ledger.set_feed(Feed("catch-up", moved=NOON, tries=1, reason="it answers 502"))
    outage.note_answer(ledger, NOON - 60, "other")
    outage.note_answer(ledger, NOON - 60)
    outage.note_down(ledger, "it answers 502", NOON)
    background.note_work(ledger, NOON)
    signs.note(str(folder), [(MAIL, "pipe")], NOON)


def test_the_whole_at_a_glance(
    ledger: Ledger, quick_path: Path, in_utc: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = quick_path / "c.toml"
    file.write_text(CONFIGURATION)
    settings = load.load(file=str(file), environment={"STATE_DIRECTORY": str(quick_path)})
    fill(ledger, quick_path)
    made = look.status(ledger, settings, NOON + 3600)
    report.status(replace(made, other_ledgers=("/var/lib/recheck-ingest",)))
    printed = capsys.readouterr().out.replace(str(quick_path), "FOLDER")
    assert printed == (DATA / "golden" / "status.txt").read_text()
