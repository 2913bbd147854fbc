# SPDX-License-Identifier: BSD-3-Clause
"""A request that no mail asks for."""

from pathlib import Path
from typing import Any

import pytest

from ingest.config import sink_tables
from ingest.config.patchwork_tables import ServerSettings
from ingest.config.tables import RequestsSettings, Settings
from ingest.errors import NotTaken, UsageError
from ingest.handover import by_hand
from ingest.ledger import Ledger, open_ledger
from ingest.sinks.mail import Answer
from ingest.words import harmless
from tests.support.ledger_values import NOON, record

SETTINGS = Settings()


@pytest.fixture
def ledger(quick_path: Path) -> Any:
    opened = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
    yield opened
    opened.close()


def wish(**other: Any) -> by_hand.Wish:
    values: dict[str, Any] = {
        "series": 7,
        "contexts": ("iol-a", "iol-a"),
        "arguments": {},
        "author": "Ada",
        "way": "command",
    }
    return by_hand.Wish(**{**values, **other})


def test_the_same_key_never_makes_a_second_request(ledger: Ledger) -> None:
    one, is_new = by_hand.ask(ledger, SETTINGS, wish(), NOON, key="k")
    assert is_new and one.contexts == ("iol-a",)
    assert by_hand.ask(ledger, SETTINGS, wish(), NOON + 9, key="k") == (one, False)
    assert by_hand.ask(ledger, SETTINGS, wish(), NOON)[1]
    assert by_hand.ask(ledger, SETTINGS, wish(), NOON)[1]
    assert len(ledger.requests()) == 3
    assert len({each.id for each in ledger.requests()}) == 3


def test_it_is_about_what_was_asked_about_before(ledger: Ledger) -> None:
    before = record(ledger, "a@example.org", series=7, delegates=("ada@example.org",))
    made, _ = by_hand.ask(ledger, SETTINGS, wish(), NOON)
    assert (made.submission, made.project, made.subject, made.delegates) == (
        before.submission,
        before.project,
        before.subject,
        ("ada@example.org",),
    )
    elsewhere = Settings(servers={"other": ServerSettings()})
    made, _ = by_hand.ask(ledger, elsewhere, wish(server="other"), NOON)
    assert (made.server, str(made.submission)) == ("other", "")


def test_what_a_person_writes_is_one_line_and_not_long(ledger: Ledger) -> None:
    made, _ = by_hand.ask(
        ledger, SETTINGS, wish(author="A\n\x1b" + "x" * 999, reason="b\0" * 9999), NOON
    )
    for text in (str(made.requester), made.reason):
        assert harmless(text) == text and len(text) < 2100


def test_labels_that_are_not_wanted_are_left_over(ledger: Ledger) -> None:
    narrow = Settings(requests=RequestsSettings(contexts=("iol-*",)))
    made, _ = by_hand.ask(ledger, narrow, wish(contexts=("iol-a", "other")), NOON)
    assert (made.contexts, made.leftovers) == (("iol-a",), ("other",))
    with pytest.raises(UsageError, match="no wanted context among other"):
        by_hand.ask(ledger, narrow, wish(contexts=("other",)), NOON)


def test_what_is_asked_for_by_hand_uses_up_no_rate(ledger: Ledger) -> None:
    """No rate bounds it either."""
    record(ledger, "a@example.org", series=7)
    by_hand.ask(ledger, SETTINGS, wish(), NOON + 1)
    assert ledger.recorded(0.0, NOON + 9, 9) == [NOON]
    assert ledger.recorded(0.0, NOON + 9, 9, series=7) == [NOON]


def test_a_group_is_not_asked_for_by_hand(ledger: Ledger) -> None:
    grouped = Settings(groups={"failed": ("patchwork:fail",)})
    with pytest.raises(UsageError, match="failed stands for other labels"):
        by_hand.ask(ledger, grouped, wish(contexts=("iol-a", "failed")), NOON)


def test_nobody_is_answered_by_mail(ledger: Ledger) -> None:
    """Not even where an address stands in the name."""
    made, _ = by_hand.ask(ledger, SETTINGS, wish(author="Ada <ada@example.org>"), NOON)
    table = sink_tables.MailSettings(sender="lab@ci.example.org", lists=("dev@example.org",))
    with pytest.raises(NotTaken, match="no address in"):
        Answer("asker", table, RequestsSettings()).recipients(made)
