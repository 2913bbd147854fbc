# SPDX-License-Identifier: BSD-3-Clause
"""Several workers on one ledger: each mail is worked on by one of them."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ingest import intake
from ingest.commands.working import Working
from ingest.config import load as config
from ingest.ledger import Ledger, open_configured
from ingest.sandbox import Sandbox
from tests.support import postgres
from tests.support.parts import eventually
from tests.support.service import MAIL


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.slow
def test_workers_side_by_side_record_each_request_once(
    kind: str, tmp_path: Path, patchwork: Sandbox
) -> None:
    ledger = f"sqlite:{tmp_path}/ledger" if kind == "sqlite" else postgres.ledger_url(tmp_path)
    settings = config.load(
        {
            ("state", "dir"): str(tmp_path),
            ("state", "ledger"): ledger,
            ("patchwork", "url"): patchwork.url,
            ("worker", "at_once"): 4,
            ("policy", "max_age"): 0.0,
        }
    )
    names = [b"n%d" % number for number in range(40)]
    with closing(open_configured(settings.state)) as opened:
        for name in names:
            intake.accept(
                MAIL % (name, name), "test", ledger=opened, now=time.time(), max_size=10**6
            )
        working = Working(settings)
        working.start()
        until = time.monotonic() + 60
        while opened.totals().mails["done"] < len(names) and time.monotonic() < until:
            time.sleep(0.05)
        working.stop(10)
        found = opened.requests()
        assert sorted(each.contexts for each in found) == sorted(
            (f"iol-{name.decode()}",) for name in names
        )
        assert [each.number for each in found] == list(range(1, len(names) + 1))
        assert not working.troubles()


@dataclass(frozen=True)
class Queue:
    """A ledger with two mails to be worked on, and the flags of its settings."""

    flags: dict[tuple[str, str], Any]
    ledger: Ledger

    def done(self) -> int:
        return self.ledger.totals().mails["done"]


@pytest.fixture
def two_mails(tmp_path: Path, patchwork: Sandbox) -> Iterator[Queue]:
    flags = {
        ("state", "dir"): str(tmp_path),
        ("patchwork", "url"): patchwork.url,
        ("policy", "max_age"): 0.0,
    }
    with closing(open_configured(config.load(flags).state)) as opened:
        for name in (b"n1", b"n2"):
            intake.accept(
                MAIL % (name, name), "test", ledger=opened, now=time.time(), max_size=10**6
            )
        yield Queue(flags, opened)


@pytest.mark.parametrize("comes", [{"is_behind": lambda: True}, {"rate": lambda: math.inf}])
def test_mail_that_goes_on_coming_in_does_not_keep_the_worker_from_its_work(
    comes: dict[str, Any], two_mails: Queue
) -> None:
    working = Working(config.load(two_mails.flags), **comes)
    working.start()
    assert eventually(lambda: two_mails.done() == 2, "the work")
    working.stop(10)


def test_a_stream_of_mail_goes_before_the_work_for_as_long_as_is_set(two_mails: Queue) -> None:
    looked, is_over = threading.Semaphore(0), threading.Event()

    def rate() -> float:
        looked.release()
        return 0.0 if is_over.is_set() else 601.0

    flags = {**two_mails.flags, ("serve", "gives_way"): 3600.0}
    working = Working(config.load(flags), rate=rate)
    working.start()
    assert all(looked.acquire(timeout=30) for _ in range(5))
    assert two_mails.done() == 0
    is_over.set()
    assert eventually(lambda: two_mails.done() == 2, "the work")
    working.stop(10)
