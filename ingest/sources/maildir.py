# SPDX-License-Identifier: BSD-3-Clause
"""A Maildir that the mail server delivers into, watched.

Each mail goes to the ledger, then from new/ to cur/. Run by ``serve`` in its event loop.
inotify says at once that mail has come; a scan every now and then finds what it missed
(another machine's delivery, an overflow, no inotify at all).
"""

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from asyncinotify import Inotify, Mask

from ingest.errors import Temporary
from ingest.intake import is_of_one
from ingest.ledger import Envelope

log = logging.getLogger(__name__)

# A folder of this name inside the Maildir takes what cannot be read. Its dot makes it no mail
# folder's, and no part of the Maildir, to any reader.
UNREADABLE = ".unreadable"

# Mails given to the ledger together; a batch ends sooner when it has this many bytes.
_TOGETHER = 128
_TOGETHER_BYTES = 16 << 20
# Seconds until the next attempt after one that failed as a whole, if scans are rarer than that.
_RETRY = 5.0
# A mail in new/ has no information yet (https://cr.yp.to/proto/maildir.html), but some agents
# move one back with it.
_INFO = ":2,"
_SEEN = "S"
# What says nothing about the mail itself: the machine is short of something, or a disk or a
# network file system has trouble. The mail stays where it is.
_PASSING = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
)
_SCANNED_ONLY = "%s is scanned only, not watched: inotify: %s"
# No descriptors of inotify's.
_UNKNOWN, _UNWATCHED = -1, -2
_ARRIVALS = Mask.MOVED_TO | Mask.CREATE | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR

Accept = Callable[[bytes, str, Envelope], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Mail:
    name: str
    raw: bytes


async def watch(path: str, accept: Accept, *, max_size: int, scan_interval: float) -> None:
    """Take in the mails of a Maildir as they come, until cancelled.

    ``path``: the Maildir, which need not be there yet; ``accept(raw, source, envelope)``: makes a
    mail durable, and raises ``Temporary`` if it cannot; ``max_size``: bytes of a mail, one more is
    read of a longer one; ``scan_interval``: seconds. Raises nothing: what goes wrong is logged,
    and tried again.
    """
    maildir = _Maildir(Path(path), max_size)
    trouble = ""
    async with _arrivals(maildir.new) as arrival:
        while True:
            arrival.expect()
            try:
                await maildir.take(accept)
            except (OSError, Temporary) as error:
                said = f"{error}"
                if said != trouble:
                    log.error("the mails in %s wait: %s", maildir.new, said)
                trouble = said
                await asyncio.sleep(min(scan_interval, _RETRY))
                continue
            if trouble:
                log.warning("the mails in %s are taken in again", maildir.new)
                trouble = ""
            await arrival.within(scan_interval)


class _Maildir:
    """The files of a Maildir."""

    def __init__(self, path: Path, max_size: int) -> None:
        self.new = path / "new"
        self._cur = path / "cur"
        self._unreadable = path / UNREADABLE
        self._max_size = max_size
        # Dealt with, and yet not to be moved out of new/: not to be dealt with at each scan.
        self._stuck: set[str] = set()

    async def take(self, accept: Accept) -> None:
        """Take in all that is in new/ now, oldest first.

        Raises ``OSError`` if new/ cannot be listed and ``Temporary`` if the ledger is not to be
        had; then what is left stays in new/.
        """
        waiting = deque(await asyncio.to_thread(self._names))
        while waiting:
            batch = await asyncio.to_thread(self._read, waiting)
            outcomes = await asyncio.gather(
                *(accept(mail.raw, f"maildir {mail.name}", Envelope()) for mail in batch),
                return_exceptions=True,
            )
            taken = [
                mail.name
                for mail, outcome in zip(batch, outcomes, strict=True)
                if not isinstance(outcome, BaseException)
            ]
            await asyncio.to_thread(self._taken, taken)
            for mail, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    if not is_of_one(outcome):
                        raise outcome
                    # What one mail meets must not keep the others from coming.
                    log.error("%s stays in new/, to be tried again: %r", mail.name, outcome)

    def _names(self) -> list[str]:
        # Names begin with the time of delivery.
        names = sorted(name for name in os.listdir(self.new) if not name.startswith("."))
        self._stuck.intersection_update(names)
        return [name for name in names if name not in self._stuck]

    def _read(self, waiting: deque[str]) -> list[_Mail]:
        """The next mails, as many as are to be taken in together."""
        batch: list[_Mail] = []
        size = 0
        while waiting and len(batch) < _TOGETHER and size < _TOGETHER_BYTES:
            name = waiting.popleft()
            try:
                raw = self._bytes(name)
            except FileNotFoundError:
                continue  # somebody else has taken it
            except OSError as error:
                self._cannot_read(name, error)
                continue
            batch.append(_Mail(name, raw))
            size += len(raw)
        return batch

    def _bytes(self, name: str) -> bytes:
        # Without O_NONBLOCK a FIFO would be waited on for ever.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(self.new / name, flags), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            pieces = []
            left = self._max_size + 1
            while left and (piece := file.read(min(left, 1 << 20))):
                pieces.append(piece)
                left -= len(piece)
        return b"".join(pieces)

    def _cannot_read(self, name: str, error: OSError) -> None:
        if error.errno in _PASSING:
            log.warning("%s stays in new/, to be tried again: %s", name, error.strerror)
        elif self._move(name, self._unreadable, name):
            log.error(
                "%s cannot be read and was put into %s: %s",
                *(name, self._unreadable, error.strerror),
            )

    def _taken(self, names: Iterable[str]) -> None:
        for name in names:
            base, _, flags = name.partition(_INFO)
            self._move(name, self._cur, base + _INFO + "".join(sorted({*flags, _SEEN})))

    def _move(self, name: str, folder: Path, target: str) -> bool:
        """Move a mail out of new/, under another name if that one is taken; whether it is out."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            base, info, flags = target.partition(_INFO)
            number = 0
            # rename(2) would replace another mail. Only delivery agents are at work here besides
            # us, and they do not write into this folder.
            while os.path.lexists(folder / target):
                number += 1
                target = f"{base}_{number}{info}{flags}"
            (self.new / name).rename(folder / target)
        except FileNotFoundError:
            return False  # somebody else has taken it
        except OSError as error:
            self._stuck.add(name)
            log.error(
                "%s cannot be moved to %s and stays in new/: %s", name, folder, error.strerror
            )
            return False
        return True


class _Arrivals:
    """Says when something has come into a folder."""

    def __init__(self, folder: Path, inotify: Inotify | None) -> None:
        self._folder = folder
        self._inotify = inotify
        self._descriptor = _UNKNOWN
        self._come = asyncio.Event()

    def expect(self) -> None:
        """Watch for what comes from now on; call it before looking into the folder."""
        self._come.clear()
        if not self._inotify:
            return
        try:
            watched = self._inotify.add_watch(self._folder, _ARRIVALS)
        except OSError as error:
            # That there is no such folder is said by the look into it.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and self._descriptor != _UNWATCHED:
                log.warning(_SCANNED_ONLY, self._folder, error.strerror)
            self._descriptor = _UNWATCHED
            return
        if watched.wd != self._descriptor:  # another folder than the last time
            self._descriptor = watched.wd
            for other in self._inotify.watches:
                if other.wd != watched.wd:
                    with contextlib.suppress(OSError):  # it went with its folder
                        self._inotify.rm_watch(other)

    async def within(self, seconds: float) -> None:
        """Until something comes, but no longer than so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._come.wait()

    async def listen(self) -> None:
        """Hear inotify out, so that many arrivals make one."""
        if self._inotify:
            async for _ in self._inotify:
                self._come.set()


@contextlib.asynccontextmanager
async def _arrivals(folder: Path) -> AsyncIterator[_Arrivals]:
    try:
        inotify = Inotify()
    except OSError as error:
        log.warning(_SCANNED_ONLY, folder, error.strerror)
        yield _Arrivals(folder, None)
        return
    with inotify:
        arrivals = _Arrivals(folder, inotify)
        listening = asyncio.create_task(arrivals.listen())
        try:
            yield arrivals
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
