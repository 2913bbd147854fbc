# SPDX-License-Identifier: BSD-3-Clause
"""Text to ``Recheck``: the grammar of a Recheck-request line, as get_reruns.py reads it.

Pure. Called by the worker and by ``replay --dry-run`` on the text of ``mail``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

KEYWORD = "Recheck-request: "
_LINE = re.compile(f"^{KEYWORD}", re.MULTILINE)
# Items, each followed by a comma, at most one blank and at most one line end. A next line that
# is a request itself is left to be read as one.
_ITEMS = re.compile(rf"(?:[\w-]+(?:=[\w-]+)?(?:, ?(?:\n(?!{KEYWORD}))?)?)+")
_NEARLY = re.compile(r"^[> \t]*recheck[-_ ]?request\b.*", re.MULTILINE | re.IGNORECASE)
_LONGEST_LEFTOVER = 200


@dataclass(frozen=True, slots=True)
class Recheck:
    """What all the Recheck-request lines of one mail ask for."""

    contexts: tuple[str, ...]  # labels in the order they were given, each once
    arguments: Mapping[str, str]  # of a name given twice the later value
    leftovers: tuple[str, ...]  # what stood on the lines and was not read


def parse(text: str) -> Recheck | None:
    """The request in a comment's text, None if there is none.

    A line counts if it begins with exactly ``Recheck-request: `` and an item. Reading stops at
    the first thing that does not fit; what came before it counts (get_reruns.py's regular
    expression in 000_51de32ff8a4b1afd.txt, with ``name=value`` items added). Every such line of
    a mail counts.
    """
    contexts: dict[str, None] = {}
    arguments: dict[str, str] = {}
    leftovers: dict[str, None] = {}
    found = False
    for line in _LINE.finditer(text):
        items = _ITEMS.match(text, line.end())
        read = items.end() if items else line.end()
        if items:
            found = True
            for item in items[0].split(","):
                name, equals, value = item.strip().partition("=")
                if equals:
                    arguments[name] = value
                elif name:
                    contexts[name] = None
        if text[read - 1] != "\n":
            end = text.find("\n", read)
            rest = text[read : end if end >= 0 else len(text)].strip(", \t\r")
            if rest:
                leftovers[rest[:_LONGEST_LEFTOVER]] = None
    if not found:
        return None
    return Recheck(tuple(contexts), arguments, tuple(leftovers))


def near_miss(text: str) -> str:
    """The first line that was perhaps meant as a request but is none by the grammar, "" if
    there is no such line: quoted, indented, in other case, or without its one blank."""
    line = _NEARLY.search(text)
    return line[0].strip()[:_LONGEST_LEFTOVER] if line else ""
