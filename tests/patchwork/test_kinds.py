# SPDX-License-Identifier: BSD-3-Clause
"""The same sixty replies at every kind of server: all that can be known is right, nothing wrong."""

from collections import Counter

import pytest

from ingest.ledger import Ledger
from tests.support import missing, sixty

# What a kind of server has no way to tell.
UNRESOLVED = {"API 1.0": {"cut References": 6}, "freedesktop": {"cut References": 6}}


def test_there_are_sixty_replies_of_seven_groups() -> None:
    groups = Counter(case.group for case in sixty.corpus().cases)
    assert groups == {
        "patch": 12,
        "cover": 10,
        "comment": 10,
        "cut References": 6,
        "changed subject": 8,
        "v2 in reply to v1": 8,
        "cross-posted": 6,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", sixty.KINDS)
def test_of_sixty_replies_none_is_wrong(kind: str, ledger: Ledger) -> None:
    outcomes = sixty.run(kind, ledger)
    assert {group: it.wrong for group, it in outcomes.items() if it.wrong} == {}
    unresolved = {group: it.unresolved for group, it in outcomes.items() if it.unresolved}
    assert unresolved == UNRESOLVED.get(kind, {})
    assert sixty.total(outcomes, lambda it: it.right) == 60 - sum(unresolved.values())


# Questions, at most, of the first attempt at a reply whose patch is not there, and of each later.
MOST = {
    "API 1.4": (8, 6),
    "API 1.2": (6, 4),
    "API 1.1": (13, 10),
    "API 1.0": (13, 10),
    "freedesktop": (2, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sixty.KINDS)
def test_a_patch_that_is_not_there_costs_little_in_a_day(kind: str, ledger: Ledger) -> None:
    it = missing.cost(missing.filled(kind, 1100), ledger)
    first, each = MOST[kind]
    assert it.outcome == "unresolved"
    assert it.first <= first
    assert it.day <= first + each * (it.attempts - 1)
