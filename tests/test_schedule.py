# SPDX-License-Identifier: BSD-3-Clause
"""When a mail is tried again and when it is given up: arithmetic, on clocks of every kind."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import schedule
from ingest.config.tables import WorkerSettings
from ingest.config.values import DAY, HOUR, MINUTE
from ingest.ledger import Wait, Waiting

MISSING, DOWN, FAILING = Waiting.MISSING, Waiting.DOWN, Waiting.FAILING
NOW = 1_700_000_000.0
TABLE = WorkerSettings()
NEW = Wait(since=NOW, begun=NOW, due=NOW)
LIMITS = {MISSING: DAY, DOWN: 7 * DAY, FAILING: 7 * DAY}
# A tenth of every wait may be jitter.
LONGEST = HOUR * 1.1


def after(before: Wait, waiting: Waiting, now: float, **other: float) -> Wait:
    wait = schedule.after_attempt(before, waiting, now, TABLE, **other)
    assert wait is not None
    return wait


def waits(waiting: Waiting, clock: Callable[[float], float] = float) -> Iterator[Wait]:
    """Attempts that end in the same, each when the wait before is over by an honest clock, of
    which ``clock`` makes what the program reads."""
    wait, honest = NEW, NOW
    for _ in range(1000):
        now = clock(honest)
        next_ = schedule.after_attempt(wait, waiting, now, TABLE)
        if next_ is None:
            return
        yield next_
        wait, honest = next_, honest + next_.due - now
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize("waiting", LIMITS)
def test_the_waits_are_those_of_the_schedule_the_last_one_repeated(waiting: Waiting) -> None:
    lengths = [wait.due - wait.begun for wait in waits(waiting)]
    assert lengths[:5] == [MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR]
    assert set(lengths[5:-1]) == {HOUR}
    assert sum(lengths) == LIMITS[waiting]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_jitter_lengthens_a_wait_by_a_tenth_at_most(chance: float) -> None:
    assert after(NEW, DOWN, NOW, chance=chance).due == NOW + MINUTE * (1 + 0.1 * chance)


def test_a_server_that_asks_for_a_longer_wait_gets_it() -> None:
    assert after(NEW, DOWN, NOW, retry_after=HOUR).due == NOW + HOUR
    assert after(NEW, DOWN, NOW, retry_after=5.0).due == NOW + MINUTE


def test_two_attempts_are_a_second_apart_however_short_the_schedule_is() -> None:
    table = WorkerSettings(retry=(0.0,), jitter=0.0)
    wait = schedule.after_attempt(NEW, DOWN, NOW, table)
    assert wait and wait.due == NOW + 1
    nearly = Wait(DOWN, NOW, 9, NOW, NOW + HOUR, waited=7 * DAY - HOUR - 0.25)
    last = after(nearly, DOWN, NOW + HOUR)
    assert last.due == NOW + HOUR + 1


def test_tries_are_counted_for_one_trouble_and_begin_anew_with_another() -> None:
    wait = after(after(NEW, MISSING, NOW), MISSING, NOW + MINUTE)
    assert (wait.tries, wait.since) == (2, NOW)
    other = after(wait, FAILING, NOW + 3 * MINUTE)
    assert (other.tries, other.since, other.waited) == (1, NOW + 3 * MINUTE, 0.0)
    assert other.due == NOW + 4 * MINUTE


def test_a_mail_that_is_put_back_was_not_tried() -> None:
    tried = after(after(NEW, DOWN, NOW), DOWN, NOW + MINUTE)
    same = schedule.unattempted(tried, DOWN, NOW + 3 * MINUTE, NOW + 4 * MINUTE, TABLE)
    assert (same.tries, same.since, same.waited) == (2, NOW, 3 * MINUTE)
    assert (same.begun, same.due) == (NOW + 3 * MINUTE, NOW + 4 * MINUTE)
    other = schedule.unattempted(tried, MISSING, NOW + 3 * MINUTE, NOW + 4 * MINUTE, TABLE)
    assert (other.tries, other.since, other.waited) == (0, NOW + 3 * MINUTE, 0.0)


def test_an_outage_is_not_time_for_which_a_patch_was_missing() -> None:
    wait = after(NEW, MISSING, NOW)
    wait = after(wait, MISSING, NOW + MINUTE)
    wait = after(wait, DOWN, NOW + 3 * MINUTE)
    assert wait.missing == 3 * MINUTE
    wait = after(wait, DOWN, NOW + 4 * MINUTE)
    wait = after(wait, MISSING, NOW + 6 * MINUTE)
    assert wait.missing == 3 * MINUTE
    # Nor does each further outage count from the first.
    wait = after(wait, DOWN, NOW + 7 * MINUTE)
    assert (wait.missing, wait.waited) == (4 * MINUTE, 0.0)


def test_a_mail_that_is_tried_too_seldom_waits_for_as_many_attempts_as_the_schedule_has() -> None:
    late = Wait(MISSING, NOW, 3, NOW, NOW + HOUR, waited=2 * DAY, missing=2 * DAY)
    fourth = after(late, MISSING, NOW + HOUR)
    assert fourth.due == NOW + HOUR + 15 * MINUTE
    fifth = schedule.after_attempt(fourth, MISSING, fourth.due, TABLE)
    assert fifth is None


# Clocks that jump.


@pytest.mark.parametrize("jump", [25 * HOUR, 8 * DAY, 3650 * DAY])
@pytest.mark.parametrize("waiting", LIMITS)
def test_a_clock_that_jumps_forward_ends_no_mail_early(waiting: Waiting, jump: float) -> None:
    def jumps(honest: float) -> float:
        return honest + (jump if honest > NOW + 2 * MINUTE else 0)

    waited = sum(wait.due - wait.begun for wait in waits(waiting, jumps))
    assert LIMITS[waiting] - LONGEST <= waited <= LIMITS[waiting] + LONGEST


@pytest.mark.parametrize("waiting", LIMITS)
def test_a_clock_that_goes_forward_and_back_ends_no_mail_after_two_tries(waiting: Waiting) -> None:
    wait = after(NEW, waiting, NOW)
    wait = after(wait, waiting, NOW + 25 * HOUR)
    wait = after(wait, waiting, NOW + 2 * MINUTE)
    assert wait.tries == 3
    assert wait.waited <= LONGEST
    assert wait.due == NOW + 7 * MINUTE


@given(
    st.lists(
        st.tuples(
            st.sampled_from([MISSING, DOWN, FAILING, None]),
            st.floats(-1e8, 1e8, allow_nan=False),
            st.none() | st.floats(0, DAY),
        ),
        max_size=60,
    )
)
def test_no_clock_makes_a_wait_longer_than_its_longest_honest_length(
    steps: list[tuple[Waiting | None, float, float | None]],
) -> None:
    wait = NEW
    for waiting, jump, retry_after in steps:
        now = NOW + jump
        if waiting is None:
            new: Wait | None = schedule.unattempted(wait, wait.waiting, now, now + MINUTE, TABLE)
        else:
            new = schedule.after_attempt(
                wait, waiting, now, TABLE, chance=1.0, retry_after=retry_after
            )
        if new is None:
            assert wait.tries >= len(TABLE.retry) - 1
            return
        assert new.begun == now
        assert 1 <= new.due - now <= max(LONGEST, retry_after or 0) + 1e-6
        # What counts as waited grows by no more than the wait was long.
        assert new.waited <= wait.waited + max(LONGEST, wait.due - wait.begun) + 1e-6
        assert new.missing >= wait.missing
        wait = new
