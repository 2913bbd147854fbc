# SPDX-License-Identifier: BSD-3-Clause
"""`python contrib/bench [ROW...]`: every hot path against its baseline in the same run.

Runs of both take turns; medians and their ratios are shown, with the target. `growth`, which has
no baseline, is measured only if it is named. What is a row is each module's knowledge.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import arrival
import begun
import beside
import calling
import growth
import inbox
import machine
import moving
import pipe
import postfix
import postgresql
import posting
import reading
import recording
import replay
import retests
import smtp
import spooled
import table
import trust
from measure import ROOT, Plan, Row, Skipped

ROWS: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "replay": replay.measure,
    "memory": replay.memory,
    "inbox": inbox.measure,
    "pipe": pipe.measure,
    "pipe-request": pipe.request,
    "postfix": postfix.measure,
    "lmtp": smtp.measure,
    "arrival": arrival.measure,
    "http": posting.measure,
    "pages": reading.measure,
    "beside": beside.measure,
    "api": calling.measure,
    "recording": recording.measure,
    "retests": retests.measure,
    "trust": trust.measure,
    "postgresql": postgresql.measure,
    "begun": begun.measure,
    "copy": moving.measure,
    "spooled": spooled.measure,
    "forwarded": spooled.forwarded,
    "lease": spooled.lease,
}
GROWTH = "growth"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 0 whether or not targets are met."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - {*ROWS, GROWTH}:
        parser.error(f"there is no row {', '.join(sorted(unknown))}; see --help")
    names = options.rows or list(ROWS)
    if options.plot and GROWTH not in names:
        parser.error("--plot goes with growth")
    before = json.loads(options.compare.read_text()) if options.compare else None
    # The program and the parts of its tests that are reused, wherever this is started from.
    sys.path.append(str(ROOT))
    with tempfile.TemporaryDirectory(prefix="recheck-ingest-bench.") as temporary:
        Path(temporary).chmod(0o755)  # a mail server's user goes through it
        plan = Plan((options.work or Path(temporary)).resolve(), options.quick, options.rounds)
        found = machine.described(plan.work)
        print(table.machine(found), flush=True)
        rows, skipped = _measured(plan, [name for name in names if name in ROWS])
        print(f"\n{table.rendered(rows)}" if rows else "")
        if before:
            print(f"\n{table.before_and_after(before, rows)}")
        curves = []
        for curve in growth.measure(plan) if GROWTH in names else ():
            curves.append(curve)
            print(f"\n{growth.table(curve)}", flush=True)
    if options.plot and not growth.plot(curves, options.plot):
        print("no plot: matplotlib is not installed", file=sys.stderr)
    if options.json:
        table.write(options.json, found, rows, skipped, curves)
    return 0


def _measured(plan: Plan, names: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """The rows of these names, as they come, and why others could not be measured."""
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            for row in ROWS[name](plan):
                rows.append(row)
                print(f"\n{table.explained(row)}", flush=True)
        except Skipped as reason:
            skipped[name] = str(reason)
            print(f"\n{name}: skipped: {reason}", flush=True)
    return rows, skipped


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python contrib/bench", description="Every hot path against its baseline."
    )
    parser.add_argument(
        "rows",
        metavar="ROW",
        nargs="*",
        help=f"{', '.join(ROWS)} (all of these unless one is named) or {GROWTH}",
    )
    parser.add_argument("--rounds", type=int, help="of each row; default: as many as it needs")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--work", type=Path, help="write files here; archives stay for next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all of it as JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="show this JSON beside it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the growth into this PNG")
    return parser


if __name__ == "__main__":
    sys.exit(main())
