# SPDX-License-Identifier: BSD-3-Clause
"""How fast `recheck-ingest serve` takes mail by SMTP or LMTP, against aiosmtpd that only says 250.

    python contrib/bench/smtp.py [--lmtp] [--json]

Each run sends 20,000 mails of 2 KB over 50 connections to a server in a process of its own: a
bare aiosmtpd handler; ours, with 1 % of the mails holding a request; ours, with all of them.
Ours is the whole service, its worker and the sandbox Patchwork included, on the disk that --work
names. Runs of the three take turns --rounds times; ratios are medians of the rounds. By LMTP this
is the row "lmtp" of `python contrib/bench`.
"""

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import letters
from measure import Plan, Row, Target, compared
from servers import free_port, patchwork, served

SERIES = 200  # patches that the sandbox knows
SIZE = 2048
BASELINE = "bare aiosmtpd"
# Kinds of runs of ours: how many mails of a hundred hold a request.
OURS = {"ours, 1 % requests": 1, "ours, all requests": 100}

BARE = """
import asyncio, logging, sys
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 OK"

async def main():
    logging.disable(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    kind = LMTP if sys.argv[2] == "lmtp" else SMTP
    session = lambda: kind(Handler(), hostname="bare")
    await loop.create_server(session, "127.0.0.1", int(sys.argv[1]))
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What each run sends, and how: by default in a dialogue of SMTP or LMTP. ``bare``: the
    program of the baseline, which is given the port and the protocol."""

    protocol: str  # "smtp", "lmtp" or "http"
    mails: int
    connections: int
    bare: str = BARE
    client: "Client | None" = None


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


Client = Callable[[int, Load, Iterator[int], int, Run, dict[int, float]], Awaitable[None]]


async def client(
    port: int, load: Load, numbers: Iterator[int], requests: int, run: Run, sent: dict[int, float]
) -> None:
    """One connection: the next mail, as long as there is one."""
    loop = asyncio.get_running_loop()
    said = _said(load, numbers, requests, run, sent)
    _, dialogue = await loop.create_connection(lambda: _Dialogue(said), "127.0.0.1", port)
    await dialogue.ended


def _said(
    load: Load, numbers: Iterator[int], requests: int, run: Run, sent: dict[int, float]
) -> Generator[tuple[bytes, bytes]]:
    """What a client says, and how the answer to it begins."""
    yield b"", b"220"
    yield (b"LHLO" if load.protocol == "lmtp" else b"EHLO") + b" bench.example.org\r\n", b"250"
    for number in numbers:
        request = number % 100 < requests
        content = letters.reply(number, SERIES, SIZE, f"bench-{number}" if request else "")
        wire = content.replace(b"\n", b"\r\n") + b".\r\n"
        yield b"MAIL FROM:<robin@example.org>\r\n", b"250"
        yield b"RCPT TO:<recheck@example.org>\r\n", b"250"
        began = time.perf_counter()
        if request:
            sent[number] = began
        yield b"DATA\r\n", b"354"
        yield wire, b"250"
        run.answered.append(time.perf_counter() - began)
    yield b"QUIT\r\n", b"221"


class _Dialogue(asyncio.Protocol):
    """A client's end of a connection. Not streams, which cost as much as the server's half that is
    measured: then there would be no telling which of the two is slow."""

    def __init__(self, said: Generator[tuple[bytes, bytes]]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._said = said
        self._answer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        _, self._wanted = next(self._said)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        lines = self._answer.split(b"\r\n")
        if lines.pop() or lines[-1][3:4] == b"-":
            return
        self._answer = b""
        if not lines[-1].startswith(self._wanted):
            self._end(RuntimeError(f"{lines[-1]!r} instead of {self._wanted!r}"))
            return
        try:
            line, self._wanted = next(self._said)
        except StopIteration:
            self._end()
        else:
            self._transport.write(line)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or RuntimeError("the server has hung up"))

    def _end(self, error: Exception | None = None) -> None:
        self._transport.close()
        if not self.ended.done():
            self.ended.set_exception(error) if error else self.ended.set_result(None)


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


