# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's REST API: one question, one answer that is checked and not trusted, or an error that
says by its type whether it may go better later. What is asked is ``patchwork``'s, ``checks``' and
``events_api``'s business.
"""

import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import responses
from typing import Any
from urllib.parse import urljoin, urlsplit

from requests.utils import parse_header_links

from ingest import __version__
from ingest.config.tables import PatchworkSettings
from ingest.errors import OutOfTime, Refused, Unavailable
from ingest.transport import Client, Reply, retry_after
from ingest.words import printable

USER_AGENT = f"recheck-ingest/{__version__}"

PER_PAGE = 100
_MOST_PAGES = 100
_MOST_REDIRECTS = 3
_LEAST_TIME = 0.1  # seconds below which a question is not worth asking
_VERSIONS = ("1.4", "1.3", "1.2", "1.1", "1.0")
_NO_ID = "recheck-ingest-check%40invalid"
# Of the refusals, those that may pass: a time-out, a lock, overload.
_MAY_PASS = (408, 423, 425, 429)


@dataclass(frozen=True, slots=True)
class Server:
    """A server as ``check`` tells of it: its Date header, whether it filters by Message-ID, and
    the newest version of the API that it has."""

    date: str
    filters: bool
    version: str


@dataclass(frozen=True, slots=True)
class _Way:
    """How a question is asked: of a URL within so many seconds, which statuses are redirects that
    it is asked again for, and from where it may go where."""

    ask: Callable[[str, float], Reply]
    redirects: Collection[int]
    may_go: Callable[[str, str], bool]


class Api:
    """The API of one server.

    ``table``: its settings. ``/api`` is added to the URL unless that holds an API path; the timeout
    is for each question, from the first byte sent to the last received, redirects included.
    ``until``: the moment of ``time.monotonic`` after which nothing is asked any more.
    """

    def __init__(
        self,
        table: PatchworkSettings,
        *,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        base = table.url.rstrip("/")
        self.base = base if re.search(r"/api(/\d+\.\d+)?$", base) else f"{base}/api"
        self._timeout = table.timeout
        self._until = until
        self._clock = clock
        self._client = Client(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
            max_answer=table.max_answer,
        )

    def probe(self) -> Server:
        """What kind of server this is, asked anew. Raises ``Unavailable`` or ``Refused``."""
        reply, _ = self._fetch(f"{self.base}/")
        # A server that knows the filter finds nothing by an id that cannot be.
        filters = not self.rows(f"patches/?msgid={_NO_ID}&per_page=1")
        stem = self._unversioned()
        deadline = time.monotonic() + self._timeout
        version = next(
            (each for each in _VERSIONS if self._follow(f"{stem}/{each}/", deadline).status == 200),
            "unknown",
        )
        return Server(reply.headers.get("Date", ""), filters, version)

    def pages(self, path: str, most: int = _MOST_PAGES) -> Iterator[dict[str, Any]]:
        """The rows of every page, following the Link header's query only: the scheme and host
        that it names may be others. Raises ``Unavailable`` or ``Refused``, also if there are more
        than ``most`` pages."""
        for _ in range(most):
            reply, content = self._fetch(f"{self.base}/{path}")
            yield from self._checked_rows(content, path)
            links = parse_header_links(reply.headers.get("Link", ""))
            following = next((link["url"] for link in links if link.get("rel") == "next"), None)
            if following is None:
                return
            path = f"{path.partition('?')[0]}?{following.partition('?')[2].partition('#')[0]}"
        raise Unavailable(f"Patchwork's answer to {path} has more than {most} pages")

    def find(self, path: str) -> dict[str, Any] | None:
        """One object, None if Patchwork says that there is none. Raises as ``pages``."""
        url = f"{self.base}/{path}"
        reply, content = self._fetch(url, may_miss=True)
        if reply.status == 404:
            if isinstance(content, dict) and "detail" in content:
                return None
            raise self._unavailable(reply, url)
        if not isinstance(content, dict):
            raise Unavailable(f"Patchwork's answer to {path} is no object")
        return content

    def has_version(self, version: str) -> bool:
        """Whether it has this version of the API, asked anew. Raises as ``pages``."""
        url = f"{self._unversioned()}/{version}/"
        deadline = time.monotonic() + self._timeout
        reply = self._follow(url, deadline)
        if reply.status == 404 and self._has_api(deadline):
            return False
        self._check_status(reply, url, deadline)
        return True

    def rows(self, path: str) -> list[dict[str, Any]]:
        """A list of objects, of which only the first page matters. Raises as ``pages``."""
        return self._checked_rows(self.get(path), path)

    def _checked_rows(self, content: Any, path: str) -> list[dict[str, Any]]:
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise Unavailable(f"Patchwork's answer to {path} is no list of objects")
        return content

    def get(self, path: str) -> Any:
        """An answer of whatever shape. Raises as ``pages``."""
        return self._fetch(f"{self.base}/{path}")[1]

    def post(self, path: str, content: Mapping[str, str], token: str) -> tuple[int, Any]:
        """Have something written by the account of a token: the status, and the JSON that came
        with it; 201 is success, 4xx Patchwork's own refusal. Raises ``Unavailable`` for all else,
        such as a page of a proxy in front; then it may have been written or not."""
        url = f"{self.base}/{path}"
        body = json.dumps(content).encode()
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

        def ask(at: str, seconds: float) -> Reply:
            return self._client.post(at, body, seconds, headers)

        # 303 would say that it is done, and where to look.
        reply, _ = self._ask(url, _Way(ask, (301, 302, 307, 308), _is_same_server))
        refused = 400 <= reply.status < 500 and reply.status not in _MAY_PASS
        if reply.status != 201 and not (refused and _is_json(reply)):
            raise self._unavailable(reply, url)
        return reply.status, _content(reply, url)

    def _fetch(self, url: str, *, may_miss: bool = False) -> tuple[Reply, Any]:
        """One question, and its answer as JSON; ``may_miss``: 404 is one, if Patchwork says it."""
        reply, deadline = self._ask(url)
        if not (may_miss and reply.status == 404 and _is_json(reply)):
            self._check_status(reply, url, deadline)
        return reply, _content(reply, url)

    def _ask(self, url: str, way: "_Way | None" = None) -> tuple[Reply, float]:
        """One question, asked within the time that there is, and the end of that time."""
        now = time.monotonic()
        left = math.inf if self._until is None else self._until - now
        if left < _LEAST_TIME:
            raise OutOfTime
        deadline = now + min(self._timeout, left)
        try:
            return self._follow(url, deadline, way), deadline
        except Unavailable as error:
            # Less than half of its time says nothing of the server.
            if left < self._timeout / 2 and time.monotonic() >= deadline:
                raise OutOfTime from error
            raise

    def _follow(self, url: str, deadline: float, way: "_Way | None" = None) -> Reply:
        """The answer to a question, by default a GET, and to where it is redirected if it may go
        there."""
        way = way or _Way(self._client.get, (301, 302, 303, 307, 308), _is_same_server)
        for _ in range(_MOST_REDIRECTS + 1):
            reply = way.ask(url, deadline - time.monotonic())
            target = reply.headers.get("Location")
            if reply.status not in way.redirects or not target:
                return reply
            told = f"Patchwork redirects {url} to another server: {printable(target)}"
            try:
                following = urljoin(url, target)
                if not way.may_go(url, following):
                    raise Unavailable(told)
            except ValueError as error:  # no URL at all
                raise Unavailable(told) from error
            url = following
        raise Unavailable(f"Patchwork redirects {url} again and again")

    def _check_status(self, reply: Reply, url: str, deadline: float) -> None:
        status = reply.status
        if status == 200:
            return
        if status == 404 and not self._has_api(deadline):
            raise Refused(f"there is no Patchwork API at {self.base}: check [patchwork] url")
        # What is refused as a question stays refused; all else may pass: overload, bot walls
        # (401, 403), a page of a proxy in front (404).
        if 400 <= status < 500 and status not in (401, 403, 404, *_MAY_PASS):
            raise Refused(_problem(reply, url))
        raise self._unavailable(reply, url)

    def _unavailable(self, reply: Reply, url: str) -> Unavailable:
        return Unavailable(_problem(reply, url), retry_after(reply, self._clock()))

    def _has_api(self, deadline: float) -> bool:
        return self._client.get(f"{self.base}/", deadline - time.monotonic()).status != 404

    def _unversioned(self) -> str:
        return re.sub(r"/\d+\.\d+$", "", self.base)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def cut(self) -> None:
        """Have the question that another thread waits for raise ``Unavailable`` now."""
        self._client.cut()


def _is_json(reply: Reply) -> bool:
    """Whether Patchwork itself says so; a proxy or a bot wall in front says it in HTML."""
    return "json" in reply.headers.get("Content-Type", "")


def _content(reply: Reply, url: str) -> Any:
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"Patchwork's answer to {url} is no JSON") from error


def _problem(reply: Reply, url: str) -> str:
    phrase = f"{reply.status} {responses.get(reply.status, '')}".rstrip()
    return f"Patchwork answers {phrase} to {url}"


def _is_same_server(url: str, following: str) -> bool:
    """Whether a question may go on: to the same scheme, host and port, or from HTTP to HTTPS."""
    old, new = urlsplit(url), urlsplit(following)
    return old.hostname == new.hostname and (
        (old.scheme, old.port) == (new.scheme, new.port)
        or (old.scheme, old.port, new.scheme, new.port) == ("http", None, "https", None)
    )


def stamp(moment: datetime) -> str:
    """A moment in UTC as the API's filters read it, which refuse one that says so."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def is_id(value: object) -> bool:
    """Whether this can be an id of Patchwork's."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
