# SPDX-License-Identifier: BSD-3-Clause
"""What flags may be given: numbers, lengths of time and moments, as argparse reads them."""

import argparse
import math
import re
import time
from collections.abc import Callable

from ingest.config import moments


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
    """See ``moments.period``."""
    return _read(moments.period, text)


def moment(text: str) -> float:
    """See ``moments.parse``."""
    return _read(moments.parse, text)


def moment_or_period(text: str) -> float:
    """See ``moments.parse_or_before``."""
    return _read(lambda given: moments.parse_or_before(given, time.time()), text)


def kept_moment(text: str) -> float | None:
    """See ``moment``; None for an empty text, which a job has that keeps its time in a file, and
    which Patchwork takes for no time at all."""
    return moment(text) if text.strip() else None


def showable_moment(text: str) -> float:
    """See ``moments.showable``."""
    return moments.showable(moment(text))


def _read(read: Callable[[str], float], text: str) -> float:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
