# SPDX-License-Identifier: BSD-3-Clause
"""The retest JSON as a value: what get_reruns.py writes, merged into and never clobbered. Pure."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ingest.ledger import Request

Document = dict[str, Any]

_TEXT = {str}
_quoted = json.encoder.encode_basestring_ascii
# How old the mails are that set a value, by an entry's key, name and value.
_Ages = dict[tuple[str, str, str], tuple[float, str]]


def empty() -> Document:
    """A document that asks for nothing."""
    return {"retests": {}, "last_comment_timestamp": None}


def key_of(request: Request, revisions: bool) -> str:
    """The key of a request's entry: its series, or with ``revisions`` series and revision, where
    the server has revisions."""
    series = str(request.series)
    return f"{series}/{request.revision}" if revisions and request.revision else series


def merge(
    document: Document,
    requests: Sequence[Request],
    second: float,
    earlier: Iterable[Request] = (),
    *,
    revisions: bool = False,
) -> Document:
    """The document with these requests in it.

    Contexts of a series are united. Of two values for one argument that of the later mail wins,
    whatever the order in which they come: ``earlier`` are the requests for the same series that
    were merged before, by which the age of a value that stands in the document is known. A value
    of another program stays, whatever it is, until a request sets its name. The same requests
    again change nothing. ``second``: the promised second that the document carries as its
    ``last_comment_timestamp``, a Unix time; 0 leaves what stands there. ``revisions``: see
    ``key_of``.
    """
    known = _ages(earlier, revisions)
    retests = {series: _tidied(entry) for series, entry in document["retests"].items()}
    touched: set[str] = set()
    for request in requests:
        series = key_of(request, revisions)
        if series not in touched:
            touched.add(series)
            retests[series] = dict(retests.get(series, {"contexts": [], "arguments": {}}))
        entry = retests[series]
        entry["contexts"] = sorted({*entry["contexts"], *request.contexts})
        if request.arguments:
            arguments = dict(arguments_of(entry))
            for name, value in request.arguments.items():
                standing = _age_of(arguments.get(name), series, name, known)
                if standing is None or standing <= _age(request):
                    arguments[name] = value
                    known[series, name, value] = _age(request)
            entry["arguments"] = arguments
    carried = stamp(second) if second else document.get("last_comment_timestamp")
    return {**document, "retests": retests, "last_comment_timestamp": carried}


def _ages(requests: Iterable[Request], revisions: bool) -> _Ages:
    known: _Ages = {}
    for request in requests:
        for name, value in request.arguments.items():
            key = (key_of(request, revisions), name, value)
            known[key] = max(known.get(key, _age(request)), _age(request))
    return known


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
        "arguments": {} if entry.get("arguments") is None else entry["arguments"],
    }


def arguments_of(entry: Document) -> Mapping[str, Any]:
    """The arguments of a series' entry. Another program may have left something else there,
    which holds none."""
    arguments = entry.get("arguments")
    return arguments if isinstance(arguments, dict) else {}


def _age_of(standing: object, series: str, name: str, known: _Ages) -> tuple[float, str] | None:
    """How old the mail is that set a standing value, None for a value of another program's."""
    return known.get((series, name, standing)) if isinstance(standing, str) else None


def _age(request: Request) -> tuple[float, str]:
    """When a mail was sent, and what tells apart two mails of one second, whatever the order in
    which they came."""
    return request.sent, request.message_id


def stamp(at: float) -> str:
    """A Unix time as ``last_comment_timestamp``: naive UTC, always with six decimals, because
    consumers cut it at the point."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def stamped(document: Document) -> float:
    """The Unix time that a document carries, 0 if it is not one. Another program's may have an
    offset, or, from get_reruns.py, no decimals where there are none."""
    try:
        at = datetime.fromisoformat(str(document.get("last_comment_timestamp")))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def dump(document: Document) -> str:
    """The document as its consumers read it: what ``json.dumps`` makes of it with ``indent=4``.
    That is done in Python and by characters; the entries of a long file are not left to it."""
    entries = document.get("retests")
    if not isinstance(entries, dict) or not entries or not all(map(_is_plain, entries.values())):
        return json.dumps(document, indent=4, allow_nan=False)
    rest = json.dumps({**document, "retests": {}}, indent=4, allow_nan=False)
    # In a text the line end would be escaped, and what is nested stands farther to the right.
    before, mark, behind = rest.partition('\n    "retests": {')
    lines = ",\n".join(f"        {_quoted(key)}: {_entry(each)}" for key, each in entries.items())
    return f"{before}{mark}\n{lines}\n    {behind}"


def _entry(entry: Document) -> str:
    """A series' entry that is plain, as it stands in the document."""
    labels = ",\n".join(f"                {_quoted(each)}" for each in entry["contexts"])
    values = ",\n".join(
        f"                {_quoted(name)}: {_quoted(value)}"
        for name, value in entry["arguments"].items()
    )
    contexts = f"[\n{labels}\n            ]" if labels else "[]"
    arguments = f"{{\n{values}\n            }}" if values else "{}"
    return (
        f'{{\n            "contexts": {contexts},\n            "arguments": {arguments}\n        }}'
    )


def load(text: str) -> Document:
    """A document from its text. Raises ``ValueError`` for anything else than a retest JSON."""
    document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(document, dict) or not isinstance(document.get("retests"), dict):
        raise ValueError("it has no object named retests")
    others: list[Any] = [value for key, value in document.items() if key != "retests"]
    for series, entry in document["retests"].items():
        if not isinstance(entry, dict) or not _texts(entry.get("contexts")):
            raise ValueError(f"the entry of series {series} has no list of contexts")
        if not _is_plain(entry):
            others.append(entry)
    dump({"others": [others]})  # what is nested too deep could not be written again
    return document


def _finite(text: str) -> float:
    """A number that JSON has."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
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
