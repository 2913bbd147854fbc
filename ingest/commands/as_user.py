# SPDX-License-Identifier: BSD-3-Clause
"""Trying something as another user: in a child process that has become that user, with the user's
groups.
"""

import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

# What local(8) gives a program of an alias: nothing of ours.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C"}
# Seconds that a program has that is tried.
_PATIENCE = 60.0


def my_name() -> str:
    """The name of the user that we are, its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def look(user: str, what: Callable[[], list[str]]) -> list[str]:
    """What a look shows to a user. Raises ``KeyError`` if there is no such user, and
    ``PermissionError`` if we cannot become that user."""
    if user == my_name():
        return what()
    entry = pwd.getpwnam(user)
    _must_be_root()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(os.getgrouplist(user, entry.pw_gid))
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.write(writing, "\n".join(what()).encode()[:60000])
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as stream:
        seen = stream.read()
    _, status = os.waitpid(child, 0)
    if status:  # a container that may not change users, for example
        raise PermissionError(f"this process could not become {user}")
    return seen.splitlines()


def run(
    user: str, command: Sequence[str], given: bytes = b"", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program as a user, as a mail server does: in its groups and with next to no
    environment. ``given``: its standard input. Raises as ``look``, and ``OSError`` or
    ``subprocess.TimeoutExpired`` if the program does not start or does not end."""
    becoming: dict[str, Any] = {}
    if user != my_name():
        entry = pwd.getpwnam(user)
        _must_be_root()
        becoming = {
            "user": entry.pw_uid,
            "group": entry.pw_gid,
            "extra_groups": os.getgrouplist(user, entry.pw_gid),
        }
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command,
        input=given,
        capture_output=True,
        check=False,
        timeout=_PATIENCE,
        cwd="/",
        umask=0o077,
        env={**_ENVIRONMENT, **environment},
        **becoming,
    )
    return done


def _must_be_root() -> None:
    if os.geteuid() != 0:
        raise PermissionError("only root can try as another user")
