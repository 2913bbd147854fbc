# SPDX-License-Identifier: BSD-3-Clause
"""Replies to comments: found by the events of Patchwork's own threading."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from ingest.errors import NotFound
from ingest.patchwork.lookup import Target
from ingest.sandbox import Sandbox
from tests.support.bad_server import Hell, patch_row, rows, text
from tests.support.clock import Clock
from tests.support.mails import cover, patch, reply
from tests.support.questions import DEV, Connect, queries, resolve


def of_now(clock: Clock, **fields: Any) -> bytes:
    """A reply to a comment, without References, of the clock's time."""
    date = format_datetime(datetime.fromtimestamp(clock(), UTC))
    return reply("comment@example.org", list_id=DEV, date=date, **fields)


@pytest.mark.parametrize("kind", ["patch", "cover"])
def test_a_reply_to_a_comment_is_resolved_by_patchworks_own_threading(
    kind: str, box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(patch("top@example.org") if kind == "patch" else cover("top@example.org"))
    box.file(reply("top@example.org", "comment@example.org", list_id=DEV))
    ours = of_now(clock)
    box.file(ours)
    found = resolve(connect(box.url), ours)
    number = 131182 if kind == "patch" else 442
    assert found == Target(29430, kind, number, "dpdk")


@pytest.mark.parametrize("message_id", ["fünf@example.org", "日本@example.org"])
def test_an_id_that_patchwork_cannot_keep_is_resolved_by_the_comments_event(
    message_id: str, box: Sandbox, connect: Connect, clock: Clock
) -> None:
    # Patchwork puts U+FFFD for each byte that is not ASCII: no id to be sure of.
    date = format_datetime(datetime.fromtimestamp(clock(), UTC))
    ours = reply(message_id, list_id=DEV, date=date)
    for raw in (patch("decoy@example.org"), patch(message_id), ours):
        box.file(raw)
    assert resolve(connect(box.url), ours).series == 29431


@pytest.mark.parametrize("kind", ["patch", "cover"])
def test_the_event_of_a_comment_is_looked_for_on_every_page(
    kind: str, box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(patch("top@example.org") if kind == "patch" else cover("top@example.org"))
    box.file(reply("top@example.org", "comment@example.org", list_id=DEV))
    ours = of_now(clock)
    box.file(ours)
    for number in range(110):
        clock += 1
        box.file(reply("top@example.org", f"{number}@example.org", list_id=DEV))
    assert resolve(connect(box.url), ours).series == 29430
    pages = [
        query.get("page", ["1"])
        for query in queries(box, "/api/events/")
        if query["category"] == [f"{kind}-comment-created"]
    ]
    assert pages == [["1"], ["2"]]


def test_comment_events_are_asked_for_around_the_mails_own_date(
    hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    raw = reply("comment@example.org", date="Wed, 06 Sep 2023 23:30:15 -0400")
    with pytest.raises(NotFound):
        resolve(connect(hell.url), raw)
    asked_for = [seen.query for seen in hell.seen if seen.path == "/api/events/"]
    assert asked_for == [
        {
            "category": [f"{kind}-comment-created"],
            "per_page": ["100"],
            "since": ["2023-09-07T02:30:15"],
            "before": ["2023-09-10T03:30:15"],
        }
        for kind in ("patch", "cover")
    ]


@pytest.mark.parametrize(
    ("date", "since"),
    [
        ("", "2023-11-14T21:13:20"),
        ("yesterday", "2023-11-14T21:13:20"),
        ("Wed, 06 Sep 0500 09:00:00 +0000", "0500-09-06T08:00:00"),
        ("Wed, 06 Sep 1923 09:00:00 +0000", "1923-09-06T08:00:00"),
        ("Fri, 31 Dec 9999 23:59:59 +0000", None),
    ],
)
def test_a_date_that_is_none_is_replaced_and_an_impossible_one_asks_nothing(
    date: str, since: str | None, hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org", date=date))
    found = {seen.query["since"][0] for seen in hell.seen if seen.path == "/api/events/"}
    assert found == ({since} if since else set())


def test_a_mail_without_an_id_has_no_event(hell: Hell, connect: Connect) -> None:
    hell.will(rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org", ""))
    assert [seen.path for seen in hell.seen] == ["/api/patches/", "/api/covers/"]


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"payload": None},
        {"payload": []},
        {"payload": {"comment": None, "patch": None}},
        {"payload": {"comment": [], "patch": []}},
        {"payload": {"comment": {}, "patch": {}}},
        {"payload": {"comment": {"msgid": "<recheck@example.org>"}, "patch": {"id": "7"}}},
        {"payload": {"comment": {"msgid": "<recheck@example.org>"}, "patch": {"id": True}}},
        {"payload": {"comment": {"msgid": "recheck@example.org"}, "patch": {"id": 7}}},
        {"payload": {"comment": {"msgid": None}, "patch": {"id": 7}}},
        {"payload": {"comment": {"msgid": "<recheck@example.org>"}, "cover": {"id": -1}}},
    ],
    ids=str,
)
def test_an_event_of_another_shape_is_none_of_ours(
    event: dict[str, Any], hell: Hell, connect: Connect
) -> None:
    hell.route(lambda seen: rows(event) if seen.path == "/api/events/" else rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org"))


def test_what_an_event_names_has_to_be_what_is_found(hell: Hell, connect: Connect) -> None:
    event = {
        "payload": {
            "patch": {"id": 7, "msgid": "<patch@example.org>"},
            "comment": {"msgid": "<recheck@example.org>"},
        }
    }
    found = patch_row("other@example.org", id=7)
    answers = {
        "/api/events/": lambda: rows(event),
        "/api/patches/7/": lambda: text(json.dumps(found)),
    }
    hell.route(lambda seen: answers.get(seen.path, rows)())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org"))
    found = patch_row("patch@example.org", id=7)
    target = resolve(connect(hell.url), reply("comment@example.org"))
    assert target == Target(29430, "patch", 7, "ci")
