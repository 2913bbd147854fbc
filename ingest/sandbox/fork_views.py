# SPDX-License-Identifier: BSD-3-Clause
"""The REST API and the two web pages of freedesktop's fork of Patchwork: one request in, one
answer out, no sockets.
"""

import base64
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from ingest.sandbox import fork_pages as pages
from ingest.sandbox import fork_serializers as shapes
from ingest.sandbox.fork_store import ForkStore, Patch, Revision, Series, TestResult
from ingest.sandbox.models import Project, User
from ingest.sandbox.views import Answer

_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_PER_PAGE, _MOST = 20, 100
STATES = ("pending", "info", "success", "warning", "failure")
Json = dict[str, Any]
View = Callable[["_Call"], tuple[int, Any]]


class _Refused(Exception):
    """Ends a request early with a status and a JSON body."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status)
        self.status, self.body = status, body


class _Broken(Exception):
    """The fork itself raises here."""


@dataclass(frozen=True, slots=True)
class _Call:
    store: ForkStore
    public_url: str
    path: str
    query: dict[str, list[str]]
    ids: tuple[str, ...]
    user: User | None
    body: bytes

    def last(self, name: str) -> str:
        return self.query.get(name, [""])[-1].strip()

    def page(self, rows: Collection[Any], shape: Callable[[Any], Json]) -> Json:
        """A list in its envelope."""
        asked = self.last("perpage")
        size = min(int(asked), _MOST) if asked.isdecimal() and int(asked) else _PER_PAGE
        number = int(self.last("page")) if self.last("page").isdecimal() else 1
        pages = max(1, -(-len(rows) // size))
        if not 1 <= number <= pages:
            raise _Refused(404, {"detail": "Invalid page."})
        shown = list(rows)[(number - 1) * size : number * size]
        return {
            "count": len(rows),
            "next": self._at(number + 1) if number < pages else None,
            "previous": self._at(number - 1) if number > 1 else None,
            "results": [shape(each) for each in shown],
        }

    def _at(self, page: int) -> str:
        fields = {**self.query, "page": [str(page)]}
        return f"{self.public_url}{self.path}?{urlencode(sorted(fields.items()), doseq=True)}"

    def project(self) -> Project:
        for each in self.store.known:
            if self.ids[0] in (str(each.id), each.link_name):
                return each
        raise _Refused(404, {"detail": "Not found."})

    def series(self) -> Series:
        found = self.store.series.get(int(self.ids[0]))
        if found is None:
            raise _Refused(404, {"detail": "Not found."})
        return found

    def revision(self) -> tuple[Series, Revision]:
        series = self.series()
        for each in series.revisions:
            if each.version == int(self.ids[1]):
                return series, each
        raise _Refused(404, {"detail": "Not found."})

    def patch(self) -> Patch:
        found = self.store.patches.get(int(self.ids[0]))
        if found is None:
            raise _Refused(404, {"detail": "Not found."})
        return found

    def may_write(self, project: Project) -> None:
        if self.user is None:
            detail = "Authentication credentials were not provided."
            raise _Refused(401, {"detail": detail})
        if project.link_name not in self.user.maintains:
            detail = "You do not have permission to perform this action."
            raise _Refused(403, {"detail": detail})


def answer(
    store: ForkStore,
    public_url: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes = b"",
) -> Answer:
    """Answer one request; see ``views.answer``."""
    raw_path, _, query = target.partition("?")
    path = unquote(raw_path)
    with store.lock:
        if found := re.fullmatch(r"/patch/msgid/([^/]+)/", path):
            patch = store.by_message_id(f"<{found[1]}>")
            if patch is None:
                return pages.not_found(path)
            return Answer(302, {"Location": f"/patch/{patch.id}/", "Content-Type": _HTML}, b"")
        if found := re.fullmatch(r"/patch/(\d{1,18})/", path):
            patch = store.patches.get(int(found[1]))
            return pages.of_patch(store, patch) if patch else pages.not_found(path)
        rest = path.removeprefix("/api/1.0/")
        route = _find(rest) if rest != path else None
        if route is None:
            return pages.not_found(path)
        name, ids = route
        sent = {"Content-Type": _JSON, "Allow": _allow(name)}
        try:
            call = _Call(
                store=store,
                public_url=public_url,
                path=raw_path,
                query=parse_qs(query, keep_blank_values=True),
                ids=ids,
                user=_user(store, headers.get("authorization", "")),
                body=body,
            )
            view = _VIEWS[name].get("GET" if method == "HEAD" else method)
            if view is None:
                raise _Refused(405, {"detail": f'Method "{method}" not allowed.'})
            status, content = view(call)
        except _Broken:
            return Answer(500, {"Content-Type": "text/html"}, b"<h1>Server Error (500)</h1>")
        except _Refused as refused:
            status, content = refused.status, refused.body
            if status == 401:
                sent["WWW-Authenticate"] = 'Basic realm="api"'
    if content is None:
        return Answer(status, {**sent, "Content-Type": _HTML}, b"")
    return Answer(status, sent, json.dumps(content, separators=(",", ":")).encode())


def _user(store: ForkStore, authorization: str) -> User | None:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":  # there are no tokens
        return None
    try:
        name, _, password = base64.b64decode(given).decode().partition(":")
    except ValueError:
        name = password = ""
    user = store.users.get(password)
    if user is None or user.username != name:
        raise _Refused(401, {"detail": "Invalid username/password."})
    return user


def _ordered(call: _Call, rows: list[Any], names: dict[str, str]) -> list[Any]:
    order = call.last("ordering")
    by = names.get(order.lstrip("-"))
    if by is None:
        return rows
    return sorted(rows, key=lambda row: getattr(row, by), reverse=order.startswith("-"))


def _all_patches(call: _Call) -> tuple[int, Json]:
    rows = list(call.store.patches.values())
    if call.ids:
        project = call.project()
        rows = [each for each in rows if each.project == project]
    if name := call.last("name").lower():
        rows = [each for each in rows if name in each.name.lower()]
    return 200, call.page(_ordered(call, rows, {"date": "date", "id": "id"}), shapes.patch)


def _all_series(call: _Call) -> tuple[int, Json]:
    rows = [each for each in call.store.series.values() if each.revisions[0].patches]
    if call.ids:
        project = call.project()
        rows = [each for each in rows if each.project == project]
    if name := call.last("name").lower():
        rows = [each for each in rows if name in each.name.lower()]
    names = {"last_updated": "updated", "submitted": "submitted", "id": "id"}
    return 200, call.page(_ordered(call, rows, names), shapes.series)


def _all_events(call: _Call) -> tuple[int, Json]:
    project, store = call.project(), call.store
    rows = [each for each in store.events if store.series[each.series].project == project]
    if (name := call.last("name")) and name != "series-new-revision":
        rows = []
    if call.last("patch"):
        rows = []
    if series := call.last("series"):
        rows = [each for each in rows if str(each.series) == series]
    if since := call.last("since"):
        rows = [each for each in rows if each.at >= datetime.fromisoformat(since)]
    newest_first = call.last("ordering") != "event_time"
    return 200, call.page(rows[::-1] if newest_first else rows, shapes.event)


def _results(call: _Call) -> tuple[int, Any]:
    series, revision = call.revision()
    mine = (series.id, revision.version)
    return 200, [shapes.result(each) for key, each in call.store.results.items() if key[:2] == mine]


def _new_result(call: _Call) -> tuple[int, Json]:
    if call.user is None:
        call.may_write(call.store.known[0])
    series, revision = call.revision()
    call.may_write(series.project)
    try:
        given = json.loads(call.body)
    except ValueError:
        given = {}
    name, state = given.get("test_name"), given.get("state")
    if not name:
        raise _Refused(400, {"test_name": ["This field is required."]})
    if state not in STATES:
        raise _Refused(400, {"state": [f'"{state}" is not a valid choice.']})
    before = call.store.results.get((series.id, revision.version, name))
    url = given.get("url") or (before.url if before else None)
    summary = given.get("summary") or (before.summary if before else None)
    made = TestResult(name, state, url, summary, call.store.local_now())
    call.store.tell(series.id, revision.version, made)
    return 201, shapes.result(made)


def _patch_result(call: _Call) -> tuple[int, Json]:
    """A result of one patch, which can be written and not be read."""
    patch = call.patch()
    call.may_write(patch.project)
    given = json.loads(call.body)
    made = TestResult(
        given["test_name"],
        given["state"],
        given.get("url"),
        given.get("summary"),
        call.store.local_now(),
    )
    return 201, shapes.result(made)


def _new_revision(call: _Call) -> tuple[int, None]:
    series, revision = call.revision()
    if call.user is None or series.project.link_name not in call.user.maintains:
        raise _Refused(403, {"detail": "Permission denied."})
    call.store.renew(series.id, revision.version)
    return 200, None


def _index(call: _Call) -> tuple[int, Json]:
    return 200, {"revision": 2}


def _projects(call: _Call) -> tuple[int, Json]:
    rows = sorted(call.store.known, key=lambda each: each.name)
    return 200, call.page(rows, shapes.project)


def _project(call: _Call) -> tuple[int, Json]:
    return 200, shapes.project(call.project())


def _patch(call: _Call) -> tuple[int, Json]:
    return 200, shapes.patch(call.patch())


def _series(call: _Call) -> tuple[int, Json]:
    return 200, shapes.series(call.series())


def _revisions(call: _Call) -> tuple[int, Json]:
    return 200, call.page(call.series().revisions, shapes.revision)


def _revision(call: _Call) -> tuple[int, Json]:
    if call.last("related"):
        raise _Broken
    return 200, shapes.revision(call.revision()[1])


_VIEWS: dict[str, dict[str, View]] = {
    "": {"GET": _index},
    "projects/": {"GET": _projects},
    "projects/NAME/": {"GET": _project},
    "projects/NAME/patches/": {"GET": _all_patches},
    "projects/NAME/series/": {"GET": _all_series},
    "projects/NAME/events/": {"GET": _all_events},
    "patches/": {"GET": _all_patches},
    "patches/ID/": {"GET": _patch},
    "patches/ID/test-results/": {"POST": _patch_result},
    "series/": {"GET": _all_series},
    "series/ID/": {"GET": _series},
    "series/ID/revisions/": {"GET": _revisions},
    "series/ID/revisions/ID/": {"GET": _revision},
    "series/ID/revisions/ID/test-results/": {"GET": _results, "POST": _new_result},
    "series/ID/revisions/ID/newrevision/": {"POST": _new_revision},
}
_ROUTES = [
    (re.compile(path.replace("ID", r"(\d{1,18})").replace("NAME", "([^/]+)")), path)
    for path in _VIEWS
]


def _find(rest: str) -> tuple[str, tuple[str, ...]] | None:
    """Which of the routes a path below /api/1.0/ is, and the ids in it."""
    for pattern, path in _ROUTES:
        if matched := pattern.fullmatch(rest):
            return path, matched.groups()
    return None


def _allow(path: str) -> str:
    if path == "series/ID/":
        return "GET, PUT, PATCH, HEAD, OPTIONS"
    methods = [*_VIEWS[path], *(["HEAD"] if "GET" in _VIEWS[path] else []), "OPTIONS"]
    return ", ".join(methods)
