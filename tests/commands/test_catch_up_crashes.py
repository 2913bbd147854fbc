# SPDX-License-Identifier: BSD-3-Clause
"""Catching up is killed between any two statements, and done beside everything else at once.

Afterwards the next run leads to what an undisturbed one leads to: each mail once, each request
once.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from ingest import intake
from ingest.commands import catch_up
from ingest.ledger import open_ledger
from ingest.sandbox import Sandbox
from tests.support.crash_lab import (
    COMMIT,
    COMMITTED,
    IDS,
    KINDS,
    NEW,
    Lab,
    Labs,
    Result,
    contexts,
    labs_of,
    over_both,
    samples,
)
from tests.support.crashes import Ended, Place, Point
from tests.support.mails import patch
from tests.support.missed_mails import PATCH, answers

CATCH_UP, EVENTS = "commands/catch_up.py", "sources/events.py"
STARTED = Place(CATCH_UP, "with ledger.lease(lease) as held:")
MOVES = Place(CATCH_UP, "ledger.set_feed(Feed(name, moved=begun))")
FETCHED = Place(EVENTS, "haul.fetched += 1")

POINTS = {
    "the beginning is known": Point(Place(CATCH_UP, "if not whole.moved:")),
    "the beginning is about to be kept": Point(COMMIT, STARTED),
    "the beginning is kept": Point(COMMITTED, STARTED),
    "the server is known to have comments": Point(Place(CATCH_UP, "events.take_in(")),
    "the events are known": Point(Place(EVENTS, "memory = _Memory(")),
    "a comment is fetched": Point(FETCHED),
    "it is a mail": Point(Place("intake.py", "kept = iter(ledger.accept_all(held)")),
    "the mail is about to be committed": Point(COMMIT, FETCHED),
    "the mail is committed": Point(COMMITTED, FETCHED),
    "the mail is taken in": Point(Place(EVENTS, "each(raw)")),
    "all mails are taken in": Point(Place(CATCH_UP, "failed = summary.haul.problems")),
    "the time is about to move": Point(MOVES),
    "the time is about to be committed": Point(COMMIT, MOVES),
    "the time has moved": Point(COMMITTED, MOVES),
    "the mails are about to be worked off": Point(
        Place("commands/replay.py", "Worker(ledger, patchwork, ")
    ),
}


@pytest.fixture(scope="module")
def labs_of_kind() -> Iterator[Callable[[str], Labs]]:
    """Of a Patchwork that was told of two requests and of a mail that quotes one, and by mail of
    nothing."""
    with labs_of("patch", "series", "replies") as made:
        yield made


@pytest.fixture
def labs(labs_of_kind: Callable[[str], Labs], request: pytest.FixtureRequest) -> Labs:
    """Of a kind of ledger, a file if none is said."""
    return labs_of_kind(getattr(request, "param", "sqlite"))


def run(lab: Lab, die: Point | int | None = None, count_from: Place | None = None) -> Ended:
    return lab.run("catch-up", die=die, count_from=count_from)


def compared(result: Result) -> tuple[object, ...]:
    """All but what a sink had begun."""
    cursors = [(name, place) for name, place, _ in result.cursors]
    return result.mails, result.requests, result.document, result.files, cursors


def moved(lab: Lab) -> float:
    ledger = open_ledger(lab.ledger_url)
    try:
        return catch_up.state(ledger).moved
    finally:
        ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize(("labs", "name"), over_both(POINTS), indirect=["labs"])
def test_killed_the_next_run_ends_what_was_begun(labs: Labs, name: str) -> None:
    expected = labs.undisturbed(labs.empty, run)
    lab = labs.empty()
    assert run(lab, die=POINTS[name]).killed
    assert run(lab).code == 0
    assert compared(lab.result()) == compared(expected)
    assert moved(lab) > 0
    assert [expected.mails[id] for id in IDS[:3]] == [
        [("done", 1)],
        [("done", 1)],
        [("ignored", 0)],
    ]


BEFORE_IT_MOVES = list(POINTS)[: list(POINTS).index("the time has moved")]


@pytest.mark.parametrize(("labs", "name"), over_both(BEFORE_IT_MOVES), indirect=["labs"])
def test_killed_before_all_is_taken_in_the_time_has_not_moved(labs: Labs, name: str) -> None:
    lab = labs.empty()
    assert run(lab, die=POINTS[name]).killed
    assert moved(lab) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("labs", KINDS, indirect=True)
def test_killed_before_any_line_a_consumer_gets_each_request_once(labs: Labs) -> None:
    expected = labs.undisturbed(labs.empty, run)
    total = run(labs.empty(), count_from=STARTED).lines
    deaths = 0
    for line in (tried := samples(total, labs)):
        lab = labs.empty()
        deaths += run(lab, die=line, count_from=STARTED).killed
        first = lab.take()
        assert run(lab).code == 0, f"line {line}"
        second = lab.take()
        assert first | second == {"old", "x", *NEW}, f"line {line}"
        assert first & second == set(), f"line {line}"
        result = lab.result()
        assert (result.mails, result.requests) == (expected.mails, expected.requests), line
    print(f"killed before {deaths} of {total} lines of catching up")
    assert deaths >= len(tried) * 9 // 10


# Beside everything else

MAILS = 80
DISCUSSION = 4  # one mail in so many asks for nothing
WANTED = {f"c-{n}" for n in range(MAILS) if n % DISCUSSION}


def everybody_answers() -> list[bytes]:
    return [
        answers(str(n), body=f"Recheck-request: c-{n}\n" if n % DISCUSSION else "Fine.\n")[0]
        for n in range(MAILS)
    ]


def command(folder: Path, url: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ingest", *arguments, "--patchwork", url, "--state", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def found(folder: Path) -> tuple[Counter[str], Counter[str], set[str]]:
    """How often each mail is in the ledger, how often each context in the log; and the file's."""
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    mails = Counter(
        {f"{n}@example.org": len(ledger.find(f"{n}@example.org")) for n in range(MAILS)}
    )
    asked = Counter(context for each in ledger.requests() for context in each.contexts)
    ledger.close()
    return mails, asked, contexts((folder / "retests.json").read_text())


