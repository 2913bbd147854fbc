# SPDX-License-Identifier: BSD-3-Clause
"""What flags may be given: numbers, lengths of time and moments, as argparse reads them."""

import argparse
import math
import re
import time
from datetime import UTC, datetime

# Of the many forms of ISO 8601 those that Patchwork takes.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].+)?", re.ASCII)

# The second day of Unix time and a day in a far year: both can be shown in every time zone.
_FIRST_MOMENT, _LAST_MOMENT = 86400.0, 1e11


def whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def period(text: str) -> float:
    """A length of time such as 30d, 12h or 90m, in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([dhm])", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time, such as 30d or 12h")
    return int(found[1]) * {"d": 86400.0, "h": 3600.0, "m": 60.0}[found[2]]


def moment(text: str) -> float:
    """A date, or a date and a time with a T or a blank between, as a Unix time. It is in UTC unless
    it names an offset. These are the forms that Patchwork's ``since`` takes; raises
    ``ArgumentTypeError`` for any other."""
    text = text.strip()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        named = datetime.fromisoformat(text)
        return (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a date nor a date and a time, such as 2023-09-06T09:01:00"
        ) from error


def moment_or_period(text: str) -> float:
    """See ``moment``; or a length of time before now, see ``period``."""
    is_period = re.fullmatch(r"[0-9]+[a-z]", text, re.ASCII)
    at = time.time() - period(text) if is_period else moment(text)
    return min(max(at, _FIRST_MOMENT), _LAST_MOMENT)


def kept_moment(text: str) -> float | None:
    """See ``moment``; None for an empty text, which a job has that keeps its time in a file, and
    which Patchwork takes for no time at all."""
    return moment(text) if text.strip() else None


def showable_moment(text: str) -> float:
    return min(max(moment(text), _FIRST_MOMENT), _LAST_MOMENT)
