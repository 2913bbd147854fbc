# SPDX-License-Identifier: BSD-3-Clause
"""The commands ``take`` and ``ack``, killed between any two statements.

What one taker was killed over, the next one hands over. Only from the moment that the output is
in its place until the cursor has moved, or the file is emptied, is the same handed over again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from ingest.ledger import open_ledger
from tests.support.crash_lab import (
    COMMIT,
    COMMITTED,
    KINDS,
    NEW,
    Lab,
    Labs,
    labs_of,
    over_both,
    samples,
)
from tests.support.crashes import Ended, Place, Point
from tests.support.desk import labels
from tests.test_crash_matrix import FILES, REPLACED, RETESTS, at

TAKE, STOCK = "handover/take.py", "handover/from_file.py"
ALL = {"old", "x", *NEW}
# A batch is due again at once.
AT_ONCE = {"RECHECK_INGEST_TAKE_HOLD": "0.001"}


@dataclass(frozen=True)
class Case:
    """A death, and whether what was handed over before it is handed over again."""

    name: str
    point: Point
    again: bool = False

    def __str__(self) -> str:
        return self.name


EMPTIED = Place(TAKE, "place()")
HANDED_OVER = Place(TAKE, "self.output(text)")
MOVING = Place(TAKE, "self._move(last)")
NOTING = Place(TAKE, "self._move(batch.last)")
PROMISING = Place(TAKE, "self.ledger.set_consumer(begun)")
TAKING_OUT = Place(TAKE, "take_out()")
FORGETTING = Place(TAKE, "  ledger.drop_batch(batch)")
IN_PLACE = Place(FILES, "sync(file.parent)")

DEFAULT = (
    Case("the lease is held", at(TAKE, "if self.order.hold:")),
    Case("the sink is held off", at(STOCK, "file.publish(ledger, clock, patience)")),
    Case("the sink has done its part", at(STOCK, "with retest_file.locked(path, patience):")),
    Case("the file is locked", at(STOCK, "document = retest_file.read(path, clock())")),
    Case("the file is read", at(STOCK, "yield Stock(")),
    Case("the shares are known", at(TAKE, "with stock.becoming(kept) as place:")),
    Case(
        "what stays is half written",
        Point(Place(FILES, "stream.flush()"), Place(TAKE, "with stock.becoming(kept) as place:")),
    ),
    Case("what stays is on the disk", at(TAKE, "if fresh.second:")),
    Case("the second is promised", at(TAKE, "if fresh.last > fresh.after:")),
    Case("the second is noted", Point(HANDED_OVER)),
    Case("the output is half written", Point(Place(FILES, "stream.flush()"), HANDED_OVER)),
    Case("the output is on the disk", at(FILES, "os.replace(new, file)")),
    Case("the output is in its place", Point(IN_PLACE), again=True),
    Case("the output is there for good", Point(EMPTIED), again=True),
    Case("the file is about to be emptied", Point(REPLACED, EMPTIED), again=True),
    Case("the file is emptied", Point(Place(RETESTS, "files.sync(folder)"), EMPTIED)),
    Case("that is there for good", Point(MOVING)),
    Case("the cursor is about to be committed", Point(COMMIT, MOVING)),
    Case("the cursor has moved", Point(COMMITTED, MOVING)),
)

NAMED = (
    Case("the lease is held", at(TAKE, "if self.order.hold:")),
    Case("the log is read", at(TAKE, "self.output(self.text(requests, self._promised(fresh)))")),
    Case("the second is promised", at(TAKE, "if fresh.last > fresh.after:")),
    Case("the second is about to be noted", Point(COMMIT, PROMISING)),
    Case("the second is noted", Point(COMMITTED, PROMISING)),
    Case("the output is half written", at(FILES, "stream.flush()")),
    Case("the output is on the disk", at(FILES, "os.replace(new, file)")),
    Case("the output is in its place", Point(IN_PLACE), again=True),
    Case("the output is there for good", Point(MOVING), again=True),
    Case("the cursor is about to be committed", Point(COMMIT, MOVING), again=True),
    Case("the cursor has moved", Point(COMMITTED, MOVING)),
)

HELD = (
    Case("the batch is known", Point(NOTING)),
    Case("the batch is about to be noted", Point(COMMIT, NOTING)),
    Case("the batch is noted", Point(COMMITTED, NOTING)),
    Case("the output is half written", Point(Place(FILES, "stream.flush()"), NOTING)),
    Case("the output is in its place", Point(IN_PLACE), again=True),
)

CONFIRMING = (
    Case("the lease is held", at(TAKE, "held = [each for each in ledger.batches()")),
    Case("the batch is known", at(TAKE, "[batch] = held")),
    Case("the file is open", at(TAKE, "stock.becoming(stock.without(stock.of(batch)))")),
    Case("what stays is on the disk", Point(TAKING_OUT)),
    Case("the file is about to be emptied", Point(REPLACED, TAKING_OUT)),
    Case("the file is emptied", Point(FORGETTING)),
    Case("the batch is about to be forgotten", Point(COMMIT, FORGETTING)),
    Case("the batch is forgotten", Point(COMMITTED, FORGETTING)),
)


@pytest.fixture(scope="module")
def labs_of_kind() -> Iterator[Callable[[str], Labs]]:
    with labs_of("patch", "series") as made:
        yield made


@pytest.fixture
def labs(labs_of_kind: Callable[[str], Labs], request: pytest.FixtureRequest) -> Labs:
    """Of a kind of ledger, a file if none is said."""
    return labs_of_kind(getattr(request, "param", "sqlite"))


def taking(
    lab: Lab, *flags: str, die: Point | int | None = None, count_from: Place | None = None
) -> Ended:
    """The command, with its output in a file."""
    return lab.run(
        "take",
        *flags,
        "-o",
        str(lab.folder / "given.json"),
        die=die,
        count_from=count_from,
        environment=AT_ONCE,
    )


def given(lab: Lab) -> list[str]:
    """What the command gave; it is whole if it is there."""
    file = lab.folder / "given.json"
    if not file.exists():
        return []
    got = json.loads(file.read_text())
    file.unlink()
    return labels(got)


def rest(lab: Lab, *flags: str) -> list[str]:
    """What the next one gives."""
    assert taking(lab, *flags).code == 0
    return given(lab)


def second(lab: Lab) -> str:
    """The second of what the command gave, "" if it gave nothing."""
    file = lab.folder / "given.json"
    return str(json.loads(file.read_text())["last_comment_timestamp"]) if file.exists() else ""


@pytest.mark.parametrize(
    ("labs", "consumer", "case"),
    [
        each
        for consumer, cases in (("default", DEFAULT), ("lab", NAMED))
        for each in over_both((case for case in cases if case.again), consumer)
    ],
    ids=str,
    indirect=["labs"],
)
def test_what_is_handed_over_again_has_the_same_second(
    labs: Labs, consumer: str, case: Case
) -> None:
    lab = labs.with_requests()
    flags = ("--consumer", consumer)
    assert taking(lab, *flags, die=case.point).killed
    before = second(lab)
    assert taking(lab, *flags).code == 0
    assert second(lab) == before != ""


def held(lab: Lab) -> str:
    """The id of the one batch that is not confirmed."""
    with closing(open_ledger(lab.ledger_url)) as ledger:
        [batch] = ledger.batches()
    return batch.id


@pytest.mark.parametrize(("labs", "case"), over_both(DEFAULT), ids=str, indirect=["labs"])
def test_killed_over_the_file(labs: Labs, case: Case) -> None:
    lab = labs.with_requests()
    assert taking(lab, die=case.point).killed
    first, second = given(lab), rest(lab)
    assert {*first, *second} == ALL
    assert len(first) + len(second) == len(ALL) * (2 if case.again else 1)
    assert rest(lab) == []


@pytest.mark.parametrize(("labs", "case"), over_both(NAMED), ids=str, indirect=["labs"])
def test_killed_over_the_log(labs: Labs, case: Case) -> None:
    lab = labs.with_requests()
    assert taking(lab, "--consumer", "lab", die=case.point).killed
    first, second = given(lab), rest(lab, "--consumer", "lab")
    assert {*first, *second} == NEW
    assert len(first) + len(second) == len(NEW) * (2 if case.again else 1)
    assert rest(lab, "--consumer", "lab") == []


@pytest.mark.parametrize("consumer", ["default", "lab"])
@pytest.mark.parametrize(("labs", "case"), over_both(HELD), ids=str, indirect=["labs"])
def test_killed_over_a_batch_that_comes_again(labs: Labs, case: Case, consumer: str) -> None:
    flags = ("--consumer", consumer, "--hold")
    lab = labs.with_requests()
    assert taking(lab, *flags, die=case.point).killed
    assert given(lab) == (sorted(NEW) if case.again else [])
    assert rest(lab, *flags) == sorted(NEW)
    assert lab.run("ack", held(lab)).code == 0
    assert rest(lab, *flags) == []


@pytest.mark.parametrize(("labs", "case"), over_both(CONFIRMING), ids=str, indirect=["labs"])
def test_killed_over_a_confirmation_that_is_repeated(labs: Labs, case: Case) -> None:
    lab = labs.with_requests()
    assert rest(lab, "--hold") == sorted(NEW)
    batch = held(lab)
    assert lab.run("ack", batch, die=case.point).killed
    assert lab.run("ack", batch).code == 0
    assert rest(lab, "--hold") == []
    assert rest(lab) == ["old", "x"], "of what came from elsewhere nothing is lost"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("consumer", "wanted"), [("default", ALL), ("lab", NEW)])
@pytest.mark.parametrize("labs", KINDS, indirect=True)
def test_killed_before_any_line(labs: Labs, consumer: str, wanted: set[str]) -> None:
    flags = ("--consumer", consumer)
    start = Place("commands/entries/handing_over.py", "take.take(ledger, settings, order")
    total = taking(labs.with_requests(), *flags, count_from=start).lines
    deaths = between = 0
    for line in (tried := samples(total, labs)):
        lab = labs.with_requests()
        deaths += taking(lab, *flags, die=line, count_from=start).killed
        first, second = given(lab), rest(lab, *flags)
        assert {*first, *second} == wanted, f"line {line}"
        assert first in ([], sorted(wanted)), f"line {line}"
        assert second in ([], sorted(wanted)), f"line {line}"
        between += bool(first and second)
        assert rest(lab, *flags) == [], f"line {line}"
    print(f"killed before {deaths} of {total} lines of take; given again {between} times")
    assert deaths >= len(tried) * 8 // 10
