# SPDX-License-Identifier: BSD-3-Clause
"""Archives of mails, written by hand, and what is read out of them."""

import re
from collections.abc import Iterable
from pathlib import Path

from ingest.sources.mbox import Reader

FROM = b"From robin@example.org Wed Sep  6 09:01:00 2023\n"
COMMIT = b"From 5d2a4e9bd9ab20a9a1b1c5d1c5a5a1f3c1a2b3c4 Mon Sep 17 00:00:00 2001\n"


def mail(number: int = 1, body: bytes = b"Hello.\n") -> bytes:
    return (
        b"From: Robin Reviewer <robin@example.org>\n"
        b"Message-ID: <%d@example.org>\n"
        b"Subject: Re: [PATCH] mail %d\n"
        b"\n" % (number, number)
    ) + body


def mboxrd(raws: Iterable[bytes], line: bytes = FROM) -> bytes:
    """An mbox of these mails: quoted, each followed by a blank line."""
    return b"".join(line + re.sub(rb"(?m)^(>*From )", rb">\1", raw) + b"\n" for raw in raws)


def read(*paths: Path | str) -> list[bytes]:
    return [item.raw for item in Reader(*map(str, paths))]


def read_bytes(tmp_path: Path, content: bytes) -> list[bytes]:
    path = tmp_path / "archive"
    path.write_bytes(content)
    return read(path)


def bodies(raws: list[bytes]) -> list[bytes]:
    return [raw.partition(b"\n\n")[2] for raw in raws]


def archive_reader(folder: Path, content: bytes, **options: int) -> Reader:
    path = folder / "archive"
    path.write_bytes(content)
    return Reader(str(path), **options)
