# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the Patchwork client have in common: asking it, and what it asked."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from ingest.mail import message as mails
from ingest.patchwork.dialect import Lookup, Target
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox

DEV = "dev.dpdk.org"

# The fixture ``connect``: a client for a URL.
Connect = Callable[..., Patchwork]


class Forgetful:
    """A memory that keeps nothing."""

    def recall(self, key: str, now: float) -> str | None:
        return None

    def remember(self, key: str, answer: str, expires: float) -> None:
        pass


def resolve(patchwork: Patchwork, raw: bytes, trail: list[Lookup] | None = None) -> Target:
    return patchwork.resolve(mails.parse(raw), 1_700_000_000.0, [] if trail is None else trail)


def paths(box: Sandbox) -> list[str]:
    """What the sandbox was asked for, without the queries."""
    return [urlsplit(request.path).path for request in box.requests]


def queries(box: Sandbox, path: str) -> list[dict[str, list[str]]]:
    return [
        parse_qs(urlsplit(request.path).query)
        for request in box.requests
        if urlsplit(request.path).path == path
    ]
