# SPDX-License-Identifier: BSD-3-Clause
"""The rows "spooled", "forwarded" and "lease", of a ledger that several machines share: what a mail
costs the pipe while `serve` runs, against the pipe with a ledger in SQLite, how soon the spool is
empty when the database is back, and how soon a lease is free.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import letters
from measure import ROOT, Plan, Ran, Row, Skipped, Starter, Target, alternate, compared
from servers import free_port, served

_SERIES = 200
# Nobody is asked: the mail is durable before.
_NOWHERE = "http://127.0.0.1:9"
_SCRIPT = str(Path(sys.executable).with_name("recheck-ingest"))

# Seconds in which all that was spooled is to be forwarded.
_FORWARDED = 10.0

# Seconds in which a killed process's lease is to be free.
_FREE = 0.1
_HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from ingest.ledger import open_ledger
with open_ledger(sys.argv[2]).lease("bench") as held:
    print(held, flush=True)
    sys.stdin.readline()
"""


def measure(plan: Plan) -> Iterator[Row]:
    """The server of the database is there, and then it is away."""
    from tests.support.postgres import Cluster, programs

    if programs() is None or not Path(_SCRIPT).exists():
        raise Skipped("PostgreSQL is not installed, or recheck-ingest beside this interpreter")
    with plan.folder() as folder, ExitStack() as stack:
        cluster = Cluster(on_disk=True)
        stack.callback(cluster.remove)
        starter = stack.enter_context(Starter(plan))
        ledgers = {"postgresql": cluster.database_for(folder), "sqlite": f"sqlite:{folder}/ledger"}
        for kind, ledger in ledgers.items():
            port = free_port()
            flags = ("--state", str(folder / kind), "--patchwork", _NOWHERE)
            serve = (sys.executable, "-m", "ingest", "serve", "--smtp", f"127.0.0.1:{port}", *flags)
            stack.enter_context(
                served(port, "env", f"RECHECK_INGEST_STATE_LEDGER={ledger}", *serve)
            )
        time.sleep(2.0)  # the service has its leases
        for when in ("up", "down"):
            if when == "down":
                cluster.stop()
            rounds = _pairs(plan, starter, folder, ledgers, when)
            path = f"pipe, a request, PostgreSQL {when}"
            for what in ("wall", "cpu"):
                pairs = [(getattr(ours, what), getattr(theirs, what)) for ours, theirs in rounds]
                yield compared(
                    f"spooled {when} {what}", f"{path}, {what}", "SQLite", "s", pairs, Target(1.05)
                )


def _pairs(
    plan: Plan, starter: Starter, folder: Path, ledgers: dict[str, str], when: str
) -> list[tuple[Ran, ...]]:
    numbers = iter(range(1_000_000))
    mail = folder / "mail"

    def ours(kind: str) -> Ran:
        mail.write_bytes(letters.reply(next(numbers), _SERIES, 2048, f"bench-{when}"))
        return starter.run(
            *("env", f"RECHECK_INGEST_STATE_LEDGER={ledgers[kind]}", _SCRIPT, "pipe"),
            *("--state", folder / kind, "--patchwork", _NOWHERE),
            stdin=mail,
        )

    return alternate(plan.several(100), lambda: ours("postgresql"), lambda: ours("sqlite"))


def forwarded(plan: Plan) -> Iterator[Row]:
    """From the moment at which the database is there again until the ledger has all that was
    spooled meanwhile."""
    from tests.support.postgres import Cluster, programs

    if programs() is None:
        raise Skipped("PostgreSQL is not installed")
    mails = plan.size(10_000, 200)
    times = []
    for _ in range(plan.several(3)):
        with plan.folder() as folder, ExitStack() as stack:
            cluster = Cluster(on_disk=True)
            stack.callback(cluster.remove)
            url = cluster.database_for(folder)
            port, state = free_port(), folder / "state"
            serve = (sys.executable, "-m", "ingest", "serve", "--smtp", f"127.0.0.1:{port}")
            flags = ("--state", str(state), "--patchwork", _NOWHERE)
            stack.enter_context(
                served(port, "env", f"RECHECK_INGEST_STATE_LEDGER={url}", *serve, *flags)
            )
            cluster.stop()
            _spool(state / "spool.sqlite", mails)
            time.sleep(5.0)  # the service pauses for longest by now
            cluster.start()
            times.append(_emptied(state / "spool.sqlite", url, mails))
    path = f"{mails} mails spooled while the database was away are in the ledger"
    yield _within(_FORWARDED, "forwarded", path, times)


def _spool(file: Path, mails: int) -> None:
    """Leave mails in a spool, as pipes do."""
    import ledgers

    from ingest.ledger.spool import Spool

    with closing(Spool(str(file), busy_timeout=10.0, mode=0o600)) as spool:
        for first in range(0, mails, 1000):
            numbers = range(first, min(first + 1000, mails))
            spool.accept_all([ledgers.arrival(number) for number in numbers])


def _emptied(file: Path, url: str, mails: int) -> float:
    """The seconds until a spool is empty; all that was in it is in the ledger then."""
    from ingest.ledger import open_ledger
    from ingest.ledger.spool import Spool

    began = time.perf_counter()
    with closing(Spool(str(file), busy_timeout=10.0, mode=0o600)) as spool:
        while spool.depth().mails:
            time.sleep(0.01)
    took = time.perf_counter() - began
    with closing(open_ledger(url)) as ledger:
        held = sum(ledger.totals().mails.values())
    if held != mails:
        raise RuntimeError(f"the ledger has {held} mails of {mails}")
    return took


def lease(plan: Plan) -> Iterator[Row]:
    """From SIGKILL of a lease's holder until another process has it."""
    from tests.support.postgres import Cluster, programs

    if programs() is None:
        raise Skipped("PostgreSQL is not installed")
    with plan.folder() as folder, ExitStack() as stack:
        cluster = Cluster(on_disk=True)
        stack.callback(cluster.remove)
        for kind, url in {
            "postgresql": cluster.database_for(folder),
            "sqlite": f"sqlite:{folder}/ledger",
        }.items():
            times = [_freed(url) for _ in range(plan.several(20))]
            path = f"a lease is free after its holder was killed, {kind}"
            yield _within(_FREE, f"lease {kind}", path, times)


def _within(limit: float, name: str, path: str, times: list[float]) -> Row:
    """The row of what is to take so many seconds at most."""
    note = f"the longest took {max(times):.3g} s"
    pairs = [(each, limit) for each in times]
    return compared(name, path, f"{limit:g} s", "s", pairs, Target(1.0), note=note)


def _freed(url: str) -> float:
    from ingest.ledger import open_ledger

    with (
        closing(open_ledger(url)) as ledger,
        subprocess.Popen(
            [sys.executable, "-c", _HOLD, ROOT, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ},
        ) as holder,
    ):
        assert holder.stdout
        if holder.stdout.readline() != b"True\n":
            raise RuntimeError("the lease was not free")
        holder.kill()
        began = time.perf_counter()
        with ledger.lease("bench", patience=60.0) as held:
            took = time.perf_counter() - began
        if not held:
            raise RuntimeError("the lease was not free in a minute")
        return took
