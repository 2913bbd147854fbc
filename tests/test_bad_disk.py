# SPDX-License-Identifier: BSD-3-Clause
"""Disks that fill up, turn read-only or hold what another program left, seen through the command.

Each time: the pipe defers what it cannot store, nothing is lost, and all is made good later.
"""

import base64
import json
import os
import resource
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

    def __call__(
        self, *arguments: str, mail: bytes = b"", largest: int = resource.RLIM_INFINITY
    ) -> subprocess.CompletedProcess[bytes]:
        """``largest``: bytes past which this process may write no file."""
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
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
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


# What Postfix lets an alias pipe write, by default


MAILBOX_SIZE_LIMIT = 51_200_000


def large(name: str, size: int) -> bytes:
    """A request with an attachment that cannot be packed."""
    noise = base64.b64encode(os.urandom(size * 3 // 4))
    return mail(name) + b"\n".join(noise[at : at + 76] for at in range(0, len(noise), 76))


def full_of_labels(name: str, size: int) -> bytes:
    """A mail of nothing but labels."""
    line = "".join(f"Recheck-request: {name}-{number}\n" for number in range(2000))
    return mail(name) + line.encode() * (size // len(line))


def piped(lab: Lab, raw: bytes) -> int:
    return lab("pipe", mail=raw, largest=MAILBOX_SIZE_LIMIT).returncode


def published(lab: Lab) -> set[str]:
    return set(json.loads(lab.retests.read_text())["retests"]["29430"]["contexts"])


@pytest.mark.slow
def test_eight_mails_of_10_mb_by_an_alias_pipe_do_not_stop_it(lab: Lab) -> None:
    names = [f"n{number}" for number in range(8)]
    assert [piped(lab, large(name, 10_000_000)) for name in names] == [0] * 8
    assert piped(lab, mail("after")) == 0
    assert published(lab) == {f"iol-{name}" for name in [*names, "after"]}


@pytest.mark.slow
def test_nor_while_patchwork_is_down(lab: Lab) -> None:
    """What has no room is deferred, and room is made by pipes alone."""
    up, lab._url = lab._url, "http://127.0.0.1:9"
    mails = {name: large(name, 10_000_000) for name in map(str, range(7))}
    codes = {name: piped(lab, raw) for name, raw in mails.items()}
    assert set(codes.values()) == {0, 75}
    lab._url = up
    mails["after"], codes["after"] = mail("after"), 75
    for _ in range(3):  # the mail server tries again what was deferred
        codes = {name: piped(lab, mails[name]) if code else 0 for name, code in codes.items()}
    assert set(codes.values()) == {0}
    assert published(lab) == {f"iol-{name}" for name in mails}


@pytest.mark.slow
def test_three_mails_of_9_mb_full_of_labels_do_not_stop_the_retest_json(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECHECK_INGEST_PIPE_BUDGET", "60")  # for a slow machine
    for name in ("a", "b", "c"):
        assert piped(lab, full_of_labels(name, 9_000_000)) == 0
    assert piped(lab, mail("after")) == 0
    assert "iol-after" in published(lab)
    assert lab.retests.stat().st_size < 100_000
    assert (lab.state / "ledger.sqlite").stat().st_size < MAILBOX_SIZE_LIMIT
