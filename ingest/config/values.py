# SPDX-License-Identifier: BSD-3-Clause
"""How the value of a setting is read from TOML, or from the environment, where every value is
text. Each reader is a function: it takes the value as written and returns the value to use, or
raises ``ValueError`` whose message says what the value must be.
"""

import functools
import re
from collections.abc import Callable
from datetime import date, datetime, time
from math import isfinite
from typing import Any, TypeVar
from urllib.parse import urlsplit

# Seconds.
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

T = TypeVar("T")
Reader = Callable[[Any], Any]


def _must_be(right: str) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
    """Make a reader of a function: whatever the function raises for a wrong value, the reader
    raises ``ValueError`` with ``right``."""

    def make(read: Callable[[Any], T]) -> Callable[[Any], T]:
        @functools.wraps(read)
        def reader(value: Any) -> T:
            try:
                return read(value)
            except (ValueError, TypeError, OverflowError, KeyError) as error:
                raise ValueError(right) from error

        return reader

    return make


@_must_be("a text")
def text(value: Any) -> str:
    """A text without NUL, which no path and no address can hold."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


@_must_be("letters, digits, '.', '_' and '-', 100 at most")
def machine(value: Any) -> str:
    """The name of a machine, "" for none."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{0,100}", value):
        raise ValueError
    return value


