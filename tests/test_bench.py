# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks run; what they measure is not asserted."""

import importlib
import json
import math
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT

BENCH = ROOT / "contrib" / "bench"
_MANY = ("accepts 50 p99", "accepts together", "finished", "finished / accepts")
ROWS = {
    "replay": {
        "replay scan / mail-parser",
        "replay scan / grep",
        "replay scan by two / mail-parser",
        "replay scan by two / grep",
        "replay command / mail-parser",
        "replay command / grep",
    },
    "memory": {"memory"},
    "inbox": {"inbox first", "inbox next", "inbox replay"},
    "pipe": {"pipe script", "pipe script memory", "pipe module", "pipe module memory"},
    "pipe-request": {"pipe-request script", "pipe-request module"},
    "postfix": {"postfix"},
    "lmtp": {"lmtp 1 %", "lmtp 100 %"},
    "http": {"http 1 %", "http 100 %"},
    "pages": {
        *("pages front", "pages request", "pages mail", "pages series", "pages label"),
        *("pages mails", "pages attention", "pages figures", "pages try"),
        *("pages search often", "pages search once", "pages search never"),
    },
    "beside": {"beside"},
    "api": {
        *("api requests", "api last page", "api request", "api series", "api label"),
        *("api requester", "api active", "api state", "api search often", "api search once"),
        *("api search never", "api mails", "api mail", "api attention", "api failures"),
        *("api metadata", "api retests", "api openapi", "api metrics"),
    },
    "recording": {"recording questions", "recording rate"},
    "retests": {"retests append", "retests publish"},
    "trust": {"trust authserv", "trust dkim", "trust arc"},
    "postgresql": {
        *(f"{kind} accepts {n}" for kind in ("postgresql", "standby") for n in (1, 8, 50)),
        *(f"{kind} {what}" for kind in ("postgresql", "standby") for what in _MANY),
        "postgresql claims",
    },
    "begun": {"begun p99", "begun p50"},
    "copy": {"copy there", "copy back"},
    "spooled": {f"spooled {when} {what}" for when in ("up", "down") for what in ("wall", "cpu")},
    "forwarded": {"forwarded"},
    "lease": {"lease postgresql", "lease sqlite"},
}


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == code, ran.stderr
    return ran


def measured(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    file = folder / "result.json"
    run(*arguments, "--quick", "--json", file)
    result: dict[str, Any] = json.loads(file.read_text())
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_measured_against_its_baseline(tmp_path: Path, name: str) -> None:
    result = measured(tmp_path, name)
    if name in result["skipped"]:
        pytest.skip(result["skipped"][name])
    assert {row["name"] for row in result["rows"]} == ROWS[name]
    for row in result["rows"]:
        assert row["ours"] > 0
        assert row["baseline"] > 0
        assert 0 < row["ratio"] < math.inf
        kind, bound, *unit = row["target"].split()
        value = row["ours"] * 1000 if unit == ["ms"] else row["ratio"]
        within = value >= float(bound) if kind == ">=" else value <= float(bound)
        assert row["met"] is within


def test_all_rows_are_named_by_the_help() -> None:
    named = run("--help").stdout.replace("\n", " ")
    assert all(f" {name}" in named for name in (*ROWS, "growth"))


def test_a_row_that_is_none_is_a_usage_error() -> None:
    assert "no row speed" in run("replay", "speed", code=2).stderr


@pytest.mark.slow
def test_growth_has_numbers_for_every_size(tmp_path: Path) -> None:
    archives, queues, logs = measured(tmp_path, "growth")["growth"]
    assert [point[0] for point in queues["points"]] == [1, 10, 100]
    assert [point[0] for point in logs["points"]] == [1, 10, 100]
    sizes = [point[0] for point in archives["points"]]
    assert sizes == sorted(set(sizes))
    for curve in (archives, queues, logs):
        for _, *values in curve["points"]:
            assert len(values) == len(curve["columns"])
            assert all(value > 0 for value in values)


@pytest.mark.slow
def test_a_result_describes_the_machine_and_stands_beside_a_later_one(tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    run("retests", "--quick", "--json", before)
    result = json.loads(before.read_text())
    machine = result["machine"]
    assert {"processor", "cores", "memory", "kernel", "python", "file system"} <= set(machine)
    assert all(machine.values())
    result["rows"][0]["ratio"] = 1234.0
    before.write_text(json.dumps(result))
    shown = run("retests", "--quick", "--compare", before).stdout
    assert shown.count("1234.00") == 1
    assert "ratio before" in shown


# Tells whoever connects first its port.
_GREETER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    connection, (_, port) = listening.accept()
    connection.sendall(b"%d" % port)
"""


def test_nobody_connects_to_a_server_before_what_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    servers = importlib.import_module("servers")
    port = servers.free_port()
    with (
        servers.served(port, sys.executable, "-c", _GREETER, str(port)),
        socket.create_connection(("127.0.0.1", port), timeout=20) as first,
    ):
        assert int(first.recv(10)) == first.getsockname()[1]


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    servers = importlib.import_module("servers")
    with (
        pytest.raises(RuntimeError, match="did not start"),
        servers.served(servers.free_port(), sys.executable, "-c", ""),
    ):
        pass


@pytest.mark.slow
def test_smtp_is_measured_alone_with_every_kind_of_run() -> None:
    ran = subprocess.run(
        [
            *(sys.executable, str(BENCH / "smtp.py"), "--json"),
            *("--mails", "200", "--connections", "5", "--rounds", "1"),
        ],
        capture_output=True,
        check=True,
    )
    result = json.loads(ran.stdout)
    assert list(result) == ["bare aiosmtpd", "ours, 1 % requests", "ours, all requests"]
    for row in result.values():
        assert row["mails_per_second"] > 0
        assert row["data_to_250_ms"]["p99"] >= row["data_to_250_ms"]["p50"] > 0
    assert result["ours, 1 % requests"]["data_to_json_ms"]["p50"] > 0
