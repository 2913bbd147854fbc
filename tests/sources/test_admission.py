# SPDX-License-Identifier: BSD-3-Clause
"""How many sessions there may be, and which one gives way."""

import asyncio
from dataclasses import dataclass, field

import pytest

from ingest.config import tables
from ingest.sources.admission import STOPPING, TOO_MANY_SESSIONS, Live

LIMITS = tables.SmtpSettings(sessions=3, sessions_per_peer=2)


@dataclass(eq=False)
class Session:
    """An open one, which notes that it gave way."""

    peer: str
    since: float
    is_idle: bool = True
    ended: list[str] = field(default_factory=list)

    def give_way(self) -> None:
        self.ended.append("gave way")

    def end(self) -> None:
        self.ended.append("ended")

    def abort(self) -> None:
        self.ended.append("aborted")


@pytest.fixture
def live() -> Live:
    return Live()


def opened(live: Live, *sessions: Session) -> None:
    for each in sessions:
        live.sessions.add(each)
        live.enter(each.peer)


def test_there_is_room_until_all_places_are_taken(live: Live) -> None:
    for peer in ("a", "b", "c"):
        assert live.refusal(peer, LIMITS) == ""
        live.enter(peer)
    assert live.refusal("d", LIMITS) == TOO_MANY_SESSIONS


def test_one_client_has_no_more_than_its_share_and_gets_a_place_back(live: Live) -> None:
    live.enter("a")
    live.enter("a")
    assert live.refusal("a", LIMITS).startswith("421 4.7.0 ")
    assert live.refusal("b", LIMITS) == ""
    live.leave("a")
    assert live.refusal("a", LIMITS) == ""


def test_when_all_places_are_taken_the_longest_idle_session_gives_way(live: Live) -> None:
    busy = Session("a", since=1.0, is_idle=False)
    longest, later = Session("b", since=2.0), Session("c", since=3.0)
    opened(live, later, busy, longest)
    assert live.refusal("d", LIMITS) == ""
    assert (busy.ended, longest.ended, later.ended) == ([], ["gave way"], [])


def test_nobody_in_the_middle_of_a_mail_gives_way(live: Live) -> None:
    sessions = [Session(peer, since=1.0, is_idle=False) for peer in "abc"]
    opened(live, *sessions)
    assert live.refusal("d", LIMITS) == TOO_MANY_SESSIONS
    assert not any(each.ended for each in sessions)


def test_a_client_over_its_share_makes_nobody_give_way(live: Live) -> None:
    sessions = [Session("a", 1.0), Session("a", 2.0), Session("b", 3.0)]
    opened(live, *sessions)
    assert live.refusal("a", LIMITS).startswith("421 4.7.0 ")
    assert not any(each.ended for each in sessions)


def test_where_others_crowd_the_machine_one_is_let_in_all_the_same(live: Live) -> None:
    assert live.refusal("a", LIMITS, is_crowded=True) == ""
    opened(live, Session("a", 1.0, is_idle=False))
    assert live.refusal("b", LIMITS, is_crowded=True) == TOO_MANY_SESSIONS


def test_a_service_that_stops_lets_nobody_in(live: Live) -> None:
    live.stopping = True
    assert live.refusal("a", LIMITS) == STOPPING


def test_every_refusal_has_the_client_try_again() -> None:
    assert all(each.startswith("421 ") for each in (STOPPING, TOO_MANY_SESSIONS))


def test_the_last_session_to_leave_is_waited_for(live: Live) -> None:
    live.enter("a")
    live.enter("b")
    live.leave("a")
    assert not live.empty.is_set()
    live.leave("b")
    assert live.empty.is_set()
    assert not live.by_peer, "who has left is not remembered"
    asyncio.run(asyncio.wait_for(live.empty.wait(), 1))