@_must_be("a URL like https://patches.dpdk.org")
def url(value: Any) -> str:
    """The URL of an HTTP server. It goes into a request's first line, so it holds no blank."""
    parts = urlsplit(text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    if not value.isprintable() or " " in value:
        raise ValueError
    return str(value)


@_must_be("a URL like https://recheck.example.org")
def optional_url(value: Any) -> str:
    """The URL of an HTTP server without a query or a fragment, or "" for none."""
    base = text(value)
    if base and (set(base) & set("?# ") or not base.isprintable()):
        raise ValueError
    return str(url(base)).rstrip("/") if base else ""


@_must_be("a URL with {message_id} in it, such as https://inbox.dpdk.org/{list}/{message_id}/")
def archive(value: Any) -> str:
    """Where a mail is in an archive: a URL with {message_id}, and {list} or {list_id}; or ""."""
    template = text(value)
    names = re.findall(r"[{}][^{}]*[}]?", template)
    known = {"{message_id}", "{list}", "{list_id}"}
    if template and ("{message_id}" not in names or set(names) - known):
        raise ValueError
    return str(url(template)) if template else ""


@_must_be("the https URL of a public-inbox, or the absolute path of a folder")
def inbox(value: Any) -> str:
    """Where a public-inbox is: an https URL without a name, a query or a fragment, or a folder.
    It goes into command lines, so every character of it shows."""
    place = text(value)
    if not place.isprintable():
        raise ValueError
    if place.startswith("/"):
        return place
    parts = urlsplit(place)
    odd = parts.username is not None or parts.query or parts.fragment or " " in place
    host = parts.hostname or "-"
    if parts.scheme != "https" or host.startswith("-") or parts.port == 0 or odd:
        raise ValueError
    return place.rstrip("/")


@_must_be("one address, like ops@example.org, or the name of a user of this machine")
def address(value: Any) -> str:
    """Whom a mail is sent to, or nobody."""
    given = text(value)
    word = r"[^\s@<>(),;:\"\\]+"
    if given and (given.startswith("-") or not re.fullmatch(f"{word}(@{word})?", given)):
        raise ValueError
    return given


@_must_be('a day, like "2026-01-31"')
def day(value: Any) -> str:
    """A day, or none."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()  # TOML has dates without quotes, too
    return date.fromisoformat(value).isoformat() if value else ""


@_must_be('a time of day, like "07:30"')
def time_of_day(value: Any) -> str:
    """A time of day."""
    if isinstance(value, time):  # TOML has times without quotes, too
        value = value.isoformat("minutes")
    if not re.fullmatch(r"\d\d:\d\d", value):
        raise ValueError
    return time.fromisoformat(value).isoformat("minutes")


@_must_be("true or false")
def truth(value: Any) -> bool:
    """True or false."""
    if isinstance(value, str):
        return {"true": True, "false": False}[value.lower()]
    if not isinstance(value, bool):
        raise ValueError
    return value


@_must_be("a number, 0 or above")
def number(value: Any) -> float:
    """A finite number that is not negative."""
    read = float(value)
    if isinstance(value, bool) or not isfinite(read) or read < 0:
        raise ValueError
    return read


@_must_be("a number above 0")
def positive(value: Any) -> float:
    """A finite number above 0."""
    read = number(value)
    if read == 0:
        raise ValueError
    return read


@_must_be("a whole number above 0")
def whole(value: Any) -> int:
    """A whole number above 0."""
    if isinstance(value, bool | float) or int(value) <= 0:
        raise ValueError
    return int(value)


@_must_be("a whole number, 0 or above")
def count(value: Any) -> int:
    """A whole number, which may be 0."""
    if isinstance(value, bool | float) or int(value) < 0:
        raise ValueError
    return int(value)


@_must_be("permissions in octal, like 0o640")
def octal(value: Any) -> int:
    """Permissions of a file."""
    mode = int(value, 8) if isinstance(value, str) else whole(value)
    if not 0 < mode <= 0o777:  # 644 without 0o in TOML is another number, and a larger one
        raise ValueError
    return mode


def _list(value: Any) -> list[Any]:
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError
    return list(items)


@_must_be("a list of texts")
def texts(value: Any) -> tuple[str, ...]:
    """A list of texts; in the environment with commas or blanks between them."""
    return tuple(text(item) for item in _list(value))


@_must_be("a list of at least one number, each above 0")
def numbers(value: Any) -> tuple[float, ...]:
    """A list of numbers above 0; at least one."""
    read = tuple(positive(item) for item in _list(value))
    if not read:
        raise ValueError
    return read


@_must_be('a list of rates, like "5 per hour" or "20 per 7 days"')
def rates(value: Any) -> tuple[str, ...]:
    """A list of rates; in the environment with commas between them."""
    items = [each.strip() for each in value.split(",")] if isinstance(value, str) else _list(value)
    for each in items:
        rate(text(each))
    return tuple(items)


def rate(written: str) -> tuple[int, float]:
    """A rate as it is written: so many in so many seconds. Raises ``ValueError``."""
    # Compiled where it is used: the pipe has no use for it.
    form = r"([1-9]\d{0,5}) per (?:([1-9]\d{0,3}) )?(minute|hour|day|week)s?"
    found = re.fullmatch(form, written)
    if not found:
        raise ValueError(f"{written!r} is not a rate")
    seconds = {"minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}[found[3]]
    return int(found[1]), int(found[2] or 1) * seconds


@_must_be('a list of patterns and seconds, like "iol-*-Performance=604800"')
def seconds_by_pattern(value: Any) -> tuple[str, ...]:
    """A list of patterns, each with a number of seconds."""
    read = texts(value)
    for each in read:
        seconds_for(each)
    return read


def seconds_for(written: str) -> tuple[str, float]:
    """A pattern and its seconds as they are written. Raises ``ValueError``."""
    pattern, _, seconds = written.rpartition("=")
    if not pattern:
        raise ValueError(f"{written!r} is not a pattern and seconds")
    return pattern, number(seconds)


# What a group takes from Patchwork begins with, and the states of checks that may follow.
BY_CHECKS = "patchwork:"
CHECK_STATES = ("success", "warning", "fail", "pending")


@_must_be('a list of patterns, or what checks say, like "patchwork:fail,warning" or "patchwork:*"')
def group(value: Any) -> tuple[str, ...]:
    """What a label of a group stands for: patterns of labels, and those whose checks have one of
    some states."""
    one = isinstance(value, str) and (value.startswith(BY_CHECKS) or "," not in value)
    read = (text(value).strip(),) if one else texts(value)
    for each in read:
        states = each.removeprefix(BY_CHECKS)
        if not states or (states != each and not states_of(each)):
            raise ValueError
    if not read:
        raise ValueError
    return read


def states_of(written: str) -> tuple[str, ...]:
    """The states in what a group takes from Patchwork. Raises ``ValueError``."""
    said = written.removeprefix(BY_CHECKS)
    states = CHECK_STATES if said == "*" else tuple(each.strip() for each in said.split(","))
    if not set(states) <= set(CHECK_STATES):
        raise ValueError(f"{written!r} names no states of checks")
    return states


# Who may ask, besides addresses and @domains.
WHO = ("anyone", "submitter", "maintainer")


@_must_be('a list of addresses, "@domain", "submitter", "maintainer" or "anyone"')
def senders(value: Any) -> tuple[str, ...]:
    """A list of senders, in lower case."""
    read = tuple(each.lower() for each in texts(value))
    if not all(each in WHO or re.fullmatch(r"[^\s@]*@[^\s@]+", each) for each in read):
        raise ValueError
    return read


@_must_be('a list of name servers by address, like "192.0.2.53" or "[2001:db8::53]:5353"')
def name_servers(value: Any) -> tuple[str, ...]:
    """A list of name servers."""
    from ingest import addresses
    from ingest.errors import ConfigError

    read = texts(value)
    try:
        for each in read:
            addresses.name_server(each)
    except ConfigError as error:
        raise ValueError from error
    return read


@_must_be("a list of networks, like 192.0.2.0/24 or 2001:db8::1")
def networks(value: Any) -> tuple[str, ...]:
    """A list of networks in CIDR notation, or of single addresses."""
    from ingest import addresses  # with ipaddress, which the pipe has no use for

    read = texts(value)
    addresses.networks(read)
    return read


@functools.cache
def choice(*options: str) -> Reader:
    """The reader of a setting that has one of a few values. Equal options give one reader."""

    @_must_be(" or ".join(f'"{option}"' for option in options))
    def one_of(value: Any) -> str:
        if value not in options:
            raise ValueError
        return str(value)

    return one_of


@functools.cache
def some_of(*options: str) -> Reader:
    """The reader of a setting that lists some of a few values. Equal options give one reader."""

    @_must_be("a list of " + ", ".join(f'"{option}"' for option in options))
    def several_of(value: Any) -> tuple[str, ...]:
        read = texts(value)
        if not set(read) <= set(options):
            raise ValueError
        return read

    return several_of
