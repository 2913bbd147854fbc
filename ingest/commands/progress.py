# SPDX-License-Identifier: BSD-3-Clause
"""Progress bars on standard error, for whoever watches a terminal; none elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def of_bytes(what: str, total: int | None, done: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """A bar of bytes, and the function that moves it on. ``total``: None if it is not known;
    ``done``: how many of them were read."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import DownloadColumn

    with _bar(DownloadColumn()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.update(task, completed=done())


@contextmanager
def of_mails(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of so many mails, and the function that moves it on by one; a mail more than there
    were at first makes the bar longer."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import TextColumn

    count = 0
    with _bar(TextColumn("{task.completed:.0f} of {task.total:.0f} mails")) as progress:
        task = progress.add_task(what, total=total)

        def advance() -> None:
            nonlocal count
            count += 1
            progress.update(task, completed=count, total=max(count, total))

        yield advance


def _bar(counts: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        counts,
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
    )
