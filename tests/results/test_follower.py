# SPDX-License-Identifier: BSD-3-Clause
"""The thread that follows requests, on a real ledger and a Patchwork on loopback."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.background import troubles
from ingest.config import tables
from ingest.ledger import Ledger, Request
from ingest.patchwork import limits
from ingest.results.follower import Follower
from ingest.sandbox import Sandbox
from tests.support.bad_server import refused_url
from tests.support.clock import Clock
from tests.support.ledger_values import record
from tests.support.mails import patch
from tests.support.watching import Watching

PATIENCE = 20.0


@pytest.fixture
def asked(ledger: Ledger, box: Sandbox) -> Request:
    watching = Watching(ledger, Clock(time.time()), box)
    watching.posts("fail")
    return record(ledger, "a@example.org", time.time(), contexts=("iol-a",))


def follower(folder: Path, url: str, interval: float = 0.05) -> Follower:
    return Follower(
        tables.Settings(
            state=tables.StateSettings(ledger=f"sqlite:{folder}/ledger.sqlite"),
            patchwork=tables.PatchworkSettings(url=url),
            results=tables.ResultsSettings(interval=interval),
        )
    )


def woken_until(follower: Follower, happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        follower.wake()
        time.sleep(0.01)


def test_a_check_becomes_a_result_by_itself(
    asked: Request, quick_path: Path, ledger: Ledger, box: Sandbox
) -> None:
    follows = follower(quick_path, box.url)
    follows.start()
    woken_until(follows, lambda: asked.number in ledger.results.baselines(f"{box.url}/api"))
    Watching(ledger, Clock(), box).posts("success")
    woken_until(follows, lambda: ledger.results.of([asked.number])[0].state == "success")
    assert follows.is_well()
    assert follows.troubles() == []
    follows.stop()
    follows.wait(PATIENCE)
    assert not follows.is_well()


def test_a_patchwork_that_is_down_is_told_once_and_is_no_trouble_of_ours(
    asked: Request, quick_path: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    follows = follower(quick_path, refused_url())
    follows.start()
    woken_until(follows, lambda: "results cannot be looked for now" in caplog.text)
    time.sleep(0.2)
    follows.stop()
    follows.wait(PATIENCE)
    assert caplog.text.count("results cannot be looked for now") == 1
    assert troubles(ledger, ["results"], time.time()) == []
    assert ledger.results.of([asked.number])[0].state == "asked"


def test_an_interval_of_zero_follows_nothing(
    asked: Request, quick_path: Path, box: Sandbox
) -> None:
    follows = follower(quick_path, box.url, interval=0.0)
    box.requests.clear()
    follows.start()
    follows.wake()
    assert follows.is_well()
    follows.stop()
    follows.wait(0.1)
    assert box.requests == []


def test_what_the_server_lacks_is_known_once_it_is_asked(quick_path: Path, ledger: Ledger) -> None:
    with Sandbox(api="1.2") as older:
        older.file(patch("p@x"))
        record(ledger, "a@example.org", time.time(), contexts=("iol-a",))
        follows = follower(quick_path, older.url)
        follows.start()
        woken_until(follows, lambda: limits.are_known(ledger, time.time(), ""))
        follows.stop()
        follows.wait(PATIENCE)
    [told] = limits.known(ledger, time.time(), "")
    assert told.startswith("has no events of comments")