def each_once(folder: Path) -> None:
    """Each request is there once. A mail that came after its comment was fetched is another mail,
    and meets the first one at the request (DESIGN.md, One mail, one request)."""
    mails, asked, published = found(folder)
    there = {id for id, count in mails.items() if count}
    assert there == {f"{n}@example.org" for n in range(MAILS) if n % DISCUSSION}
    assert max(mails.values()) <= 2
    assert asked == dict.fromkeys(WANTED, 1)
    assert published == WANTED


@pytest.mark.slow
def test_beside_a_worker_and_mail_that_comes_at_the_same_time_each_request_is_there_once(
    quick_path: Path,
) -> None:
    raw = everybody_answers()
    with Sandbox() as box:
        box.file(patch(PATCH))
        over = threading.Event()

        def to_patchwork() -> None:
            for each in raw:
                box.file(each)
                time.sleep(0.01)

        def to_us() -> None:
            ledger = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
            for each in Random(1).sample(raw, len(raw)):
                intake.accept(each, "lmtp", ledger=ledger, now=time.time(), max_size=1 << 20)
                time.sleep(0.01)
            ledger.close()
            over.set()

        worker = command(quick_path, box.url, "work")
        feeds = [threading.Thread(target=feed) for feed in (to_patchwork, to_us)]
        for feed in feeds:
            feed.start()
        codes = []
        while not over.is_set():
            runs = [command(quick_path, box.url, "catch-up") for _ in range(2)]
            codes += [(each.communicate(timeout=60), each.returncode)[1] for each in runs]
        for feed in feeds:
            feed.join()
        assert set(codes) <= {0, 75}  # 75: two at once
        assert 0 in codes
        worker.kill()
        worker.communicate()
        last = command(quick_path, box.url, "catch-up")
        assert (last.communicate(timeout=60), last.returncode)[1] == 0
    each_once(quick_path)


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again_it_comes_to_its_end(quick_path: Path) -> None:
    chance = Random(2)
    killed = 0
    with Sandbox() as box:
        box.file(patch(PATCH))
        for each in everybody_answers():
            box.file(each)
        for _ in range(8):
            process = command(quick_path, box.url, "catch-up")
            seen = len(box.requests)
            most = chance.randrange(1, 25)  # questions that it is given the time for
            while process.poll() is None and len(box.requests) < seen + most:
                time.sleep(0.001)
            process.kill()
            process.communicate()
            killed += process.returncode < 0
        last = command(quick_path, box.url, "catch-up")
        assert (last.communicate(timeout=60), last.returncode)[1] == 0
        comments = [each.path for each in box.requests if "/comments/" in each.path]
    assert killed > 4
    each_once(quick_path)
    # What was taken in or was looked at is not fetched again, but for one at each death.
    assert len(comments) <= MAILS + killed
