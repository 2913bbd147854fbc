# SPDX-License-Identifier: BSD-3-Clause
"""The Patchwork REST API: which series a mail replies to. Every answer is checked, none trusted.

Called by the worker alone. One ``Patchwork`` a process, for connection reuse; what it learns is
remembered in the ledger.
"""

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from requests.utils import parse_header_links

from ingest import __version__
from ingest.errors import NotFound, OutOfTime, Refused, Unavailable
from ingest.mail import Mail, cover_number
from ingest.transport import Client, Reply, printable

USER_AGENT = f"recheck-ingest/{__version__}"

# How far around a mail's date its comment event is looked for (DESIGN.md, Resolution).
_EVENTS_FROM, _EVENTS_TO = timedelta(hours=-1), timedelta(days=3)
_PER_PAGE = 100
_MOST_PAGES = 100
_MOST_REDIRECTS = 3
# Of a mail that names more: the nearest, and the first of its thread.
_NEAREST, _FARTHEST = 30, 10
# Seconds. However long a server asks us to wait, a day later it is asked again.
_LONGEST_PAUSE = 86400.0
# Patchwork keeps 255 characters of a Message-ID with its brackets: a longer one is not found.
_LONGEST_ID = 253
_LEAST_TIME = 0.1  # seconds below which a question is not worth asking
_VERSIONS = ("1.4", "1.3", "1.2", "1.1", "1.0")
_NO_ID = "recheck-ingest-check%40invalid"
_PATHS = {"patch": "patches", "cover": "covers"}


