# SPDX-License-Identifier: BSD-3-Clause
"""Replies to comments: found by the events of Patchwork's own threading."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from ingest.errors import NotFound
from ingest.patchwork.dialect import Lookup, Target
from ingest.sandbox import Sandbox
from tests.support.bad_server import Hell, patch_row, rows, text
from tests.support.clock import Clock
from tests.support.mails import cover, patch, reply
from tests.support.missed_mails import Made
from tests.support.questions import DEV, Connect, paths, queries, resolve


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


def events_asked_for(hell: Hell) -> list[tuple[str, str | None]]:
    """Since when and until when events of comments on patches were asked for."""
    return [
        (seen.query["since"][0], seen.query.get("before", [None])[0])
        for seen in hell.seen
        if seen.query.get("category") == ["patch-comment-created"]
    ]


def test_comment_events_are_asked_for_from_a_day_before_the_mails_own_date(
    hell: Hell, connect: Connect
) -> None:
    """They may be dated in any zone."""
    hell.will(rows())
    raw = reply("comment@example.org", date="Tue, 14 Nov 2023 16:30:15 -0400")
    with pytest.raises(NotFound):
        resolve(connect(hell.url), raw)
    assert events_asked_for(hell) == [("2023-11-13T19:30:15", None)]


@pytest.mark.parametrize(
    ("date", "windows"),
    [
        ("", []),
        ("yesterday", []),
        ("Fri, 31 Dec 9999 23:59:59 +0000", []),
        (
            "Wed, 06 Sep 2023 23:30:15 -0400",
            [("2023-09-06T02:30:15", "2023-09-11T03:30:15")],
        ),
        ("Wed, 06 Sep 1923 09:00:00 +0000", [("1923-09-05T08:00:00", "1923-09-10T09:00:00")]),
    ],
)
def test_of_a_mail_that_came_long_after_its_date_both_times_count(
    date: str, windows: list[tuple[str, str]], hell: Hell, connect: Connect
) -> None:
    hell.will(rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org", date=date))
    assert events_asked_for(hell) == [("2023-11-13T21:13:20", None), *windows]


def test_a_mail_without_an_id_has_no_event(hell: Hell, connect: Connect) -> None:
    hell.will(rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org", ""))
    assert [seen.path for seen in hell.seen] == ["/api/patches/", "/api/covers/"]


def test_events_that_were_searched_are_not_searched_again(
    box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(patch("top@example.org"))
    for number in range(250):
        box.file(reply("top@example.org", f"{number}@example.org", list_id=DEV))
    ours = of_now(clock)
    patchwork = connect(box.url)
    with pytest.raises(NotFound):
        resolve(patchwork, ours)
    assert len(queries(box, "/api/events/")) == 4
    box.requests.clear()
    clock += 60
    box.file(reply("top@example.org", "comment@example.org", list_id=DEV))
    box.file(ours)
    assert resolve(patchwork, ours).series == 29430
    assert len(queries(box, "/api/events/")) == 1


def test_a_server_of_an_older_api_is_asked_for_no_events(connect: Connect, clock: Clock) -> None:
    with Sandbox(api="1.2") as box:
        box.file(patch("top@example.org"))
        trail: list[Lookup] = []
        with pytest.raises(NotFound):
            resolve(connect(box.url), of_now(clock), trail)
        assert paths(box).count("/api/events/") == 0
        assert Lookup("comment events", "this server has none: they came with API 1.3") in trail


def test_on_a_server_of_an_older_api_a_reply_to_a_comment_is_found_by_the_comments(
    connect: Connect, clock: Clock
) -> None:
    with Sandbox(api="1.2") as box:
        box.file(patch("decoy@example.org"))
        box.file(patch("top@example.org"))
        box.file(reply("top@example.org", "comment@example.org", list_id=DEV))
        references = ["top@example.org", "decoy@example.org", "comment@example.org"]
        ours = of_now(clock, references=references)
        assert resolve(connect(box.url), ours).series == 29431


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
    hell.will(rows())
    hell.route(lambda seen: rows(event) if seen.path == "/api/events/" else None)
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org"))


def test_what_an_event_names_has_to_be_what_is_found(hell: Hell, connect: Connect) -> None:
    event = Made(1, 0.0).event(
        payload={
            "patch": {"id": 7, "msgid": "<patch@example.org>"},
            "comment": {"id": 1, "msgid": "<recheck@example.org>"},
        }
    )
    found = patch_row("other@example.org", id=7)
    answers = {
        "/api/events/": lambda: rows(event),
        "/api/patches/7/": lambda: text(json.dumps(found)),
    }
    hell.will(rows())
    hell.route(lambda seen: answers[seen.path]() if seen.path in answers else None)
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply("comment@example.org"))
    found = patch_row("patch@example.org", id=7)
    target = resolve(connect(hell.url), reply("comment@example.org"))
    assert target == Target(29430, "patch", 7, "ci")
