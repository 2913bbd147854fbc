# SPDX-License-Identifier: BSD-3-Clause
"""Any history of requests, checks, looks, restarts and a lab's words comes to what an oracle says
that fits on a page."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.ledger import Request, State, open_ledger
from ingest.results import word
from ingest.sandbox import Sandbox
from ingest.sinks.check import description
from tests.support.clock import Clock
from tests.support.leftovers import memory
from tests.support.places import RECORDED
from tests.support.watching import COVER, FIRST, PATCH, SECOND, Watching

LABELS = ("iol-a", "github-robot", "github-robot-build")
# The contexts that labs post, and the labels that each is a result of.
CONTEXTS = {
    "iol-a": {"iol-a"},
    "github-robot": {"github-robot"},
    "github-robot: build": {"github-robot", "github-robot-build"},
    "iol-aa": set[str](),
}
PATCHES = {f"patch {PATCH}": {PATCH}, f"patch {FIRST}": {FIRST}, f"cover {COVER}": {FIRST, SECOND}}
BAD = ["success", "pending", "warning", "fail"]
ENDS = ("success", "warning", "fail", "cancelled")

STEPS = st.one_of(
    st.tuples(
        st.just("ask"),
        st.sampled_from(sorted(PATCHES)),
        st.lists(st.sampled_from(LABELS), min_size=1, max_size=2, unique=True),
    ),
    st.tuples(
        st.just("post"),
        st.sampled_from([PATCH, FIRST, SECOND]),
        st.sampled_from(sorted(CONTEXTS)),
        st.sampled_from(BAD),
    ),
    # On both patches of the series, of which the worst counts for the cover letter.
    st.tuples(
        st.just("test"),
        st.sampled_from(["iol-a", "github-robot: build"]),
        st.tuples(st.sampled_from(BAD), st.sampled_from(BAD)),
    ),
    st.tuples(st.just("hear"), st.sampled_from([PATCH, FIRST, SECOND]), st.sampled_from(LABELS)),
    st.tuples(st.just("say"), st.integers(0, 5), st.sampled_from(ENDS)),
    st.tuples(st.just("look")),
    st.tuples(st.just("restart")),
)
# How histories begin, so that what seldom comes together does so often enough.
COVERED: tuple[object, ...] = ("ask", f"cover {COVER}", ["iol-a", "github-robot"])
TESTED = st.permutations(BAD).map(lambda states: ("test", "iol-a", tuple(states[:2])))
OPENINGS: st.SearchStrategy[list[tuple[object, ...]]] = st.one_of(
    st.just([]),
    st.just([COVERED]),
    TESTED.map(lambda test: [COVERED, test, ("look",)]),
    TESTED.map(lambda test: [COVERED, test, ("look",), ("say", 0, "cancelled")]),
)


@dataclass
class Asked:
    """A request as the oracle knows it: the checks of each label and patch, the newest only."""

    request: Request
    patches: set[int]
    since: int  # so many checks were there before
    states: dict[str, tuple[str, str]]  # what is known of each label, and what it is known by
    newest: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)

    def is_open(self) -> bool:
        return any(state not in ENDS for state, _ in self.states.values())

    def worst(self, label: str) -> tuple[int, int] | None:
        """How bad the worst of the newest checks is, and which one that is."""
        mine = [check for (of, _), check in self.newest.items() if of == label]
        return max(((BAD.index(state), id) for id, state in mine), default=None)

    def learns(self, id: int, patch: int, label: str, state: str) -> None:
        if id < self.since or patch not in self.patches or label not in self.states:
            return
        before = self.worst(label)
        self.newest[label, patch] = id, state
        if (now := self.worst(label)) and now != before:
            self.states[label] = BAD[now[0]], str(now[1])


class Oracle:
    """What must be known, from what has happened."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.checks: list[tuple[int, str, str]] = []
        self.looked = 0

    def look(self) -> None:
        """All that came since the last look counts for each request that is open now."""
        those = [each for each in self.asked if each.is_open()]
        for id in range(self.looked, len(self.checks)):
            patch, context, state = self.checks[id]
            for each in those:
                for label in sorted(CONTEXTS[context]):
                    each.learns(id, patch, label, state)
        self.looked = len(self.checks)


def posts(watching: Watching, oracle: Oracle, patch: int, context: str, state: str) -> None:
    """A lab posts a check that says which one it is."""
    watching.posts(state, context, patch, summary=str(len(oracle.checks)))
    oracle.checks.append((patch, context, state))


def happens(step: Sequence[object], watching: Watching, oracle: Oracle) -> None:
    match step:
        case ("ask", str(on), list(labels)):
            request = watching.asks(*labels, on=on)
            states = dict.fromkeys(labels, ("asked", ""))
            oracle.asked.append(Asked(request, PATCHES[on], len(oracle.checks), states))
        case ("post", int(patch), str(context), str(state)):
            posts(watching, oracle, patch, context, state)
        case ("test", str(context), (str(first), str(second))):
            posts(watching, oracle, FIRST, context, first)
            posts(watching, oracle, SECOND, context, second)
        case ("hear", int(patch), str(label)):
            # A sink of ours says that the lab has heard, for the request that came last.
            if oracle.asked:
                ours = description(oracle.asked[-1].request)
                watching.posts("pending", label, patch, summary=ours)
                oracle.checks.append((patch, "iol-aa", "pending"))
        case ("say", int(which), str(state)) if which < len(oracle.asked):
            asked = oracle.asked[which]
            label = min(asked.states)
            said = word.result(asked.request, label, State(state), author="lab", now=0.0)
            watching.ledger.results.tell(said)
            asked.states[label] = state, ""
        case ("look",):
            watching.looks()
            oracle.look()
        case ("restart",):
            watching.begins_anew()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=1000, deadline=None)
@given(OPENINGS, st.lists(STEPS, max_size=12))
def test_any_history_comes_to_what_the_oracle_says(
    opening: list[tuple[object, ...]], rest: list[tuple[object, ...]]
) -> None:
    mboxes = [str(RECORDED / f"{name}.mbox") for name in ("patch", "series")]
    with (
        tempfile.TemporaryDirectory(dir=memory()) as folder,
        Sandbox(*mboxes, tokens={"secret": ("lab", {"ci", "dpdk"})}) as box,
    ):
        ledger = open_ledger(f"sqlite:{Path(folder)}/ledger.sqlite")
        watching, oracle = Watching(ledger, Clock(), box), Oracle()
        for step in [*opening, *rest, ("look",)]:
            happens(step, watching, oracle)
        for each in oracle.asked:
            found = ledger.results.of([each.request.number])
            assert {r.label: (r.state.value, r.summary) for r in found} == each.states
        ledger.close()
