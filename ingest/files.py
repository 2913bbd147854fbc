# SPDX-License-Identifier: BSD-3-Clause
"""Texts written to files that others read: whole, durable, and in the old one's place at once."""

import errno
import logging
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from ingest import locks
from ingest.errors import SinkUnavailable, WrongPath

STANDARD_OUTPUT = "-"

log = logging.getLogger(__name__)

# What is wrong with a path, and not with the disk.
_WRONG = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO,
}  # fmt: skip

# As many as Linux follows in one path.
_MOST_LINKS = 40


def write_out(path: str, text: str) -> None:
    """Write a text for whoever asked for it, ``-`` being standard output: durable, if it is a
    file, and then whole whenever it is looked at.

    An existing file keeps its mode, and a symbolic link stays; into a pipe or a device it is
    written as into any, and into a file whose folder may not be written as well. Raises
    ``SinkUnavailable``, and then a file that was there is there still; ``WrongPath`` if that is so
    for good.
    """
    if path == STANDARD_OUTPUT:
        print_bytes(f"{text}\n".encode())
        return
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
            return
        file = target(path)
        if not os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
            with open(file, "w", encoding="utf-8") as stream:
                stream.write(text)
            sync(file)
            return
        _replace(file, text)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: str, error: OSError) -> SinkUnavailable:
    """The error to raise for a file that the user named."""
    why = f"{path} cannot be written: {error.strerror or error}"
    return WrongPath(why) if error.errno in _WRONG else SinkUnavailable(why)


def check_target(path: str) -> None:
    """Raises ``WrongPath`` if no file can be put there."""
    folder = os.path.dirname(os.path.abspath(path))
    wrong = 0
    if os.path.isdir(path):
        wrong = errno.EISDIR
    elif not os.path.isdir(folder):
        wrong = errno.ENOENT
    elif not os.access(folder, os.W_OK | os.X_OK):
        wrong = errno.EACCES
    if wrong:
        raise unwritable(path, OSError(wrong, os.strerror(wrong)))


def has_working_folder() -> bool:
    """Whether the folder that this process was started in is still there."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _replace(file: Path, text: str) -> None:
    """Put a new file in a file's place. Raises ``OSError`` only if it did not take that place: the
    reader of one that did would be given the same again."""
    new = file.with_name(f".{file.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    made = None
    try:
        fill(new, text, file, None)
        sync(new.parent)
        made = identity(new)
        os.replace(new, file)
        sync(file.parent)
    except OSError as error:
        if made is None or not _is(file, made):
            new.unlink(missing_ok=True)
            raise
        log.warning("%s was written, but may not outlive a loss of power: %s", file, error)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def identity(path: Path) -> tuple[int, int]:
    """What tells a file from another one that has taken its place. Raises ``OSError``."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _is(path: Path, identified: tuple[int, int]) -> bool:
    try:
        return identity(path) == identified
    except OSError:
        return False


def target(path: str) -> Path:
    """The file itself. A symbolic link stays one, and what it names is replaced.

    Raises ``OSError`` for a link on the way that could have been laid as a trap: root follows
    root's own links only; others follow theirs, root's, and those of the folder's owner (as Linux
    has it with fs.protected_symlinks, in every folder).
    """
    start = "" if os.path.isabs(path) else os.getcwd()
    rest = os.path.join(start, path).split(os.sep)[::-1]
    here, links = "/", 0
    while rest:
        part = rest.pop()
        if part == "..":
            here = os.path.dirname(here)
        if part in ("", ".", ".."):
            continue
        step = os.path.join(here, part)
        try:
            is_link = stat.S_ISLNK(os.lstat(step).st_mode)
        except OSError:  # not there yet, or not to be seen: then it cannot be written either
            is_link = False
        if not is_link:
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, f"{path} leads from one symbolic link to the next")
        _check_link(step, here)
        named = os.readlink(step)
        here = "/" if os.path.isabs(named) else here
        rest += named.split(os.sep)[::-1]
    return Path(here)


def _check_link(link: str, folder: str) -> None:
    owner, me = os.lstat(link).st_uid, os.geteuid()
    trusted = {0} if me == 0 else {0, me, os.stat(folder).st_uid}
    if owner not in trusted:
        raise OSError(
            errno.EACCES, f"the symbolic link {link} belongs to user {owner} and is not followed"
        )


def fill(new: Path, text: str, replaced: Path, mode: int | None) -> None:
    """A new file with durable content, and the permissions of the one that it is to replace;
    without one, with ``mode``, or what the umask leaves. See ``sync`` for its name. The exact time
    of its last change tells it from what others write into it: theirs is that of a tick."""
    permissions = 0o666 if mode is None else 0o600
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, permissions)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        now = time.time_ns()
        os.utime(stream.fileno(), ns=(now, now))
        _permit(stream.fileno(), replaced, mode)
        os.fsync(stream.fileno())


def sync(path: Path) -> None:
    """Make a file's content durable, or which files are in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unavailable(what: str, error: OSError) -> SinkUnavailable:
    """The error to raise for a file that cannot be written."""
    return SinkUnavailable(f"{what} cannot be written: {error.strerror or error}")


def print_bytes(data: bytes) -> None:
    """Write to standard output: durable, if that is a file. Raises ``SinkUnavailable``."""
    try:
        # Not by the stream, which would try again at the end of the process what failed now.
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
        while data:
            data = data[os.write(descriptor, data) :]
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    except OSError as error:
        raise no_output(error) from error


def no_output(error: OSError) -> SinkUnavailable:
    """The error to raise for standard output that cannot be written."""
    if error.errno == errno.EBADF:
        return SinkUnavailable("standard output is closed")
    return unavailable("standard output", error)


def _permit(descriptor: int, replaced: Path, mode: int | None) -> None:
    """Mode and owner of the file that is replaced; without one, ``mode``."""
    try:
        before = replaced.stat()
    except FileNotFoundError:
        locks.give(descriptor, str(replaced.parent))
        if mode is not None:
            os.fchmod(descriptor, mode)
        return
    # Only root may give a file away; its group may be kept by a member of that.
    for owner in (before.st_uid, -1):
        with suppress(PermissionError):
            os.fchown(descriptor, owner, before.st_gid)
            break
    os.fchmod(descriptor, before.st_mode & 0o7777)


def hindrance(path: Path) -> str:
    """What keeps this process from reading and writing a file, or from making it: whose that is,
    its mode, and who we are; "" if no permission does."""
    for each in (*reversed(path.parents), path):
        needed = os.X_OK if each.is_dir() else os.R_OK | os.W_OK
        if each == path.parent:
            needed |= os.W_OK
        if not each.exists():  # it is to be made, in a folder that we may enter
            return "" if os.access(each.parent, os.W_OK) else _denied(each.parent)
        if not os.access(each, needed):
            return _denied(each)
    return ""


def _denied(path: Path) -> str:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    owner, us = _user(found.st_uid), _user(os.geteuid())
    return f"{path} belongs to {owner} and has mode {mode:04o}, and this process runs as {us}"


def _user(number: int) -> str:
    """A user's name, its number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
