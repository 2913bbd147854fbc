# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON: what get_reruns.py writes, merged into and never clobbered.

``merge`` is pure; ``append`` does it to a file under the file's lock. Called by
``sinks.json_file``.
"""

import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.errors import SinkUnavailable
from ingest.ledger import Request

Document = dict[str, Any]

log = logging.getLogger(__name__)


def empty() -> Document:
    """A document that asks for nothing."""
    return {"retests": {}, "last_comment_timestamp": None}


def merge(
    document: Document, requests: Sequence[Request], now: float, earlier: Iterable[Request] = ()
) -> Document:
    """The document with these requests in it.

    Contexts of a series are united. Of two values for one argument that of the later mail wins,
    whatever the order in which they come: ``earlier`` are the requests for the same series that
    were merged before, by which the age of a value that stands in the document is known. The
    same requests again change nothing. ``now``, a Unix time, bounds ``last_comment_timestamp``.
    """
    known: dict[tuple[int, str, str], tuple[float, str]] = {}
    for request in earlier:
        for name, value in request.arguments.items():
            key = (request.series, name, value)
            known[key] = max(known.get(key, _age(request)), _age(request))
    retests = {
        series: {
            **entry,
            "contexts": sorted(set(entry["contexts"])),
            "arguments": dict(entry.get("arguments") or {}),
        }
        for series, entry in document["retests"].items()
    }
    stamp = document.get("last_comment_timestamp")
    for request in sorted(requests, key=_age):
        entry = retests.setdefault(str(request.series), {"contexts": [], "arguments": {}})
        entry["contexts"] = sorted({*entry["contexts"], *request.contexts})
        for name, value in request.arguments.items():
            standing = known.get((request.series, name, entry["arguments"].get(name)))
            if standing is None or standing <= _age(request):
                entry["arguments"][name] = value
                known[request.series, name, value] = _age(request)
        stamp = _later(stamp, timestamp(request.date, now))
    return {**document, "retests": retests, "last_comment_timestamp": stamp}


def _age(request: Request) -> tuple[float, str]:
    # Two mails of one second are told apart by what does not depend on the order they came in.
    return request.date, request.message_id


def timestamp(date: float, now: float) -> str:
    """A mail's date as ``last_comment_timestamp``: naive UTC with six decimals, one microsecond
    later, so that a question for what came since does not return that mail again; never later
    than ``now`` (get_reruns.py, process_comment_info in 000_51de32ff8a4b1afd.txt)."""
    moment = datetime.fromtimestamp(min(date, now), UTC).replace(tzinfo=None)
    if date < now:
        moment += timedelta(microseconds=1)
    return moment.isoformat(timespec="microseconds")


def _later(one: str | None, other: str) -> str:
    # Both are naive ISO 8601; get_reruns.py leaves out the decimals when there are none.
    try:
        return other if one is None else max(one, other, key=datetime.fromisoformat)
    except (ValueError, TypeError):
        return other


def dump(document: Document) -> str:
    """The document as its consumers read it."""
    return json.dumps(document, indent=4)


def load(text: str) -> Document:
    """A document from its text. Raises ``ValueError`` for anything else than a retest JSON."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("retests"), dict):
        raise ValueError("it has no object named retests")
    for series, entry in document["retests"].items():
        if not isinstance(entry, dict) or not _texts(entry.get("contexts")):
            raise ValueError(f"the entry of series {series} has no list of contexts")
        if not isinstance(entry.get("arguments") or {}, dict):
            raise ValueError(f"the arguments of series {series} are no object")
    return document


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """The file's lock, ``NAME.lock`` beside it, which every writer and every consumer that moves
    the file away takes (flock(2)). Raises ``SinkUnavailable`` if there can be none."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SinkUnavailable(f"{path}.lock cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def append(
    path: str, requests: Sequence[Request], *, mode: int, now: float, earlier: Iterable[Request]
) -> bool:
    """Merge requests into the file under its lock; whether that changed the file.

    ``mode``: permissions of a new file; an existing file keeps its own, and its owner. A file
    that is no retest JSON is set aside as ``NAME.corrupt-TIMESTAMP``. Raises ``SinkUnavailable``
    if the file cannot be read or written.
    """
    with locked(path):
        try:
            standing = _read(path, now)
            merged = merge(standing if standing is not None else empty(), requests, now, earlier)
            if merged == standing:
                return False
            _replace(path, dump(merged), mode)
        except OSError as error:
            raise SinkUnavailable(f"{path} cannot be written: {error.strerror}") from error
    return True


def _read(path: str, now: float) -> Document | None:
    """The document in the file, None if there is no file or it was set aside."""
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return load(text.decode())
    except (ValueError, RecursionError) as error:
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%f")
        aside = f"{path}.corrupt-{moment}"
        os.replace(path, aside)
        log.warning("set aside %s as %s, it is no retest JSON: %s", path, aside, error)
        return None


def _replace(path: str, text: str, mode: int) -> None:
    """Put new content in the file's place, whole and durable at every moment. A symbolic link
    stays one, and what it names is replaced."""
    target = Path(path).resolve()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            _permit(stream.fileno(), target, mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _permit(descriptor: int, target: Path, mode: int) -> None:
    """Mode and owner of the file that is replaced; without one, ``mode``."""
    try:
        before = target.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    # Only root may give a file away; without that right the new file is at least as readable.
    with suppress(PermissionError):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o7777)
