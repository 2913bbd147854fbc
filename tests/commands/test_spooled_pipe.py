# SPDX-License-Identifier: BSD-3-Clause
"""``pipe`` where several machines share the ledger: what it takes is safe on this machine, and in
the ledger as soon as that is there, each mail once."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest import locks
from ingest.ledger import Ledger, open_ledger
from ingest.sandbox import Sandbox
from tests.support import postgres
from tests.support.command_line import Command, imports, reply
from tests.support.service import MAIL, Service

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: Path) -> str:
    return postgres.ledger_url(tmp_path)


@pytest.fixture
def away() -> Iterator[postgres.Cluster]:
    """A server that a test may stop."""
    cluster = postgres.Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "state")
    yield service
    service.end()


def mails(ledger: Ledger) -> dict[str, int]:
    return {state: count for state, count in ledger.totals().mails.items() if count}


def test_without_a_service_a_pipe_forwards_its_mail_and_works_on_it(
    command: Command, patchwork: Sandbox, url: str
) -> None:
    shared = {"RECHECK_INGEST_STATE_LEDGER": url}
    done = command("pipe", mail=reply(), url=patchwork.url, environment=shared)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert command.document()["retests"]["29430"]["contexts"] == ["iol-a"]  # type: ignore[index]
    with closing(open_ledger(url)) as ledger:
        assert mails(ledger) == {"done": 1}
    assert "spool" not in command("status", environment=shared).stdout.decode()


def test_a_mail_is_taken_while_the_ledger_is_away_and_forwarded_later(
    command: Command, url: str, tmp_path: Path
) -> None:
    away = {
        "RECHECK_INGEST_STATE_LEDGER": f"postgresql://recheck@/none?host={tmp_path}",
        "RECHECK_INGEST_PIPE_BUDGET": "0.5",
    }
    for name in "ab":
        done = command("pipe", mail=reply(f"{name}@example.org"), environment=away)
        assert (done.returncode, done.stdout) == (0, b"")
        assert done.stderr.count(b"\n") == 1  # what keeps it from the ledger
    shared = {"RECHECK_INGEST_STATE_LEDGER": url}
    told = json.loads(command("status", "--json", environment=shared).stdout)["spooled"]
    assert told["mails"] == 2
    assert b"2 mails not in the ledger yet" in command("status", environment=shared).stdout
    assert command("work", "--once", environment=shared).returncode == 0
    assert b"spool" not in command("status", environment=shared).stdout
    with closing(open_ledger(url)) as ledger:
        assert mails(ledger) == {"queued": 2}


def test_while_a_service_runs_a_pipe_does_not_ask_for_the_ledger(
    service: Service, tmp_path: Path
) -> None:
    ledger = f"postgresql://recheck@/none?host={tmp_path}"
    service.folder.mkdir()
    held = locks.take(f"{service.folder}/spool.sqlite-forwarder.lock", mode=0o660, patience=0)
    assert held is not None
    process = service.start("pipe", url="http://127.0.0.1:9", RECHECK_INGEST_STATE_LEDGER=ledger)
    assert process.communicate(MAIL % (b"a", b"a"), timeout=60) == (b"", b"")
    assert process.returncode == 0


def test_while_a_service_runs_a_pipe_does_not_load_the_driver(tmp_path: Path) -> None:
    """Which costs more than all else that a pipe does."""
    state = tmp_path / "state"
    state.mkdir()
    held = locks.take(f"{state}/spool.sqlite-forwarder.lock", mode=0o660, patience=0)
    assert held is not None
    ledger = f"RECHECK_INGEST_STATE_LEDGER=postgresql://recheck@/none?host={tmp_path}"
    pipe = (sys.executable, "-m", "ingest", "pipe", "--state", str(state))
    imported = imports("env", ledger, *pipe, mail=reply())
    assert b"ingest.ledger.spool" in imported
    assert not {each for each in imported if each.split(b".")[0] in (b"psycopg", b"requests")}
    os.close(held)


def test_a_service_forwards_what_comes_while_the_server_is_stopped(
    service: Service, away: postgres.Cluster, patchwork: Sandbox, tmp_path: Path
) -> None:
    url = away.database_for(tmp_path)
    shared = {
        "RECHECK_INGEST_STATE_LEDGER": url,
        "RECHECK_INGEST_RETESTS_FILE": str(service.retests),
        "RECHECK_INGEST_SMTP_LISTEN": "127.0.0.1:0",
    }
    serving = service.start("serve", url=patchwork.url, **shared)
    is_serving(service)
    pipe(service, b"before", patchwork.url, shared)
    wait_for(service, ["iol-before"])
    away.stop()
    names = [b"n%d" % number for number in range(20)]
    for name in names:
        pipe(service, name, patchwork.url, shared)
    away.start()
    wait_for(service, sorted(["iol-before", *(f"iol-{name.decode()}" for name in names)]))
    with closing(open_ledger(url)) as ledger:
        assert mails(ledger) == {"done": 21}
        assert [each.number for each in ledger.requests()] == list(range(1, 22))
    assert serving.poll() is None


def pipe(service: Service, name: bytes, url: str, shared: dict[str, str]) -> None:
    process = service.start("pipe", url=url, **shared)
    _, told = process.communicate(MAIL % (name, name), timeout=60)
    assert (process.returncode, told) == (0, b"")


def is_serving(service: Service) -> None:
    """Wait until the service forwards."""
    lock = service.folder / "spool.sqlite-forwarder.lock"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
        if lock.exists():
            held = locks.take(str(lock), mode=0o660, patience=0)
            if held is None:
                return
            os.close(held)
    raise AssertionError("no service has begun to forward")


def wait_for(service: Service, contexts: list[str]) -> None:
    until = time.monotonic() + 60
    while service.contexts() != contexts and time.monotonic() < until:
        time.sleep(0.05)
    assert service.contexts() == contexts
