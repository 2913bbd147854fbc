# SPDX-License-Identifier: BSD-3-Clause
"""What ``status`` and the metrics tell of the database's server: its standbys, and its clock."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest import look
from ingest.commands import cli
from ingest.config import load as config
from ingest.ledger import Opening, open_ledger, pg_server
from ingest.story.status import Status
from ingest.web import metrics
from tests.support.replicas import Pair
from tests.support.service import eventually
from tests.web.test_metrics import MEASURED, samples

pytestmark = pytest.mark.slow


class Base:
    """A ledger on a server with a synchronous standby, and what is told of them."""

    def __init__(self, pair: Pair, folder: Path) -> None:
        self.pair = pair
        self.url = pair.ledger(folder)
        flags: dict[tuple[str, str], object] = {
            ("state", "dir"): str(folder),
            ("state", "ledger"): self.url,
            ("state", "replicas"): 1,
        }
        self.settings = config.load(flags, environment={})

    def status(self) -> Status:
        with closing(open_ledger(self.url, opening=Opening.LOOK)) as ledger:
            return look.status(ledger, self.settings, time.time())

    def metrics(self) -> dict[str, float]:
        told = samples(metrics.text(self.status(), MEASURED).decode())
        return {
            name.removeprefix("database_"): value
            for name, value in told.items()
            if name.startswith("database_")
        }

    def behind(self) -> int:
        """Bytes that the standby lacks."""
        base = self.status().database
        assert base is not None
        [standby] = base.standbys
        return standby.behind


@pytest.fixture
def base(quick_path: Path) -> Iterator[Base]:
    pair = Pair()
    yield Base(pair, quick_path)
    pair.remove()


@pytest.fixture
def run(base: Base, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints."""
    monkeypatch.setenv("RECHECK_INGEST_STATE_LEDGER", base.url)
    monkeypatch.setenv("RECHECK_INGEST_STATE_REPLICAS", "1")

    def told(*command: str) -> str:
        capsys.readouterr()
        assert cli.main([*command, "--state", base.settings.state.dir]) == 0
        return capsys.readouterr().out

    return told


def test_standbys_that_stream_fall_behind_and_are_lost_are_told(base: Base, run: Any) -> None:
    eventually(lambda: base.behind() == 0)
    told = json.loads(run("status", "--json"))["database"]
    [standby] = told["standbys"]
    assert (told["streaming"], told["wanted"]) == (1, 1)
    assert (standby["synchronous"], standby["streaming"], standby["behind"]) == (True, True, 0)
    assert abs(told["clock_ahead"]) < 2
    lines = run("status").splitlines()
    assert (
        f"database   PostgreSQL {told['version']}; 1 synchronous standby streaming, 1 wanted"
        in lines
    )
    assert f"           standby {standby['name']}: synchronous, streams, 0 bytes behind" in lines
    assert not [line for line in lines if line.startswith("clock")]

    go_on = base.pair.stop_sending()
    base.pair.primary.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 300000))")
    base.pair.primary.execute("CHECKPOINT")
    assert base.behind() >= 300_000
    assert base.metrics()[f"standby_behind_bytes {standby['name']}"] >= 300_000
    go_on()
    eventually(lambda: base.behind() == 0)
    assert base.metrics()["standbys_streaming"] == 1

    base.pair.standby.kill()
    eventually(lambda: base.metrics()["standbys_streaming"] == 0)
    assert base.metrics()["standbys_wanted"] == 1
    assert "0 synchronous standbys streaming, 1 wanted" in run("status")


def test_a_clock_that_is_wrong_is_told(
    base: Base, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert abs(base.metrics()["clock_ahead_seconds"]) < 2
    monkeypatch.setattr(pg_server, "time", SimpleNamespace(time=lambda: time.time() - 90))
    assert -92 < base.metrics()["clock_ahead_seconds"] < -88
    assert "clock      this machine's clock is 90 seconds behind the database server's" in run(
        "status"
    )
