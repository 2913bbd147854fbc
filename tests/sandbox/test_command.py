# SPDX-License-Identifier: BSD-3-Clause
"""``python -m ingest.sandbox`` as a process of its own."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.sandbox.conftest import ARCHIVES
from tests.support.places import RECORDED

COMMAND = (sys.executable, "-m", "ingest.sandbox")
READY = re.compile(
    r"sandbox Patchwork at (http://127\.0\.0\.1:\d+) "
    r"\(3 patches, 1 cover letter, 2 series, 3 comments\)\n"
)


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The running command and the address that it says."""
    process = subprocess.Popen(
        (*COMMAND, *ARCHIVES, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    ready = READY.fullmatch(line)
    if ready is None:
        process.kill()
        raise AssertionError(f"{line!r}: {process.communicate()}")
    return process, ready[1]


def end(process: subprocess.Popen[str], by: signal.Signals = signal.SIGTERM) -> str:
    """Its standard error after it was told to end, which it has to do at once and well."""
    process.send_signal(by)
    output, log = process.communicate(timeout=10)
    assert (process.returncode, output) == (0, "")
    return log


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(by: signal.Signals) -> None:
    process, url = start()
    assert requests.get(f"{url}/api/patches/131182/", timeout=10).status_code == 200
    assert end(process, by) == ""


def test_first_ids_tokens_and_the_public_address_are_settable() -> None:
    process, url = start(
        *("--first-patch", "7", "--first-cover", "8", "--first-series", "9"),
        *("--first-patch-comment", "10", "--first-cover-comment", "11", "--first-event", "12"),
        *("--first-person", "13", "--first-check", "14"),
        *("--token", "secret:lab:ci,dpdk", "--public-url", "http://pw.example.org"),
    )
    patch = requests.get(f"{url}/api/patches/7/", timeout=10).json()
    check = requests.post(
        f"{url}/api/patches/7/checks/",
        json={"state": "success"},
        headers={"Authorization": "Token secret"},
        timeout=10,
    )
    end(process)
    assert patch["url"] == "http://pw.example.org/api/patches/7/"
    assert (patch["series"][0]["id"], patch["submitter"]["id"]) == (9, 13)
    assert (check.status_code, check.json()["id"]) == (201, 14)
    assert check.json()["user"]["username"] == "lab"


def test_verbose_logs_each_request() -> None:
    process, url = start("-v")
    requests.get(f"{url}/api/", timeout=10)
    assert end(process) == '"GET /api/ HTTP/1.1" 200 -\n'


MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    ((), 64, "the following arguments are required: MBOX; see --help"),
    (("x.mbox", "--port", "65536"), 64, "argument --port: 65536 is not a port; see --help"),
    (("x.mbox", "--first-patch", "0"), 64, "argument --first-patch: 0 is not an id; see --help"),
    (
        ("x.mbox", "--token", "secret"),
        64,
        "argument --token: an account is TOKEN:USER:PROJECT[,PROJECT]; see --help",
    ),
    (("no-such.mbox",), 65, "no-such.mbox: No such file or directory; check the path"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_an_exit_code(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        (*COMMAND, *arguments), capture_output=True, text=True, cwd=tmp_path, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"sandbox: {message}\n")


def test_a_file_that_is_no_archive_is_bad_data() -> None:
    done = subprocess.run(
        (*COMMAND, str(RECORDED / "projects.json")), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr.count("\n")) == (65, 1)


def test_a_port_that_is_taken_is_unavailable() -> None:
    process, url = start()
    port = url.rpartition(":")[2]
    done = subprocess.run(
        (*COMMAND, *ARCHIVES, "--port", port), capture_output=True, text=True, timeout=30
    )
    end(process)
    assert (done.returncode, done.stderr) == (
        69,
        f"sandbox: cannot listen on port {port}: Address already in use\n",
    )
