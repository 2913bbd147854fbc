# SPDX-License-Identifier: BSD-3-Clause
"""Moments as people and programs write them. Pure."""

import re
from datetime import UTC, datetime

# Of the many forms of ISO 8601 those that Patchwork takes.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].+)?", re.ASCII)

# The second day of Unix time and a day in a far year: both can be shown in every time zone.
_FIRST, _LAST = 86400.0, 1e11


def parse(text: str) -> float:
    """A date, or a date and a time with a T or a blank between, as a Unix time. It is in UTC unless
    it names an offset. These are the forms that Patchwork's ``since`` takes; raises
    ``ValueError`` for any other."""
    text = text.strip()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        named = datetime.fromisoformat(text)
        return (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is neither a date nor a date and a time, such as 2023-09-06T09:01:00"
        ) from error


def showable(at: float) -> float:
    """A moment that some time zone does not have is moved to the nearest that all have."""
    return min(max(at, _FIRST), _LAST)


def period(text: str) -> float:
    """A length of time such as 30d, 12h or 90m, in seconds. Raises ``ValueError``."""
    found = re.fullmatch(r"([0-9]{1,6})([dhm])", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a length of time, such as 30d or 12h")
    return int(found[1]) * {"d": 86400.0, "h": 3600.0, "m": 60.0}[found[2]]


def parse_or_before(text: str, now: float) -> float:
    """As ``parse``, showable; or a length of time before now, see ``period``."""
    is_period = re.fullmatch(r"[0-9]+[a-z]", text, re.ASCII)
    return showable(now - period(text) if is_period else parse(text))
