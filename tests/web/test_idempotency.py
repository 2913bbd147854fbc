# SPDX-License-Identifier: BSD-3-Clause
"""Calls under the same Idempotency-Key, by several processes on one ledger."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

from ingest.config.tables import Settings
from ingest.ledger import open_ledger
from ingest.web import idempotency
from ingest.web.lookups import Reader
from ingest.web.operations import Answer, Call, Operation
from tests.support.ledger_values import NOON


def test_a_key_that_comes_again_before_its_first_call_has_ended_does_nothing_twice(
    quick_path: Path,
) -> None:
    done: list[str] = []
    has_begun, may_end = Event(), Event()

    def run(call: Call) -> str:
        done.append("once")
        has_begun.set()
        may_end.wait(10)
        return f"answer {len(done)}"

    operation = Operation("POST", "/x", "x", "X.", run, str, atomic=False)

    def ask() -> Answer:
        with closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger:
            reader = Reader(ledger, Settings(), NOON, sees_all=True)
            call = Call(reader, {}, None, None, "lab", "lab key")
            return idempotency.answered(operation, call, "digest")

    with ThreadPoolExecutor(2) as threads:
        first: Future[Answer] = threads.submit(ask)
        assert has_begun.wait(10)
        second = threads.submit(ask)
        has_begun.clear()
        has_begun.wait(0.3)  # which it does if the second call is done, too
        may_end.set()
        assert [each.result().value for each in (first, second)] == ["answer 1", "answer 1"]
    assert done == ["once"]