class Memory(Protocol):
    """Where answers are remembered; a ``Ledger`` is one."""

    def recall(self, key: str, now: float) -> str | None:
        """A remembered answer, None if there is none or it has expired."""

    def remember(self, key: str, answer: str, expires: float) -> None:
        """Remember an answer until a Unix time."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a mail replies to, as Patchwork knows it."""

    series: int
    kind: str  # "patch" or "cover"
    id: int
    project: str  # the project's link name


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question to Patchwork and what came of it, for the mail's story."""

    asked: str
    answer: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server as ``check`` tells of it: its Date header, whether it filters by Message-ID, and
    the newest version of the API that it has."""

    date: str
    filters: bool
    version: str


@dataclass(frozen=True, slots=True)
class _Project:
    link_name: str
    list_id: str


class Patchwork:
    """A Patchwork server.

    ``url``: its address, to which ``/api`` is added unless it holds an API path; ``timeout``:
    seconds for each question, from the first byte sent to the last received, redirects
    included; ``max_answer``: bytes; ``remember_found``, ``remember_missing``: seconds;
    ``until``: the moment of ``time.monotonic`` after which nothing is asked any more.
    """

    def __init__(
        self,
        url: str,
        memory: Memory,
        *,
        timeout: float = 10.0,
        max_answer: int = 8 << 20,
        remember_found: float = 86400.0,
        remember_missing: float = 30.0,
        until: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        base = url.rstrip("/")
        self.base = base if re.search(r"/api(/\d+\.\d+)?$", base) else f"{base}/api"
        self._memory = memory
        self._timeout = timeout
        self._found = remember_found
        self._missing = remember_missing
        self._until = until
        self._clock = clock
        self._client = Client(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
            max_answer=max_answer,
        )

    def resolve(self, mail: Mail, received: float, trail: list[Lookup]) -> Target:
        """The series of the patch or cover letter that a mail replies to.

        ``received``: Unix time of reception, used where the mail has no date; ``trail`` is given
        every question asked, also when this raises. Raises ``NotFound`` (temporary: Patchwork
        may not have it yet), ``Unavailable`` or ``OutOfTime`` (both temporary), or ``Refused``
        (permanent).
        """
        projects = self._projects_of(mail.list_id, trail)
        kinds = ("cover", "patch") if cover_number(mail.subject) else ("patch", "cover")
        for candidate in _bounded(mail.candidates, trail):
            if len(candidate) > _LONGEST_ID:
                trail.append(Lookup(candidate[:60], "too long to be known to Patchwork"))
                continue
            for kind in kinds:
                if target := self._by_message_id(kind, candidate, projects, trail):
                    return target
        if target := self._by_event(mail, received, projects, trail):
            return target
        raise NotFound(f"Patchwork at {self.base} knows nothing that it replies to")

    def _by_message_id(
        self, kind: str, message_id: str, projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        scope = projects[0] if len(projects) == 1 else ""
        key = f"{self.base} {kind} {' '.join(projects)} {message_id}"
        asked = f"{kind} <{message_id}>" + (f" in {scope}" if scope else "")
        remembered = self._memory.recall(key, self._clock())
        if remembered is not None:
            found = json.loads(remembered)
            target = Target(**found) if found else None
            trail.append(Lookup(asked, f"{_told(target)} (remembered)"))
            return target
        path = f"{_PATHS[kind]}/?msgid={quote(message_id, safe='')}"
        rows = self._rows(path + (f"&project={quote(scope, safe='')}" if scope else ""))
        ours = [row for row in rows if row.get("msgid") == f"<{message_id}>"]
        known = [target for row in ours if (target := _target(kind, row, projects))]
        target = known[0] if known else None
        if rows and not ours:
            answer = "nothing: the msgid filter was ignored; is this API older than 1.2?"
        elif ours and not target:
            answer = f"it is there, but in no series{' of this project' if projects else ''} yet"
        else:
            answer = _told(target)
        trail.append(Lookup(asked, answer))
        kept = self._found if target else self._missing
        self._memory.remember(
            key, json.dumps(asdict(target) if target else None), self._clock() + kept
        )
        return target

    def _by_event(
        self, mail: Mail, received: float, projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        """Where Patchwork itself filed this mail as a comment. No endpoint finds a comment by
        its Message-ID, but the event of its creation names both."""
        if not mail.message_id:
            return None
        date = mail.date or datetime.fromtimestamp(received, UTC)
        try:
            since, before = date + _EVENTS_FROM, date + _EVENTS_TO
        except OverflowError:
            return None
        for kind in ("patch", "cover"):
            query = (
                f"events/?category={kind}-comment-created&per_page={_PER_PAGE}"
                f"&since={_stamp(since)}&before={_stamp(before)}"
            )
            if len(projects) == 1:
                query += f"&project={quote(projects[0], safe='')}"
            for event in self._pages(query):
                payload = event.get("payload")
                if not isinstance(payload, dict):
                    continue
                comment, submission = payload.get("comment"), payload.get(kind)
                if (
                    isinstance(comment, dict)
                    and isinstance(submission, dict)
                    and comment.get("msgid") == f"<{mail.message_id}>"
                    and _is_id(submission.get("id"))
                ):
                    return self._by_id(kind, submission, projects, trail)
            trail.append(Lookup(f"{kind} comment events for <{mail.message_id}>", "nothing"))
        return None

    def _by_id(
        self, kind: str, named: dict[str, Any], projects: Sequence[str], trail: list[Lookup]
    ) -> Target | None:
        row = self._get(f"{_PATHS[kind]}/{named['id']}/")
        same = isinstance(row, dict) and all(row.get(k) == named.get(k) for k in ("id", "msgid"))
        target = _target(kind, row, projects) if same else None
        trail.append(Lookup(f"{kind} {named['id']}, named by our comment's event", _told(target)))
        return target

    def _projects_of(self, list_id: str, trail: list[Lookup]) -> list[str]:
        """The link names of the projects whose list this is; none if it is no project's list.

        Several may share a list and split it by subject; then rows are filtered, not questions.
        """
        if not list_id:
            return []
        projects = [each for each in self.projects() if each.list_id.lower() == list_id]
        if not projects:
            trail.append(Lookup(f"project of list {list_id}", "none; all projects are asked"))
        return [each.link_name for each in projects]

    def projects(self) -> list[_Project]:
        """Every project of the server, remembered once fetched."""
        key = f"{self.base} projects"
        remembered = self._memory.recall(key, self._clock())
        if remembered is not None:
            return [_Project(*each) for each in json.loads(remembered)]
        found = [_project(row) for row in self._pages(f"projects/?per_page={_PER_PAGE}")]
        text = json.dumps([[each.link_name, each.list_id] for each in found])
        kept = self._found if found else self._missing
        self._memory.remember(key, text, self._clock() + kept)
        return found

    def probe(self) -> Server:
        """What kind of server this is, asked anew. Raises ``Unavailable`` or ``Refused``."""
        reply, _ = self._fetch(f"{self.base}/")
        # A server that knows the filter finds nothing by an id that cannot be.
        filters = not self._rows(f"patches/?msgid={_NO_ID}&per_page=1")
        stem = re.sub(r"/\d+\.\d+$", "", self.base)
        deadline = time.monotonic() + self._timeout
        version = next(
            (each for each in _VERSIONS if self._follow(f"{stem}/{each}/", deadline).status == 200),
            "unknown",
        )
        return Server(reply.headers.get("Date", ""), filters, version)

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        """The rows of every page, following the Link header's query only: the scheme and host
        that it names may be others."""
        for _ in range(_MOST_PAGES):
            reply, content = self._fetch(f"{self.base}/{path}")
            yield from self._checked_rows(content, path)
            links = parse_header_links(reply.headers.get("Link", ""))
            following = next((link["url"] for link in links if link.get("rel") == "next"), None)
            if following is None:
                return
            path = f"{path.partition('?')[0]}?{following.partition('?')[2].partition('#')[0]}"
        raise Unavailable(f"Patchwork's answer to {path} has more than {_MOST_PAGES} pages")

    def _rows(self, path: str) -> list[dict[str, Any]]:
        return self._checked_rows(self._get(path), path)

    def _checked_rows(self, content: Any, path: str) -> list[dict[str, Any]]:
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise Unavailable(f"Patchwork's answer to {path} is no list of objects")
        return content

    def _get(self, path: str) -> Any:
        return self._fetch(f"{self.base}/{path}")[1]

    def _fetch(self, url: str) -> tuple[Reply, Any]:
        """One question, and its answer as JSON."""
        now = time.monotonic()
        left = math.inf if self._until is None else self._until - now
        if left < _LEAST_TIME:
            raise OutOfTime
        deadline = now + min(self._timeout, left)
        try:
            reply = self._follow(url, deadline)
        except Unavailable as error:
            # Less than half of its time says nothing of the server.
            if left < self._timeout / 2 and time.monotonic() >= deadline:
                raise OutOfTime from error
            raise
        self._check_status(reply, url, deadline)
        try:
            return reply, json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"Patchwork's answer to {url} is no JSON") from error

    def _follow(self, url: str, deadline: float) -> Reply:
        """The answer to a question, and to where it is redirected on the same host."""
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._client.get(url, deadline - time.monotonic())
            target = reply.headers.get("Location")
            if reply.status not in (301, 302, 303, 307, 308) or not target:
                return reply
            told = f"Patchwork redirects {url} to another host: {printable(target)}"
            try:
                following = urljoin(url, target)
                if urlsplit(following).hostname != urlsplit(url).hostname:
                    raise Unavailable(told)
            except ValueError as error:  # no URL at all
                raise Unavailable(told) from error
            url = following
        raise Unavailable(f"Patchwork redirects {url} again and again")

    def _check_status(self, reply: Reply, url: str, deadline: float) -> None:
        status = reply.status
        if status == 200:
            return
        problem = f"Patchwork answers {status} {responses.get(status, '')}".rstrip() + f" to {url}"
        if status == 404 and not self._has_api(deadline):
            raise Refused(f"there is no Patchwork API at {self.base}: check [patchwork] url")
        # What is refused as a question stays refused; all else may pass: overload, bot walls
        # (401, 403), a page of a proxy in front (404).
        if 400 <= status < 500 and status not in (401, 403, 404, 408, 423, 425, 429):
            raise Refused(problem)
        raise Unavailable(problem, _seconds(reply.headers.get("Retry-After"), self._clock()))

    def _has_api(self, deadline: float) -> bool:
        return self._client.get(f"{self.base}/", deadline - time.monotonic()).status != 404

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _bounded(candidates: Sequence[str], trail: list[Lookup]) -> Sequence[str]:
    """The candidates to be asked for: all, or so many that one mail is no attack on Patchwork."""
    if len(candidates) <= _NEAREST + _FARTHEST:
        return candidates
    left_out = len(candidates) - _NEAREST - _FARTHEST
    trail.append(Lookup(f"{left_out} of {len(candidates)} references", "too many, not asked for"))
    return [*candidates[:_NEAREST], *candidates[-_FARTHEST:]]


def _stamp(moment: datetime) -> str:
    """A moment in UTC as the API's filters read it, which refuse one that says so."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _project(row: dict[str, Any]) -> _Project:
    link_name, list_id = row.get("link_name"), row.get("list_id")
    if not isinstance(link_name, str) or not isinstance(list_id, str):
        raise Unavailable("Patchwork's answer to projects/ holds something that is no project")
    return _Project(printable(link_name), printable(list_id))


def _target(kind: str, row: dict[str, Any], projects: Sequence[str]) -> Target | None:
    """A row as a target, None if it is in no series or in none of these projects."""
    project = row.get("project")
    named = project.get("link_name") if isinstance(project, dict) else None
    link_name = printable(named) if isinstance(named, str) else ""
    series = row.get("series")
    first = series[0] if isinstance(series, list) and series else None
    if not isinstance(first, dict) or not _is_id(first.get("id")) or not _is_id(row.get("id")):
        return None
    if projects and link_name not in projects:
        return None
    return Target(first["id"], kind, row["id"], link_name)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


def _told(target: Target | None) -> str:
    return f"{target.kind} {target.id}, series {target.series}" if target else "unknown"


def _seconds(value: str | None, now: float) -> float | None:
    """A Retry-After header in seconds (RFC 9110, section 10.2.3), None if it says nothing."""
    if not value:
        return None
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            moment = parsedate_to_datetime(value)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
