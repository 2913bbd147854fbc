# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with the mail for the operator."""

from ingest.ledger import Event, Ledger, Outcome, open_ledger
from ingest.ledger.parts import MARKS_KEPT
from ingest.ledger.values import MOST_NOTICES
from tests.support.ledger_values import NOON, arrival

HOUR = 3600.0


def comes(ledger: Ledger, name: str, at: float = NOON) -> int:
    """The number of a notice that comes."""
    kept, _ = ledger.accept(arrival(name, at=at, outcome=Outcome.NOTICE, reason=f"says {name}"))
    return kept


def mark(ledger: Ledger, mail: int, at: float = NOON, *, sent: bool = True) -> None:
    ledger.notices.mark(mail, Event(at, "forwarded", {"to": "op@example.org"}), sent=sent)


def pending(ledger: Ledger, since: float = 0.0) -> list[str]:
    return [each.reason for each in ledger.notices.pending(since)]


def test_what_came_since_is_to_be_forwarded_in_the_order_in_which_it_came(ledger: Ledger) -> None:
    comes(ledger, "b", NOON + 2)
    comes(ledger, "a", NOON + 1)
    comes(ledger, "c", NOON + 3)
    assert pending(ledger) == ["says a", "says b", "says c"]
    assert pending(ledger, NOON + 2) == ["says b", "says c"]
    assert [each.reason for each in ledger.notices.all()] == ["says c", "says b", "says a"]


def test_a_marked_notice_is_not_pending_and_its_story_tells_why(url: str, ledger: Ledger) -> None:
    first, second = comes(ledger, "a"), comes(ledger, "b")
    mark(ledger, first)
    other = open_ledger(url)
    assert [each.mail_id for each in other.notices.pending(0.0)] == [second]
    [record] = other.find("a")
    assert record.story[-1] == Event(NOON, "forwarded", {"to": "op@example.org"})
    assert record.outcome is Outcome.NOTICE
    other.close()


def test_what_was_forwarded_is_counted_even_if_it_was_dropped_since(ledger: Ledger) -> None:
    for number in range(3):
        mark(ledger, comes(ledger, f"{number}", NOON + number), NOON + number)
    mark(ledger, comes(ledger, "never", NOON + 3), NOON + 3, sent=False)
    for number in range(MOST_NOTICES):
        comes(ledger, f"later {number}", NOON + 10)
    assert ledger.find("0") == []
    assert ledger.notices.forwarded(NOON) == 3
    assert ledger.notices.forwarded(NOON + 1) == 2


def test_marks_are_forgotten_when_they_are_old(ledger: Ledger) -> None:
    mark(ledger, comes(ledger, "a"))
    later = NOON + MARKS_KEPT
    mark(ledger, comes(ledger, "b", later), later)
    assert ledger.notices.forwarded(0.0) == 2
    mark(ledger, comes(ledger, "c", later + HOUR), later + HOUR)
    assert ledger.notices.forwarded(0.0) == 2


def test_a_second_mark_replaces_the_first(ledger: Ledger) -> None:
    mail = comes(ledger, "a")
    mark(ledger, mail, NOON)
    mark(ledger, mail, NOON + 1, sent=False)
    assert ledger.notices.forwarded(0.0) == 0
