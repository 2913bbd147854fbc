# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON: what get_reruns.py writes, merged into and never clobbered.

``merge`` is pure; ``append`` does it to a file under the file's lock.
Called by ``sinks.json_file``, and by ``take`` for a file that it empties.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import Any

from ingest import files, locks
from ingest.errors import SinkUnavailable
from ingest.ledger import Request

Document = dict[str, Any]

_TEXT = {str}
# A series' entry in the document.
_DEEP = " " * 16
_ENTRY = """{
            "contexts": %s,
            "arguments": %s
        }"""
_quoted = json.encoder.encode_basestring_ascii

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
    same requests again change nothing. ``now``, a Unix time, bounds ``last_comment_timestamp``,
    as does the time at which a request was recorded.
    """
    known: dict[tuple[int, str, str], tuple[float, str]] = {}
    for request in earlier:
        for name, value in request.arguments.items():
            key = (request.series, name, value)
            known[key] = max(known.get(key, _age(request)), _age(request))
    retests = {series: _tidied(entry) for series, entry in document["retests"].items()}
    touched: set[str] = set()
    stamp = document.get("last_comment_timestamp")
    for request in requests:
        series = str(request.series)
        if series not in touched:
            touched.add(series)
            before = retests.get(series, {"contexts": [], "arguments": {}})
            retests[series] = {**before, "arguments": dict(before["arguments"])}
        entry = retests[series]
        entry["contexts"] = sorted({*entry["contexts"], *request.contexts})
        for name, value in request.arguments.items():
            standing = known.get((request.series, name, entry["arguments"].get(name)))
            if standing is None or standing <= _age(request):
                entry["arguments"][name] = value
                known[request.series, name, value] = _age(request)
        stamp = _later(stamp, timestamp(request.date, min(request.recorded, now)))
    return {**document, "retests": retests, "last_comment_timestamp": stamp}


def _tidied(entry: Document) -> Document:
    """A series' entry as we write it, which most are already, for most are ours."""
    contexts = entry["contexts"]
    if entry.get("arguments") is not None and (
        len(contexts) < 2 or contexts == sorted({*contexts})
    ):
        return entry
    return {
        **entry,
        "contexts": sorted({*contexts}),
        "arguments": dict(entry.get("arguments") or {}),
    }


def _age(request: Request) -> tuple[float, str]:
    # Two mails of one second are told apart by what does not depend on the order they came in.
    return request.date, request.message_id


def timestamp(date: float, now: float) -> str:
    """A mail's date as ``last_comment_timestamp``: naive UTC with six decimals, one microsecond
    later, so that a question for what came since does not return that mail again; never later
    than ``now`` (get_reruns.py, process_comment_info in 000_51de32ff8a4b1afd.txt)."""
    moment = _moment(min(date, now)) + timedelta(microseconds=1)
    return _stamp(min(moment, _moment(now)))


def stamp(at: float) -> str:
    """A Unix time as consumers of ``last_comment_timestamp`` read it."""
    return _stamp(_moment(at))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None)


def _later(one: object, other: str) -> str:
    # What stands there may come from elsewhere: with an offset, or, from get_reruns.py, without
    # decimals where there are none.
    try:
        standing = datetime.fromisoformat(str(one))
        if standing.tzinfo:
            standing = standing.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return other
    return max(_stamp(standing), other)


def dump(document: Document) -> str:
    """The document as its consumers read it: as ``json.dumps`` writes it with ``indent=4``.

    Which is slow, for then it is written in Python throughout; entries of our own form are not.
    """
    parts = [f"{_quoted(key)}: {_dumped(key, value)}" for key, value in document.items()]
    return _block("{", parts, "}", "    ")


def _dumped(key: str, value: object) -> str:
    if key != "retests" or not isinstance(value, dict):
        return _indented(value, "    ")
    entries = [f"{_quoted(series)}: {_entry(entry)}" for series, entry in value.items()]
    return _block("{", entries, "}", "        ")


def _entry(entry: Document) -> str:
    if not _is_plain(entry):
        return _indented(entry, "        ")
    contexts = [*map(_quoted, entry["contexts"])]
    arguments = [f"{_quoted(name)}: {_quoted(text)}" for name, text in entry["arguments"].items()]
    return _ENTRY % (_block("[", contexts, "]", _DEEP), _block("{", arguments, "}", _DEEP))


def _block(begin: str, parts: Sequence[str], end: str, margin: str) -> str:
    if not parts:
        return begin + end
    inside = f",\n{margin}".join(parts)
    return f"{begin}\n{margin}{inside}\n{margin[4:]}{end}"


def _indented(value: object, margin: str) -> str:
    # No text in JSON has a line end of its own.
    return json.dumps(value, indent=4, allow_nan=False).replace("\n", f"\n{margin}")


