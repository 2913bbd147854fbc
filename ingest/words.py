# SPDX-License-Identifier: BSD-3-Clause
"""How numbers, times, names and other people's text are written for a person to read.

Pure. ``harmless`` and ``as_json`` are what every text goes through that is printed or logged.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

# Characters of a list of names in a reason; a hostile mail may hold a hundred thousand names.
_LONGEST_LIST = 500
# Characters of what a server says.
_LONGEST_SAYING = 200

# Python calls these printable, but they show as nothing, so that two different names look the
# same: Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt) less category C.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164,
            0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
        ),
    )
)  # fmt: skip
_EARLIEST = datetime.min.replace(tzinfo=UTC).timestamp()
_LATEST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()
# A link, or what stands before the @ of an address; each is begun at its first character only.
_ADDRESS = re.compile(
    r"""https?://\S++|("[^"\n]*+"|(?<![^\s@<>()\[\],;:"])[^\s@<>()\[\],;:"]++)@"""
)
_NOT_SHOWN = '"…'
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def counted(number: int, noun: str) -> str:
    """So many of something: "1 mail", "2 mails"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Names with commas between, cut where the text gets too long."""
    text = ", ".join(names)
    return text if len(text) <= _LONGEST_LIST else f"{text[:_LONGEST_LIST]}…"


def asked_for(contexts: Sequence[str], arguments: Mapping[str, str]) -> str:
    """Labels and arguments as they are written on a Recheck-request line."""
    return ", ".join([*contexts, *(f"{name}={value}" for name, value in arguments.items())])


def clipped(text: str, most: int) -> str:
    """A text of so many characters at most; what is cut off leaves an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def on_one_line(text: str, most: int) -> str:
    """A text on one line, of so many characters at most; what is not printable is a blank."""
    kept = "".join(each if each.isprintable() else " " for each in text[: 4 * most])
    return clipped(" ".join(kept.split()), most)


def meant(word: str, known: Iterable[str]) -> str:
    """A question to add to a message about an unknown word, "" if no known one is near."""
    from difflib import get_close_matches  # nobody else pays for it

    near = get_close_matches(word, [*known], n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class Series(Protocol):
    """What names a series: see ``Request``."""

    @property
    def series(self) -> int: ...
    @property
    def revision(self) -> int | None: ...
    @property
    def server(self) -> str | None: ...


def of_series(it: Series) -> str:
    """A series in a sentence: "series 29430", "series 2, revision 3, of fdo"."""
    revision = f", revision {it.revision}" if it.revision else ""
    return f"series {it.series}{revision}" + (f", of {it.server}" if it.server else "")


def short_series(it: Series) -> str:
    """A series in a column: "29430", "2/3" with its revision, "fdo 2/3" of another server."""
    short = f"{it.series}/{it.revision}" if it.revision else str(it.series)
    return f"{it.server} {short}" if it.server else short


def times(number: int) -> str:
    """How often: "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def ago(seconds: float) -> str:
    """A length of time in one unit: "3 min"."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def moment(at: float) -> str:
    """A Unix time in this machine's zone, for a person."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")


def utc(at: float) -> datetime:
    """A Unix time as a value. A mail's own date may be beyond the years 1 and 9999."""
    return datetime.fromtimestamp(min(max(at, _EARLIEST), _LATEST), UTC)


def instant(at: datetime) -> str:
    """A time for a program: ISO 8601 in UTC with a Z, with decimals if it has any."""
    return f"{at.astimezone(UTC).isoformat().removesuffix('+00:00')}Z"


def person(author: str) -> str:
    """The name in a From, or the address where there is no name."""
    return author.partition("<")[0].strip(' "') or author


def named(message_id: str, mail_id: int) -> str:
    """What a mail is called: its Message-ID in brackets, or ``mail-N`` if it has none."""
    return f"<{message_id}>" if message_id else f"mail-{mail_id}"


def printable(value: object) -> str:
    """What a server says, fit for a terminal, a log and a database: one line, not a long one."""
    text = "".join(each if each.isprintable() else " " for each in str(value)[:_LONGEST_SAYING])
    return " ".join(text.split())


def shortened(text: str) -> str:
    """A text as anybody may see it: of each address only the first character and the domain,
    "r…@example.org". Links stay as they are."""
    if "@" not in text:
        return text
    return _ADDRESS.sub(_shorten, text)


def _shorten(found: re.Match[str]) -> str:
    if not found[1]:  # a link
        return found[0]
    first = found[1][0]
    return f"{'' if first in _NOT_SHOWN else first}…@"


def harmless(text: str, keep: str = "") -> str:
    """A text that can do nothing to a terminal or a log: control characters (ESC, C0, C1), those
    that turn the direction of writing, invisible ones and halves of surrogate pairs are written
    as escapes, such as ``\\x1b``. So is a line end, unless it is in ``keep``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep or _shows(each) else _escape(each) for each in text)


def as_line(value: Any) -> str:
    """A value as JSON on one line that can harm nothing."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def as_json(value: Any) -> str:
    """A value as JSON for a terminal or a program: readable, with the characters that
    ``harmless`` does not let through written as JSON's own escapes."""
    text = json.dumps(value, indent=4, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(each if each == "\n" or _shows(each) else _json_escape(each) for each in text)


def _shows(character: str) -> bool:
    return character.isprintable() and character not in _INVISIBLE


def _escape(character: str) -> str:
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if not character.isascii() else f"\\u{ord(character):04x}"
