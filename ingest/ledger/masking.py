# SPDX-License-Identifier: BSD-3-Clause
"""The URL of a ledger: its file, and as it may be shown. Pure."""

import re

_SECRET = re.compile(r"(?i)([?&](?:password|sslpassword)=)[^&]*")
_PASSWORD = re.compile(r"^([a-z]+://[^/?#@:]*):[^/?#]*@")


def sqlite_path(url: str) -> str:
    """The file of a ledger in SQLite, "" of another one."""
    kind, _, path = url.partition(":")
    return path if kind == "sqlite" else ""


def masked(url: str) -> str:
    """A URL without its passwords."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
