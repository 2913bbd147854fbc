# SPDX-License-Identifier: BSD-3-Clause
"""The row "recording": the worker on a long queue of requests for fewer series; how often
Patchwork is asked, and how much of the time is spent waiting for its answers.
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

# The wall time inside each question is the time waited for HTTP: the worker does nothing else.
_WORK = """
import json, sys, time
from ingest import transport, worker
from ingest.config import load as config
from ingest.ledger import WORKER_LEASE, open_configured
state, url, most = sys.argv[1:]
settings = config.load({
    ("state", "dir"): state,
    ("patchwork", "url"): url,
    ("patchwork", "questions_per_sender"): int(most),  # all mails are of one sender
})
waited = 0.0
get = transport.Client.get
def timed(*arguments, **named):
    global waited
    began = time.perf_counter()
    try:
        return get(*arguments, **named)
    finally:
        waited += time.perf_counter() - began
transport.Client.get = timed
ledger = open_configured(settings.state)
with ledger.lease(WORKER_LEASE):
    working = worker.Worker(ledger, worker.connect(settings, ledger), settings)
    began = time.perf_counter()
    working.work_off()
    wall = time.perf_counter() - began
print(json.dumps([wall, waited, time.process_time(), ledger.last_request()]))
"""


def measure(plan: Plan) -> Iterator[Row]:
    """Every round is a new ledger with the whole queue."""
    requests, series = plan.size(10_000, 50), plan.size(2000, 10)
    asked, shares, notes = [], [], []
    with plan.folder() as folder, patchwork(folder, series) as server, Starter(plan) as starter:
        for number in range(plan.several(3)):
            state = folder / str(number)
            fill(state, requests, series)
            before = server.asked()
            ran = starter.run(sys.executable, "-c", _WORK, state, server.url, str(requests))
            wall, waited, cpu, recorded = json.loads(ran.output)
            if recorded != requests:
                raise RuntimeError(f"{recorded} of {requests} requests were recorded")
            asked.append(((server.asked() - before) / series, 1.0))
            shares.append((waited, wall))
            notes.append(
                f"{requests / wall:.0f} requests/s, {waited / (series or 1) * 1000:.2f} ms per "
                f"question, {cpu:.1f} s of CPU"
            )
    path = f"recording {requests} requests of {series} series"
    yield compared(
        "recording questions", f"{path}, HTTP requests per series", "one", "", asked, Target(1.05)
    )
    yield compared(
        "recording waiting",
        f"{path}, time waiting for HTTP",
        "the whole time",
        "s",
        shares,
        Target(0.7, least=True),
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
