# SPDX-License-Identifier: BSD-3-Clause
"""Garbage through the pipe's own code path: exit 0, nothing said, an outcome for all that is kept.

``RECHECK_TEST_GARBAGE=20000 pytest -s tests/test_garbage.py`` runs more of it and prints figures.
"""

import base64
import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import Unreadable
from ingest.ledger import open_ledger
from ingest.mail import message, recheck
from ingest.mail.prefilter import may_hold_request
from ingest.sandbox import Sandbox
from tests.support.places import DATA

COUNT = int(os.environ.get("RECHECK_TEST_GARBAGE", "300"))

HEAD = (
    b"From: reviewer@example.org\nSubject: Re: [PATCH 1/1] tools: add get_reruns script\n"
    b"Date: Wed, 6 Sep 2023 10:00:00 +0000\nList-Id: DPDK CI discussions <ci.dpdk.org>\n"
    b"In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
)
TEXT = b"Hello,\n\nRecheck-request: iol-a, rebase=main\n\n-- \nsignature\n"
SEEDS = (
    HEAD + b"\n" + TEXT,
    HEAD + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(TEXT),
    HEAD + b"Content-Type: text/plain; charset=utf-16\n\n" + TEXT.decode().encode("utf-16"),
    HEAD + b'Content-Type: multipart/mixed; boundary="q"\n\n--q\nContent-Type: text/plain\n'
    b"Content-Transfer-Encoding: quoted-printable\n\nRecheck-request: iol=\n-a\n--q\n"
    b"Content-Type: message/rfc822\n\nSubject: x\n\n" + TEXT + b"--q--\n",
    HEAD + b"Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\n"
    b"Recheck-request: iol-b\n--r\nContent-Type: message/delivery-status\n\nAction: x\n\n--r--",
)
LINES = (
    b"Content-Type: multipart/alternative; boundary=q",
    b'Content-Type: text/plain; charset="\0"',
    b"Content-Type: text/plain; charset*0=ut; charset*1=f-7",
    b"Content-Transfer-Encoding: x-uuencode",
    b"References: <a@b> <c@d> <",
    b"Message-ID:",
    b"From: =?utf-8?b?//8=?= <\xff@x>",
    b"Date: Wed, 4 Jun 207777777777777777777714 17:50:46 0",
    b"Subject: [PATCH 0/99999999999999999999] \x00",
    b"Recheck-request: iol-\xff, a=b, , c",
    b">From nobody",
)


def monsters() -> Iterator[bytes]:
    """Mails that are hostile by their size or depth."""
    references = b"\n ".join(b"<%d@example.org>" % n for n in range(100_000))
    yield HEAD + b"References: " + references + b"\n\n" + TEXT
    yield HEAD + b"X-Long: " + b"x" * 1_000_000 + b"\n\n" + TEXT
    yield HEAD + b"Subject: " + b"=?utf-8?q?a?= " * 70_000 + b"\n\n" + TEXT
    yield HEAD + b"Content-Type: text/plain; " + b'"; ' * 300_000 + b"\n\n" + TEXT
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000)
    )
    yield HEAD + nested + b"\n" + TEXT
    yield HEAD + b"Content-Type: multipart/mixed; boundary=q\n\n" + b"--q\n\nhi\n" * 30_000 + TEXT
    yield HEAD + b"\n" + b"Recheck-request: iol-a,\n" * 40_000
    yield HEAD + b"\n" + b"\n" * 1_000_000 + TEXT
    yield b"Recheck-request: iol-a\n" * 40_000


def mutated(chance: random.Random) -> bytes:
    """One of the seeds after a few accidents."""
    raw = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(raw) + 1)
        kind = chance.randrange(5)
        if kind == 0 and raw:
            raw[at % len(raw)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del raw[at : at + chance.randrange(60)]
        elif kind == 2:
            line = raw.find(b"\n", at) + 1
            raw[line:line] = chance.choice(LINES) + b"\n"
        elif kind == 3:
            other = chance.choice(SEEDS)
            raw[at:] = other[chance.randrange(len(other)) :]
        else:
            raw[at:at] = chance.randbytes(chance.randrange(1, 20))
    return b"Message-ID: <%d@example.org>\n" % chance.randrange(1 << 60) + bytes(raw)


# Runs in a process of its own: the pipe reads descriptor 0 and is judged by its memory, too.
FEEDER = """
import os, resource, sys, tempfile, time
from ingest.commands import pipe
slowest = count = 0
while size := sys.stdin.buffer.read(8):
    raw = sys.stdin.buffer.read(int.from_bytes(size, "big"))
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.seek(0)
        kept = os.dup(0)
        os.dup2(file.fileno(), 0)
        begun = time.perf_counter()
        code = pipe.main(sys.argv[1:])
        slowest = max(slowest, time.perf_counter() - begun)
        os.dup2(kept, 0)
        os.close(kept)
    if code:
        sys.exit(f"exit {code} for {raw[:2000]!r}")
    count += 1
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"{count} mails, slowest {slowest:.3f} s, peak memory {peak} MB")
"""


@pytest.mark.slow
def test_garbage_through_the_pipe_raises_nothing_and_ends_in_outcomes(tmp_path: Path) -> None:
    recorded = DATA / "patchwork-recorded" / "patch.mbox"
    chance = random.Random(20231)
    mails = [*monsters(), *(mutated(chance) for _ in range(COUNT))]
    with Sandbox(str(recorded)) as sandbox:
        flags = ["--patchwork", sandbox.url, "--state", str(tmp_path), "--contexts", "iol-*"]
        fed = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FEEDER, *flags],
            input=b"".join(len(raw).to_bytes(8, "big") + raw for raw in mails),
            capture_output=True,
            check=False,
        )
    assert (fed.returncode, fed.stderr) == (0, b"")
    assert fed.stdout.startswith(b"%d mails" % len(mails))
    with contextlib.closing(open_ledger(f"sqlite:{tmp_path / 'ledger.sqlite'}")) as ledger:
        totals = ledger.totals()
    assert totals.mails["done"] > COUNT // 10
    assert totals.mails["ignored"] > 0
    json.loads((tmp_path / "retests.json").read_text())
    print(f"\n{fed.stdout.decode().strip()}, {dict(totals.mails)}")


@pytest.mark.parametrize("file", sorted((DATA / "fuzz").iterdir()), ids=lambda file: file.name)
def test_what_fuzzing_found_is_read(file: Path) -> None:
    raw = file.read_bytes()
    try:
        read = message.parse(raw)
    except Unreadable:
        return
    read.text.encode()
    if recheck.parse(read.text):
        assert may_hold_request(raw)
