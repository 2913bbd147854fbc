# SPDX-License-Identifier: BSD-3-Clause
"""What each kind of server can do, as it is found out, and what is told of what it cannot."""

from datetime import UTC, datetime

import pytest

from ingest.ledger import Ledger
from ingest.patchwork import limits
from ingest.sandbox import Sandbox
from tests.support.clock import HOUR, Clock
from tests.support.mails import patch
from tests.support.questions import Connect

# Of each server: version, msgid filter, comment events, comments, and what it lacks.
SERVERS = {
    "1.4": ({"api": "1.4"}, ("1.4", True, True, True), []),
    "1.3": ({"api": "1.3"}, ("1.3", True, True, True), []),
    "1.2": ({"api": "1.2"}, ("1.2", True, False, True), ["comments"]),
    "1.1": ({"api": "1.1"}, ("1.1", False, False, True), ["API", "comments"]),
    "1.0": ({"api": "1.0"}, ("1.0", False, False, False), ["API", "comments"]),
    "fork": (
        {"kind": "freedesktop"},
        ("1.0", True, False, False),
        ["comments", "results"],
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_what_a_server_can_is_found_out_and_what_it_lacks_is_told(
    name: str, connect: Connect
) -> None:
    options, expected, lacks = SERVERS[name]
    with Sandbox(**options) as box:  # type: ignore[arg-type]
        box.file(patch("p@x"))
        found = connect(box.url).probe()
    told = (found.version, found.finds_by_message_id, found.tells_of_comments)
    assert (*told, found.keeps_comments) == expected
    assert [each.what for each in limits.of(found)] == lacks


@pytest.mark.parametrize(
    ("zone", "hours"), [("UTC", 0), ("America/Los_Angeles", -8), ("Asia/Kolkata", 5.5)]
)
def test_the_zone_is_told_by_the_events_of_patches(
    zone: str, hours: float, connect: Connect
) -> None:
    now = datetime(2023, 11, 14, 12, 0, 40, tzinfo=UTC)
    with Sandbox(time_zone=zone, clock=lambda: now) as box:
        for number in range(9):
            box.file(patch(f"{number}@x", date="Tue, 14 Nov 2023 12:00:00 +0000"))
        found = connect(box.url).probe()
    assert found.zone == hours * HOUR
    assert ("UTC" in limits.zone(found)) is True


def test_what_a_server_lacks_is_remembered_for_status(
    ledger: Ledger, clock: Clock, connect: Connect
) -> None:
    assert not limits.are_known(ledger, clock(), "fdo")
    with Sandbox(api="1.2") as box:
        limits.note(ledger, clock(), "fdo", connect(box.url).probe())
    assert limits.known(ledger, clock(), "fdo") == (
        "has no events of comments: catching up reads those on recent patches",
    )
    assert limits.are_known(ledger, clock(), "fdo")
    assert limits.known(ledger, clock(), "") == ()


def test_requests_of_another_server_are_told_until_there_are_none(
    ledger: Ledger, clock: Clock
) -> None:
    limits.note_gone(ledger, clock(), "fdo", 2)
    [told] = limits.known(ledger, clock(), "fdo")
    assert told.startswith("has nothing of 2 open requests")
    assert not limits.are_known(ledger, clock(), "fdo")  # the server was not asked
    limits.note_gone(ledger, clock(), "fdo", 0)
    assert limits.known(ledger, clock(), "fdo") == ()
