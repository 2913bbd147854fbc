# SPDX-License-Identifier: BSD-3-Clause
"""Servers of API 1.0 and 1.1, which find no Message-ID: what is found by title, time and walk."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from ingest.errors import NotFound, NotYet
from ingest.patchwork.dialect import Clue, Lookup
from ingest.patchwork.search import sent_at
from ingest.sandbox import Sandbox
from tests.support.clock import HOUR, Clock
from tests.support.mails import cover, patch, reply
from tests.support.questions import DEV, Connect, resolve

OLD = "1.1"


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("Re: [PATCH v2 1/2] net/foo: one", "net/foo: one"),
        ("[dpdk-dev] Re: [PATCH] a, b: fix", "a b: fix"),
        ("AW: WG fix it", "WG fix it"),
        ("re:re: Fwd: [EXTERNAL] [RFC] x", "x"),
        ("[PATCH]", ""),
        ("", ""),
        ("[unclosed title", "[unclosed title"),
    ],
)
def test_the_title_is_what_is_left_without_what_stands_before_it(subject: str, title: str) -> None:
    assert Clue(subject).title == title


@pytest.mark.parametrize(
    ("message_id", "at"),
    [
        ("20260302090000.1-1-a@example.org", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        ("cover.1772442000.git.a@example.org", datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
        ("20261302090000.1-1-a@example.org", None),
        ("a.b@example.org", None),
    ],
)
def test_the_time_in_an_id(message_id: str, at: datetime | None) -> None:
    assert sent_at(message_id) == at


@dataclass
class Old:
    """A server of API 1.1 with many series, and what replies to them came to."""

    box: Sandbox
    right: int = 0
    unresolved: int = 0
    wrong: int = 0

    def came_to(self, found: int | None, expected: int) -> None:
        self.right += found == expected
        self.unresolved += found is None
        self.wrong += found not in (None, expected)


COUNT = 60


def of(number: int) -> str:
    """The Message-ID of a patch; half of them name their time."""
    if number % 2:
        return f"odd-{number}@example.org"
    day = 1 + number // 24
    return f"202309{day:02}{number % 24:02}0000.{number}-1-a@example.org"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["patch", "cover", "comment", "comment without references"])
def test_sixty_replies_of_a_kind_are_right_or_unresolved_and_never_wrong(
    kind: str, connect: Connect, clock: Clock
) -> None:
    old = Old(Sandbox(api=OLD))
    with old.box as box:
        for number in range(COUNT):
            title = f"area{number}: fix the case {number}"
            make = cover if kind == "cover" else patch
            prefix = "[PATCH 0/1]" if kind == "cover" else "[PATCH]"
            box.file(make(of(number), f"{prefix} {title}", date=sent(number)))
            if kind == "cover":
                box.file(
                    patch(
                        f"p-{number}@example.org", f"[PATCH 1/1] {title} a", in_reply_to=of(number)
                    )
                )
            if kind.startswith("comment"):
                box.file(
                    reply(
                        of(number),
                        f"c-{number}@example.org",
                        subject=f"Re: [PATCH] {title}",
                        list_id=DEV,
                    )
                )
        expected = {of(number): 29430 + number for number in range(COUNT)}
        patchwork = connect(box.url)
        for number in range(COUNT):
            clock += HOUR  # the one who asks has a budget
            title = f"area{number}: fix the case {number}"
            answers = f"c-{number}@example.org" if kind.startswith("comment") else of(number)
            references = [of(number), answers] if kind == "comment" else [answers]
            raw = reply(
                answers,
                f"r-{number}@example.org",
                references=references,
                subject=f"Re: [PATCH] {title}",
                list_id=DEV,
            )
            if kind.startswith("comment"):
                box.file(raw)
            try:
                old.came_to(resolve(patchwork, raw).series, expected[of(number)])
            except (NotFound, NotYet):
                old.came_to(None, expected[of(number)])
    assert (old.right, old.wrong) == (COUNT, 0)


def sent(number: int) -> str:
    """A patch's date."""
    return f"{1 + number // 24:02} Sep 2023 {number % 24:02}:00:00 +0000"


def test_a_patch_whose_reply_has_another_subject_is_found_by_the_time_in_its_id(
    connect: Connect,
) -> None:
    with Sandbox(api=OLD) as box:
        for number in range(COUNT):
            box.file(patch(of(number), f"[PATCH] area{number}: fix it", date=sent(number)))
        raw = reply(of(10), subject="Re: something else", list_id=DEV)
        assert resolve(connect(box.url), raw).series == 29440


def test_a_walk_finds_what_neither_title_nor_id_tells_and_is_not_done_again_within_an_hour(
    connect: Connect, clock: Clock
) -> None:
    with Sandbox(api=OLD) as box:
        for number in range(COUNT):
            box.file(patch(of(number), f"[PATCH] area{number}: fix it", date=sent(number)))
        patchwork = connect(box.url)
        assert (
            resolve(patchwork, reply(of(11), subject="Re: something else", list_id=DEV)).series
            == 29441
        )
        missing = reply(
            "missing@example.org", "m@example.org", subject="Re: something else", list_id=DEV
        )
        costs = []
        for pause in (0.0, 60.0, HOUR):
            clock += pause
            before = len(box.requests)
            with pytest.raises(NotFound):
                resolve(patchwork, missing)
            costs.append(len(box.requests) - before)
        assert costs[1] < costs[0]
        assert costs[2] > costs[1]


def test_a_row_of_another_message_id_never_counts(connect: Connect) -> None:
    with Sandbox(api=OLD) as box:
        box.file(patch("other@example.org", "[PATCH] area: fix it"))
        trail: list[Lookup] = []
        with pytest.raises(NotFound):
            resolve(
                connect(box.url),
                reply("a@example.org", subject="Re: [PATCH] area: fix it", list_id=DEV),
                trail,
            )
        assert "this API finds no Message-ID" in trail[0].answer
