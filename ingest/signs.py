# SPDX-License-Identifier: BSD-3-Clause
"""Signs of life: how many mails each source saw of each list, and when the last one came.

They are kept beside the ledger, whether or not a mail could hold a request: a dead feed must not
look like a quiet week. One small file a source, ``SOURCE.seen``, of slots of a fixed size; it can
be written without a ledger and without the settings. Imports nothing heavy, for the pipe.
"""

import fcntl
import os
import time

from ingest.mail import peek

TYPE_CHECKING = False  # importing typing for it would cost more than all the rest
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The source of archives: they count totals, and their silence says nothing.
ARCHIVES = "replay"
SUFFIX = ".seen"

# A slot: a letter for what it counts, a name, NULs; then four numbers of eight bytes: how many
# mails, and in milliseconds the times of the first and the last one and the longest time between
# two of them. The first slot is of test mails, the last one of all lists that found no slot.
_SLOT, _NAME = 256, 224
_MOST_LISTS = 200
_REST = 1 + _MOST_LISTS
_TEST, _LIST, _OTHERS = b"T", b"L", b"O"

# How often the lock of a file is tried for, and the seconds between: a count is not worth a mail.
_TRIES, _NAP = 40, 0.005


class Sign:
    """What a source saw of a list. ``name``: the list's id, "" for mails of no list, None for
    all lists that are not counted by themselves; ``first``, ``last``: Unix times; ``longest``:
    the longest silence in seconds."""

    __slots__ = ("count", "first", "last", "longest", "name", "source")

    def __init__(self, source: str, name: str | None, numbers: tuple[int, int, int, int]) -> None:
        self.source = source
        self.name = name
        self.count = numbers[0]
        self.first, self.last, self.longest = (each / 1000 for each in numbers[1:])


def note(folder: str, mails: "Iterable[tuple[bytes, str]]", now: float) -> None:
    """Count mails at the Unix time ``now``, each given raw and with its source, for a person.
    ``folder``: that of the state; nothing is counted where there is none. What hinders counting is
    no error: it must not hold up a mail."""
    counts: dict[str, dict[str, int]] = {}
    for raw, said in mails:
        source, head = source_of(said), peek.header(raw)
        if token := peek.test_token(head):
            saw_test(folder, source, token, now)
            continue
        lists = counts.setdefault(source, {})
        name = peek.list_name(head)
        lists[name] = lists.get(name, 0) + 1
    for source, lists in counts.items():
        saw(folder, source, lists, now)


def source_of(said: str) -> str:
    """The source of what is told of it to a person: "maildir 17.a" is by "maildir"."""
    kind, _, rest = said.partition(" ")
    return f"hook.{rest.partition(' ')[0]}" if kind == "hook" else kind.rstrip(",")


def saw(folder: str, source: str, mails: "Mapping[str, int]", now: float) -> None:
    """Count mails by the ids of their lists; see ``note``."""
    with_names = {_LIST + _encoded(name): number for name, number in mails.items()}
    _count(folder, source, with_names, now)


def saw_test(folder: str, source: str, token: str, now: float) -> None:
    """Note that a test mail has come, in place of the one before."""
    _count(folder, source, {_TEST + _encoded(token): 1}, now)


def read(folder: str) -> list[Sign]:
    """What every source saw, test mails aside. Raises ``OSError`` if the folder or a file may not
    be read."""
    found = []
    for source, data in _files(folder):
        for at in range(_SLOT, len(data), _SLOT):
            kind, name = data[at : at + 1], data[at + 1 : at + _NAME].rstrip(b"\0").decode()
            if kind in (_LIST, _OTHERS):
                found.append(Sign(source, name if kind == _LIST else None, _numbers(data, at)))
    return found


def test_came_by(folder: str, token: str) -> str:
    """The source that saw this test mail last, "" if none did. Raises as ``read``."""
    wanted = (_TEST + _encoded(token)).ljust(_NAME, b"\0")
    return next((source for source, data in _files(folder) if data.startswith(wanted)), "")


def _encoded(name: str) -> bytes:
    """A name as it is kept: cut where a slot ends, between two characters."""
    return name.encode("utf-8", "replace")[: _NAME - 2].decode("utf-8", "ignore").encode()


def _files(folder: str) -> list[tuple[str, bytes]]:
    found = []
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    for name in names:
        if name.endswith(SUFFIX):
            descriptor = os.open(os.path.join(folder, name), _flags(os.O_RDONLY))
            try:
                data = os.pread(descriptor, (_REST + 1) * _SLOT, 0)
            finally:
                os.close(descriptor)
            found.append((name.removesuffix(SUFFIX), data))
    return found


def _flags(access: int) -> int:
    # Neither a link to a file of somebody else nor a FIFO is any of ours.
    return access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _count(folder: str, source: str, mails: "Mapping[bytes, int]", now: float) -> None:
    try:
        descriptor = _open(folder, source)
        try:
            if _lock(descriptor):
                _write(descriptor, mails, int(now * 1000))
        finally:
            os.close(descriptor)
    except OSError:
        pass  # see ``note``; ``check`` tells of it


def _open(folder: str, source: str) -> int:
    path = f"{folder}/{source.replace('/', '-')}{SUFFIX}"
    try:
        return os.open(path, _flags(os.O_RDWR))
    except FileNotFoundError:
        pass
    descriptor = os.open(path, _flags(os.O_RDWR | os.O_CREAT), 0o600)
    # Whoever may use the folder may count, whatever the umask is: an alias pipe's is 0077.
    owner = os.stat(folder)
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    os.fchmod(descriptor, owner.st_mode & 0o666)
    return descriptor


def _lock(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_NAP)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def _write(descriptor: int, mails: "Mapping[bytes, int]", now: int) -> None:
    data = os.pread(descriptor, (_REST + 1) * _SLOT, 0)
    for key, number in mails.items():
        at, written = _slot(data, key)
        count, first, last, longest = _numbers(data, at)
        if count and not key.startswith(_TEST):
            longest = max(longest, now - last)
        numbers = (count + number, first if count else now, now, longest)
        slot = written.ljust(_NAME, b"\0") + b"".join(each.to_bytes(8, "big") for each in numbers)
        data = data[:at].ljust(at, b"\0") + slot + data[at + _SLOT :]
        os.pwrite(descriptor, slot, at)


def _slot(data: bytes, key: bytes) -> tuple[int, bytes]:
    """Where a name is counted, and what it is called there: in its own slot, a free one, or that
    of the others."""
    if key.startswith(_TEST):
        return 0, key
    wanted = key + b"\0"
    for at in range(_SLOT, _REST * _SLOT, _SLOT):
        if data.startswith(wanted, at) or data[at : at + 1] in (b"", b"\0"):
            return at, key
    return _REST * _SLOT, _OTHERS


def _numbers(data: bytes, at: int) -> tuple[int, int, int, int]:
    """The numbers of the slot at an offset; zeroes if there is none."""
    begin = at + _NAME
    count, first, last, longest = (
        int.from_bytes(data[place : place + 8], "big") for place in range(begin, begin + 32, 8)
    )
    return count, first, last, longest
