# SPDX-License-Identifier: BSD-3-Clause
"""How cost grows: with the size of an archive, with the queue, with the request log. Numbers, and
a picture of them if matplotlib is there.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import archive
from measure import Plan, Skipped, Starter, timed
from replay import rehearsal

if TYPE_CHECKING:
    from ingest.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Curve:
    """What was measured against what. ``points`` has a row for each size: the size, then a
    number for each of ``columns``."""

    title: str
    size: str
    columns: tuple[str, ...]
    points: tuple[tuple[float, ...], ...]


def measure(plan: Plan) -> Iterator[Curve]:
    """All three."""
    yield archives(plan)
    yield queues(plan)
    yield logs(plan)


def archives(plan: Plan) -> Curve:
    """A whole dry run offline, from 1 MB to 1.5 GB; the largest are one archive repeated."""
    points = []
    full = (333, 1667, 5000, 16_667, archive.MAILS)
    with Starter(plan) as starter:

        def point(path: Path) -> None:
            size = path.stat().st_size
            rounds = 1 if size > 100e6 else plan.several(3)
            ran = [starter.run(*rehearsal(plan, path)) for _ in range(rounds)]
            wall = min(each.wall for each in ran)
            points.append((size / 1e6, wall, ran[0].peak / 2**20))

        for mails in (30, 60, 120) if plan.quick else full:
            point(archive.mbox(plan, mails))
        once = archive.mbox(plan, plan.size(archive.MAILS, 120))
        for times in (2,) if plan.quick else (3, 10):
            try:
                large = archive.repeated(plan, once, times)
            except Skipped as error:
                print(f"archive {times} times over: skipped: {error}", file=sys.stderr)
                break
            point(large)
            large.unlink()
    columns = ("replay, s", "peak, MiB")
    return Curve("dry run offline against archive size", "MB", columns, tuple(points))


def queues(plan: Plan) -> Curve:
    """One mail taken in, claimed and put back, and the totals that status shows, at each length
    of the queue."""
    import ledgers

    from ingest.ledger import Wait

    points = []
    numbers = 0
    with plan.folder() as folder:
        ledger, _ = ledgers.opened(folder)

        def accept() -> None:
            nonlocal numbers
            ledger.accept(ledgers.arrival(numbers))
            numbers += 1

        def claim() -> float:
            began = time.perf_counter()
            mail = ledger.claim(ledgers.BEGAN * 2, ledgers.WORKER_LEASE)
            took = time.perf_counter() - began
            assert mail
            wait = Wait(since=mail.received, begun=mail.received, due=mail.received)
            ledger.wait(mail, wait, "", [])
            return took

        rounds = plan.several(50)
        with Starter(plan) as starter:
            status = (sys.executable, "-m", "ingest", "status", "--state", folder)
            for length in _powers(plan.size(1_000_000, 100)):
                ledgers.queue(ledger, numbers, length)
                numbers = max(numbers, length)
                points.append(
                    (
                        length,
                        1000 * _median(lambda: timed(accept), rounds),
                        1000 * _median(claim, rounds),
                        1000 * _median(lambda: timed(ledger.next_due), rounds),
                        1000 * _median(lambda: timed(ledger.totals), min(rounds, 5)),
                        1000 * _median(lambda: starter.run(*status).wall, min(rounds, 3)),
                    )
                )
        ledger.close()
    columns = (
        "accept, ms",
        "claim, ms",
        "next due, ms",
        "totals, ms",
        "status, ms with the interpreter's start",
    )
    return Curve("one mail against queue length", "queued", columns, tuple(points))


def logs(plan: Plan) -> Curve:
    """One mail ended with a request, and the request published, at each length of the log. The
    consumer has taken the file away each time: what is in the file is another row's."""
    import ledgers

    points = []
    numbers = 0
    with plan.folder() as folder:
        ledger, catch_up = ledgers.opened(folder)
        file = folder / "retests.json"

        def finish() -> float:
            nonlocal numbers
            ledger.accept(ledgers.arrival(numbers))
            took = timed(lambda: ledgers.finish(ledger, numbers, numbers % 2000))
            numbers += 1
            return took

        def publish() -> float:
            finish()
            file.unlink()
            return timed(catch_up)

        rounds = plan.several(30)
        for length in _powers(plan.size(100_000, 100)):
            ledgers.record(ledger, numbers, length, 2000)
            numbers = max(numbers, length)
            finishing = _median(finish, rounds)
            catch_up()
            publishing = _median(publish, rounds)
            found = [1000 * _median(each, min(rounds, 5)) for each in _searches(ledger).values()]
            points.append((length, 1000 * finishing, 1000 * publishing, *found))
        columns = ("claim and finish, ms", "publish, ms", *_searches(ledger))
        ledger.close()
    return Curve("one request against the request log", "requests", columns, tuple(points))


