# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox Patchwork's REST API: one request in, one answer out, no sockets.

Routes and views as Patchwork's ``urls.py`` and ``api/*.py`` have them.
"""

import html
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote

from ingest.sandbox.checks import STATE_NUMBERS, new_check
from ingest.sandbox.filters import Broken, Call, Refused, Reply, Unmatched, missing
from ingest.sandbox.models import Comment, Event, Submission, User
from ingest.sandbox.serializers import VERSIONS, Shapes, Version
from ingest.sandbox.store import Store

_HTML = "text/html; charset=utf-8"
_COMMENT_EVENTS = ("patch-comment-created", "cover-comment-created")
_CATEGORIES = (
    "cover-created",
    "patch-created",
    "patch-completed",
    "patch-state-changed",
    "patch-delegated",
    "patch-relation-changed",
    "check-created",
    "series-created",
    "series-completed",
    *_COMMENT_EVENTS,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    since: Version
    allow: str
    view: Callable[[Call], Reply]
    post: Callable[[Call], Reply] | None = None


def answer(
    store: Store,
    public_url: str,
    newest: Version,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes = b"",
) -> Answer:
    """Answer one request.

    ``newest``: the newest version of the API that there is. ``target``: path and query as the
    client sent them. ``headers``: names in lower case.
    """
    path, _, query = target.partition("?")
    named, rest = _split_version(unquote(path))
    version = VERSIONS[named] if named else newest
    if version > newest:
        rest = None
    route, ids = _find(rest, version) if rest is not None else (None, ())
    if route is None:
        if rest and _find(rest + "/", version)[0]:
            location = f"{path}/{'?' + query if query else ''}"
            return Answer(301, {"Location": location, "Content-Type": _HTML}, b"")
        return _page_not_found(unquote(path))
    call_headers = {"Content-Type": "application/json", "Allow": route.allow}
    prefix = f"{named}/" if named else ""
    with store.lock:
        try:
            call = Call(
                store=store,
                shapes=Shapes(store, public_url, version, prefix),
                url=f"{public_url}{path}{'?' + query if query else ''}",
                query=parse_qs(query, keep_blank_values=True),
                ids=ids,
                newest=newest,
                user=_user(store, headers.get("authorization", "")),
                content_type=headers.get("content-type", ""),
                body=body,
            )
            view = {"GET": route.view, "HEAD": route.view, "POST": route.post}.get(method)
            if view is None:
                if method in ("PUT", "PATCH") and method in route.allow:
                    call.signed_in()
                raise Refused(405, {"detail": f'Method "{method}" not allowed.'})
            status, content, extra = view(call)
        except Broken:
            return Answer(500, {"Content-Type": _HTML}, _page("Server Error (500)"))
        except Refused as refused:
            status, content, extra = refused.status, refused.body, {}
    encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Answer(status, call_headers | extra, encoded.encode("utf-8", "replace"))


def _split_version(path: str) -> tuple[str, str | None]:
    found = re.fullmatch(r"/api/(?:(1\.[0-4])/)?(.*)", path, re.DOTALL)
    return (found[1] or "", found[2]) if found else ("", None)


def _find(rest: str, version: Version) -> tuple[_Route | None, tuple[str, ...]]:
    for route in _ROUTES:
        found = route.pattern.fullmatch(rest)
        if found and version >= route.since:
            return route, found.groups()
    return None, ()


def _user(store: Store, authorization: str) -> User | None:
    scheme, *words = authorization.split()[:3] or [""]
    if scheme.lower() == "basic":
        raise Refused(403, {"detail": "Invalid username/password."})
    if scheme.lower() != "token":
        return None
    if len(words) != 1:
        problem = "Token string should not contain spaces." if words else "No credentials provided."
        raise Refused(403, {"detail": f"Invalid token header. {problem}"})
    if words[0] not in store.users:
        raise Refused(403, {"detail": "Invalid token."})
    return store.users[words[0]]


def _page_not_found(path: str) -> Answer:
    return Answer(404, {"Content-Type": _HTML}, _page(f"Page not found at {html.escape(path)}"))


def _page(title: str) -> bytes:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n'
        '  <meta http-equiv="content-type" content="text/html; charset=utf-8">\n'
        f"  <title>{title}</title>\n</head>\n<body>\n  <h1>{title}</h1>\n</body>\n</html>\n"
    ).encode("utf-8", "replace")


def _index(call: Call) -> Reply:
    return 200, call.shapes.index(), {}


def _projects(call: Call) -> Reply:
    return call.page(call.store.projects.values(), call.shapes.project)


def _project(call: Call) -> Reply:
    for project in call.store.projects.values():
        if call.ids[0] in (str(project.id), project.link_name):
            return 200, call.shapes.project(project), {}
    raise missing("Project")


def _people(call: Call) -> Reply:
    call.signed_in()
    return call.page(call.store.people.values(), call.shapes.person)


def _person(call: Call) -> Reply:
    call.signed_in()
    return 200, call.shapes.person(call.one(call.store.people, "Person")), {}


def _users(call: Call) -> Reply:
    call.signed_in()
    return call.page(call.store.users.values(), call.shapes.user)


def _one_user(call: Call) -> Reply:
    own = call.signed_in()
    user = call.one({user.id: user for user in call.store.users.values()}, "User")
    return 200, call.shapes.own_user(user) if user == own else call.shapes.user(user), {}


def _patches(call: Call) -> Reply:
    # The filters by Message-ID and hash came with API 1.2; before, they are ignored.
    by_id = call.shapes.version >= (1, 2)
    try:
        rows = _submissions(call, call.store.patches.values(), by_id)
        series = call.ids_of("series", call.store.series)
    except Unmatched:
        return call.page([], call.shapes.patch)
    if series is not None:
        rows = [row for row in rows if row.series in series]
    if by_id and (wanted := call.last("hash")):
        rows = [row for row in rows if row.hash == wanted.lower()]
    # Every patch here is new, in nobody's hands and not archived.
    states = [state.lower() for state in call.query.get("state", ["new"])]
    if not {"new", "1"} & set(states) or "delegate" in call.query:
        rows = []
    if call.last("archived").lower() == "true":
        rows = []
    return call.page(call.ordered(call.searched(rows)), call.shapes.patch)


def _patch(call: Call) -> Reply:
    return 200, call.shapes.patch_detail(call.one(call.store.patches, "Patch")), {}


def _covers(call: Call) -> Reply:
    # Two slips of Patchwork's: where there is a msgid filter it works in every version, and their
    # series filter looks the number up among the projects: no such project, no covers.
    try:
        by_id = call.newest >= (1, 2)
        rows = _submissions(call, call.store.covers.values(), by_id)
        if call.ids_of("series", call.store.projects) is not None:
            raise Broken
    except Unmatched:
        rows = []
    return call.page(call.ordered(call.searched(rows)), call.shapes.cover)


def _cover(call: Call) -> Reply:
    return 200, call.shapes.cover_detail(call.one(call.store.covers, "Cover")), {}


def _submissions(call: Call, rows: Iterable[Submission], by_id: bool) -> list[Submission]:
    projects, submitters = call.projects(), call.submitters()
    message_id = f"<{call.last('msgid')}>" if by_id and call.last("msgid") else None
    return [
        row
        for row in call.dated(rows)
        if (projects is None or row.project in projects)
        and (submitters is None or row.submitter in submitters)
        and (message_id is None or row.letter.message_id == message_id)
    ]


def _all_series(call: Call) -> Reply:
    try:
        projects, submitters = call.projects(), call.submitters()
        rows = [
            row
            for row in call.dated(call.store.series.values())
            if (projects is None or row.project in projects)
            and (submitters is None or row.submitter in submitters)
        ]
    except Unmatched:
        rows = []
    return call.page(call.ordered(call.searched(rows)), call.shapes.series)


def _series(call: Call) -> Reply:
    return 200, call.shapes.series(call.one(call.store.series, "Series")), {}


def _comments(call: Call, kind: str) -> Reply:
    return call.page(call.ordered(list(_under(call, kind).values())), call.shapes.comment)


def _comment(call: Call, kind: str) -> Reply:
    return 200, call.shapes.comment(call.one(_under(call, kind), f"{kind}Comment", 1)), {}


def _under(call: Call, kind: str) -> dict[int, Comment]:
    """The comments on the patch or cover letter that is asked for."""
    store = call.store
    parents, comments = {
        "Patch": (store.patches, store.patch_comments),
        "Cover": (store.covers, store.cover_comments),
    }[kind]
    parent = call.one(parents, kind)
    return {each.id: each for each in comments.values() if each.parent == parent.id}


def _checks(call: Call) -> Reply:
    patch = call.one(call.store.patches, "Patch")
    state, context = call.last("state"), call.last("context")
    if state and state not in STATE_NUMBERS:
        return call.page([], call.shapes.check)
    try:
        users = call.users()
        rows = [
            check
            for check in call.dated(call.store.checks.values())
            if check.patch == patch.id
            and (users is None or check.user in users)
            and (not state or check.state == STATE_NUMBERS[state])
            and (not context or check.context == context)
        ]
    except Unmatched:
        rows = []
    return call.page(call.ordered(rows), call.shapes.check)


def _check(call: Call) -> Reply:
    patch = call.one(call.store.patches, "Patch")
    rows = {c.id: c for c in call.store.checks.values() if c.patch == patch.id}
    return 200, call.shapes.check(call.one(rows, "Check", 1)), {}


def _events(call: Call) -> Reply:
    rows = sorted(_chosen_events(call), key=lambda event: (event.date, event.id))
    return call.page(rows if call.last("order") == "date" else rows[::-1], call.shapes.event)


def _chosen_events(call: Call) -> list[Event]:
    category = call.last("category")
    if category and category not in _CATEGORIES:
        return []
    try:
        projects = call.projects()
        patches = call.ids_of("patch", call.store.patches)
        covers = call.ids_of("cover", call.store.covers)
        series = call.ids_of("series", call.store.series)
        rows = call.dated(call.store.events.values())
    except Unmatched:
        return []
    actor = call.last("actor") if call.shapes.version >= (1, 2) else ""
    # Before 1.3 there was no address of a single comment, and so no event points to one.
    hidden = () if call.shapes.version >= (1, 3) else _COMMENT_EVENTS
    return [
        event
        for event in rows
        if (not category or event.category == category)
        and event.category not in hidden
        and (projects is None or event.project in projects)
        and (patches is None or event.patch in patches)
        and (covers is None or event.cover in covers)
        and (series is None or event.series in series)
        and (not actor or (event.actor is not None and str(event.actor.id) == actor))
    ]


def _bundles(call: Call) -> Reply:
    nothing: list[dict[str, Any]] = []
    return call.page(nothing, dict)


def _route(
    pattern: str,
    view: Callable[[Call], Reply],
    allow: str = "GET",
    since: Version = (1, 0),
    post: Callable[[Call], Reply] | None = None,
) -> _Route:
    return _Route(
        pattern=re.compile(pattern.replace("ID", r"([0-9]{1,18})")),
        since=since,
        allow=f"{allow}, HEAD, OPTIONS",
        view=view,
        post=post,
    )


# Allow names what Patchwork allows; the sandbox itself updates nothing and takes checks only.
_ROUTES = (
    _route("", _index),
    _route("projects/", _projects),
    _route("projects/([^/]+)/", _project, "GET, PUT, PATCH"),
    _route("people/", _people),
    _route("people/ID/", _person),
    _route("users/", _users),
    _route("users/ID/", _one_user, "GET, PUT, PATCH"),
    _route("patches/", _patches),
    _route("patches/ID/", _patch, "GET, PUT, PATCH"),
    _route("patches/ID/comments/", partial(_comments, kind="Patch"), since=(1, 1)),
    _route("patches/ID/comments/ID/", partial(_comment, kind="Patch"), "GET, PUT, PATCH", (1, 3)),
    _route("patches/ID/checks/", _checks, "GET, POST", post=new_check),
    _route("patches/ID/checks/ID/", _check),
    _route("covers/", _covers),
    _route("covers/ID/", _cover),
    _route("covers/ID/comments/", partial(_comments, kind="Cover"), since=(1, 1)),
    _route("covers/ID/comments/ID/", partial(_comment, kind="Cover"), "GET, PUT, PATCH", (1, 3)),
    _route("series/", _all_series),
    _route("series/ID/", _series),
    _route("events/", _events),
    _route("bundles/", _bundles, "GET, POST"),
)
