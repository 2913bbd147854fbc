# SPDX-License-Identifier: BSD-3-Clause
"""How many may ask: rates over random histories, against an oracle that knows only the words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.mail.recheck import Recheck
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from ingest.policy import rules
from ingest.policy.rules import History, Standing

NOON = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
ROBIN = Requester("Robin Reviewer", "robin@example.org")


@dataclass(frozen=True)
class Granted:
    """A request that was recorded."""

    at: float
    by: str
    series: int
    proved: bool


def history(granted: Sequence[Granted], now: float) -> History:
    """What the ledger tells of these at a time."""

    def told(seconds: float, most: int, who: str, series: int, proved: bool) -> list[float]:
        found = [
            each.at
            for each in reversed(granted)
            if each.at > now - seconds
            and who in ("", each.by)
            and series in (0, each.series)
            and (each.proved or not proved)
        ]
        return found[:most]

    return told


# Two groups, one of which must prove who it is; three labels; rates of all kinds.
LABELS = ("cheap-1", "dear-1", "dear-2")
POLICY = PolicySettings(
    group={
        "insiders": GroupSettings(senders=("@anna.org",), require=("dkim",)),
        "friends": GroupSettings(senders=("bert@bert.org",), labels=("dear-1",)),
    },
    submitter_labels=("cheap-*",),
    rate_sender=("2 per hour", "3 per day"),
    rate_series=("3 per 2 hours",),
    rate=("5 per hour",),
)
STEP = st.tuples(
    st.sampled_from(["anna", "bert", "carl"]),
    st.booleans(),  # whether the author was proved
    st.sets(st.sampled_from(LABELS), min_size=1),
    st.sampled_from([1, 2]),
    st.sampled_from(["anna", "bert", "carl"]),
    st.integers(0, 40 * 60),
)


def is_allowed(name: str, proved: bool, submitter: str, label: str) -> bool:
    """The oracle, of a label."""
    if name == "anna" and proved:
        return True
    if name == "bert" and label == "dear-1":
        return True
    return name == submitter and fnmatchcase(label, "cheap-*")


def is_too_much(granted: Sequence[Granted], now: float, step: Granted) -> bool:
    """The oracle, of rates."""
    seen = [each for each in granted if each.proved or not step.proved]

    def count(since: float, by: str = "", series: int = 0, among: Any = seen) -> int:
        return len(
            [
                each
                for each in among
                if each.at > now - since
                and (not by or each.by == by)
                and (not series or each.series == series)
            ]
        )

    left = 5 - count(HOUR, among=granted)
    unproved = [each for each in granted if not each.proved]
    return (
        (not step.proved and count(HOUR, among=unproved) >= left)
        or left <= 0
        or count(HOUR, step.by) >= 2
        or count(DAY, step.by) >= 3
        or count(2 * HOUR, series=step.series) >= 3
        or count(HOUR, step.by) >= left
    )


def asks(name: str) -> Requester:
    return Requester("", f"{name}@{name}.org")


@settings(max_examples=1000, deadline=None)
@given(st.lists(STEP, max_size=16))
@pytest.mark.slow
def test_what_is_allowed_agrees_with_an_oracle(
    steps: list[tuple[str, bool, set[str], int, str, int]],
) -> None:
    granted: list[Granted] = []
    now = NOON
    for name, proved, labels, series, submitter, after in steps:
        now += after
        standing = Standing(submitter=f"{submitter}@{submitter}.org")
        wanted = Recheck(tuple(sorted(labels)), {}, ())
        trust = Trust("", "dkim" if proved else "")
        kept, _ = rules.by_sender(POLICY, asks(name), standing, wanted, trust)
        told = history(granted, now)
        over = rules.by_rate(POLICY, asks(name), series, now, told, proved=proved)
        this = Granted(now, asks(name).key, series, proved)
        right = {each for each in labels if is_allowed(name, proved, submitter, each)}
        assert set(kept.contexts if kept else ()) == right
        assert bool(over) == is_too_much(granted, now, this)
        if kept and not over:
            granted.append(this)


FAIR = PolicySettings(rate=("10 per hour",))
PROVING = PolicySettings(rate=("10 per hour",), dkim=True)
# Who asks, whether the author was proved, and how many seconds later.
ASKING = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(0, 900)), max_size=60
)


def played(
    steps: Sequence[tuple[str, bool, int]], policy: PolicySettings = FAIR
) -> list[tuple[Granted, bool]]:
    """What becomes of these requests, and whether each was granted."""
    granted: list[Granted] = []
    seen = []
    now = NOON
    for name, proved, after in steps:
        now += after
        this = Granted(now, asks(name).key, 1, proved)
        told = history(granted, now)
        over = rules.by_rate(policy, asks(name), 1, now, told, proved=proved)
        seen.append((this, not over))
        if not over:
            granted.append(this)
    return seen


@settings(max_examples=300, deadline=None)
@given(ASKING, st.booleans())
@pytest.mark.slow
def test_whoever_has_had_nothing_is_granted_something_until_all_is_used_up(
    steps: list[tuple[str, bool, int]], proves: bool
) -> None:
    """Where authors are proved, those who were not are one sender together. Of all there are never
    more than the rate says."""
    had: list[Granted] = []
    for this, is_granted in played(steps, PROVING if proves else FAIR):
        within = [each for each in had if each.at > this.at - HOUR]
        if proves and not this.proved:
            own = [each for each in within if each.by == this.by or not each.proved]
        else:
            own = [each for each in within if each.by == this.by and each.proved >= this.proved]
        if not own and len(within) < 10:
            assert is_granted
        if is_granted:
            assert len(within) < 10
            had.append(this)


@settings(max_examples=300, deadline=None)
@given(ASKING)
@pytest.mark.slow
def test_what_is_not_proved_leaves_half_of_the_overall_rate(
    steps: list[tuple[str, bool, int]],
) -> None:
    had: list[Granted] = []
    for this, is_granted in played(steps, PROVING):
        if is_granted and not this.proved:
            had.append(this)
        assert sum(each.at > this.at - HOUR for each in had) <= 5


OF_ONE = PolicySettings(rate_sender=("3 per hour",), rate_series=("5 per hour",))


@settings(max_examples=300, deadline=None)
@given(ASKING)
@pytest.mark.slow
def test_what_is_not_proved_uses_up_no_rate_of_a_sender_or_series_of_who_is(
    steps: list[tuple[str, bool, int]],
) -> None:
    def of_proved(seen: Sequence[tuple[Granted, bool]]) -> list[tuple[Granted, bool]]:
        return [each for each in seen if each[0].proved]

    alone: list[tuple[str, bool, int]] = []
    skipped = 0
    for name, proved, after in steps:
        skipped += after
        if proved:
            alone.append((name, proved, skipped))
            skipped = 0
    assert of_proved(played(steps, OF_ONE)) == played(alone, OF_ONE)


def most_of_one(count: int) -> int:
    """How many of so many requests in a row one sender is granted."""
    return sum(is_granted for _, is_granted in played([("a", False, 1)] * count))


def test_one_sender_gets_half_of_the_overall_rate_and_leaves_the_rest() -> None:
    assert most_of_one(100) == 5
    others = [(each, False, 1) for each in "bcdef"]
    seen = played([("a", False, 1)] * 100 + others)
    assert [is_granted for _, is_granted in seen[100:]] == [True] * 5


def test_a_rate_of_one_is_for_the_first_who_asks() -> None:
    policy = PolicySettings(rate=("1 per hour",))
    assert rules.by_rate(policy, ROBIN, 1, NOON, history([], NOON)) == ""
    had = [Granted(NOON, "alex@example.org", 1, False)]
    assert rules.by_rate(policy, ROBIN, 1, NOON + 1, history(had, NOON + 1)) != ""


def again(reason: str) -> float:
    """The time that a reason tells."""
    return datetime.fromisoformat(reason.split(" from ")[1].split(" ")[0]).timestamp()


EVERY = PolicySettings(
    rate_sender=("2 per hour",),
    rate_series=("3 per 2 hours",),
    rate=("5 per hour", "9 per day"),
    dkim=True,
)
HISTORY = st.lists(
    st.tuples(
        st.sampled_from(["robin@example.org", "b", "c"]),
        st.integers(1, 2),
        st.floats(0, DAY),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=1000, deadline=None)
@given(HISTORY, st.booleans())
@pytest.mark.slow
def test_the_time_that_is_told_is_the_first_at_which_a_request_is_allowed(
    before: list[tuple[str, int, float, bool]], proved: bool
) -> None:
    granted = sorted(
        (Granted(NOON - ago, by, series, was) for by, series, ago, was in before),
        key=lambda each: each.at,
    )

    def over(at: float) -> str:
        return rules.by_rate(EVERY, ROBIN, 1, at, history(granted, at), proved=proved)

    if not (reason := over(NOON)):
        return
    at = again(reason)
    assert over(at) == ""
    # It is told in whole seconds.
    early = at - 1.001
    if early > NOON:
        assert over(early) != ""


# A rate of each kind, what was granted before, and what is told before the time.
TOLD: dict[str, tuple[PolicySettings, list[Granted], str]] = {
    "of a sender": (
        PolicySettings(rate_sender=("2 per hour",), rate=("2 per minute",)),
        [Granted(NOON - 1800, ROBIN.key, 1, False), Granted(NOON - 1, ROBIN.key, 1, False)],
        f"rate_sender: there were 2 per hour of {ROBIN} already",
    ),
    "for a series": (
        PolicySettings(rate_series=("1 per hour",)),
        [Granted(NOON - 1800.5, "b", 1, False)],
        "rate_series: there were 1 per hour for series 1 already",
    ),
    "in all": (
        PolicySettings(rate=("2 per hour",)),
        [Granted(NOON - 1800, "b", 1, False), Granted(NOON - 1, "c", 1, False)],
        "rate: there were 2 per hour in all already",
    ),
    "a share": (
        PolicySettings(rate=("2 per hour",)),
        [Granted(NOON - 1800, ROBIN.key, 1, False)],
        f"rate: of 2 per hour in all, {ROBIN} has had 1: others come first",
    ),
    "what is left for who is proved": (
        PolicySettings(rate=("2 per hour",), dkim=True),
        [Granted(NOON - 1800, "b", 1, False)],
        "rate: of 2 per hour in all, senders not proved have had 1",
    ),
}


@pytest.mark.parametrize(("policy", "before", "told"), TOLD.values(), ids=TOLD)
def test_the_reason_says_which_rate_and_from_when_on(
    policy: PolicySettings, before: list[Granted], told: str
) -> None:
    reason = rules.by_rate(policy, ROBIN, 1, NOON, history(before, NOON))
    assert reason == f"policy {told}; the next one may come from 2023-11-14T22:43:20Z on"
