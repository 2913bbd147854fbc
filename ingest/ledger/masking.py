# SPDX-License-Identifier: BSD-3-Clause
"""The URL of a ledger: its file, and as it may be shown. Pure."""

import re

_SECRET = r"(?i)([?&](?:password|sslpassword)=)[^&]*"
_PASSWORD = r"^([a-z]+://[^/?#@:]*):[^/?#]*@"


def sqlite_path(url: str) -> str:
    """The file of a ledger in SQLite, "" of another one."""
    kind, _, path = url.partition(":")
    return path if kind == "sqlite" else ""


def masked(url: str) -> str:
    """A URL without its passwords."""
    return re.sub(_SECRET, r"\1***", re.sub(_PASSWORD, r"\1:***@", url))
