# SPDX-License-Identifier: BSD-3-Clause
"""Doing something as another user, in a child process that has become that user."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.parts import require_root


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user can get into, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def as_user(user: int, group: int, groups: Sequence[int], what: Callable[[], object]) -> str:
    """Do something as a user, by number, with these groups. What it raised, "" if nothing."""
    require_root("become another user")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = ""
        try:
            os.setgroups(groups)
            os.setgid(group)
            os.setuid(user)
            what()
        except BaseException as error:  # noqa: BLE001  told to the parent
            told = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, told.encode()[:60000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    return told
