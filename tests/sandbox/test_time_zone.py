# SPDX-License-Identifier: BSD-3-Clause
"""A Patchwork whose dates of events and checks are local, and one that has an older API."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from ingest.errors import UsageError
from ingest.sandbox import Sandbox
from tests.sandbox.conftest import TOKENS, get, mail, patch

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ZONES = [
    ("UTC", "2026-11-26T12:00:00"),
    ("America/Los_Angeles", "2026-11-26T04:00:00"),
    ("Australia/Canberra", "2026-11-26T23:00:00"),
]


@pytest.mark.parametrize(("zone", "local"), ZONES)
def test_events_and_checks_are_dated_in_the_servers_zone_and_mails_in_utc(
    zone: str, local: str
) -> None:
    with Sandbox(time_zone=zone, clock=lambda: NOON, tokens=TOKENS) as box:
        box.file(patch("[PATCH] a", id="p@x", date="Thu, 26 Nov 2026 11:59:00 +0000"))
        box.file(mail("Re: [PATCH] a", id="c@x", to="p@x", date=""))
        requests.post(
            f"{box.url}/api/patches/131182/checks/",
            json={"state": "success"},
            headers={"Authorization": "Token secret"},
            timeout=10,
        )
        events = get(box, "/api/events/?category=patch-comment-created")
        (check,) = get(box, "/api/patches/131182/checks/")
        (comment,) = get(box, "/api/patches/131182/comments/")
        (found,) = get(box, "/api/patches/")
        assert [event["date"] for event in events] == [local]
        assert check["date"] == local
        assert comment["date"] == "2026-11-26T12:00:00"
        assert found["date"] == "2026-11-26T11:59:00"
        assert get(box, f"/api/events/?category=patch-comment-created&since={local}") == events


def test_where_daylight_saving_ends_an_hour_comes_twice() -> None:
    """Newest first by date is then not newest first by id."""
    now = datetime(2026, 11, 1, 8, tzinfo=UTC)
    with Sandbox(time_zone="America/Los_Angeles", clock=lambda: now) as box:
        box.file(patch("[PATCH] a", id="p@x"))
        for number, minutes in enumerate((50, 20, 20)):
            now += timedelta(minutes=minutes)
            box.file(mail("Re: [PATCH] a", id=f"{number}@x", to="p@x"))
        events = get(box, "/api/events/?category=patch-comment-created")
    shown = [(event["payload"]["comment"]["msgid"], event["date"][11:16]) for event in events]
    assert shown == [("<0@x>", "01:50"), ("<2@x>", "01:30"), ("<1@x>", "01:10")]


def test_an_older_server_has_no_newer_api_and_no_comment_events() -> None:
    with Sandbox(api="1.2") as box:
        box.file(patch("[PATCH] a", id="p@x"))
        box.file(mail("Re: [PATCH] a", id="c@x", to="p@x"))
        assert requests.get(f"{box.url}/api/1.3/", timeout=10).status_code == 404
        assert requests.get(f"{box.url}/api/1.2/", timeout=10).status_code == 200
        assert get(box, "/api/events/?category=patch-comment-created") == []
        assert len(get(box, "/api/patches/?msgid=p@x")) == 1
        assert get(box, "/api/patches/?msgid=q@x") == []


@pytest.mark.parametrize("noun", ["patches", "covers"])
def test_a_server_of_api_1_1_ignores_the_filter_by_message_id(noun: str) -> None:
    with Sandbox(api="1.1") as box:
        box.file(mail("[PATCH 0/1] a", id="c@x"))
        box.file(patch("[PATCH] a", id="p@x"))
        assert len(get(box, f"/api/{noun}/?msgid=q@x")) == 1


@pytest.mark.parametrize("wrong", [{"time_zone": "Mars/Base"}, {"api": "2.0"}])
def test_a_zone_or_version_that_is_not_known_is_a_usage_error(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="is not a"):
        Sandbox(**wrong)  # type: ignore[arg-type]
