# SPDX-License-Identifier: BSD-3-Clause
"""The program, installed where every user of this machine may run it.

A mail server runs it as ``nobody``, who cannot enter the folder that an interpreter, a virtual
environment or a checkout of root's may live in.
"""

import pwd
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import TypedDict

import pytest

import ingest

_PROBE = "import sys, sqlite3, tomllib; sys.exit(sys.version_info < (3, 11))"


class Identity(TypedDict):
    """Arguments of ``subprocess.Popen``."""

    user: str
    group: int
    extra_groups: list[int]


def install(folder: Path, user: str) -> Path:
    """Install into a new virtual environment below a folder; the path of the command."""
    environment = folder / "venv"
    subprocess.run([_interpreter(user), "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    shutil.copytree(
        Path(ingest.__file__).parent,
        packages / "ingest",
        ignore=shutil.ignore_patterns("__pycache__", "bin"),
    )
    for name in _requirements("recheck-ingest", {}):
        _copy(name, packages)
    # What pip does besides: our script begins with the interpreter's path, and everything is
    # compiled, which nobody may do later.
    python = environment / "bin" / "python"
    command = python.with_name("recheck-ingest")
    _, script = Path(sys.executable).with_name(command.name).read_text().split("\n", 1)
    command.write_text(f"#!{python}\n{script}")
    command.chmod(0o755)
    subprocess.run([python, "-m", "compileall", "-q", packages], check=True)
    return command


def become(user: str) -> Identity:
    """What makes ``subprocess`` run a program as this user, with the user's own group alone."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _interpreter(user: str) -> str:
    """An interpreter that the user can run."""
    for candidate in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
        try:
            tried = subprocess.run(
                [candidate, "-c", _PROBE], cwd="/", capture_output=True, check=False, **become(user)
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return str(candidate)
    return pytest.skip(f"there is no Python of this release that {user} can run")


def _requirements(name: str, known: dict[str, None]) -> dict[str, None]:
    """The distributions that this one needs here, extras left out, itself not counted."""
    for line in distribution(name).requires or []:
        needed = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        if "extra ==" in line or needed in known:
            continue
        try:
            distribution(needed)
        except ModuleNotFoundError:
            continue  # its marker says that it is not for this Python or system
        known[needed] = None
        _requirements(needed, known)
    return known


def _copy(name: str, packages: Path) -> None:
    for file in distribution(name).files or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)
