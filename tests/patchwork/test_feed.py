# SPDX-License-Identifier: BSD-3-Clause
"""Comment events of a server in another zone: each is found once, and none is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from ingest.ledger import Filing, Ledger
from ingest.patchwork.dialect import BadEvent, CommentEvent, EventPage
from ingest.patchwork.feed import Event, Walk
from ingest.sandbox import Sandbox
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.mails import patch, reply
from tests.support.missed_mails import DEV, PATCH, Catching, answers
from tests.support.questions import Connect, resolve

ZONES = ["America/Los_Angeles", "UTC", "Australia/Canberra"]
# Where daylight saving ends, an hour comes twice: at 9 h UTC on one coast, at 16 h UTC on another.
ENDS_OF_SUMMER = [
    datetime(2026, 11, 1, 7, tzinfo=UTC).timestamp(),
    datetime(2026, 4, 4, 14, tzinfo=UTC).timestamp(),
]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def box(zone: str, clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(time_zone=zone, clock=lambda: datetime.fromtimestamp(clock(), UTC)) as sandbox:
        yield sandbox


@pytest.mark.parametrize("begun", ENDS_OF_SUMMER)
def test_catching_up_finds_every_comment_once_whatever_the_servers_zone(
    begun: float, box: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    clock.now = begun
    catching = Catching(box.url, ledger, clock)
    box.file(patch(PATCH))
    found: list[str] = []
    for number in range(40):  # ten minutes each, over the hour that comes twice
        (raw,) = answers(str(number))
        box.file(raw)
        if number % 3 == 0:
            summary = catching.catch_up()
            assert summary.problem == ""
            found += summary.missed
        clock += 10 * MINUTE
    found += catching.catch_up().missed
    assert found == [f"{number}@example.org" for number in range(40)]


def test_the_first_time_what_was_filed_before_is_left_out_as_far_as_the_zone_shows(
    box: Sandbox, ledger: Ledger, clock: Clock
) -> None:
    box.file(patch(PATCH))
    begun = clock()
    for number in range(20):
        clock.now = begun + number * HOUR
        date = format_datetime(datetime.fromtimestamp(clock(), UTC))
        box.file(reply(PATCH, f"{number}@example.org", list_id=DEV, date=date))
    missed = Catching(box.url, ledger, clock).catch_up(since=begun + 10 * HOUR).missed
    # An hour more, for local time may have changed within these.
    assert missed == [f"{number}@example.org" for number in range(9, 20)]


def test_a_reply_without_references_is_resolved_whatever_the_servers_zone(
    box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(patch("top@example.org"))
    box.file(reply("top@example.org", "comment@example.org", list_id=DEV))
    date = format_datetime(datetime.fromtimestamp(clock(), UTC))
    ours = reply("comment@example.org", list_id=DEV, date=date)
    clock += MINUTE
    box.file(ours)
    assert resolve(connect(box.url), ours).series == 29430


def event(number: int, date: float) -> CommentEvent:
    return CommentEvent(number, date, None, Filing("patch", 7, number), f"<{number}@x>", DEV)


def walked(walk: Walk, *pages: list[Event]) -> list[int | None]:
    """The ids that a walk over these pages finds."""
    each = [EventPage(tuple(page), str(n + 1)) for n, page in enumerate(pages)]
    each[-1] = EventPage(each[-1].events, "")
    return [found.id for found in walk.events(lambda page: each[int(page or 0)], 100)]


def test_a_walk_ends_an_hour_behind_the_last_event_that_is_known() -> None:
    walk = Walk(5)
    assert walked(
        walk,
        [event(8, 2 * HOUR), event(5, HOUR), event(7, HOUR - 60)],
        [event(6, 60.0), event(4, -1.0)],
        [event(9, -2.0)],  # not read any more
    ) == [8, 7, 6]
    assert walk == Walk(8)


def test_a_walk_that_was_left_goes_on_at_the_same_page() -> None:
    walk = Walk(1)
    pages = [EventPage((event(9, 9.0),), "1"), EventPage((event(8, 8.0),), "")]
    asked: list[str] = []

    def read(page: str) -> EventPage:
        asked.append(page)
        if asked == ["", "1"]:
            raise TimeoutError
        return pages[int(page or 0)]

    with pytest.raises(TimeoutError):
        list(walk.events(read, 100))
    found = [each.id for each in walk.events(read, 100)]
    assert (asked, found, walk.last) == (["", "1", "1"], [8], 9)


def test_an_event_without_a_number_stops_no_walk() -> None:
    bad = BadEvent(None, None, "event x")
    assert walked(Walk(5), [event(6, DAY), bad, event(5, DAY), event(4, 0.0)]) == [6, None]
