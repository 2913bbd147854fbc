# SPDX-License-Identifier: BSD-3-Clause
"""The file that holds the retest JSON: its lock, how it is read, and how new content takes its
place."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from ingest import files, locks
from ingest.errors import SinkUnavailable
from ingest.ledger import Request
from ingest.retests.document import Document, dump, empty, load, merge, stamped
from ingest.value import Value

log = logging.getLogger(__name__)

# The writer that empties the file for a consumer, and all writers of an older release.
_TAKING, _OLDER = "taking", ""


@contextmanager
def locked(path: str, patience: float) -> Iterator[None]:
    """The file's lock, ``NAME.lock`` beside it, which every writer and every consumer that moves
    the file away takes (flock(2)). Raises ``SinkUnavailable`` if there can be none, or somebody
    else keeps it for ``patience`` seconds."""
    lock = f"{path}.lock"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        held = locks.take(lock, mode=None, patience=patience)
    except OSError as error:
        raise SinkUnavailable(f"{lock} cannot be opened: {error.strerror or error}") from error
    if held is None:
        raise SinkUnavailable(f"{lock} is held by another program for over {patience:g} seconds")
    try:
        yield
    finally:
        os.close(held)


# Which state of a file it is: the disk's and the file's number, when it was changed, its size.
State = tuple[int, int, int, int] | None


class Known(Value):
    """What the file holds in a state; None for what it holds: nobody knows."""

    state: State = (0, 0, 0, 0)
    document: Document | None = None

    def holds(self, state: State) -> Document | None:
        """The document of a file in this state, None if it has to be read. Where the disk keeps
        whole seconds only, the same state may be another content."""
        is_exact = state is not None and state[2] % 1_000_000_000
        return self.document if is_exact and state == self.state else None


def append(
    path: str,
    requests: Sequence[Request],
    *,
    mode: int,
    now: float,
    earlier: Iterable[Request] = (),
    revisions: bool = False,
    patience: float,
    promise: Callable[[float], float],
    ready: Callable[[float], bool] = lambda second: True,
    found: Callable[[Document], None] = lambda document: None,
    known: Known = Known(),  # noqa: B008  frozen
    writer: str = "",
) -> Known:
    """Merge requests into the file under its lock; what is known of the file then.

    ``revisions``: see ``document.key_of``; ``mode``: permissions of a new file; an existing file
    keeps its own, and its owner. A file that is not a retest JSON is set aside as
    ``NAME.corrupt-TIMESTAMP``. ``promise`` gives the second that the new content carries, later
    than that of the present content. ``ready`` is called with this second when the new content is
    on the disk and about to take its place, see ``waits``; if that gives False, the content is made
    anew with another second. ``found`` is called with the present content of a file that is a
    retest JSON, or of none, before anything is merged into it. ``known``: what was known of the
    file before, which is not read again in the same state. ``writer``: whose content it is,
    should it wait: nobody else touches that. Raises ``SinkUnavailable`` if the file cannot be read
    or written.
    """
    with locked(path, patience):
        try:
            target = files.target(path)
            is_there = os.path.lexists(path)
            standing = known.holds(state(path)) or _read(path, now)
            present = standing if standing is not None else empty()
            if standing is not None or not is_there:
                found(present)
            is_ready = False
            while not is_ready:
                second = promise(standing_second(present, now))
                merged = merge(present, requests, second, earlier, revisions=revisions)
                new = _write(target, dump(merged), mode, writer)
                is_ready = ready(second)
            _put_in_place(new, target)
        except OSError as error:
            raise files.unavailable(path, error) from error
        return Known(state(path), merged)


def standing_second(document: Document, now: float) -> float:
    """The Unix time that a document carries, which another program may have put there; 0 for one
    that has not come yet and is not the time of anything."""
    at = stamped(document)
    return at if at <= now else 0.0


def waits(path: str, writer: str, patience: float) -> bool:
    """Whether what a writer that died behind ``ready`` was about to write waits beside the file. If
    not, it took its place: what became of it there, who has taken it, and what others have written
    since says nothing any more. Raises ``SinkUnavailable``."""
    with locked(path, patience):
        target = files.target(path)
        if any(os.path.lexists(_new(target, each)) for each in (writer, _OLDER)):
            return True
        files.sync(target.parent)  # the writer may have died before it did this
        return False


def state(path: str) -> State:
    """The state of the file, None if there is none. Any change makes it another one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def peek(path: str) -> Document | None:
    """What the file holds, to be called under its lock; nothing if there is no file, None if it
    is not a retest JSON, and stays. Raises ``SinkUnavailable``."""
    try:
        return load(Path(path).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        return empty()
    except (ValueError, RecursionError):
        return None
    except OSError as error:
        raise SinkUnavailable(f"{path} cannot be read: {error.strerror or error}") from error


def read(path: str, now: float) -> Document | None:
    """What the file holds, to be called under its lock; None if there is no file, or one that is
    no retest JSON, which is set aside. Raises ``SinkUnavailable``."""
    try:
        return _read(path, now)
    except OSError as error:
        raise SinkUnavailable(f"{path} cannot be read: {error.strerror or error}") from error


@contextmanager
def prepared(path: str, document: Document, mode: int) -> Iterator[Callable[[], None]]:
    """A document that is on the disk and takes the file's place when the block calls what it is
    given, and not before; all of this under the file's lock. Mode and owner, and a symbolic link,
    stay. Raises ``SinkUnavailable``."""
    try:
        target = files.target(path)
        new = _write(target, dump(document), mode, _TAKING)
    except OSError as error:
        raise files.unavailable(path, error) from error

    def place() -> None:
        try:
            _put_in_place(new, target)
        except OSError as error:
            raise files.unavailable(path, error) from error

    try:
        yield place
    finally:
        new.unlink(missing_ok=True)


def _read(path: str, now: float) -> Document | None:
    """The document in the file, None if there is no file or it was set aside."""
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return load(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        aside = _set_aside(files.target(path), now)
        log.warning("set aside %s as %s, because it is not a retest JSON: %s", path, aside, error)
        return None


def _set_aside(target: Path, now: float) -> Path:
    name = f"{target.name}.corrupt-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S.%f}"
    aside = target.with_name(name)
    for number in count(2):
        if not os.path.lexists(aside):
            break
        aside = target.with_name(f"{name}-{number}")
    os.rename(target, aside)
    return aside


def _new(target: Path, writer: str) -> Path:
    """Where a writer's new content waits: in the same folder and, for the lock is held, always
    under the same name, so that killed writers leave one such file at most."""
    return target.with_name(f".{target.name}.{writer}{'.' if writer else ''}new")


def _write(target: Path, text: str, mode: int, writer: str) -> Path:
    """The content that is to take the file's place, on the disk."""
    new = _new(target, writer)
    for left in (new, _new(target, _OLDER)):
        left.unlink(missing_ok=True)
    files.fill(new, text, target, mode)
    # After a loss of power this name is the only proof that the new content never took its place,
    # see ``waits``: a consumer may take the old file before we are back.
    files.sync(new.parent)
    return new


def _put_in_place(new: Path, target: Path) -> None:
    folder = target.parent
    os.replace(new, target)
    files.sync(folder)
