# SPDX-License-Identifier: BSD-3-Clause
"""What git is asked of a repository that may be hostile: its commits, its files, its objects.

Owns git's command lines and the exact form of its answers. What the files mean is not known here.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import FeedUnavailable
from ingest.sources.git_process import Ended, GitProcess, Pipe, limit_memory
from ingest.words import printable

_NOT_FOUND = re.compile(rb"repository '[^\n]*' not found")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's id, and the Unix time at which it was made."""

    id: str
    date: int


@dataclass(frozen=True, slots=True)
class Added:
    """A regular file that a commit added or changed. ``path`` holds whatever bytes it likes."""

    commit: str
    path: bytes
    blob: str


class Git(GitProcess):
    """git on one repository. Every method raises ``FeedUnavailable`` if git does not do what it is
    asked."""

    __slots__ = ()

    def create(self) -> None:
        """Make it a new, empty repository."""
        self.folder.mkdir(parents=True)
        self._run(["init", "--quiet", "--bare", "--template=", "--initial-branch=none"])

    def remote_tip(self, url: str) -> str | None:
        """The commit that HEAD names at an https URL: "" if the repository is empty, None if
        there is none."""
        done = self.ended(["ls-remote", "--quiet", "--", url, "HEAD"], protocol="https")
        if done.code and _NOT_FOUND.search(done.said):
            return None
        self._check(done, f"git cannot look at {url}")
        found = re.match(rb"([0-9a-f]{40,64})\tHEAD\n", done.output)
        return found[1].decode() if found else ""

    def fetch(
        self, url: str, ref: str, *, depth: int = 0, max_disk: int, within: Path | None = None
    ) -> None:
        """Fetch what HEAD names at an https URL as ``ref``: its last ``depth`` commits, or all
        those above what is here. Ends as soon as the folder ``within``, by default that of the
        repository, takes more than ``max_disk`` bytes."""
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        if depth:
            options.append(f"--depth={depth}")
        command = ["fetch", *options, "--force", "--", url, f"+HEAD:{ref}"]

        def too_large() -> str:
            if disk_usage(within or self.folder) <= max_disk:
                return ""
            return f"the copy of {url} takes more than max_disk, {max_disk} bytes: raise max_disk"

        try:
            done = self.ended(command, protocol="https", watch=too_large)
            if reason := too_large():
                raise FeedUnavailable(reason)
            self._check(done, f"git cannot fetch {url}")
        except FeedUnavailable:
            for half in (self.folder / "objects" / "pack").glob("tmp_*"):
                half.unlink(missing_ok=True)
            raise

    def tip(self, ref: str = "HEAD") -> str:
        """The commit that a ref names, "" if it names none."""
        done = self.ended(["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"])
        if done.code == 1 and not done.said:
            return ""
        return self._check(done, f"{self.folder} cannot be read").decode().strip()

    def is_ancestor(self, commit: str, tip: str) -> bool:
        """Whether a commit is here and is ``tip`` or came before it."""
        there = self.ended(["cat-file", "-e", f"{commit}^{{commit}}"])
        if there.code:
            return False
        done = self.ended(["merge-base", "--is-ancestor", commit, tip])
        if done.code == 1:
            return False
        self._check(done, f"the history of {self.folder} cannot be read")
        return True

    def history(self, tip: str, after: str = "") -> list[Commit]:
        """The commits up to ``tip``, newest first; those behind ``after`` only."""
        excluded = [f"^{after}"] if after else []
        options = ["--timestamp", "--topo-order", "--end-of-options", tip, *excluded, "--"]
        out = self._run(["rev-list", *options], f"the history of {self.folder} cannot be read")
        lines = (line.split(b" ") for line in out.splitlines())
        return [Commit(commit.decode(), int(date)) for date, commit in lines]

    def is_shallow(self) -> bool:
        """Whether history is left out below some commit."""
        return self._run(["rev-parse", "--is-shallow-repository"]).strip() == b"true"

    def added(self, commits: Sequence[str]) -> list[Added]:
        """The regular files that these commits added or changed, in their order."""
        options = ("--stdin", "--root", "-r", "-z", "--raw", "--no-abbrev", "--no-renames")
        command = ["diff-tree", *options, "--no-ext-diff", "--no-textconv"]
        out = self._run(
            command, f"the history of {self.folder} cannot be read", given=_lines(commits)
        )
        return list(_files(out))

    def sizes(self, ids: Sequence[str]) -> list[int | None]:
        """The size in bytes of each of these blobs; None for what is not a blob."""
        out = self._run(
            ["cat-file", "--batch-check", "--buffer"],
            f"{self.folder} cannot be read",
            given=_lines(ids),
        )
        found: list[int | None] = []
        for id, line in zip(ids, out.splitlines(), strict=True):
            name, _, rest = line.decode("ascii", "replace").partition(" ")
            kind, _, size = rest.partition(" ")
            if name != id or rest == "missing":
                raise FeedUnavailable(
                    f"{self.folder} lacks the object {id}: it is fetched in part only, or damaged; "
                    "fetch it again, or see what git fsck says"
                )
            found.append(int(size) if kind == "blob" else None)
        return found

    @contextlib.contextmanager
    def blobs(self, ids: Sequence[str], sizes: Sequence[int]) -> "Iterator[Blobs]":
        """The contents of blobs of these sizes, to be read in this order."""
        command = ["cat-file", "--batch", "--buffer"]
        with self.started(command, _lines(ids)) as process:
            heads = [f"{id} blob {size}\n".encode() for id, size in zip(ids, sizes, strict=True)]
            yield Blobs(self.folder, heads, sizes, Pipe(process, self))

    def beginning(self, blob: str, size: int) -> bytes:
        """The first ``size`` bytes of a blob of any size."""
        command = ["cat-file", "blob", blob]
        with self.started(command) as process:
            limit_memory(process.pid)
            return Pipe(process, self).read(size)

    def _run(self, command: Sequence[str], failed: str = "git failed", given: bytes = b"") -> bytes:
        return self._check(self.ended(command, given=given), failed)

    def _check(self, done: Ended, failed: str) -> bytes:
        if done.code:
            said = printable(done.said.decode("utf-8", "replace").strip()[-500:])
            raise FeedUnavailable(f"{failed}: {said or f'exit code {done.code}'}")
        return done.output


