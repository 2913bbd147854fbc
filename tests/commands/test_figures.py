# SPDX-License-Identifier: BSD-3-Clause
"""``stats``: requests and results in figures, of a ledger with known rates."""

import json
import time
from pathlib import Path

import pytest

from ingest.commands import cli, figures
from ingest.ledger import Ledger, Result, State
from ingest.mail.requester import Requester
from ingest.story import stats
from tests.support.handing_over import told
from tests.support.ledger_values import NOON, record

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def fill(ledger: Ledger, number: int) -> None:
    """Put in so many requests at the rates that are written here: a hundred a week, each for two
    labels. Every request is handed over after 2 minutes, every 40th after 10. Of
    iol-a, which had failed before, 40 % succeed and 60 % fail, after an hour; of iol-b 20 % succeed
    in 3 hours, 10 % are overdue, and of 70 % nothing is known."""
    for first in range(0, number, 100):
        with ledger.batch():
            for n in range(first, first + 100):
                one(ledger, n)


def one(ledger: Ledger, n: int) -> None:
    """The request of this number, and what became of it."""
    at = NOON + n // 100 * 7 * DAY
    who = Requester(f"Reviewer {n % 3}", f"r{n % 3}@example.org")
    asked = record(ledger, f"{n}@example.org", at, requester=who, series=n)
    slow = n % 40 == 0
    ledger.results.handed_over([asked], "command:lab", at + (10 if slow else 2) * MINUTE)
    ledger.results.set_earlier(asked.number, {"iol-a": State.FAIL})
    became = State.SUCCESS if n % 5 < 2 else State.FAIL
    ledger.results.tell(Result(asked.number, "iol-a", became, at + HOUR, "lab"))
    if n % 10 < 2:
        ledger.results.tell(Result(asked.number, "iol-b", State.SUCCESS, at + 3 * HOUR, "lab"))
    elif n % 10 == 2:
        ledger.results.tell(Result(asked.number, "iol-b", State.OVERDUE, at + 2 * DAY))


@pytest.mark.parametrize("number", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_known_rates_are_found(
    ledger: Ledger, quick_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    fill(ledger, number)
    begun = time.monotonic()
    made = json.loads(told(quick_path, capsys, "stats", "--json"))
    took = time.monotonic() - begun
    print(f"stats over {number} requests: {took:.2f} s")
    total, (a, b) = made["total"], made["labels"]
    assert (total["requests"], total["labels"]) == (number, 2 * number)
    assert a["figures"]["turned"] == {"count": number * 2 // 5, "of": number, "share": 0.4}
    assert b["figures"]["turned"] == {"count": 0, "of": 0, "share": None}
    assert a["figures"]["ended"]["share"] == 1.0
    assert b["figures"]["ended"] == {"count": number // 5, "of": number, "share": 0.2}
    assert b["figures"]["states"] == {
        "handed over": number * 7 // 10,
        "success": number // 5,
        "overdue": number // 10,
    }
    assert total["handed_over"] == {"count": 2 * number, "median": 120.0, "most": 120.0}
    assert a["figures"]["result"] == {"count": number, "median": HOUR, "most": HOUR}
    assert b["figures"]["result"] == {"count": number // 5, "median": 3 * HOUR, "most": 3 * HOUR}
    assert [each["figures"]["requests"] for each in made["weeks"]] == [100] * (number // 100)
    assert len(made["waited"]) == 3


GOLDEN = """\
requests     100, 200 labels asked for
results      120 of 200 (60.0%) have one; in all 70 handed over, 60 success, 60 fail, 10 overdue
turned       40 of 100 (40.0%) that had failed succeeded, same version
handed over  half within 2 min, 9 of 10 within 2 min, of 200 labels
result       half within 60 min, 9 of 10 within 3 h, of 120 labels

label  asked  success  fail  overdue  open     turned  handed over  result
iol-a    100       40    60        0     0  40 of 100        2 min  60 min
iol-b    100       20     0       10    70     0 of 0        2 min     3 h

week      asked  success  fail  overdue  open     turned  handed over  result
2023-W46    200       60    60       10    70  40 of 100        2 min  60 min

waiting longest
"""


def test_a_person_reads_tables(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    fill(ledger, 100)
    made = stats.of(ledger.results.history(0.0), 0.0, NOON + 3 * DAY, 14 * DAY)
    figures.show(made)
    printed = capsys.readouterr().out
    assert printed.startswith(GOLDEN)
    assert printed.removeprefix(GOLDEN).splitlines()[0] == (
        "     3 d  request 3 for series 2 by Reviewer 2: iol-b"
    )
    assert printed.splitlines()[-3:] == [
        "  60 min  Reviewer 0, of 41 labels",
        "  60 min  Reviewer 1, of 40 labels",
        "  60 min  Reviewer 2, of 39 labels",
    ]


def test_only_what_was_recorded_since_a_time(
    ledger: Ledger, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(ledger, 200)
    made = json.loads(told(quick_path, capsys, "stats", "--json", "--since", "2023-11-20"))
    assert (made["total"]["requests"], made["since"]) == (100, "2023-11-20T00:00:00Z")
    assert cli.main(["stats", "--state", str(quick_path), "--since", "30d"]) == 1
    assert "there is no request in that time" in capsys.readouterr().err


def test_a_label_and_a_name_can_do_nothing_to_a_terminal(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    record(ledger, "1@example.org", contexts=("\x1b[2J" + "a" * 90,), requester=Requester("\x1b["))
    figures.show(stats.of(ledger.results.history(0.0), 0.0, NOON, 14 * DAY))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert f"\\x1b[2J{'a' * 32}…" in printed


def test_labels_that_nobody_was_seen_to_take_are_told_as_such(
    ledger: Ledger, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = record(ledger, "a@example.org")
    note = "asked: not seen to be taken, as by a lab that only reads the file"
    assert note in told(quick_path, capsys, "stats")
    ledger.results.handed_over([asked], "command:lab", NOON + 1)
    assert note not in told(quick_path, capsys, "stats")
