# SPDX-License-Identifier: BSD-3-Clause
"""How often a person is told, and what forged mail does to that: nothing."""

from typing import Any

import pytest

from ingest.ledger import Request
from ingest.mail.trust import Trust
from ingest.policy.manners import Manners
from tests.support.retest_files import asked

ROBIN, ALEX = "Robin <robin@example.org>", "Alex <alex@example.org>"
PROVED = Trust("", "dkim")
NOON = 1_700_000_000.0


def at(seconds: float, number: int, **other: Any) -> Request:
    return asked(number, **{"requester": ROBIN, "recorded": NOON + seconds, **other})


# Requests in order, of which the last is judged, and whether it comes too soon.
SOON: dict[str, tuple[list[Request], bool]] = {
    "the first": ([at(0, 1)], False),
    "a moment later": ([at(0, 1), at(1, 2)], True),
    "an hour later": ([at(0, 1), at(3600, 2)], False),
    "an hour after the one that was told of": ([at(0, 1), at(1800, 2), at(3600, 3)], False),
    "half an hour after the one that was told of": (
        [at(0, 1), at(1800, 2), at(3600, 3), at(5400, 4)],
        True,
    ),
    "another address": ([at(0, 1), at(1, 2, requester=ALEX)], False),
    "the address in other letters": ([at(0, 1), at(1, 2, requester="ROBIN@example.org")], True),
    "proved, after a forged one": ([at(0, 1), at(1, 2, trust=PROVED)], False),
    "proved, after a proved one": ([at(0, 1, trust=PROVED), at(1, 2, trust=PROVED)], True),
    "forged, after a proved one": ([at(0, 1, trust=PROVED), at(1, 2)], True),
}


@pytest.mark.parametrize(("requests", "is_too_soon"), SOON.values(), ids=SOON)
def test_one_series_is_told_of_once_in_a_while(requests: list[Request], is_too_soon: bool) -> None:
    manners = Manners(series_interval=3600)
    assert bool(manners.too_soon(requests[-1], requests)) is is_too_soon


def test_forged_requests_use_up_no_answers_of_who_is_proved() -> None:
    manners = Manners(per_day=2)
    forged = [at(n, n) for n in range(1, 50)]
    assert manners.too_many(at(99, 99), forged) != ""
    genuine = at(100, 100, trust=PROVED)
    assert manners.too_many(genuine, forged) == ""
    proved = [at(97, 97, trust=PROVED), at(98, 98, trust=PROVED)]
    assert manners.too_many(genuine, [*forged, *proved]).startswith("2 requests of robin@")
