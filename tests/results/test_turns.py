# SPDX-License-Identifier: BSD-3-Clause
"""Whose turn it is: the oldest first, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.results.turns import Round, Turn, turn

PLACES = st.sets(st.tuples(st.integers(1, 30), st.integers(1, 9), st.just(0)), max_size=20)


@given(PLACES, st.integers(0, 5), st.lists(PLACES, max_size=6))
def test_there_are_as_many_as_there_may_be_and_each_once(
    places: set[Turn], most: int, later: list[set[Turn]]
) -> None:
    now: Round | None = None
    for those in (places, *later):
        found, now = turn(those, most, now)
        assert len(set(found)) == len(found) == min(len(those), most or len(those))
        assert set(found) <= those


@given(PLACES.filter(bool), st.integers(1, 5), st.data())
def test_each_has_its_turn_whatever_comes_and_goes(
    places: set[Turn], most: int, data: st.DataObject
) -> None:
    """Also if more comes each time than can be asked for."""
    now: Round | None = None
    for _ in range(data.draw(st.integers(0, 3))):
        _, now = turn(places, most, now)
    waiting = data.draw(st.sampled_from(sorted(places)))
    had: set[Turn] = set()
    for newest in range(31, 31 + 2 * (-(-len(places) // most) + 1)):
        found, now = turn(places, most, now)
        had |= set(found)
        others = sorted(places - {waiting})
        ended = data.draw(st.sets(st.sampled_from(others))) if others else set()
        places = (places - ended) | {(newest, each, 0) for each in range(most + 1)}
    assert waiting in had


def test_the_oldest_are_first() -> None:
    places = [(3, 1, 0), (1, 9, 0), (2, 5, 0)]
    found, now = turn(places, 2, None)
    assert found == [(1, 9, 0), (2, 5, 0)]
    # What is new waits for the next round.
    found, now = turn([*places, (4, 1, 0)], 2, now)
    assert found == [(3, 1, 0), (1, 9, 0)]
    found, now = turn([*places, (4, 1, 0)], 2, now)
    assert found == [(2, 5, 0), (3, 1, 0)]
    found, now = turn([*places, (4, 1, 0)], 2, now)
    assert found == [(4, 1, 0), (1, 9, 0)]
    assert turn(places, 0, now) == turn(places, 3, now) == (sorted(places), None)
