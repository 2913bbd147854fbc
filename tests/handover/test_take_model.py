# SPDX-License-Identifier: BSD-3-Clause
"""Any sequence of what recorders, the sink, takers of every kind, other programs and labs that
move the file away may do: nothing is lost, and what was taken for good does not come again."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.support.desk import HOLD, Desk, labels
from tests.support.ledgers import LEDGERS
from tests.support.leftovers import memory

SERIES = st.integers(1, 2)
# Of their own, or such as others ask for, too.
SHARED = ["a-s", "b-s"]
LETTERS = st.sampled_from(["a", "b", "ab", ""])
REBASE = st.sampled_from(["", "v1", "v2"])
CONSUMERS = st.sampled_from(["default", "default", "lab"])

# Series, context or "", and whether it comes with the argument.
Wish = tuple[str, str, bool]


@dataclass
class Asked:
    """A request, and what of it has not reached which consumer."""

    number: int
    missing: dict[str, set[Wish]]


class Machine(RuleBasedStateMachine):
    """A desk, and who has got what."""

    ledger_kind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=memory())
        folder = Path(self.folder.name)
        self.desk = Desk(folder, LEDGERS[self.ledger_kind](folder))
        self.asked: list[Asked] = []
        # Of other programs; they have to leave the file in one way or the other.
        self.elsewhere: set[Wish] = set()
        self.for_good: dict[str, list[Wish]] = {"default": [], "lab": []}
        self.held: dict[str, tuple[str, set[Wish]]] = {}
        self.count = 0

    def teardown(self) -> None:
        try:
            self.at_last()
        finally:
            self.folder.cleanup()

    def label(self, letter: str, shared: bool) -> str:
        self.count += 1
        return f"{letter}-s" if shared else f"{letter}-{self.count}"

    def received(self, consumer: str, wishes: set[Wish]) -> None:
        """The consumer has these for good: its requests that wanted them have reached it."""
        self.for_good[consumer] += [
            wish for wish in wishes if wish[1] not in ("", *SHARED) and not wish[2]
        ]
        for each in self.asked:
            each.missing[consumer] -= wishes
        if consumer == "default":
            self.elsewhere -= wishes

    # What happens

    @rule(series=SERIES, shared=st.booleans(), letters=LETTERS, rebase=REBASE)
    def asks(self, series: int, shared: bool, letters: str, rebase: str) -> None:
        names = [self.label(letter, shared) for letter in letters]
        if not names and not rebase:
            return
        number = self.desk.asks(*names, series=series, rebase=rebase)
        wishes = {(str(series), name, bool(rebase)) for name in names or [""]}
        self.asked.append(Asked(number, {consumer: set(wishes) for consumer in self.for_good}))

    @rule()
    def publishes(self) -> None:
        self.desk.publishes()

    @rule(series=SERIES, shared=st.booleans(), letter=st.sampled_from("ab"))
    def another_program_writes(self, series: int, shared: bool, letter: str) -> None:
        name = self.label(letter, shared)
        self.desk.writes(str(series), name)
        self.elsewhere.add((str(series), name, False))

    @rule(seconds=st.sampled_from([1.0, HOLD / 2, HOLD]))
    def passes(self, seconds: float) -> None:
        self.desk.clock += seconds

    @rule()
    def moves_away(self) -> None:
        self.received("default", wishes_of(self.desk.moved_away()))
        # What was in a batch, too, was given twice, and by nobody's fault.
        self.held = {id: held for id, held in self.held.items() if held[0] != "default"}

    @rule(consumer=CONSUMERS, single=st.booleans())
    def takes(self, consumer: str, single: bool) -> None:
        self.received(consumer, wishes_of(self.desk.takes(consumer, single=single)))

    @rule(consumer=CONSUMERS, single=st.booleans())
    def holds(self, consumer: str, single: bool) -> None:
        got = self.desk.takes(consumer, single=single, hold=True)
        if got["batch"]:
            self.held[got["batch"]] = (consumer, wishes_of(got))
        else:
            assert labels(got) == []

    @rule(data=st.data())
    def acknowledges(self, data: st.DataObject) -> None:
        if not self.held:
            return
        id = data.draw(st.sampled_from(sorted(self.held)))
        consumer, wishes = self.held.pop(id)
        if self.desk.acknowledges(id):
            self.received(consumer, wishes)

    # What must be so

    @invariant()
    def the_file_is_a_document(self) -> None:
        if self.desk.retests.exists():
            self.desk.document()

    @invariant()
    def what_was_taken_for_good_did_not_come_again(self) -> None:
        for got in self.for_good.values():
            assert len(got) == len(set(got))

    @invariant()
    def what_other_programs_wrote_is_there_until_it_is_taken(self) -> None:
        there = wishes_of(self.desk.document()) if self.desk.retests.exists() else set()
        assert self.elsewhere <= there

    def at_last(self) -> None:
        """All consumers come and take what there is, when nothing is held any more."""
        self.desk.clock += HOLD
        for consumer in self.for_good:
            self.takes(consumer, True)
            self.takes(consumer, False)
            assert labels(self.desk.takes(consumer)) == []
            for each in self.asked:
                assert not each.missing[consumer], f"{consumer} never got {each}"
        self.what_was_taken_for_good_did_not_come_again()
        assert not self.elsewhere
        assert self.desk.in_file() == set()
        assert not self.desk.batches()


class OnPostgres(Machine):
    """The same in the other kind of ledger."""

    ledger_kind = "postgresql"


def wishes_of(got: Any) -> set[Wish]:
    """What a consumer got, in any form."""
    if isinstance(got, dict) and "retests" in got:
        entries = [(key, entry) for key, entry in got["retests"].items()]
    else:
        requests = got["requests"] if isinstance(got, dict) else got
        entries = [(str(request["series"]), request) for request in requests]
    wishes = set()
    for series, entry in entries:
        wishes |= {(series, name, False) for name in entry["contexts"]}
        if entry["arguments"]:
            wishes |= {(series, name, True) for name in ("", *entry["contexts"])}
    return wishes


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("machine", "examples"), [(Machine, 60), (OnPostgres, 6)])
def test_nothing_is_lost_and_nothing_comes_again(machine: type[Machine], examples: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=25)
    )
