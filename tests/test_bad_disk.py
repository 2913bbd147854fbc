# SPDX-License-Identifier: BSD-3-Clause
"""Disks that fill up, turn read-only or hold what another program left, seen through the command.

Each time: the pipe defers what it cannot store, nothing is lost, and all is made good later.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.places import RECORDED


def mail(name: str, size: int = 0) -> bytes:
    return (
        "From: reviewer@example.org\nSubject: Re: [PATCH 1/1] tools\n"
        f"Date: Wed, 6 Sep 2023 10:00:00 +0000\nMessage-ID: <{name}@example.org>\n"
        "In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
        "List-Id: DPDK CI discussions <ci.dpdk.org>\n\n"
        f"Recheck-request: iol-{name}\n\n{os.urandom(size // 2).hex()}\n"
    ).encode()


class Lab:
    """The command with its state in one folder and the retest JSON in another."""

    def __init__(self, folder: Path, url: str) -> None:
        self.state = folder / "state"
        self.retests = folder / "out" / "retests.json"
        self.retests.parent.mkdir()
        self._url = url

    def __call__(self, *arguments: str, mail: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        quick = {
            "RECHECK_INGEST_STATE_BUSY_TIMEOUT": "0.2",
            "RECHECK_INGEST_WORKER_RETRY": "0.01",
        }
        flags = ["--patchwork", self._url, "--state", str(self.state)]
        return subprocess.run(
            [sys.executable, "-m", "ingest", *arguments, *flags, "--retests", str(self.retests)],
            input=mail,
            capture_output=True,
            check=False,
            timeout=100,
            env={**os.environ, **quick},
        )

    def defers(self, raw: bytes) -> None:
        done = self("pipe", mail=raw)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (75, b"", 1)
        assert str(self.state).encode() in done.stderr

    def takes(self, raw: bytes) -> None:
        assert self("pipe", mail=raw).returncode == 0

    def contexts(self) -> list[str]:
        assert self("work", "--once").returncode == 0
        contexts: list[str] = json.loads(self.retests.read_text())["retests"]["29430"]["contexts"]
        return contexts

    def status(self) -> dict[str, list[dict[str, object]]]:
        told: dict[str, list[dict[str, object]]] = json.loads(self("status", "--json").stdout)
        return told


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Sandbox(str(RECORDED / "patch.mbox")) as sandbox:
        yield Lab(tmp_path, sandbox.url)


@pytest.fixture
def disk(lab: Lab) -> Iterator[Path]:
    """A small file system of the state's own."""
    lab.state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(lab.state)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield lab.state
    subprocess.run(["umount", "--lazy", str(lab.state)], check=True)


@pytest.mark.slow
def test_a_full_disk_defers_and_is_made_good(lab: Lab, disk: Path) -> None:
    lab.takes(mail("before"))
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    lab.defers(mail("during"))
    filler.unlink()
    assert lab.contexts() == ["iol-before"]
    lab.takes(mail("during"))
    assert lab.contexts() == ["iol-before", "iol-during"]


@pytest.mark.slow
def test_mails_until_the_disk_is_full_are_kept_and_no_other_acknowledged(
    lab: Lab, disk: Path
) -> None:
    kept = []
    for number in range(40):
        done = lab("pipe", mail=mail(f"n{number:02}", size=20_000))
        assert done.returncode in (0, 75)
        if done.returncode:
            break
        kept.append(f"iol-n{number:02}")
    else:
        pytest.fail("the disk never was full")
    assert kept
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    assert lab.contexts() == kept


@pytest.mark.slow
def test_a_read_only_disk_defers_and_is_made_good(lab: Lab, disk: Path) -> None:
    lab.takes(mail("before"))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    lab.defers(mail("during"))
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    lab.takes(mail("during"))
    assert lab.contexts() == ["iol-before", "iol-during"]


@pytest.mark.slow
def test_a_ledger_locked_for_longer_than_the_patience_defers(lab: Lab) -> None:
    lab.takes(mail("before"))
    locking = sqlite3.connect(lab.state / "ledger.sqlite", isolation_level=None)
    locking.execute("BEGIN IMMEDIATE")
    lab.defers(mail("during"))
    locking.execute("ROLLBACK")
    locking.close()
    lab.takes(mail("during"))
    assert lab.contexts() == ["iol-before", "iol-during"]


@pytest.mark.slow
@pytest.mark.parametrize("left", ["not JSON at all", "[]", '{"retests": 1}', ""])
def test_a_file_that_is_no_retest_json_is_set_aside(lab: Lab, left: str) -> None:
    lab.retests.write_text(left)
    lab.takes(mail("one"))
    assert lab.contexts() == ["iol-one"]
    (aside,) = lab.retests.parent.glob("retests.json.corrupt-*")
    assert aside.read_text() == left


@pytest.mark.slow
def test_a_folder_in_the_files_place_is_told_and_waited_out(lab: Lab) -> None:
    lab.retests.mkdir()
    lab.takes(mail("one"))
    (sink,) = lab.status()["sinks"]
    assert (sink["position"], sink["lag"]) == (0, 1)
    assert str(lab.retests) in str(sink["reason"])
    lab.retests.rmdir()
    assert lab.contexts() == ["iol-one"]
    (sink,) = lab.status()["sinks"]
    assert (sink["position"], sink["lag"], sink["reason"]) == (1, 0, None)


@pytest.mark.slow
def test_a_symbolic_link_stays_one_and_its_target_is_written(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text('{"retests": {}, "last_comment_timestamp": null}')
    lab.retests.symlink_to(target)
    lab.takes(mail("one"))
    assert lab.contexts() == ["iol-one"]
    assert lab.retests.is_symlink()
    assert "29430" in target.read_text()


def test_a_damaged_ledger_defers_and_says_what_to_do(lab: Lab) -> None:
    lab.takes(mail("one"))
    ledger = lab.state / "ledger.sqlite"
    ledger.write_bytes(b"garbage" * 1000)
    for log in lab.state.glob("ledger.sqlite-*"):
        log.unlink()
    lab.defers(mail("two"))