async def sending(port: int, load: Load, requests: int, retests: Path | None) -> Run:
    """Send all mails; with ``retests``, wait for the requests to be in that file."""
    run = Run(load.mails)
    sent: dict[int, float] = {}
    numbers = iter(range(load.mails))
    send = load.client or client
    watching = asyncio.create_task(watch(retests, run, sent)) if retests else None
    began = time.perf_counter()
    await asyncio.gather(
        *(send(port, load, numbers, requests, run, sent) for _ in range(load.connections))
    )
    run.seconds = time.perf_counter() - began
    if watching:
        until = time.monotonic() + 30
        while len(run.published) < len(sent) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        watching.cancel()
    return run


def with_peak(pid: int, run: Run) -> Run:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    run.peak = int(found[1]) * 1024 if found else 0
    return run


def bare(load: Load) -> Run:
    port = free_port()
    with served(port, sys.executable, "-c", load.bare, str(port), load.protocol) as pid:
        return with_peak(pid, asyncio.run(sending(port, load, 0, None)))


def ours(load: Load, folder: Path, patchwork: str, requests: int) -> Run:
    port = free_port()
    with tempfile.TemporaryDirectory(dir=folder) as state:
        command = (
            *(sys.executable, "-m", "ingest", "serve", "--state", state),
            *(f"--{load.protocol}", f"127.0.0.1:{port}", "--patchwork", patchwork),
        )
        # With all mails holding one, the worker is busy long after the last of them was sent.
        retests = Path(state, "retests.json") if requests == 1 else None
        with served(port, *command) as pid:
            return with_peak(pid, asyncio.run(sending(port, load, requests, retests)))


def in_turns(load: Load, rounds: int, folder: Path) -> dict[str, list[Run]]:
    """Every kind of run once a round, the last one first in every other."""
    runs: dict[str, list[Run]] = {BASELINE: [], **{name: [] for name in OURS}}
    with patchwork(folder, SERIES) as server:
        for number in range(rounds):
            for name in list(runs)[:: -1 if number % 2 else 1]:
                run = ours(load, folder, server.url, OURS[name]) if name in OURS else bare(load)
                runs[name].append(run)
    return runs


def measure(plan: Plan) -> Iterator[Row]:
    """The rows of LMTP. Rates, so that more is better."""
    load = Load("lmtp", plan.size(20_000, 100), plan.size(50, 5))
    yield from rows(plan, load, BASELINE, (1.5, 1.0), "DATA to 250")


def rows(
    plan: Plan, load: Load, against: str, bounds: tuple[float, float], answer: str
) -> Iterator[Row]:
    """The rows of a protocol. ``bounds``: the targets with few and with many requests;
    ``answer``: what is timed of each mail."""
    with plan.folder() as folder:
        runs = in_turns(load, plan.several(5), folder)
    for (kind, requests), bound in zip(OURS.items(), bounds, strict=True):
        answered = quantiles([each for run in runs[kind] for each in run.answered])
        peak = max(run.peak for run in runs[kind]) / 2**20
        note = f"{answer} p50/p99 {answered['p50']}/{answered['p99']} ms, {peak:.0f} MiB"
        name = load.protocol
        yield compared(
            f"{name} {requests} %",
            f"{name.upper()}, {load.mails} mails, {load.connections} connections, "
            f"{requests} % requests",
            against,
            "/s",
            [(a.rate, b.rate) for a, b in zip(runs[kind], runs[BASELINE], strict=True)],
            Target(bound, least=True),
            note=note,
        )


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
    parser = argparse.ArgumentParser(description="Load benchmark of the SMTP and LMTP listeners.")
    parser.add_argument("--mails", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lmtp", action="store_true", help="by LMTP instead of SMTP")
    parser.add_argument("--work", metavar="DIR", help="keep the ledger here; default: $TMPDIR")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    options = parser.parse_args()
    protocol = "lmtp" if options.lmtp else "smtp"
    load = Load(protocol, options.mails, options.connections)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        runs = in_turns(load, options.rounds, Path(folder))
    result = {name: summary(several, runs[BASELINE]) for name, several in runs.items()}
    print(json.dumps(result, indent=4) if options.json else table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
