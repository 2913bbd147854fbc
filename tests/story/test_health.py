# SPDX-License-Identifier: BSD-3-Clause
"""How the whole is doing, in a line: what is well, and what is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ingest.story import health
from ingest.story.feeds import FeedState, Seen
from ingest.story.status import CatchingUp, Hindrance, Server, Sink, Status

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


SEEN = Seen("smtp", "dev.example.org", 9, ago(days=9), ago(minutes=4), 60.0, False)
SINK = Sink(
    "webhook:/a/path", True, 5, 0, NOW, None, 0, None, None, 0, 0, "at 5", None
)  # fmt: skip
WELL = Status(
    now=NOW,
    ledger="sqlite:/a/path",
    patchwork="https://patches.example.org",
    patchwork_answered=ago(seconds=30),
    mails={"queued": 0, "done": 3},
    waiting={},
    oldest=None,
    due=None,
    last_received=ago(minutes=9),
    requests=5,
    overdue=0,
    last_request=5,
    sinks=(SINK,),
    consumers=(),
    held=(),
    catch_up=None,
    feeds=(FeedState("inbox.dev", None, NOW, 0, None),),
    troubles=(),
    seen=(SEEN,),
    notices=(),
    ledger_size=1,
)
STUCK = replace(SINK, lag=2, tries=3, reason="/a/path: no such file")


def test_when_all_is_well_four_signs_say_so() -> None:
    assert [(each.of, each.well, each.text) for each in health.signs(WELL)] == [
        ("mail", True, "last mail 4 min ago"),
        ("Patchwork", True, "answered 30 s ago"),
        ("queue", True, "nothing waits"),
        ("sinks", True, "all sinks up to date"),
    ]


@pytest.mark.parametrize(
    ("change", "of", "well", "text"),
    [
        ({"seen": (), "last_received": None}, "mail", False, "no mail has come yet"),
        ({"seen": ()}, "mail", True, "last mail 9 min ago"),
        (
            {"seen": (replace(SEEN, silent=True, last=ago(days=3)),)},
            "mail",
            False,
            "nothing from dev.example.org for unusually long; last mail 9 min ago",
        ),
        (
            {"feeds": (FeedState("inbox.dev", None, NOW, 4, "/a/path: no"),)},
            "mail",
            False,
            "1 feed cannot be read; last mail 4 min ago",
        ),
        (
            {"waiting": {"down": 2}},
            "Patchwork",
            False,
            "gives no answer, and 2 mails must wait for that",
        ),
        (
            {"servers": (Server("", "/a/path", NOW, NOW, "no"),)},
            "Patchwork",
            False,
            "gives no answer",
        ),
        (
            {"servers": (Server("", "/a/path", NOW, NOW), Server("b", "/a/path", NOW))},
            "Patchwork",
            False,
            "1 of 2 servers give no answer",
        ),
        ({"sinks": (replace(SINK, paused=NOW),)}, "sinks", False, "1 sink paused"),
        ({"patchwork_answered": None}, "Patchwork", True, "not asked yet"),
        (
            {"mails": {"queued": 1}, "oldest": ago(hours=3), "due": NOW},
            "queue",
            True,
            "1 mail waiting, the oldest for 3 h",
        ),
        (
            {"mails": {"queued": 2}, "oldest": ago(hours=3), "due": ago(minutes=6)},
            "queue",
            False,
            "2 mails waiting, the oldest for 3 h; nobody works on them",
        ),
        ({"sinks": ()}, "sinks", True, "no sink yet"),
        ({"sinks": (STUCK,)}, "sinks", False, "1 sink behind"),
        ({"sinks": (replace(SINK, lag=2),)}, "sinks", True, "all sinks up to date"),
        ({"sinks": (replace(STUCK, configured=False),)}, "sinks", True, "no sink yet"),
        (
            {"sinks": (replace(SINK, skipped=1, aside=2),)},
            "sinks",
            False,
            "3 requests not handed over",
        ),
        ({"overdue": 2}, "results", False, "2 labels overdue"),
        (
            {"catch_up": CatchingUp(None, 1, "no")},
            "catching up",
            False,
            "Patchwork's comments cannot be read",
        ),
        (
            {"troubles": (Hindrance("worker", NOW, "/a/path"),)},
            "service",
            False,
            "1 part of the service in trouble",
        ),
    ],
)
def test_what_anybody_should_know(
    change: dict[str, object], of: str, well: bool, text: str
) -> None:
    signs = {each.of: each for each in health.signs(replace(WELL, **change))}  # type: ignore[arg-type]
    assert (signs[of].well, signs[of].text) == (well, text)


def test_a_sink_in_trouble_is_told_once() -> None:
    stuck = replace(WELL, sinks=(STUCK,), troubles=(Hindrance(STUCK.name, NOW, "no"),))
    assert [each.of for each in health.signs(stuck) if not each.well] == ["sinks"]


def test_nobody_reads_a_path_or_a_reason() -> None:
    everything = replace(
        WELL,
        sinks=(STUCK,),
        feeds=(FeedState("inbox./a/path", None, NOW, 4, "/a/path"),),
        troubles=(Hindrance("worker", NOW, "/a/path"),),
    )
    assert "/a/path" not in "".join(each.text for each in health.signs(everything))
