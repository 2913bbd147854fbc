# SPDX-License-Identifier: BSD-3-Clause
"""Locks on files that the kernel ends with their process, however that ends (flock(2))."""

import fcntl
import os
import stat
import time
from contextlib import suppress

_SHORTEST_NAP, _LONGEST_NAP = 0.001, 0.05


def take(path: str, *, mode: int | None, patience: float) -> int | None:
    """Hold the lock file at ``path``, made if it is not there with permissions ``mode``; with
    None, so that those can hold it who can write to its folder, and nobody else.

    The descriptor that holds the lock until it is closed, None if somebody else has held it for
    ``patience`` seconds. Raises ``OSError`` if there can be no such file.
    """
    until = time.monotonic() + patience
    nap = _SHORTEST_NAP
    while True:
        descriptor = _open(path, mode)
        try:
            while not (held := _try(descriptor)) and time.monotonic() < until:
                time.sleep(nap)
                nap = min(nap * 1.5, _LONGEST_NAP)
            # Whoever removed the file while we waited left us with a lock that nobody shares.
            if held and _is_at(descriptor, path):
                kept, descriptor = descriptor, -1
                return kept
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if not held:
            return None


def _open(path: str, mode: int | None) -> int:
    # For reading only: of another user's lock file no more may be permitted, and flock(2) and
    # flock(1) need no more.
    while True:
        try:
            return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if os.path.islink(path):  # one that leads nowhere: neither there nor to be made
                raise
            continue
        folder = os.path.dirname(path) or "."
        give(descriptor, folder)
        if mode is None:
            mode = _share(descriptor, folder)
        os.fchmod(descriptor, mode)  # whatever the umask is: an alias pipe's is 0077
        return descriptor


def give(descriptor: int, folder: str) -> None:
    """Have a new file that root made belong to whom its folder does, who could not use it
    otherwise. Of anybody else, who may not give a file away, it stays as it is."""
    if os.geteuid() == 0:
        owner = os.stat(folder)
        with suppress(PermissionError):  # in a container that has not this right
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _share(descriptor: int, folder: str) -> int:
    """Give a new lock to its folder's group, as far as we may; the mode that lets those hold it who
    can write to the folder. Whoever may read a lock may hold it for ever."""
    owner = os.stat(folder)
    with suppress(PermissionError):
        os.fchown(descriptor, -1, owner.st_gid)
    others = stat.S_IROTH if owner.st_mode & stat.S_IWOTH else 0
    if owner.st_mode & stat.S_IWGRP:
        is_theirs = os.fstat(descriptor).st_gid == owner.st_gid
        return 0o640 | others if is_theirs else 0o644
    return 0o600 | others


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
