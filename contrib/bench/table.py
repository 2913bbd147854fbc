# SPDX-License-Identifier: BSD-3-Clause
"""What was measured, as a table for people and as JSON to be compared with later."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from growth import Curve
from measure import Row

_HEAD = ("row", "ours", "baseline", "ratio", "lowest-highest", "target", "met")


def machine(found: Mapping[str, str]) -> str:
    """One line for each thing that is known of the machine."""
    return "\n".join(f"{name + ':':16}{value}" for name, value in found.items())


def rendered(rows: Sequence[Row]) -> str:
    """The table, and below it what each row is."""
    cells = [
        (
            row.name,
            value(row.ours, row.unit),
            value(row.baseline, row.unit),
            f"{row.ratio:.2f}",
            f"{row.spread[0]:.2f}-{row.spread[1]:.2f}" if row.rounds > 1 else "",
            row.target,
            _met(row.met),
        )
        for row in rows
    ]
    return _aligned((_HEAD, *cells))


def explained(row: Row) -> str:
    """What a row is, in words."""
    rounds = f"{row.rounds} round{'s' if row.rounds > 1 else ''}"
    note = f"; {row.note}" if row.note else ""
    return f"{row.name}: {row.path}; against {row.against} ({rounds}{note})"


def before_and_after(before: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The same rows of an earlier run beside those of this one."""
    earlier = {each["name"]: each for each in before["rows"]}
    cells = []
    for row in rows:
        then = earlier.get(row.name)
        cells.append(
            (
                row.name,
                value(then["ours"], then["unit"]) if then else "-",
                value(row.ours, row.unit),
                f"{then['ratio']:.2f}" if then else "-",
                f"{row.ratio:.2f}",
                row.target,
                _met(then["met"]) if then else "-",
                _met(row.met),
            )
        )
    head = ("row", "before", "after", "ratio before", "after", "target", "met before", "after")
    return _aligned((head, *cells))


def value(number: float, unit: str) -> str:
    """A number with its unit, three digits or so."""
    if unit == "B":
        return f"{number / 2**20:.1f} MiB"
    if unit == "s":
        return f"{number:.3g} s" if number >= 1 else f"{number * 1000:.3g} ms"
    return f"{number:.0f}{unit}" if unit == "/s" else f"{number:.4g}"


def write(
    path: Path,
    found: Mapping[str, str],
    rows: Sequence[Row],
    skipped: Mapping[str, str],
    curves: Sequence[Curve],
) -> None:
    """All of it as JSON."""
    document = {
        "machine": dict(found),
        "rows": [asdict(row) for row in rows],
        "skipped": dict(skipped),
        "growth": [asdict(curve) for curve in curves],
    }
    path.write_text(json.dumps(document, indent=4) + "\n")


def _met(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
