# SPDX-License-Identifier: BSD-3-Clause
"""Several workers on one ledger: each mail is worked on by one of them."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from ingest import intake
from ingest.commands.working import Working
from ingest.config import load as config
from ingest.ledger import open_configured
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


def test_mail_that_goes_on_coming_in_does_not_keep_the_worker_from_its_work(
    tmp_path: Path, patchwork: Sandbox
) -> None:
    settings = config.load(
        {
            ("state", "dir"): str(tmp_path),
            ("patchwork", "url"): patchwork.url,
            ("policy", "max_age"): 0.0,
        }
    )
    with closing(open_configured(settings.state)) as opened:
        for name in (b"n1", b"n2"):
            intake.accept(
                MAIL % (name, name), "test", ledger=opened, now=time.time(), max_size=10**6
            )
        working = Working(settings, is_behind=lambda: True)
        working.start()
        assert eventually(lambda: opened.totals().mails["done"] == 2, "the work")
        working.stop(10)
