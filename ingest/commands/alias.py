# SPDX-License-Identifier: BSD-3-Clause
"""The aliases by which Postfix runs our pipe: what their lines say, and whom they run it as."""

import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# In the command of an alias: our program, and what follows "pipe" up to the end of its flags.
_PIPE = re.compile(
    r"""((?:[^\s"'|;&()]*/)?recheck-ingest)\ +pipe\b
    ((?:\ +-[^\s"')|;&]+(?:\ +[^-\s"')>|;&0-9][^\s"')|;&]*)?)*)""",
    re.VERBOSE,
)
_FLAG = r"{}(?: +|=)(\S+)"
_GUARD = "exit 75"
# What local(8) runs a pipe as if root owns the alias file and nothing else is set.
_NOBODY = "nobody"
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Alias:
    """A line of an alias file that runs our pipe. ``user``: whom local(8) runs it as;
    ``program``, ``state``, ``config``: what it names, "" if nothing; ``guarded``: whether every
    failure ends in exit 75."""

    name: str
    file: str
    user: str
    program: str
    state: str
    config: str
    guarded: bool


def default_user() -> str:
    """Whom Postfix runs an alias pipe as when root owns the aliases (default_privs), "" if there
    is no Postfix here."""
    return _asked("postconf", "-h", "default_privs")


def found() -> list[Alias]:
    """Those of Postfix's alias_maps that we may read."""
    maps = _asked("postconf", "-h", "alias_maps").replace(",", " ").split()
    return [
        alias
        for each in maps
        if _is_there(each.partition(":")[2])
        for line in _asked("postalias", "-s", each).splitlines()
        if (alias := _read(line, each.partition(":")[2]))
    ]


def _is_there(file: str) -> bool:
    """Whether an alias map is a file, as it is written or as Postfix looks aliases up in it."""
    return any(Path(f"{file}{kind}").exists() for kind in ("", ".db", ".lmdb", ".cdb"))


def _read(line: str, file: str) -> Alias | None:
    """An entry as ``postalias -s`` prints it: the name, a tab, and the right-hand side."""
    name, _, command = line.partition("\t")
    pipe = _PIPE.search(command)
    if not pipe or "|" not in command[: pipe.start()]:
        return None

    def flag(which: str) -> str:
        given = re.search(_FLAG.format(which), pipe[2])
        return given[1] if given else ""

    return Alias(
        name=name.strip().rstrip(":"),
        file=file,
        user=_user(file),
        program=pipe[1],
        state=flag("--state"),
        config=flag("--config"),
        guarded=_GUARD in command[pipe.end() :],
    )


def _user(file: str) -> str:
    """The owner of what Postfix looks aliases up in, of which root is nobody in particular."""
    for path in (Path(f"{file}.db"), Path(file)):
        try:
            owner = path.stat().st_uid
            return pwd.getpwuid(owner).pw_name if owner else default_user() or _NOBODY
        except (OSError, KeyError):
            continue
    return default_user() or _NOBODY


def _asked(program: str, *arguments: str) -> str:
    """What a program of Postfix answers, "" if there is none or it cannot tell."""
    # Where a user's $PATH does not lead.
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not path:
        return ""
    try:
        asked = subprocess.run(
            [path, *arguments],
            capture_output=True, text=True, check=False, timeout=_PATIENCE, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
