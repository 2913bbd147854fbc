# SPDX-License-Identifier: BSD-3-Clause
"""The row "recording": the worker on a long queue of requests for fewer series; how often
Patchwork is asked, and how many requests are recorded a second beside mail-parser, which does
nothing but parse the same mails.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import letters
from measure import Plan, Row, Starter, Target, compared
from servers import patchwork

_WORK = """
import json, sys, time
from ingest import worker
from ingest.config import load as config
from ingest.ledger import WORKER_LEASE, open_configured
state, url, most = sys.argv[1:]
settings = config.load({
    ("state", "dir"): state,
    ("patchwork", "url"): url,
    ("patchwork", "questions_per_sender"): int(most),  # all mails are of one sender
})
ledger = open_configured(settings.state)
with ledger.lease(WORKER_LEASE):
    working = worker.Worker(ledger, worker.connect(settings, ledger), settings)
    began = time.perf_counter()
    working.work_off()
    wall = time.perf_counter() - began
print(json.dumps([wall, time.process_time(), ledger.last_request()]))
"""

_PARSE = """
import sys, time
sys.path.insert(0, sys.argv[1])
import letters, mailparser
requests, series = map(int, sys.argv[2:])
mails = [letters.reply(n, series, 2048, f"bench-{n % 50}") for n in range(requests)]
began = time.perf_counter()
for each in mails:
    parsed = mailparser.parse_from_bytes(each)
    parsed.message_id, parsed.body
print(time.perf_counter() - began)
"""


def measure(plan: Plan) -> Iterator[Row]:
    """Every round is a new ledger with the whole queue."""
    requests, series = plan.size(10_000, 50), plan.size(2000, 10)
    asked, rates, notes = [], [], []
    with plan.folder() as folder, patchwork(folder, series) as server, Starter(plan) as starter:
        for number in range(plan.several(3)):
            state = folder / str(number)
            fill(state, requests, series)
            before = server.asked()
            ran = starter.run(sys.executable, "-c", _WORK, state, server.url, str(requests))
            wall, cpu, recorded = json.loads(ran.output)
            if recorded != requests:
                raise RuntimeError(f"{recorded} of {requests} requests were recorded")
            asked.append(((server.asked() - before) / series, 1.0))
            here = Path(__file__).parent
            parsed = starter.run(sys.executable, "-c", _PARSE, here, str(requests), str(series))
            rates.append((requests / wall, requests / float(parsed.output)))
            notes.append(f"{cpu / requests * 1000:.2f} ms of CPU each")
    path = f"recording {requests} requests of {series} series"
    yield compared(
        "recording questions", f"{path}, HTTP requests per series", "one", "", asked, Target(1.05)
    )
    yield compared(
        "recording rate",
        f"{path}, a second",
        "parsed by mail-parser a second",
        "/s",
        rates,
        Target(0.15, least=True),
        note=notes[len(notes) // 2],
    )


def fill(state: Path, requests: int, series: int) -> None:
    """A ledger with this queue."""
    from ingest import intake
    from ingest.config import load as config
    from ingest.ledger import open_configured

    settings = config.load({("state", "dir"): str(state)})
    with closing(open_configured(settings.state)) as ledger, ledger.batch():
        for number in range(requests):
            intake.accept(
                letters.reply(number, series, 2048, f"bench-{number % 50}"),
                "bench",
                ledger=ledger,
                now=time.time(),
                max_size=settings.intake.max_size,
            )
