# SPDX-License-Identifier: BSD-3-Clause
"""public-inbox repositories, as public-inbox writes them, and as nobody should."""

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# When the first commit of a repository was made, and how many seconds each is behind the last.
FIRST, STEP = 1_700_000_000, 60


@dataclass(frozen=True, slots=True)
class File:
    """A file in a commit."""

    path: bytes
    data: bytes
    mode: str = "100644"


def mail(data: bytes) -> tuple[File]:
    """The files of a commit that adds a mail."""
    return (File(b"m", data),)


def deleted(data: bytes) -> tuple[File]:
    """The files of a commit that deletes a mail."""
    return (File(b"d", data),)


def file_of_v1(data: bytes) -> File:
    """A mail's file in an inbox of version 1."""
    name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return File(f"{name[:2]}/{name[2:]}".encode(), data)


class Repository:
    """One bare repository, of which each commit holds the files that it is given and no others,
    unless they are to be ``kept``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=master", "--", folder)

    def git(self, *arguments: str | Path, given: bytes = b"") -> str:
        """git as a user runs it, and what it prints."""
        where = [] if arguments[0] == "init" else [f"--git-dir={self.folder}"]
        done = subprocess.run(
            ["git", *where, *map(str, arguments)], input=given, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    @property
    def tip(self) -> str:
        return self.git("rev-parse", "HEAD")

    def commit(
        self,
        *commits: Sequence[File],
        kept: bool = False,
        parent: str = "HEAD",
        dates: Iterable[int] | None = None,
    ) -> str:
        """Append commits of these files behind ``parent``, and make the last one the tip; it."""
        number = int(self.git("rev-list", "--count", parent)) if self._has(parent) else 0
        begins = [f"from {self.git('rev-parse', parent)}\n".encode()] if number else []
        times = dates or (FIRST + STEP * (number + n) for n in range(len(commits)))
        stream = []
        for files, date in zip(commits, times, strict=True):
            stream.append(b"commit refs/heads/master\n")
            stream.append(b"committer A <a@example.org> %d +0000\ndata 0\n" % date)
            stream += begins
            begins = []  # each further commit stands behind the last
            if not kept:
                stream.append(b"deleteall\n")
            for file in files:
                path = b'"%s"' % file.path.replace(b"\n", b"\\n")
                if file.mode == "160000":
                    stream.append(b"M 160000 %s %s\n" % (file.data, path))
                    continue
                stream.append(b"M %s inline %s\n" % (file.mode.encode(), path))
                stream.append(b"data %d\n%s\n" % (len(file.data), file.data))
        self.git("fast-import", "--quiet", "--force", given=b"".join(stream))
        return self.tip

    def _has(self, name: str) -> bool:
        if not name:
            return False
        command = ["git", f"--git-dir={self.folder}", "rev-parse", "--verify", "-q", name]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Inbox:
    """A public-inbox of version 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def epoch(self, number: int = 0) -> Repository:
        """One of its repositories, made if it is not there."""
        folder = self.folder / "git" / f"{number}.git"
        if folder.exists():
            found = Repository.__new__(Repository)
            found.folder = folder
            return found
        return Repository(folder)

    def add(self, *mails: bytes, epoch: int = 0, dates: Iterable[int] | None = None) -> str:
        """Add mails; the commit of the last one."""
        return self.epoch(epoch).commit(*map(mail, mails), dates=dates)
