# SPDX-License-Identifier: BSD-3-Clause
"""What a measurement was made on."""

import os
import platform
import re
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from measure import ROOT


def described(work: Path) -> dict[str, str]:
    """The machine, its Python, the file system that files are written to, and the program."""
    kib = int(_found(r"^MemTotal:\s*(\d+)", "/proc/meminfo", "0"))
    return {
        "processor": _found(r"^(?:model name|Processor)\s*:\s*(.*)", "/proc/cpuinfo"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kib / 2**20:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(map(_package, ("requests", "mail-parser", "aiosmtpd"))),
        "file system": _file_system(work),
        "load at start": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "commit": _commit(),
    }


def _found(pattern: str, file: str, otherwise: str = "unknown") -> str:
    try:
        found = re.search(pattern, Path(file).read_text(), re.MULTILINE)
    except OSError:
        return otherwise
    return found[1] if found else otherwise


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def _file_system(path: Path) -> str:
    """The kind of file system that holds a path: of the mount whose place is the longest."""
    kinds = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if path.resolve().is_relative_to(place):
            kinds[place] = kind
    return kinds[max(kinds, key=len)] if kinds else "unknown"


def _commit() -> str:
    ran = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip() or "unknown"
