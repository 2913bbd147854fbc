# SPDX-License-Identifier: BSD-3-Clause
"""What is in a public-inbox: which of its files are mails, its epochs, its mails in order.

Version 2 keeps each mail as the file ``m`` of a commit, in the repositories ``git/0.git``,
``git/1.git`` …; version 1 keeps all of them as files ``xx/yyyy…`` of one repository
(public-inbox-v2-format(5), public-inbox-v1-format(5)).
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ingest.sources.git import Commit, Git

# The name of the one repository of version 1 among epochs.
V1 = "v1"

# A deleted mail stands in "d"; what else there may be is nobody's mail.
_MAIL = re.compile(rb"m|[0-9a-f]{2}/[0-9a-f]{38}(?:[0-9a-f]{24})?")
_EPOCH = re.compile(r"(0|[1-9][0-9]{0,5})\.git")
# Commits looked through at once, and bytes of mails read at once.
_COMMITS = 20_000
_PIECE = 1 << 20
# In a history that goes by the clocks of many, so many commits in a row that are older than a
# time mean that those before them are, too.
_IN_A_ROW = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Mails of an inbox: the bytes from ``starts`` to ``ends`` of a buffer. With them all mails
    up to and with those of the commit ``complete`` were given, if there is one."""

    buffer: bytes
    starts: list[int]
    ends: list[int]
    complete: Commit | None = None


def epochs(folder: Path) -> dict[str, Path]:
    """The repositories of an inbox in a folder, by the names of their epochs, oldest first; none
    if the folder holds no inbox."""
    found = {}
    try:
        for name in os.listdir(folder / "git"):
            if (epoch := _EPOCH.fullmatch(name)) and is_repository(folder / "git" / name):
                found[epoch[1]] = folder / "git" / name
    except OSError:
        pass
    if not found and is_repository(folder):
        return {V1: folder}
    return {name: found[name] for name in sorted(found, key=int)}


def is_repository(folder: Path) -> bool:
    """Whether a folder looks like a bare repository of git's."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()


def since(dates: Sequence[int], bound: float, *, complete: bool) -> int | None:
    """How many of these commits, newest first, are those made at or after a Unix time, and what
    came between them. None: older commits have to be seen to tell; not if they are ``complete``."""
    older = taken = 0
    for number, date in enumerate(dates, 1):
        if date >= bound:
            older, taken = 0, number
        else:
            older += 1
            if older == _IN_A_ROW:
                return taken
    return taken if complete else None


def pieces(git: Git, commits: Sequence[Commit], max_size: int) -> Iterator[Piece]:
    """The mails that these commits added, in their order. Of a mail that is larger than
    ``max_size`` bytes one byte more than that is read.

    Raises ``FeedUnavailable`` if a commit or a mail cannot be read; what was given before is
    whole.
    """
    for first in range(0, len(commits), _COMMITS):
        yield from _of_group(git, commits[first : first + _COMMITS], max_size)


def _of_group(git: Git, commits: Sequence[Commit], max_size: int) -> Iterator[Piece]:
    places = {commit.id: place for place, commit in enumerate(commits)}
    files = [
        each for each in git.added([each.id for each in commits]) if _MAIL.fullmatch(each.path)
    ]
    sizes = git.sizes([each.blob for each in files])
    mails = [
        _Mail(places[file.commit], file.blob, size)
        for file, size in zip(files, sizes, strict=True)
        if size is not None
    ]
    usual = [each for each in mails if each.size <= max_size]
    given = 0
    with git.blobs([each.blob for each in usual], [each.size for each in usual]) as blobs:
        for together in _together(mails, max_size):
            given += len(together)
            # What comes next belongs to a commit that is not complete; all before it are.
            place = mails[given].place if given < len(mails) else len(commits)
            complete = commits[place - 1] if place else None
            if together[0].size > max_size:
                beginning = git.beginning(together[0].blob, max_size + 1)
                yield Piece(beginning, [0], [len(beginning)], complete)
            else:
                buffer, starts = blobs.read(len(together))
                ends = [start + each.size for start, each in zip(starts, together, strict=True)]
                yield Piece(buffer, starts, ends, complete)
    if not mails:
        yield Piece(b"", [], [], commits[-1])


class _Mail(NamedTuple):
    place: int  # of its commit
    blob: str
    size: int


def _together(mails: Sequence[_Mail], max_size: int) -> Iterator[list[_Mail]]:
    """The mails that are to be read at once: several of usual size, or one that is too large."""
    now: list[_Mail] = []
    total = 0
    for each in mails:
        total += each.size
        if now and (total > _PIECE or max(now[0].size, each.size) > max_size):
            yield now
            now, total = [], each.size
        now.append(each)
    if now:
        yield now
