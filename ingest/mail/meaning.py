# SPDX-License-Identifier: BSD-3-Clause
"""What was perhaps meant by what could not be read as a request: a guess for people, by which
nothing is ever run. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from ingest.mail import recheck
from ingest.mail.recheck import LONGEST_NAME, MOST_ARGUMENTS, MOST_LABELS, Grammar

_ITEM = re.compile(r"(?!-)([\w-]+)(?:=(?!-)([\w-]+))?")
_COLON = re.compile(r"[\s*_`\"'\])}>~]{0,6}[:=\uff1a]?")
# What mail programs and people write around words and before lines.
_AROUND = "*`\"'~[](){}<>\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb \t\r\xa0."
_BEFORE = re.compile(r"[>|*\u2022\s]*")
_MOST_HINTS, _MOST_LINES = 20, 50
# What our own leftovers say.
_SUGGESTED = re.compile(r"\(did you mean ([\w-]+)\?\)$|\(labels have no slash: write \"([\w-]+)\"")


@dataclass(frozen=True, slots=True)
class Meaning:
    """Labels in their order, and arguments."""

    contexts: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)


def of_text(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> Meaning:
    """What the lines of a text mean that nearly are requests."""
    hints = islice(recheck.hints(text, grammar), _MOST_HINTS)
    return _made(item for each in hints for item in _items(each.rest, "_" in each.lead))


def of_leftovers(leftovers: Iterable[str]) -> Meaning:
    """What leftovers mean: labels that were not reached, that were suggested, and those of lines
    that nearly are requests."""
    return _made(item for each in leftovers for item in _left(each))


def _left(leftover: str) -> Iterator[tuple[str, str | None]]:
    if suggested := _SUGGESTED.search(leftover):
        yield suggested[1] or suggested[2], None
    elif recheck.is_list(leftover):
        yield from ((name, value or None) for name, value in _ITEM.findall(leftover))
    else:
        for hint in recheck.hints(leftover):
            yield from _items(hint.rest, "_" in hint.lead)


def _items(rest: str, is_marked: bool) -> Iterator[tuple[str, str | None]]:
    """The labels and arguments behind a keyword, up to what cannot be one. ``is_marked``: the line
    stands between underscores."""
    around = _AROUND + "_" * is_marked
    colon = _COLON.match(rest)
    for line in rest[colon.end() if colon else 0 :].split("\n")[:_MOST_LINES]:
        said = line[_BEFORE.match(line).end() :].rstrip()  # type: ignore[union-attr]
        for piece in re.split("[,;]", said):
            words = piece.strip(around).split()
            items = [_ITEM.fullmatch(word.strip(around)) for word in words]
            for place, item in enumerate(items):
                if item is None or (len(items) > 1 and not _is_namely(item)):
                    return
                if place == 0 or _is_namely(item):
                    yield item[1], item[2]
        if not said.endswith(","):
            return


def _is_namely(item: re.Match[str]) -> bool:
    """Whether one of several words without a comma is a label or an argument, and not prose."""
    return item[2] is not None or bool(re.search(r"[\d_-]", item[1]))


def _made(items: Iterable[tuple[str, str | None]]) -> Meaning:
    contexts: dict[str, None] = {}
    arguments: dict[str, str] = {}
    for name, value in items:
        if len(name) > LONGEST_NAME or len(value or "") > LONGEST_NAME:
            continue
        if value is None and len(contexts) < MOST_LABELS:
            contexts[name] = None
        elif value is not None and (name in arguments or len(arguments) < MOST_ARGUMENTS):
            arguments[name] = value
    return Meaning(tuple(contexts), arguments)
