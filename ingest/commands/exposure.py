# SPDX-License-Identifier: BSD-3-Clause
"""What others on this machine could change, hold up or learn, for ``check``: files and folders of
ours that everybody can write, what we run or are configured by that belongs to somebody else, and
passwords in the configuration.
"""

import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ingest.config.effective import MASK, effective
from ingest.config.tables import Settings
from ingest.ledger.masking import sqlite_path


def found(settings: Settings) -> list[str]:
    """A sentence for each such thing, with what to do."""
    programs = [shutil.which(each.program[0]) for each in settings.command.values()]
    trusted = [Path(each) for each in (settings.origin, *programs) if each]
    published = [settings.retests.file, *(each.file for each in settings.json_file.values())]
    file = sqlite_path(settings.state.ledger)
    kept = [Path(file)] if file else []
    ours = [*trusted, *kept, Path(settings.state.dir), *map(Path, published)]
    told = [
        *(each for path in ours for each in _writable(path)),
        *(each for path in trusted for each in _of_others(path)),
        *(each for file in published for each in _lock(Path(f"{file}.lock"))),
        *_passwords(settings),
    ]
    return list(dict.fromkeys(told))


def _writable(path: Path) -> Iterator[str]:
    """Whether everybody can write a file, or put another in its place, on the way to it too."""
    real = Path(os.path.realpath(path))
    for each in (real, *real.parents):
        try:
            mode = each.stat().st_mode
        except OSError:
            continue  # not there yet
        is_shared = stat.S_ISDIR(mode) and mode & stat.S_ISVTX  # as /tmp
        if mode & stat.S_IWOTH and not is_shared:
            yield f"{each} can be written by everyone: chmod o-w {each}"


def _of_others(path: Path) -> Iterator[str]:
    try:
        owner = path.stat().st_uid
    except OSError:
        return
    if owner not in (0, os.geteuid()):
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        yield f"{path} belongs to {name}, who can change what we do: chown root {path}"


def _lock(path: Path) -> Iterator[str]:
    try:
        readable = path.stat().st_mode & stat.S_IROTH
        shared = path.parent.stat().st_mode & stat.S_IWOTH
    except OSError:
        return
    if readable and not shared:
        yield f"{path} can be held for ever by everyone who can read it: chmod o-r {path}"


def _passwords(settings: Settings) -> Iterator[str]:
    """Passwords in URLs. That of the database has a file of its own to stand in."""
    for each in effective(settings, {}):
        shown = each.value if isinstance(each.value, list) else [each.value]
        if not any(f":{MASK}@" in str(value) for value in shown):
            continue
        what = f"[{each.table}] {each.key} holds a password"
        if (each.table, each.key) == ("state", "ledger"):
            yield f"{what}: put that into a file, and passfile=FILE into the URL"
        elif settings.origin and _is_readable(Path(settings.origin)):
            file = settings.origin
            yield f"{what}, and everyone can read {file}: chmod o= {file}"


def _is_readable(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
