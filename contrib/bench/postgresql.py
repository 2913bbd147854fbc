# SPDX-License-Identifier: BSD-3-Clause
"""The row "postgresql": durable accepts, claims and finished requests in SQLite, in PostgreSQL, and
in PostgreSQL with a synchronous standby, each on a disk of this machine.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from measure import ROOT, Plan, Row, Skipped, Target, compared, timed

# What each is to be of SQLite's rate at least. Alone a commit waits for one more disk and a
# connection; many connections commit together, which SQLite's do not.
_LEAST = {
    "accepts 1": 0.5,
    "accepts 8": 1.5,
    "accepts 50": 1.5,
    "accepts together": 0.5,
    "finished": 0.3,
}

# The 99th percentile of 50 connections, in parts of SQLite's, where they wait for each other.
_LONGEST = 0.14

# What finished requests, of which one commits at a time, are to be of what one connection accepts.
_OF_ONE = {"postgresql": 0.31, "standby": 0.5}

# What a process of so many threads does for some seconds; it prints how often, and how long each
# time took. A service has its connections for days: what is done for the first times on each, where
# PostgreSQL makes its plans, is not measured.
_WORK = """
import json, sys, threading, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/contrib/bench"]
import ledgers
from dataclasses import replace
from ingest.ledger import Event, Outcome, open_ledger
url, what, name, threads, seconds = sys.argv[2:]
took = []
def mail(n):
    name_ = f"{name}-{n}"
    return replace(ledgers.arrival(0), identity=name_, message_id=name_, sender=name_)
def accept(ledger, n):
    ledger.accept(mail(n))
    return 1
def together(ledger, n):
    ledger.accept_all([mail(256 * n + each) for each in range(256)])
    return 256
def finish(ledger, n):
    found = ledger.claim(2e9, name)
    event = Event(1.0, "recorded", {})
    asked = replace(ledgers.request(0, 1, found), message_id=found.message_id)
    ledger.finish(found, Outcome.DONE, "", [event], [asked])
    return 1
do = {"accept": accept, "together": together, "finish": finish}[what]
opened = [open_ledger(url) for _ in range(int(threads))]
for place, ledger in enumerate(opened):
    for before in range(6):
        do(ledger, -1 - place - before * len(opened))
print("ready", flush=True)
sys.stdin.readline()
until = time.perf_counter() + float(seconds)
def work(place):
    n = place
    while (began := time.perf_counter()) < until:
        done = do(opened[place], n)
        took.append((time.perf_counter() - began, done))
        n += int(threads)
