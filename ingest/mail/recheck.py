# SPDX-License-Identifier: BSD-3-Clause
"""The grammar of a Recheck-request line: a comment's text to what it asks for, to what it seems
to ask for and was not read, and to a hint about a line that nearly is a request. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from functools import cache
from itertools import islice

from ingest.value import Value

KEYWORD = "Recheck-request: "

# Honest mail stays far below all of these.
LONGEST_NAME = 255  # characters of a label, of an argument's name or value
MOST_LABELS, MOST_ARGUMENTS = 200, 50
MOST_LEFTOVERS, LONGEST_LEFTOVER = 100, 200
# How far is looked behind how many lines for what is said about them.
_LOOKED_AT, _MOST_LOOKED_BEHIND = 2000, 20

_ITEM = r"([\w-]+)(?:=([\w-]+))?"
_LIST = re.compile(
    r"[\w-]++(?:=[\w-]++)?+(?:[ \t]*,[ \t]*[\w-]++(?:=[\w-]++)?+)*+[ \t]*+,?[ \t\r]*"
)
_CAPITALISED = re.compile(r"[A-Z][a-z]+")
# Outlook's line above the mail that it answers, which it does not quote.
_ORIGINAL = re.compile(r"^-+ ?Original Message ?-+[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
# An empty line or two, and what mail programs write before the lines that they wrap or quote.
_NEXT_LINE = re.compile(r"((?:[ \t\r\xa0]*\n){0,2})[>| \t\r\xa0]*([^\n]*)")
_BLANKS = ", \t\r"
_SLASH = re.compile(r"/([\w-]{1,40})(?![\w/-])")


class Grammar(StrEnum):
    """Whose reading of a line decides."""

    GET_RERUNS = "get_reruns"
    PW_CI = "pw-ci"


class _Expressions(Value):
    line: re.Pattern[str]  # what a request begins with
    item: re.Pattern[str]  # one item and the separator behind it


# get_reruns.py: items, each followed by a comma, at most one blank and at most one line end. A
# next line that is a request itself is left to be read as one. pw-ci: any number of blanks behind
# the colon, and blanks or commas between the items.
_GRAMMARS = {
    Grammar.GET_RERUNS: (f"^{KEYWORD}", rf"{_ITEM}(?:, ?(?:\n(?!{KEYWORD}))?)?"),
    Grammar.PW_CI: (
        r"^Recheck-request:[ \t]*",
        rf"{_ITEM}(?:[ \t]*,[ \t]*(?:\n(?!Recheck-request:))?|[ \t]+)?",
    ),
}


@cache
def _expressions(grammar: Grammar) -> _Expressions:
    line, item = _GRAMMARS[grammar]
    return _Expressions(re.compile(line, re.MULTILINE), re.compile(item))


class Recheck(Value):
    """What all the Recheck-request lines of one mail ask for."""

    contexts: tuple[str, ...]  # labels in the order they were given, each once
    arguments: Mapping[str, str]  # of a name given twice the later value
    leftovers: tuple[str, ...]  # what seems meant and was not read


def parse(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> Recheck | None:
    """The request in a comment's text, None if there is none.

    A line counts if it begins with the keyword and an item. Reading stops at the first thing
    that does not fit; what came before it counts (get_reruns.py's regular expression, with
    ``name=value`` items). Every such line of a mail counts, except one below a line
    "-----Original Message-----" if there is one before it.
    """
    expressions = _expressions(grammar)
    original = _ORIGINAL.search(text)
    old = original.end() if original else len(text)
    asked = _Asked()
    for line in expressions.line.finditer(text):
        if line.start() > old and asked.has_begun:
            asked.leftovers.append(_line_at(text, line.start()).strip(_BLANKS))
            continue
        read, last = line.end(), ""
        while item := expressions.item.match(text, read):
            asked.take(item[1], item[2])
            read, last = item.end(), item[1] if item[2] is None else ""
        asked.leftovers += _not_reached(text, read, last, expressions)
    if not asked.contexts and not asked.arguments:
        return None
    asked.leftovers += (hint.text for hint in hints(text, grammar) if hint.is_meant)
    return Recheck(tuple(asked.contexts), asked.arguments, capped(asked.leftovers))


def behind(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> Iterator[str]:
    """What stands behind the items of each of the first Recheck-request lines, from the rest of
    their line on."""
    expressions = _expressions(grammar)
    for line in islice(expressions.line.finditer(text), _MOST_LOOKED_BEHIND):
        read = line.end()
        while item := expressions.item.match(text, read):
            read = item.end()
        if read > line.end():
            # A list that ends in a line end goes on with what stands there.
            read -= text[read - 1] == "\n"
            yield text[read : read + _LOOKED_AT]


def is_list(line: str) -> bool:
    """Whether a line is made of labels with commas between."""
    return bool(_LIST.fullmatch(line))


def capped(leftovers: Iterable[str]) -> tuple[str, ...]:
    """Leftovers without repeats, the first hundred of them, each cut; then "and N more"."""
    kept = list(dict.fromkeys(each[:LONGEST_LEFTOVER] for each in leftovers if each))
    more = len(kept) - MOST_LEFTOVERS
    return tuple([*kept[:MOST_LEFTOVERS], f"and {more} more"] if more > 0 else kept)


class _Asked:
    """What was read so far, within the limits."""

    def __init__(self) -> None:
        self.contexts: dict[str, None] = {}
        self.arguments: dict[str, str] = {}
        self.leftovers: list[str] = []
        self.has_begun = False

    def take(self, name: str, value: str | None) -> None:
        """Keep an item. Programs would take a label or value that begins with ``-`` for an
        option, so such an item becomes a leftover, as one beyond the limits does."""
        self.has_begun = True
        fits = all(len(each) <= LONGEST_NAME and each[0] != "-" for each in (name, value or "_"))
        if fits and value is None and (name in self.contexts or len(self.contexts) < MOST_LABELS):
            self.contexts[name] = None
        elif (
            fits
            and value is not None
            and (name in self.arguments or len(self.arguments) < MOST_ARGUMENTS)
        ):
            self.arguments[name] = value
        else:
            item = name if value is None else f"{name[:LONGEST_LEFTOVER]}={value}"
            self.leftovers.append(item[:LONGEST_LEFTOVER])


def _not_reached(text: str, read: int, last: str, expressions: _Expressions) -> Iterator[str]:
    """What follows the items that were read, up to ``read``, and seems to belong to them: the
    rest of the line, then each next line while the one before ends in a comma."""
    end = read
    if text[read - 1] != "\n":
        end = text.find("\n", read)
        end = len(text) if end < 0 else end
        rest = text[read:end].strip(_BLANKS)
        yield _explained(rest, last) if text.startswith("/", read) else rest
    goes_on = text[max(read - 3, 0) : end].rstrip(" \t\r\n\xa0").endswith(",")
    at = end if end == read else end + 1
    while at < len(text) and (line := _NEXT_LINE.match(text, at)):
        items = line[2]
        goes_on = goes_on or items.startswith(",")
        items = items.lstrip(_BLANKS)
        is_list = _LIST.fullmatch(items) and not expressions.line.match(items)
        # Below an empty line "Thanks" or a name is a letter's end.
        if not goes_on or not is_list or (line[1] and _CAPITALISED.fullmatch(items.strip(_BLANKS))):
            return
        yield items.strip(_BLANKS)
        goes_on, at = items.rstrip(" \t\r").endswith(","), line.end() + 1


def _explained(rest: str, label: str) -> str:
    """The rest of a line behind a label with a slash: Patchwork's page shows ``ci/iol-unit`` for
    the label ``iol-unit`` (the folder is the name of who posted the check)."""
    name = _SLASH.match(rest)
    if not name or not label or len(label) > LONGEST_NAME:
        return rest
    shown = f"{label[:40]}/{name[1]}"
    why = f' (labels have no slash: write "{name[1]}" where Patchwork\'s page shows "{shown}")'
    return rest[: LONGEST_LEFTOVER - len(why)] + why


def _line_at(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : len(text) if end < 0 else end]


# --- lines that nearly are requests ---

# Characters that show as nothing: NULs and other controls, soft hyphen, zero-width characters,
# direction marks, byte order mark.
_INVISIBLE = dict.fromkeys(
    [
        *(*range(9), *range(0x0E, 0x20), *range(0x7F, 0xA0), 0xAD, 0x034F, 0x061C, 0xFEFF),
        *(*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)),
        *range(0xFE00, 0xFE10),
    ]
)
_HYPHENS = "\u2010-\u2015\u2212\ufe63\uff0d"
# What may stand before it: quote marks, blanks, bullets, numbers, mark-up. Then the keyword.
_NEARLY = re.compile(
    rf"^((?:[^\w\n]|_){{0,40}}(?:(?:\w{{1,3}}[.)]|o(?=[ \t]))(?:[^\w\n]|_){{0,10}})?)"
    rf"(re-?check[-_ \t\xa0{_HYPHENS}]{{0,2}}requests?)(?![\w-])([^\n]*)",
    re.MULTILINE | re.IGNORECASE,
)
_COLON = re.compile(r"[\s*_`\"'\])}>~]{0,6}[:=\uff1a]")
_BULLET = re.compile(r"\s*(?:[-*+#\u2022\u00b7\u2023\u25e6\u2013\u2014]|\w{1,3}[.)]|o)\s")
_ODDLY_SPACED = re.compile(r":(?! \w)[^\S\n]*\w")
_MARKS = frozenset("*_`\"'~[](){}<\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb")


class Near(StrEnum):
    """Why a line is close to a request, but not one."""

    QUOTED = "it is quoted"
    BULLETED = "it stands behind a bullet"
    MARKED = "the keyword is marked up"
    INDENTED = "it is indented"
    INVISIBLE = "it holds an invisible character"
    SPELLED = 'the keyword is not spelled "Recheck-request"'
    CAPITALS = 'the keyword has other capital letters than "Recheck-request"'
    COLON = "no colon stands right behind the keyword"
    BLANK = "not exactly one blank stands behind the colon"
    UNUSABLE = f'its labels begin with "-" or have more than {LONGEST_NAME} characters'
    EMPTY = "no label stands behind the colon"


class Hint(Value):
    """A line that was perhaps meant as a request, cut, and why it is not one. ``lead``: what stands
    before the keyword; ``rest``: what stands behind it, on the lines below, too."""

    kind: Near
    text: str
    lead: str = field(default="", compare=False)
    rest: str = field(default="", compare=False)

    @property
    def is_meant(self) -> bool:
        """Whether to mention the line beside a request that was read. Quoted lines stand in every
        answer, and what follows the keyword itself is a leftover already."""
        return self.kind not in (Near.QUOTED, Near.UNUSABLE, Near.EMPTY)

    def __str__(self) -> str:
        return f"this line is close, but not a request: {self.text!r} ({self.kind})"


def near_miss(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> Hint | None:
    """A hint about the first line that nearly is a request, None if there is no such line."""
    return next(hints(text, grammar), None)


def hints(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> Iterator[Hint]:
    """A hint about each line that nearly is a request."""
    expressions = _expressions(grammar)
    cleaned = text.translate(_INVISIBLE)
    # Lines stay lines, so that the same number names the same line in both.
    originals = None if cleaned == text else text.split("\n")
    number = at = 0
    for line in _NEARLY.finditer(cleaned):
        number += cleaned.count("\n", at, line.start())
        at = line.start()
        original = originals[number] if originals else line[0]
        kind = _kind(line, original, expressions)
        if kind:
            shown = line[0].strip(_BLANKS)[:LONGEST_LEFTOVER]
            rest = cleaned[line.start(3) : line.start(3) + _LOOKED_AT]
            yield Hint(kind, shown, line[1], rest)


def _kind(line: re.Match[str], original: str, expressions: _Expressions) -> Near | None:
    """Why a line is not a request; None if it is one, or is prose."""
    begun = expressions.line.match(line[0])
    item = expressions.item.match(line[0], begun.end()) if begun else None
    if item:
        if not expressions.line.match(original):
            return Near.INVISIBLE
        usable = any(
            not any(each[:1] == "-" or len(each) > LONGEST_NAME for each in (name, value))
            for name, value in expressions.item.findall(line[0], begun.end() if begun else 0)
        )
        return None if usable else Near.UNUSABLE
    lead, word, tail = line.groups()
    colon = _COLON.match(tail)
    spelled = word.lower() == "recheck-request"
    if not colon and not (spelled and _LIST.fullmatch(tail.strip() or "_")):
        return None
    checks = (
        (Near.QUOTED, ">" in lead or lead.startswith("|")),
        (Near.BULLETED, _BULLET.match(lead)),
        (Near.MARKED, not _MARKS.isdisjoint(lead + (colon[0] if colon else ""))),
        (Near.INDENTED, lead),
        (Near.SPELLED, not spelled),
        (Near.CAPITALS, word != "Recheck-request"),
        (Near.COLON, not tail.startswith(":")),
        (Near.BLANK, _ODDLY_SPACED.match(tail)),
        (Near.EMPTY, True),
    )
    return next(kind for kind, applies in checks if applies)