class Blobs:
    """Contents of blobs, one after the other."""

    def __init__(
        self, folder: Path, heads: Sequence[bytes], sizes: Sequence[int], pipe: Pipe
    ) -> None:
        self._folder, self._heads, self._sizes, self._pipe = folder, heads, sizes, pipe
        self._next = 0

    def read(self, number: int) -> tuple[bytes, list[int]]:
        """The next blobs in one buffer, and where each begins in it."""
        these = range(self._next, self._next + number)
        self._next += number
        # Before each blob stands a line with its id and size, behind it an empty one.
        length = sum(len(self._heads[each]) + self._sizes[each] + 1 for each in these)
        buffer = self._pipe.read(length)
        starts = []
        at = 0
        for each in these:
            head = self._heads[each]
            if not buffer.startswith(head, at):
                break
            starts.append(at + len(head))
            at += len(head) + self._sizes[each] + 1
        if at != length or len(buffer) != length:
            raise FeedUnavailable(
                f"the mails in {self._folder} cannot be read: see what git fsck says"
            )
        return buffer, starts


def disk_usage(folder: Path) -> int:
    """The bytes that a folder takes on the disk."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it was renamed meanwhile
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total


def _lines(ids: Sequence[str]) -> bytes:
    return "".join(f"{each}\n" for each in ids).encode()


def _files(out: bytes) -> Iterator[Added]:
    """What ``diff-tree --stdin --raw -z`` says about regular files that are there afterwards."""
    commit = ""
    parts = iter(out.split(b"\0"))
    for part in parts:
        if part.startswith(b":"):
            path = next(parts)
            _, mode, _, blob, _ = part.decode("ascii").split(" ")
            if mode in ("100644", "100755"):  # neither a symbolic link nor another repository
                yield Added(commit, path, blob)
        elif part:
            commit = part.decode("ascii").strip()
