# SPDX-License-Identifier: BSD-3-Clause
"""What every ledger does with the mails of ours that are sent once."""

from dataclasses import replace

from ingest.ledger import Cursor, Keep, Ledger, Letter, open_ledger
from tests.support.ledger_values import NOON, record

SINK, DAY = "mail:lab", 86400.0
ONE = Letter("1.lab@ci.example.org", SINK, 1, NOON, ("robin@example.org",), b"Subject: x\n\ny\n")


def due(ledger: Ledger, now: float = NOON) -> list[Letter]:
    return ledger.letters.due(SINK, now, DAY)


def test_a_letter_is_kept_once_and_as_it_was_made_first(url: str, ledger: Ledger) -> None:
    assert ledger.letters.keep(ONE)
    assert not ledger.letters.keep(replace(ONE, raw=b"another text", at=NOON + 9))
    other = open_ledger(url)
    assert other.letters.due(SINK, NOON, DAY) == [ONE]
    other.close()


def test_what_was_sent_or_never_will_be_is_not_due_and_is_not_made_again(ledger: Ledger) -> None:
    for done in (replace(ONE, raw=b"", sent=NOON + 1), replace(ONE, raw=b"", reason="nobody")):
        ledger.letters.keep(ONE)
        ledger.letters.note(done)
        assert due(ledger, NOON + 9) == []
        assert not ledger.letters.keep(ONE)
        assert ledger.letters.newest(SINK) == done


def test_a_letter_waits_for_its_time_but_not_for_that_of_a_clock_set_back(ledger: Ledger) -> None:
    late = replace(ONE, due=NOON + 60, tries=1, reason="it is down")
    ledger.letters.keep(late)
    assert due(ledger) == []
    assert due(ledger, NOON + 60) == [late]
    assert due(ledger, NOON - 2 * DAY) == [late]


def test_the_oldest_is_sent_first_and_each_sink_has_its_own(ledger: Ledger) -> None:
    newer = replace(ONE, id="2@ci.example.org", at=NOON + 5, request=2)
    for letter in (newer, ONE, replace(ONE, id="3@ci.example.org", sink="digest")):
        ledger.letters.keep(letter)
    assert due(ledger) == [ONE, newer]
    assert ledger.letters.newest(SINK) == newer
    assert ledger.letters.newest("mail:other") is None


def test_it_is_known_which_requests_letters_are_about(ledger: Ledger) -> None:
    ledger.letters.keep(ONE)
    ledger.letters.keep(replace(ONE, id="2@x.org", request=2, raw=b"", reason="no address"))
    assert ledger.letters.about(SINK, [1, 2, 3]) == {1, 2}
    assert ledger.letters.about("mail:other", [1, 2, 3]) == frozenset()


def test_of_letters_about_no_request_the_last_hundred_stay(ledger: Ledger) -> None:
    ledger.letters.keep(ONE)
    for day in range(105):
        ledger.letters.keep(replace(ONE, id=f"{day}@x.org", request=0, at=NOON + day))
    assert [each.id for each in due(ledger)][:2] == [ONE.id, "5@x.org"]
    assert len(due(ledger)) == 101


def test_a_letter_goes_with_its_request(ledger: Ledger) -> None:
    record(ledger, "1@example.org")
    ledger.letters.keep(ONE)
    ledger.set_cursor(Cursor("webhook:lab", 1))
    assert ledger.prune(Keep(raw=0.0, requests=NOON + 99), NOON + 99) == 1
    assert due(ledger) == []
