# SPDX-License-Identifier: BSD-3-Clause
"""How much an attempt may ask, and what it has learnt when it goes on."""

from dataclasses import replace

import pytest

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotYet
from ingest.mail import message
from ingest.mail.message import Mail
from ingest.patchwork.attempt import Attempt
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.mails import reply

SERVER = "http://patchwork.example.org"
TABLE = PatchworkSettings(questions=3, questions_per_sender=5)
MAIL = message.parse(reply("patch@example.org"))


class Notes(dict[str, tuple[str, float]]):
    """A memory."""

    def recall(self, key: str, now: float) -> str | None:
        answer, expires = self.get(key, ("", 0.0))
        return answer if now < expires else None

    def remember(self, key: str, answer: str, expires: float) -> None:
        self[key] = answer, expires


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def attempt(
    notes: Notes, clock: Clock, mail: Mail = MAIL, table: PatchworkSettings = TABLE
) -> Attempt:
    return Attempt(notes, SERVER, mail, table, clock)


def spend(on: Attempt, questions: int) -> None:
    for _ in range(questions):
        on.spend()


def test_an_attempt_has_so_many_questions_and_goes_on_in_a_minute(
    notes: Notes, clock: Clock
) -> None:
    one = attempt(notes, clock)
    spend(one, 3)
    with pytest.raises(NotYet, match="3 questions") as raised:
        one.spend()
    assert raised.value.pause == MINUTE


def test_a_sender_has_so_many_questions_in_an_hour(notes: Notes, clock: Clock) -> None:
    first = attempt(notes, clock)
    spend(first, 3)
    first.settle()
    clock += 10 * MINUTE
    second = attempt(notes, clock)
    spend(second, 2)
    with pytest.raises(NotYet, match="5 questions in an hour") as raised:
        second.spend()
    assert raised.value.pause == 50 * MINUTE
    second.settle()
    clock += 50 * MINUTE
    spend(attempt(notes, clock), 3)


def test_questions_are_counted_once_however_often_an_attempt_is_settled(
    notes: Notes, clock: Clock
) -> None:
    one = attempt(notes, clock)
    spend(one, 2)
    one.settle()
    one.settle()
    spend(attempt(notes, clock), 3)


def test_another_sender_has_questions_of_its_own(notes: Notes, clock: Clock) -> None:
    for _ in range(2):
        one = attempt(notes, clock)
        spend(one, 2)
        one.settle()
    other = message.parse(reply("patch@example.org").replace(b"From: ", b"From: Another "))
    spend(attempt(notes, clock, other), 1)
    stranger = message.parse(
        b"From: stranger@example.org\nIn-Reply-To: <patch@example.org>\n\nRecheck-request: a\n"
    )
    spend(attempt(notes, clock, stranger), 3)


def test_a_clock_that_is_set_back_begins_a_new_hour(notes: Notes, clock: Clock) -> None:
    one = attempt(notes, clock)
    spend(one, 3)
    one.settle()
    clock += -DAY
    spend(attempt(notes, clock), 3)


def test_without_limits_any_number_is_asked(notes: Notes, clock: Clock) -> None:
    table = replace(TABLE, questions=0, questions_per_sender=0)
    spend(attempt(notes, clock, table=table), 1000)


def test_an_attempt_that_goes_on_knows_what_it_has_learnt(notes: Notes, clock: Clock) -> None:
    one = attempt(notes, clock)
    one.answers["patch x"] = {"target": None}
    one.searched["patch recent"] = "all"
    one.suspend()
    again = attempt(notes, clock)
    assert again.answers == {"patch x": {"target": None}}
    assert again.searched == {"patch recent": "all"}


def test_the_next_attempt_knows_only_what_cannot_change(notes: Notes, clock: Clock) -> None:
    one = attempt(notes, clock)
    one.answers["patch x"] = {"target": None}
    one.searched["patch recent"] = "all"
    one.end()
    again = attempt(notes, clock)
    assert (again.answers, again.searched) == ({}, {"patch recent": "all"})


def test_another_mail_knows_nothing_of_it(notes: Notes, clock: Clock) -> None:
    one = attempt(notes, clock)
    one.searched["patch recent"] = "all"
    one.suspend()
    other = message.parse(reply("other@example.org"))
    assert attempt(notes, clock, other).searched == {}


@pytest.mark.parametrize("kept", ["", "not JSON", "[]", "null"])
def test_what_cannot_be_read_any_more_counts_as_nothing(
    kept: str, notes: Notes, clock: Clock
) -> None:
    one = attempt(notes, clock)
    one.searched["x"] = 1
    one.suspend()
    for key in notes:
        notes[key] = kept, clock() + HOUR
    again = attempt(notes, clock)
    assert (again.answers, again.searched) == ({}, {})
