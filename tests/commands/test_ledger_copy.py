# SPDX-License-Identifier: BSD-3-Clause
"""``ledger copy`` and ``ledger backup`` as an operator types them."""

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ingest.commands import check_ledger
from ingest.ledger import Opening, Server, open_ledger
from tests.support import postgres
from tests.support.command_line import Command

RECHECK = (
    b"From: robin@example.org\nMessage-ID: <r@example.org>\nIn-Reply-To: <p@example.org>\n"
    b"List-Id: <dev.dpdk.org>\n\nRecheck-request: iol-a\n"
)


def ledger(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command ``ledger``, which takes no flags about Patchwork."""
    return subprocess.run(
        [sys.executable, "-m", "ingest", "ledger", *arguments],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_a_ledger_moves_to_postgresql_and_says_where_it_is(
    tmp_path: Path, quick_path: Path
) -> None:
    run = Command(tmp_path)
    assert run("pipe", mail=RECHECK).returncode == 0
    old, new = f"sqlite:{run.state}/ledger.sqlite", postgres.ledger_url(quick_path)
    done = ledger("copy", old, new)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert "mail: 1 row, sha256 " in said
    assert f"{new} has all of {old}, which takes no writes any more" in said
    late = run("pipe", mail=RECHECK)
    assert late.returncode == 75
    assert b"was moved to postgresql://" in late.stderr
    there = {"RECHECK_INGEST_STATE_LEDGER": new}
    assert run("pipe", mail=RECHECK, environment=there).returncode == 0
    listed = run("status", "--json", environment=there)
    assert b'"queued": 1' in listed.stdout


@pytest.mark.slow
def test_a_password_is_never_shown(tmp_path: Path) -> None:
    run = Command(tmp_path)
    url = "postgresql://me:s3cret@127.0.0.1:9/x?connect_timeout=2"
    there = {"RECHECK_INGEST_STATE_LEDGER": url}
    for command in (["status"], ["check"], ["list"], ["work", "--once"], ["config"]):
        done = run(*command, environment=there)
        assert b"s3cret" not in done.stdout + done.stderr, command
        assert b"Traceback" not in done.stderr, command


@pytest.mark.slow
def test_a_backup_of_postgresql_is_left_to_its_own_tools(tmp_path: Path, quick_path: Path) -> None:
    there = {"RECHECK_INGEST_STATE_LEDGER": postgres.ledger_url(quick_path)}
    done = ledger("backup", str(tmp_path / "copy"), **there)
    assert done.returncode == 64
    assert b"pg_dump --format=custom" in done.stderr


@pytest.mark.slow
def test_check_tells_of_the_server_and_of_standbys_that_are_missing(
    tmp_path: Path, quick_path: Path
) -> None:
    run = Command(tmp_path)
    there = {"RECHECK_INGEST_STATE_LEDGER": postgres.ledger_url(quick_path)}
    told = run("check", environment=there).stdout.decode()
    assert "ok       ledger: 0 mails, 0 requests" in told
    assert re.search(r"ok +standbys: PostgreSQL \d+\.\d+, 0 synchronous standbys stream", told)
    there["RECHECK_INGEST_STATE_REPLICAS"] = "1"
    told = run("check", environment=there).stdout.decode()
    assert "0 synchronous standbys stream; [state] replicas is 1: nothing is written" in told


@pytest.mark.slow
def test_settings_of_a_server_that_break_what_is_promised_are_told(quick_path: Path) -> None:
    cluster = postgres.Cluster(fsync="off", full_page_writes="on")
    try:
        with closing(open_ledger(cluster.database_for(quick_path))) as ledger:
            assert told_of(ledger.server()) == ["set fsync = on"]
            cluster.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
            cluster.execute("ALTER SYSTEM SET idle_session_timeout = '5min'")
            cluster.execute("SELECT pg_reload_conf()")
        with closing(open_ledger(cluster.url("ledger_1"), opening=Opening.LOOK)) as ledger:
            assert told_of(ledger.server()) == [
                "set fsync = on",
                "set wal_sender_timeout = 10s",
                "set idle_session_timeout = 0",
            ]
    finally:
        cluster.remove()


def told_of(server: Server | None) -> list[str]:
    assert server is not None
    found = check_ledger.of_server(server, 0)
    return [each.text.partition(":")[0] for each in found if each.what == "server"]


@pytest.mark.parametrize(
    "apart, told",
    [(0.0, None), (1.9, None), (3.0, "3 seconds ahead of"), (-90.0, "90 seconds behind")],
)
def test_a_clock_that_is_wrong_is_told(apart: float, told: str | None) -> None:
    found = list(check_ledger.of_server(Server(apart, "15.5"), 0))
    clocks = [each.text for each in found if each.what == "clock"]
    assert bool(clocks) == bool(told)
    assert (told or "") in "".join(clocks)
