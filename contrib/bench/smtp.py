# SPDX-License-Identifier: BSD-3-Clause
"""How fast `recheck-ingest serve` takes mail by SMTP, against aiosmtpd that only says 250.

    python contrib/bench/smtp.py [--json]

Each run sends 20,000 mails of 2 KB over 50 connections to a server in a process of its own: a
bare aiosmtpd handler; ours, with 1 % of the mails holding a request; ours, with all of them.
Ours is the whole service, its worker and the sandbox Patchwork included, on the disk that --state
names. Runs of the three take turns --rounds times; ratios are medians of the rounds.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERIES = 200  # patches that the sandbox knows
SIZE = 2048
BASELINE = "bare aiosmtpd"

BARE = """
import asyncio, logging, sys
from aiosmtpd.smtp import SMTP

class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"

async def main():
    logging.disable(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    session = lambda: SMTP(Handler(), hostname="bare")
    await loop.create_server(session, "127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(slots=True)
class Run:
    """What one run showed. Times are seconds."""

    mails: int
    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    published: list[float] = field(default_factory=list)
    peak: int = 0  # bytes

    @property
    def rate(self) -> float:
        return self.mails / self.seconds


def patch(number: int) -> bytes:
    return (
        f"From author@example.org Mon Mar  2 09:00:00 2026\n"
        f"From: author@example.org\nTo: dev@dpdk.org\n"
        f"Subject: [PATCH] net/example: fix number {number}\n"
        f"Date: Mon,  2 Mar 2026 09:00:00 +0000\nMessage-ID: <patch-{number}@example.org>\n"
        "List-Id: DPDK patches and discussions <dev.dpdk.org>\n\n"
        "Fix it.\n---\ndiff --git a/one.c b/one.c\nindex 0000001..0000002 100644\n"
        "--- a/one.c\n+++ b/one.c\n@@ -1 +1,2 @@\n int one;\n+int two;\n\n"
    ).encode()


def mail(number: int, request: bool) -> bytes:
    """A reply to a patch, of SIZE bytes, as it goes over the wire."""
    head = (
        f"Received: from mx.example.org by mx.example.net; Mon, 2 Mar 2026 10:00:00 +0000\r\n"
        f"From: Robin <robin@example.org>\r\nTo: dev@dpdk.org\r\n"
        f"Subject: Re: [PATCH] net/example: fix number {number % SERIES}\r\n"
        f"Date: Mon,  2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <reply-{number}@example.org>\r\n"
        f"In-Reply-To: <patch-{number % SERIES}@example.org>\r\n"
        "List-Id: DPDK patches and discussions <dev.dpdk.org>\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    if request:
        head += f"Recheck-request: bench-{number}\r\n\r\n"
    line = "> the lines of a review are about as long as this one is, more or less\r\n"
    text = (head + line * (SIZE // len(line) + 1))[: SIZE - 2] + "\r\n"
    return text.encode() + b".\r\n"


async def client(
    port: int, numbers: Iterator[int], requests: int, run: Run, sent: dict[int, float]
) -> None:
    """One connection: the next mail, as long as there is one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(line: bytes, wanted: bytes) -> None:
        writer.write(line)
        while (reply := await reader.readline())[3:4] == b"-":
            pass
        if not reply.startswith(wanted):
            raise RuntimeError(f"{reply!r} instead of {wanted!r}")

    await say(b"", b"220")
    await say(b"EHLO bench.example.org\r\n", b"250")
    for number in numbers:
        request = number % 100 < requests
        content = mail(number, request)
        await say(b"MAIL FROM:<robin@example.org>\r\n", b"250")
        await say(b"RCPT TO:<recheck@example.org>\r\n", b"250")
        began = time.perf_counter()
        await say(b"DATA\r\n", b"354")
        if request:
            sent[number] = began
        await say(content, b"250")
        run.answered.append(time.perf_counter() - began)
    await say(b"QUIT\r\n", b"221")
    writer.close()


async def watch(retests: Path, run: Run, sent: dict[int, float]) -> None:
    """Note when each request comes to be in the retest JSON."""
    seen: set[int] = set()
    known = (0, 0)
    while True:
        with contextlib.suppress(FileNotFoundError):
            found = retests.stat()
            if (found.st_ino, found.st_mtime_ns) != known:
                known = (found.st_ino, found.st_mtime_ns)
                now = time.perf_counter()
                numbers = {int(each) for each in re.findall(r"bench-(\d+)", retests.read_text())}
                run.published += [now - sent[number] for number in numbers - seen]
                seen |= numbers
        await asyncio.sleep(0.002)


async def load(port: int, options: argparse.Namespace, requests: int, retests: Path | None) -> Run:
    """Send all mails; with ``retests``, wait for the requests to be in that file."""
    run = Run(options.mails)
    sent: dict[int, float] = {}
    numbers = iter(range(options.mails))
    watching = asyncio.create_task(watch(retests, run, sent)) if retests else None
    began = time.perf_counter()
    await asyncio.gather(
        *(client(port, numbers, requests, run, sent) for _ in range(options.connections))
    )
    run.seconds = time.perf_counter() - began
    if watching:
        until = time.monotonic() + 30
        while len(run.published) < len(sent) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        watching.cancel()
    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def served(port: int, *command: str) -> Iterator[int]:
    """A server on a port, until the end of the block; its process id."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if server.poll() is not None:
                raise RuntimeError(f"{command[1:4]} did not start")
            time.sleep(0.02)
        yield server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def measured(pid: int, run: Run) -> Run:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    run.peak = int(found[1]) * 1024 if found else 0
    return run


def bare(options: argparse.Namespace) -> Run:
    port = free_port()
    with served(port, sys.executable, "-c", BARE, str(port)) as pid:
        return measured(pid, asyncio.run(load(port, options, 0, None)))


def ours(options: argparse.Namespace, patchwork: str, requests: int) -> Run:
    port = free_port()
    with tempfile.TemporaryDirectory(dir=options.state) as folder:
        command = (
            *(sys.executable, "-m", "ingest", "serve", "--state", folder),
            *("--smtp", f"127.0.0.1:{port}", "--patchwork", patchwork),
        )
        # With all mails holding one, the worker is busy long after the last of them was sent.
        retests = Path(folder, "retests.json") if requests == 1 else None
        with served(port, *command) as pid:
            return measured(pid, asyncio.run(load(port, options, requests, retests)))


def quantiles(times: list[float]) -> dict[str, float]:
    """Milliseconds."""
    if len(times) < 2:
        return {}
    cuts = statistics.quantiles(times, n=100)
    return {"p50": round(cuts[49] * 1000, 2), "p99": round(cuts[98] * 1000, 2)}


def summary(runs: list[Run], against: list[Run]) -> dict[str, Any]:
    pairs = zip(runs, against, strict=True)
    return {
        "mails_per_second": round(statistics.median(run.rate for run in runs)),
        "ratio": round(statistics.median(run.rate / other.rate for run, other in pairs), 2),
        "data_to_250_ms": quantiles([each for run in runs for each in run.answered]),
        "data_to_json_ms": quantiles([each for run in runs for each in run.published]),
        "peak_memory_mib": round(max(run.peak for run in runs) / 2**20, 1),
    }


def table(result: dict[str, dict[str, Any]]) -> str:
    def cell(times: dict[str, float]) -> str:
        return f"{times['p50']:.1f} / {times['p99']:.1f}" if times else "-"

    lines = [
        f"{'':22}{'mails/s':>9}{'ratio':>8}{'DATA to 250':>18}{'DATA to JSON':>18}{'peak':>11}",
        f"{'':39}{'p50 / p99, ms':>18}{'p50 / p99, ms':>18}{'MiB':>11}",
    ]
    lines += [
        f"{name:22}{row['mails_per_second']:>9}{row['ratio']:>8.2f}"
        f"{cell(row['data_to_250_ms']):>18}{cell(row['data_to_json_ms']):>18}"
        f"{row['peak_memory_mib']:>11}"
        for name, row in result.items()
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Load benchmark of the SMTP listener.")
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--state", metavar="DIR", help="keep the ledger here; default: $TMPDIR")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    options = parser.parse_args()
    runs: dict[str, list[Run]] = {BASELINE: [], "ours, 1 % requests": [], "ours, all requests": []}
    with tempfile.NamedTemporaryFile(suffix=".mbox") as mbox:
        mbox.write(b"".join(patch(number) for number in range(SERIES)))
        mbox.flush()
        port = free_port()
        command = (sys.executable, "-m", "ingest.sandbox", mbox.name, "--port", str(port))
        with served(port, *command):
            for _ in range(options.rounds):
                runs[BASELINE].append(bare(options))
                for name, requests in (("ours, 1 % requests", 1), ("ours, all requests", 100)):
                    runs[name].append(ours(options, f"http://127.0.0.1:{port}", requests))
    result = {name: summary(several, runs[BASELINE]) for name, several in runs.items()}
    print(json.dumps(result, indent=4) if options.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
