# SPDX-License-Identifier: BSD-3-Clause
"""The kinds of values that a setting may have, and how one is read from TOML or from the
environment, where all is text. Used by ``config`` alone.
"""

from math import isfinite
from typing import Any
from urllib.parse import urlsplit


def read(kind: str, value: Any) -> Any:
    """The value as one of this kind. Raises ``ValueError`` with what it would have to be."""
    try:
        return _KINDS[kind](value)
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise ValueError(_EXPLAINED.get(kind, kind)) from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _url(value: Any) -> str:
    url = urlsplit(_text(value))
    if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
        raise ValueError
    return str(value)


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return {"true": True, "false": False}[value.lower()]
    if not isinstance(value, bool):
        raise ValueError
    return value


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not isfinite(number) or number < 0:
        raise ValueError
    return number


def _positive(value: Any) -> float:
    number = _number(value)
    if number == 0:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool | float) or int(value) <= 0:
        raise ValueError
    return int(value)


def _octal(value: Any) -> int:
    mode = int(value, 8) if isinstance(value, str) else _whole(value)
    if not 0 < mode <= 0o777:  # 644 without 0o in TOML is another number, and a larger one
        raise ValueError
    return mode


def _list(value: Any) -> list[Any]:
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError
    return list(items)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _numbers(value: Any) -> tuple[float, ...]:
    numbers = tuple(_positive(item) for item in _list(value))
    if not numbers:
        raise ValueError
    return numbers


def _networks(value: Any) -> tuple[str, ...]:
    import ipaddress

    texts = _texts(value)
    for text in texts:
        ipaddress.ip_network(text, strict=False)
    return texts


_KINDS = {
    "a text": _text,
    "a URL": _url,
    "true or false": _truth,
    "a number": _number,
    "a number above 0": _positive,
    "a whole number": _whole,
    "an octal number": _octal,
    "a list of texts": _texts,
    "a list of numbers": _numbers,
    "a list of networks": _networks,
}
# How a kind is explained to who got it wrong, where its name does not say it all.
_EXPLAINED = {
    "a URL": "a URL like https://patches.dpdk.org",
    "a number": "a number, 0 or above",
    "a whole number": "a whole number above 0",
    "an octal number": "permissions in octal, like 0o640",
    "a list of numbers": "a list of at least one number, each above 0",
    "a list of networks": "a list of networks, like 192.0.2.0/24 or 2001:db8::1",
}