each = [threading.Thread(target=work, args=(place,)) for place in range(len(opened))]
[thread.start() for thread in each], [thread.join() for thread in each]
print(json.dumps(took))
"""


def measure(plan: Plan) -> Iterator[Row]:
    """All three in turn."""
    seconds = 0.2 if plan.quick else 3.0
    with servers(plan) as urls:
        for kind in ("postgresql", "standby"):
            for connections in (1, 8, 50):
                name = f"{kind} accepts {connections}"
                yield from _rated(plan, name, urls, kind, "accept", connections, seconds)
            together, finished = f"{kind} accepts together", f"{kind} finished"
            yield from _rated(plan, together, urls, kind, "together", 1, seconds)
            yield from _rated(plan, finished, urls, kind, "finish", 4, seconds)
            yield _finished(plan, urls[kind], kind, seconds)
        yield _claims(plan, urls["postgresql"])


@contextmanager
def servers(plan: Plan) -> Iterator[dict[str, Callable[[], str]]]:
    """What makes an empty ledger, by kind."""
    from tests.support.postgres import Cluster, programs
    from tests.support.replicas import Pair

    if programs() is None:
        raise Skipped("PostgreSQL is not installed")
    made = 0
    with plan.folder() as folder:

        def place() -> Path:
            nonlocal made
            made += 1
            new = folder / str(made)
            new.mkdir()
            return new

        alone, pair = Cluster(on_disk=True), Pair(on_disk=True)
        try:
            yield {
                "sqlite": lambda: f"sqlite:{place()}/ledger",
                "postgresql": lambda: alone.database_for(place()),
                "standby": lambda: pair.ledger(place()),
            }
        finally:
            alone.remove()
            pair.remove()


def _rated(
    plan: Plan,
    name: str,
    urls: dict[str, Callable[[], str]],
    kind: str,
    what: str,
    connections: int,
    seconds: float,
) -> Iterator[Row]:
    """How often a second something is done by so many connections; of many, how long 99 of 100
    take, too."""
    rates, longest = [], []
    for _ in range(plan.several(3)):
        ours, theirs = (
            _done(plan, urls[each](), what, connections, seconds) for each in (kind, "sqlite")
        )
        rates.append((ours[0], theirs[0]))
        longest.append((ours[1], theirs[1]))
    does = {"accept": "durable accepts", "together": "accepts, 256 together"}
    path = f"{does.get(what, 'claimed and finished with a request')} by {connections} connections"
    target = Target(_LEAST[name.partition(" ")[2]], least=True)
    yield compared(name, path, "SQLite", "/s", rates, target)
    if connections == 50:
        yield compared(f"{name} p99", f"{path}, p99", "SQLite", "s", longest, Target(_LONGEST))


def _finished(plan: Plan, url: Callable[[], str], kind: str, seconds: float) -> Row:
    """Requests finished by four, in turn with mails accepted by one: both wait for the disk of
    each commit."""
    pairs = []
    for _ in range(plan.several(3)):
        finished, accepted = (
            _done(plan, url(), what, connections, seconds)[0]
            for what, connections in (("finish", 4), ("accept", 1))
        )
        pairs.append((finished, accepted))
    return compared(
        f"{kind} finished / accepts",
        "claimed and finished with a request by 4 connections",
        "durable accepts by 1",
        "/s",
        pairs,
        Target(_OF_ONE[kind], least=True),
    )


def _done(plan: Plan, url: str, what: str, connections: int, seconds: float) -> tuple[float, float]:
    """As ``_run``, in a ledger that has what is needed for that."""
    if what == "finish":
        _fill(url, plan.size(20_000, 500))
    return _run(url, what, connections, seconds, 1 if plan.quick else 4)


def _run(url: str, what: str, connections: int, seconds: float, most: int) -> tuple[float, float]:
    """The rate a second and the 99th percentile of seconds, by so many processes at most."""
    processes = min(connections, most)
    threads = [connections // processes + (n < connections % processes) for n in range(processes)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _WORK, ROOT, url, what, f"worker-{n}", str(each), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n, each in enumerate(threads)
    ]
    took: list[tuple[float, int]] = []
    for each in started:
        assert each.stdout
        each.stdout.readline()
    for each in started:
        assert each.stdin
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in started:
        out, _ = each.communicate()
        took += map(tuple, json.loads(out))  # type: ignore[arg-type]
    longest = statistics.quantiles([time for time, _ in took], n=100)[-1] if took[1:] else 0.0
    return sum(done for _, done in took) / seconds, longest


def _fill(url: str, mails: int) -> None:
    import ledgers

    from ingest.ledger import open_ledger

    with closing(open_ledger(url)) as ledger:
        for first in range(0, mails, 2000):
            last = min(first + 2000, mails)
            ledger.accept_all([ledgers.arrival(number) for number in range(first, last)])


def _claims(plan: Plan, url: Callable[[], str]) -> Row:
    """Claims behind a long queue and behind a short one, in turn."""
    from ingest.ledger import open_ledger

    few, many, rounds, claims = 1000, plan.size(1_000_000, 2000), plan.several(20), 25
    with ExitStack() as opened:
        both = []
        for queued in (many, few):
            there = url()
            _fill(there, queued)
            both.append(opened.enter_context(closing(open_ledger(there))))
        long, short = ((lambda each=each: each.claim(2e9, "worker-1")) for each in both)
        for claim in (long, short):  # what is done for the first time takes longer
            _mean(claim, 10)
        pairs = [(_mean(long, claims), _mean(short, claims)) for _ in range(rounds)]
    path = f"a claim with {many} mails in the queue"
    return compared("postgresql claims", path, f"with {few}", "s", pairs, Target(1.3))


def _mean(call: Callable[[], object], times: int) -> float:
    return timed(lambda: [call() for _ in range(times)]) / times
