# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's REST API: one question, and one answer that is checked and not trusted, or an error
that says by its type whether the server is down (``Unavailable``) or only this question failed
(``Unanswered``). A neutral question, the API's root, tells the two apart.
"""

import json
import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

from ingest import __version__
from ingest.config.tables import PatchworkSettings
from ingest.errors import NoApi, OutOfTime, Unanswered, Unavailable
from ingest.patchwork import redirects
from ingest.transport import Client, Reply, retry_after
from ingest.value import Value
from ingest.words import printable

USER_AGENT = f"recheck-ingest/{__version__}"

PER_PAGE = 100
MOST_PAGES = 100
_MOST_REDIRECTS = 3
VERSIONS = ("1.4", "1.3", "1.2", "1.1", "1.0")
_API_PATH = re.compile(r"/api(/\d+\.\d+)?$")
_VERSION = re.compile(r"/(\d+\.\d+)$")
_LEAST_TIME = 0.1  # seconds below which a question is not worth asking
# Of the refusals, those that may pass: a time-out, a lock, overload.
_MAY_PASS = (408, 423, 425, 429)


class _Way(Value):
    """How a question is asked: of a URL within so many seconds, which statuses are redirects that
    it is asked again for."""

    ask: Callable[[str, float], Reply]
    redirects: Collection[int]


class Api:
    """The API of one server.

    ``table``: its settings. ``/api`` is added to the URL unless that holds an API path; the timeout
    is for each question, from the first byte sent to the last received, redirects included.
    ``until``: the moment of ``time.monotonic`` after which nothing is asked any more.
    ``before_any`` is called before each question, ``before_each`` before each that is not a neutral
    one; both may raise;
    ``after_each`` behind each, with the answer's status ("none" if there is no answer) and the
    seconds that it took.
    ``is_fork``: it is freedesktop's fork, which has one version of its API.
    """

    def __init__(
        self,
        table: PatchworkSettings,
        *,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
        before_any: Callable[[], None] = lambda: None,
        before_each: Callable[[], None] = lambda: None,
        after_each: Callable[[str, float], None] = lambda status, took: None,
        is_fork: bool = False,
    ) -> None:
        base = table.url.rstrip("/")
        self.site = _API_PATH.sub("", base)
        self.base = base if _API_PATH.search(base) else f"{base}/api"
        if is_fork:
            self.base = f"{self.site}/api/1.0"
        self._is_fork = is_fork
        self._timeout = table.timeout
        self._until = until
        self._clock = clock
        self._before_any = before_any
        self._before_each = before_each
        self._after_each = after_each
        self._client = Client(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
            max_answer=table.max_answer,
        )

    @property
    def version(self) -> str:
        """The version that the URL names, "" if it names none."""
        named = _VERSION.search(self.base)
        return named[1] if named else ""

    def root(self) -> Reply:
        """The answer to the neutral question, which says nothing about any mail. Raises
        ``Unavailable`` unless a Patchwork answers it."""
        url = f"{self.base}/"
        reply, _ = self._ask(url)
        if reply.status == 404:
            there = f"there is no Patchwork API at {self.base} (404 Not Found)"
            raise NoApi(f"{there}: check [patchwork] url")
        if problem := _problem_of_root(reply, url):
            raise self._unavailable(problem, reply)
        if _is_fork(reply) != self._is_fork:
            other = "is not" if self._is_fork else "is"
            raise NoApi(f"{self.base} {other} freedesktop's fork: check [patchwork] kind")
        return reply

    def has_version(self, version: str) -> bool:
        """Whether the server has this version of the API. Raises ``Unavailable``."""
        reply, _ = self._ask(f"{re.sub(_VERSION, '', self.base)}/{version}/")
        if not _problem_of_root(reply, self.base):
            return True
        self.root()
        return False

    def page(self, path: str) -> tuple[list[dict[str, Any]], str]:
        """The rows of one page, and the path of the next one, "" at the end. Of the Link header
        only the query is followed: the scheme and host that it names may be others. Raises
        ``Unavailable`` or ``Unanswered``."""
        from requests.utils import parse_header_links

        reply, content = self._fetch(path)
        rows = self._checked_rows(content, path)
        links = parse_header_links(reply.headers.get("Link", ""))
        following = next((link["url"] for link in links if link.get("rel") == "next"), None)
        if following is None:
            return rows, ""
        return rows, f"{path.partition('?')[0]}?{following.partition('?')[2].partition('#')[0]}"

    def pages(self, path: str, most: int = MOST_PAGES) -> Iterator[dict[str, Any]]:
        """The rows of every page. Raises as ``page``, also if there are more than ``most``."""
        for _ in range(most):
            rows, following = self.page(path)
            yield from rows
            if not following:
                return
            path = following
        raise Unanswered(f"Patchwork's answer to {path} has more than {most} pages")

    def web(self, path: str) -> Reply:
        """A page for people: 200, 404, or a redirect, which is followed only if it is to the same
        path, as one to https is. Raises as ``page``."""
        url = f"{self.site}{path}"
        self._before_each()
        try:
            reply, _ = self._ask(url, _Way(self._client.get, ()))
            if (secure := redirects.secure(url, reply)) is not None:
                reply, _ = self._ask(secure, _Way(self._client.get, ()))
        except Unavailable as error:
            raise self._failed(str(error)) from error
        if reply.status not in (200, 404, *redirects.MOVED_GET):
            raise self._failed(_problem(reply, url), reply)
        return reply

    def xml(self, path: str, content: bytes) -> bytes:
        """The answer to an XML-RPC call, which changes nothing. Raises as ``page``."""
        url = f"{self.site}{path}"
        headers = {"Content-Type": "text/xml"}
        self._before_each()
        way = _Way(lambda at, seconds: self._client.post(at, content, seconds, headers), ())
        try:
            reply, _ = self._ask(url, way)
        except Unavailable as error:
            raise self._failed(str(error)) from error
        if reply.status != 200:
            raise self._failed(_problem(reply, url), reply)
        return reply.body

    def find(self, path: str) -> dict[str, Any] | None:
        """One object, None if Patchwork says that there is none. Raises as ``page``."""
        reply, content = self._fetch(path, may_miss=True)
        if reply.status == 404:
            return None
        if not isinstance(content, dict):
            raise self._failed(f"Patchwork's answer to {path} is not an object")
        return content

    def rows_of(self, path: str) -> list[dict[str, Any]] | None:
        """A list that belongs to something, None if Patchwork says that there is no such thing.
        Raises as ``page``."""
        reply, content = self._fetch(path, may_miss=True)
        return None if reply.status == 404 else self._checked_rows(content, path)

    def rows(self, path: str) -> list[dict[str, Any]]:
        """A list of objects, of which only the first page matters. Raises as ``page``."""
        return self.page(path)[0]

    def knows_login(self, authorization: str, path: str) -> bool:
        """Whether an account has these credentials, by a question that changes nothing. Raises as
        ``page``."""
        url = f"{self.base}/{path}"
        headers = {"Authorization": authorization}
        way = _Way(
            lambda at, seconds: self._client.get(at, seconds, headers),
            redirects.MOVED_GET,
        )
        reply, _ = self._ask(url, way)
        if reply.status in (401, 403) and _is_json(reply):
            return False
        if reply.status != 200:
            raise self._failed(_problem(reply, url), reply)
        return True

    def _checked_rows(self, content: Any, path: str) -> list[dict[str, Any]]:
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise self._failed(f"Patchwork's answer to {path} is not a list of objects")
        return content

    def post(
        self, path: str, content: Mapping[str, str], authorization: str, done: int = 201
    ) -> tuple[int, Any]:
        """Have something written by the account of these credentials: the status, and the JSON
        that came with it, None if nothing did; ``done`` is success, 4xx Patchwork's own refusal.
        Raises ``Unavailable`` for all else, such as a page of a proxy in front; then it may have
        been written or not."""
        url = f"{self.base}/{path}"
        body = json.dumps(content).encode()
        headers = {"Authorization": authorization, "Content-Type": "application/json"}

        def ask(at: str, seconds: float) -> Reply:
            return self._client.post(at, body, seconds, headers)

        # 303 would say that it is done, and where to look.
        reply, _ = self._ask(url, _Way(ask, redirects.MOVED_POST))
        refused = 400 <= reply.status < 500 and reply.status not in _MAY_PASS
        if reply.status != done and not (refused and _is_json(reply)):
            raise self._unavailable(_problem(reply, url), reply)
        if reply.status == done != 201 and not reply.body:
            return reply.status, None
        try:
            return reply.status, json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise Unavailable(_not_json(reply, url)) from error

    def _fetch(self, path: str, *, may_miss: bool = False) -> tuple[Reply, Any]:
        """One question, and its answer as JSON; ``may_miss``: None for a 404, if Patchwork itself
        says it."""
        url = f"{self.base}/{path}"
        self._before_each()
        try:
            reply, _ = self._ask(url)
        except Unavailable as error:
            raise self._failed(str(error)) from error
        if may_miss and reply.status == 404 and _is_detail(reply):
            return reply, None
        if reply.status != 200:
            raise self._failed(_problem(reply, url), reply)
        try:
            return reply, json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise self._failed(_not_json(reply, url)) from error

    def _failed(self, problem: str, reply: Reply | None = None) -> Unanswered | Unavailable:
        """What to raise for a question without a usable answer: is it the server, or is it the
        question? A server that names a time to wait until is not asked anything else before."""
        if reply is not None and (reply.status == 429 or retry_after(reply, self._clock())):
            return self._unavailable(problem, reply)
        try:
            self.root()
        except Unavailable as error:
            return error
        return Unanswered(problem)

    def _ask(self, url: str, way: "_Way | None" = None) -> tuple[Reply, float]:
        """One question, asked within the time that there is, and the end of that time."""
        self._before_any()
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
        way = way or _Way(self._client.get, redirects.MOVED_GET)
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._timed(way, url, deadline)
            target = reply.headers.get("Location")
            if reply.status not in way.redirects or not target:
                return reply
            elsewhere = f"Patchwork redirects {url} to another server: {printable(target)}"
            try:
                following = urljoin(url, target)
                if not redirects.is_same_server(url, following):
                    raise Unavailable(elsewhere)
            except ValueError as error:  # not a URL
                raise Unavailable(elsewhere) from error
            url = following
        raise Unavailable(f"Patchwork redirects {url} again and again")

    def _timed(self, way: "_Way", url: str, deadline: float) -> Reply:
        began, status = time.monotonic(), "none"
        try:
            reply = way.ask(url, deadline - began)
            status = str(reply.status)
            return reply
        finally:
            self._after_each(status, time.monotonic() - began)

    def _unavailable(self, problem: str, reply: Reply) -> Unavailable:
        return Unavailable(problem, retry_after(reply, self._clock()))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def cut(self) -> None:
        """Have the question that another thread waits for raise ``Unavailable`` now."""
        self._client.cut()


def _is_json(reply: Reply) -> bool:
    """Whether Patchwork itself says so; a proxy or a bot wall in front says it in HTML."""
    return "json" in reply.headers.get("Content-Type", "")


def _is_detail(reply: Reply) -> bool:
    """Whether this is how Patchwork says that there is no such thing."""
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "detail" in content


def _problem_of_root(reply: Reply, url: str) -> str:
    """Why this is not the answer of a Patchwork to the question for its API's root, "" if it is."""
    if reply.status != 200:
        return _problem(reply, url)
    try:
        is_index = isinstance(json.loads(reply.body), dict)
    except (ValueError, RecursionError):
        return _not_json(reply, url)
    return "" if is_index else f"Patchwork's answer to {url} is not an object"


def _is_fork(reply: Reply) -> bool:
    """Whether the API's root is that of freedesktop's fork: {"revision": 2}."""
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "revision" in content and "patches" not in content


def _not_json(reply: Reply, url: str) -> str:
    if reply.body[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return f"Patchwork answers {url} with an HTML page (a login or a bot check?)"
    return f"Patchwork's answer to {url} is not JSON"


def _problem(reply: Reply, url: str) -> str:
    phrases = [each.phrase for each in HTTPStatus if each == reply.status]
    phrase = " ".join([str(reply.status), *phrases])
    return f"Patchwork answers {phrase} to {url}"


def stamp(moment: datetime) -> str:
    """A moment in UTC as the API's filters read it, which refuse one that says so."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def seconds(value: object) -> float | None:
    """A date of Patchwork's, which names no zone, in seconds; None if it is not one."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() if moment else None
    except (ValueError, OverflowError):
        return None


def is_id(value: object) -> bool:
    """Whether this can be an id of Patchwork's."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63
