# SPDX-License-Identifier: BSD-3-Clause
"""Where a question may go on when a server redirects it. Pure."""

from urllib.parse import urlsplit

from ingest.transport import Reply

# Statuses by which a GET, or a POST that has not been done, is asked for elsewhere.
MOVED_GET, MOVED_POST = (301, 302, 303, 307, 308), (301, 302, 307, 308)


def secure(url: str, reply: Reply) -> str | None:
    """The same page at the same server by HTTPS, if the answer sends there."""
    target = reply.headers.get("Location", "")
    if reply.status not in MOVED_GET or not url.startswith("http://"):
        return None
    at = f"https{url.removeprefix('http')}"
    return at if target == at and is_same_server(url, target) else None


def is_same_server(url: str, following: str) -> bool:
    """Whether a question may go on: to the same scheme, host and port, or from HTTP to HTTPS."""
    old, new = urlsplit(url), urlsplit(following)
    return old.hostname == new.hostname and (
        (old.scheme, old.port) == (new.scheme, new.port)
        or (old.scheme, old.port, new.scheme, new.port) == ("http", None, "https", None)
    )