def _searches(ledger: "Ledger") -> "dict[str, Callable[[], float]]":
    """What ``list`` asks for with each of its filters: requests, by state and attention mails.
    Nobody asks as "nobody" and nothing says "nothing": all must be looked at."""
    from ingest.ledger import Attention, Filter, Outcome

    filters = {
        "newest": Filter(),
        "series": Filter(series=(7,)),
        "label": Filter(labels=("bench-3",)),
        "requester": Filter(requesters=("nobody",)),
        "list id": Filter(lists=("dev.dpdk.org",)),
        "project": Filter(projects=("dpdk",)),
        "since": Filter(since=1.0),
        "search": Filter(texts=("nothing",)),
        "state": Filter(states=(Outcome.FAILED,)),
        "attention": Filter(attention=Attention(("webhook:lab",))),
    }
    of_mails = ("state", "attention")
    return {
        f"list by {name}, ms": partial(
            timed,
            partial(ledger.search_mails if name in of_mails else ledger.search_requests, wanted),
        )
        for name, wanted in filters.items()
    }


def _powers(last: int) -> Iterator[int]:
    length = 1
    while length <= last:
        yield length
        length *= 10


def _median(call: Callable[[], float], rounds: int) -> float:
    return statistics.median(call() for _ in range(rounds))


def table(curve: Curve) -> str:
    """A line for each size, and how many times the first the last is."""
    width = max(map(len, curve.columns)) + 2
    lines = [
        f"{curve.title}",
        f"{curve.size:>12}" + "".join(f"{c:>{width}}" for c in curve.columns),
    ]
    lines += [
        f"{size:>12,.6g}" + "".join(f"{value:>{width}.2f}" for value in values)
        for size, *values in curve.points
    ]
    _, *first = curve.points[0]
    _, *last = curve.points[-1]
    factors = [now / then if then else 0.0 for then, now in zip(first, last, strict=True)]
    lines.append(f"{'last / first':>12}" + "".join(f"{each:>{width}.2f}" for each in factors))
    return "\n".join(lines)


def plot(curves: Sequence[Curve], path: Path) -> bool:
    """Draw them into a PNG, a picture for each column's unit; False without matplotlib."""
    try:
        import matplotlib  # type: ignore[import-not-found, unused-ignore]

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    units = [
        (curve, unit)
        for curve in curves
        for unit in dict.fromkeys(each.rpartition(", ")[2] for each in curve.columns)
    ]
    figure, axes = pyplot.subplots(
        1, len(units), figsize=(5 * len(units), 4.5), layout="constrained", squeeze=False
    )
    for (curve, unit), axis in zip(units, axes[0], strict=True):
        sizes = [each[0] for each in curve.points]
        for place, column in enumerate(curve.columns, 1):
            if column.endswith(f", {unit}"):
                values = [each[place] for each in curve.points]
                axis.plot(sizes, values, marker="o", label=column.rpartition(", ")[0])
        axis.set(xscale="log", xlabel=curve.size, ylabel=unit, title=curve.title)
        # Seconds of a whole archive grow with it, so both axes are logarithms; what must stay
        # as it is begins at 0.
        if unit == "s":
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    return True
