# SPDX-License-Identifier: BSD-3-Clause
"""The mails of a public-inbox in a folder, from its first to its last, as an archive is read."""

from collections.abc import Iterator
from pathlib import Path

from ingest.sources import public_inbox
from ingest.sources.git import Git, disk_usage
from ingest.sources.mbox_boundaries import Span

# Seconds that git may take to list the history of a repository, or to give the next mail.
_TIMEOUT = 3600.0


def repositories(folder: str) -> list[tuple[str, int]]:
    """The repositories of the inbox in a folder, oldest first, and their sizes on the disk in
    bytes; none if the folder holds no inbox."""
    found = public_inbox.epochs(Path(folder)).values()
    return [(str(path), disk_usage(path)) for path in found]


def mails(repository: str, longest: int) -> Iterator[tuple[bytes, list[Span], bool]]:
    """Buffers, the places of the mails in each, and whether it is one mail that is longer than
    ``longest`` bytes, of which one byte more than that is there.

    Raises ``FeedUnavailable`` if the repository cannot be read, or not to its end.
    """
    git = Git(Path(repository), _TIMEOUT)
    tip = git.tip()
    commits = git.history(tip)[::-1] if tip else []
    for piece in public_inbox.pieces(git, commits, longest):
        places = zip(piece.starts, piece.ends, strict=True)
        spans = [(start, start, end, end, False) for start, end in places]
        yield piece.buffer, spans, len(piece.buffer) == longest + 1