def load(text: str) -> Document:
    """A document from its text. Raises ``ValueError`` for anything else than a retest JSON."""
    document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(document, dict) or not isinstance(document.get("retests"), dict):
        raise ValueError("it has no object named retests")
    others: list[Any] = [value for key, value in document.items() if key != "retests"]
    for series, entry in document["retests"].items():
        if not isinstance(entry, dict) or not _texts(entry.get("contexts")):
            raise ValueError(f"the entry of series {series} has no list of contexts")
        arguments = entry.get("arguments") or {}
        if not isinstance(arguments, dict):
            raise ValueError(f"the arguments of series {series} are no object")
        if not _is_plain(entry):
            others.append(entry)
    dump({"others": [others]})  # what is nested too deep could not be written again
    return document


def _finite(text: str) -> float:
    """A number that JSON has."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON's")
    return number


def _texts(value: object) -> bool:
    return isinstance(value, list) and _TEXT.issuperset(map(type, value))


def _is_plain(entry: object) -> bool:
    """Whether a series' entry has the form that we write, and holds nothing but texts."""
    if not isinstance(entry, dict) or [*entry] != ["contexts", "arguments"]:
        return False
    contexts, arguments = entry.values()
    of_texts = isinstance(arguments, dict) and _TEXT.issuperset(map(type, arguments.values()))
    return of_texts and _texts(contexts)


@contextmanager
def locked(path: str, patience: float) -> Iterator[None]:
    """The file's lock, ``NAME.lock`` beside it, which every writer and every consumer that moves
    the file away takes (flock(2)). Raises ``SinkUnavailable`` if there can be none, or somebody
    else keeps it for ``patience`` seconds."""
    lock = f"{path}.lock"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        held = locks.take(lock, mode=0o644, patience=patience)
    except OSError as error:
        raise SinkUnavailable(f"{lock} cannot be opened: {error.strerror or error}") from error
    if held is None:
        raise SinkUnavailable(f"{lock} is held by another program for over {patience:g} seconds")
    try:
        yield
    finally:
        os.close(held)


def append(
    path: str,
    requests: Sequence[Request],
    *,
    mode: int,
    now: float,
    earlier: Iterable[Request] = (),
    patience: float,
    ready: Callable[[], None] = lambda: None,
) -> bool:
    """Merge requests into the file under its lock; whether that changed the file.

    ``mode``: permissions of a new file; an existing file keeps its own, and its owner. A file
    that is no retest JSON is set aside as ``NAME.corrupt-TIMESTAMP``. ``ready`` is called when
    the new content is on the disk and about to take its place, see ``left``. Raises
    ``SinkUnavailable`` if the file cannot be read or written.
    """
    with locked(path, patience):
        try:
            standing = _read(path, now)
            merged = merge(standing if standing is not None else empty(), requests, now, earlier)
            if merged == standing:
                # Perhaps put there by a process that was killed before it made that durable.
                files.sync(files.target(path).parent)
                return False
            _write(path, dump(merged), mode)
        except OSError as error:
            raise files.unavailable(path, error) from error
        ready()
        try:
            _put_in_place(path)
        except OSError as error:
            raise files.unavailable(path, error) from error
    return True


class Left(StrEnum):
    """Where new content is whose writer died behind ``ready``."""

    WAITING = "waiting"  # beside the file: it never took its place
    IN_PLACE = "in place"  # it took its place
    TAKEN = "taken"  # it took its place, and a consumer has moved it away since


def left(path: str, patience: float) -> Left:
    """What a writer that died left. Content that was taken and is written again is handed out
    twice. Raises ``SinkUnavailable``."""
    with locked(path, patience):
        if os.path.lexists(_new(path)):
            return Left.WAITING
        files.sync(files.target(path).parent)  # the writer may have died before it did this
        return Left.IN_PLACE if os.path.lexists(path) else Left.TAKEN


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
        _write(path, dump(document), mode)
    except OSError as error:
        raise files.unavailable(path, error) from error

    def place() -> None:
        try:
            _put_in_place(path)
        except OSError as error:
            raise files.unavailable(path, error) from error

    try:
        yield place
    finally:
        _new(path).unlink(missing_ok=True)


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
        log.warning("set aside %s as %s, it is no retest JSON: %s", path, aside, error)
        return None


def _set_aside(target: Path, now: float) -> Path:
    name = f"{target.name}.corrupt-{_moment(now):%Y%m%dT%H%M%S.%f}"
    aside = target.with_name(name)
    for number in count(2):
        if not os.path.lexists(aside):
            break
        aside = target.with_name(f"{name}-{number}")
    os.rename(target, aside)
    return aside


def _new(path: str) -> Path:
    """Where new content waits: in the same folder and, for the lock is held, always under the
    same name, so that killed writers leave one such file at most."""
    target = files.target(path)
    return target.with_name(f".{target.name}.new")


def _write(path: str, text: str, mode: int) -> None:
    """The content that is to take the file's place, whole and durable."""
    new = _new(path)
    new.unlink(missing_ok=True)
    files.fill(new, text, files.target(path), mode)


def _put_in_place(path: str) -> None:
    target = files.target(path)
    os.replace(_new(path), target)
    files.sync(target.parent)
