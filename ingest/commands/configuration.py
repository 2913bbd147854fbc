# SPDX-License-Identifier: BSD-3-Clause
"""What ``config`` prints: every setting in force, as TOML with where it comes from, or as JSON."""

import json
from collections.abc import Sequence
from typing import Any

from ingest.commands.report import ATTENTION, Printer, print_json
from ingest.config.effective import Effective
from ingest.story.overview import jsonable


def show(
    found: Sequence[Effective],
    *,
    file: str,
    unknown: Sequence[str],
    changed: bool = False,
    in_json: bool = False,
) -> None:
    """The settings. ``file``: the one that was read, "" for none; ``unknown``: variables that look
    like settings and are not; ``changed``: only those that are not their defaults."""
    shown = [each for each in found if not changed or each.origin != "default"]
    if in_json:
        settings = [jsonable(each) for each in shown]
        print_json({"file": file or None, "unknown": unknown, "settings": settings})
        return
    out = Printer()
    out.line(f"# file: {file or 'none'}")
    for variable in unknown:
        out.line((f"# ${variable} is not a known setting", ATTENTION))
    table = ""
    for each in shown:
        if each.table != table:
            table = each.table
            out.line()
            out.line((f"[{table}]", "bold"))
        said = f"{each.key} = {_toml(each.value)}"
        origin = each.source or each.origin
        out.line(
            (said, "dim" if each.origin == "default" else ""), (f"  # {origin}", "dim"), as_is=True
        )


def _toml(value: Any) -> str:
    """A value as it is written in TOML, whose texts may be written as JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
