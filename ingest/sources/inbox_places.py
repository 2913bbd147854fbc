# SPDX-License-Identifier: BSD-3-Clause
"""Where a public-inbox is: a folder, read in place, or a URL, of which the newest commits are
copied. Owns the copies, and how much of a history is at hand.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from ingest.config.source_tables import InboxSettings
from ingest.errors import FeedUnavailable
from ingest.sources import public_inbox
from ingest.sources.git import Git, disk_usage
from ingest.sources.public_inbox import V1

# Where the fetched commits of an epoch are in our copy of it.
_REF = "refs/inbox/tip"
# Commits fetched at first of an epoch, and how many times more each time that is not enough.
_DEPTH, _DEEPER = 10, 10
# A copy of version 2 that takes more is dropped once it was read: its last commits are enough.
_WORTH_KEEPING = 64 << 20


class Folder:
    """An inbox on this machine, read where it is."""

    def __init__(self, path: Path, timeout: float, stop: Callable[[], bool]) -> None:
        self._path, self._timeout, self._stop = path, timeout, stop

    def place(self, epoch: str) -> str:
        """What an epoch is called."""
        return str(self._path if epoch == V1 else self._path / "git" / f"{epoch}.git")

    def newest(self) -> str:
        """The newest epoch."""
        found = public_inbox.epochs(self._path)
        if not found:
            raise FeedUnavailable(
                f"{self._path} is not a public-inbox that can be read: it has neither git/0.git "
                "nor is it a bare repository of git"
            )
        return list(found)[-1]

    def git(self, epoch: str) -> Git:
        """git in an epoch."""
        path = public_inbox.epochs(self._path).get(epoch, Path(self.place(epoch)))
        return Git(path, self._timeout, self._stop)

    def tip(self, epoch: str) -> str | None:
        """The newest commit, "" if there is none, None if there is no such epoch."""
        there = epoch in public_inbox.epochs(self._path)
        return self.git(epoch).tip() if there else None

    def bring(self, epoch: str) -> str:
        """Have the newest commits at hand; the newest."""
        return self.git(epoch).tip()

    def can_deepen(self, git: Git, commits: int) -> bool:
        """Whether there are older commits to be had than these many at hand."""
        return False

    def deepen(self, epoch: str) -> str:
        """Have older commits at hand, too."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Drop what is not needed any more."""

    def forget(self) -> None:
        """Drop what may be damaged."""


class Mirror:
    """An inbox at a URL, of which the newest commits are fetched."""

    def __init__(self, settings: InboxSettings, copies: Path, stop: Callable[[], bool]) -> None:
        self._settings, self._copies, self._stop = settings, copies, stop
        self._depth = _DEPTH

    def place(self, epoch: str) -> str:
        """The URL of an epoch."""
        url = self._settings.url
        return url if epoch == V1 else f"{url}/git/{epoch}.git"

    def newest(self) -> str:
        """The newest epoch."""
        epoch = "0"
        if self.tip(epoch) is None:
            if self.tip(V1) is None:
                raise FeedUnavailable(
                    f"there is no public-inbox at {self._settings.url}: neither {self.place('0')} "
                    "nor the URL itself is a repository of git"
                )
            return V1
        while self.tip(following := after(epoch)) is not None:
            epoch = following
        return epoch

    def git(self, epoch: str) -> Git:
        """git in our copy of an epoch."""
        return Git(self._copies / f"{epoch}.git", self._settings.timeout, self._stop)

    def tip(self, epoch: str) -> str | None:
        """The newest commit, "" if there is none, None if there is no such epoch."""
        return self.git(epoch).remote_tip(self.place(epoch)) if epoch else None

    def bring(self, epoch: str) -> str:
        """Have the newest commits at hand; the newest."""
        git = self.git(epoch)
        if not public_inbox.is_repository(git.folder):
            shutil.rmtree(git.folder, ignore_errors=True)
            git.create()
        self._depth = _DEPTH
        return self._fetch(epoch)

    def can_deepen(self, git: Git, commits: int) -> bool:
        """Whether there are older commits to be had than these many at hand."""
        # A server's own copy may be shallow, too.
        return git.is_shallow() and commits >= self._depth

    def deepen(self, epoch: str) -> str:
        """Have older commits at hand, too."""
        self._depth *= _DEEPER
        return self._fetch(epoch)

    def _fetch(self, epoch: str) -> str:
        git = self.git(epoch)
        git.fetch(
            self.place(epoch),
            _REF,
            depth=min(self._depth, 2**31 - 1),
            max_disk=self._settings.max_disk,
            within=self._copies,
        )
        return git.tip(_REF)

    def tidy(self) -> None:
        """Drop what is not needed any more."""
        v1 = self.git(V1).folder.exists()
        most = self._settings.max_disk // 2 if v1 else min(_WORTH_KEEPING, self._settings.max_disk)
        if disk_usage(self._copies) > most:
            self.forget()

    def forget(self) -> None:
        """Drop what may be damaged."""
        shutil.rmtree(self._copies, ignore_errors=True)


def after(epoch: str) -> str:
    """The epoch that comes after; that after version 1 is the first of version 2."""
    return "0" if epoch == V1 else str(int(epoch) + 1)
