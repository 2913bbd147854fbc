# SPDX-License-Identifier: BSD-3-Clause
"""Whose share of the retest JSON is what: the file merges requests, and holds what is of others.

Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ingest.ledger import Request
from ingest.retests.document import Document, arguments_of, key_of

# The log's requests of each series that the file has an entry for, by the entry's key.
Log = Mapping[str, Sequence[Request]]


def part_of(request: Request, entry: Document, series: Sequence[Request]) -> Request | None:
    """What stands of a request in its series' entry: the request with those of its contexts that
    do, None if nothing does. ``series``: the log's requests of the series."""
    if request.contexts:
        contexts = tuple(each for each in request.contexts if each in entry["contexts"])
        return replace(request, contexts=contexts) if contexts else None
    # Of two values for one argument one stands in the file, for both requests.
    values = arguments_of(entry)
    names = request.arguments
    return request if all(_is_ours(series, name, values.get(name)) for name in names) else None


def missing(
    document: Document, request: Request, series: Sequence[Request], *, revisions: bool = False
) -> Request | None:
    """What does not stand any more of a request in the file, None if all of it does. ``series``:
    the log's requests of its series; ``revisions``: see ``document.key_of``."""
    entry = document["retests"].get(key_of(request, revisions))
    if entry is None:
        return request
    if request.contexts:
        gone = tuple(each for each in request.contexts if each not in entry["contexts"])
        return replace(request, contexts=gone) if gone else None
    return None if part_of(request, entry, series) else request


def without(
    document: Document,
    share: Iterable[Request],
    others: Iterable[Request],
    log: Log,
    *,
    revisions: bool = False,
) -> Document:
    """The document when a share has left it. ``others``: the other parts that it holds; what
    they ask for stays, and what no request in the log has asked for. ``revisions``: see
    ``document.key_of``."""
    leaving, staying = _asked(share, revisions), _asked(others, revisions)
    retests = {}
    for key, entry in document["retests"].items():
        if key not in leaving:
            retests[key] = entry
            continue
        gone, _ = leaving[key]
        wanted, names = staying[key]
        contexts = [each for each in entry["contexts"] if each not in gone or each in wanted]
        arguments = entry.get("arguments") or {}
        if isinstance(arguments, dict) and wanted.issuperset(contexts):
            # Else they may be those of a context that came from elsewhere.
            arguments = {
                name: value
                for name, value in arguments.items()
                if name in names or not _is_ours(log[key], name, value)
            }
        if contexts or arguments:
            retests[key] = {**entry, "contexts": contexts, "arguments": arguments}
    return {**document, "retests": retests}


def only(document: Document, share: Iterable[Request], *, revisions: bool = False) -> Document:
    """The document with nothing but a share."""
    asked = _asked(share, revisions)
    retests = {}
    for key, entry in document["retests"].items():
        if key in asked:
            contexts, names = asked[key]
            arguments = arguments_of(entry)
            retests[key] = {
                **entry,
                "contexts": [each for each in entry["contexts"] if each in contexts],
                "arguments": {name: arguments[name] for name in arguments if name in names},
            }
    return {**document, "retests": retests}


def _asked(
    those: Iterable[Request], revisions: bool
) -> defaultdict[str, tuple[set[str], set[str]]]:
    """Contexts, and names of arguments, that parts ask for, by the key of their series' entry."""
    asked: defaultdict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for part in those:
        contexts, names = asked[key_of(part, revisions)]
        contexts.update(part.contexts)
        names.update(part.arguments)
    return asked


def _is_ours(series: Iterable[Request], name: str, value: object) -> bool:
    return any(name in each.arguments and each.arguments[name] == value for each in series)
