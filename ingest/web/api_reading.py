# SPDX-License-Identifier: BSD-3-Clause
"""The operations of the API that only look. Each is one question of ``lookups``, and writes
nothing."""

from dataclasses import replace
from typing import Any

from ingest import __version__
from ingest.config import moments
from ingest.config.values import DAY
from ingest.handover import reruns
from ingest.ledger import Filter, Outcome, State
from ingest.story.overview import Story
from ingest.web import lookups
from ingest.web.api_fields import MAIL, REQUEST, RESULT
from ingest.web.api_values import Metadata, Since, States, Wanted, described, request_item
from ingest.web.lookups import Page
from ingest.web.operations import Answer, Call
from ingest.web.problems import Problem


def requests(call: Call) -> Page[Any]:
    """GET requests."""
    return _requests(call, _filter(call))


def series(call: Call) -> Page[Any]:
    """GET series/ID."""
    name = call.path["id"]
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else 0
    return _requests(call, Filter(series=(number,)))


def label(call: Call) -> Page[Any]:
    """GET labels/NAME."""
    return _requests(call, Filter(labels=(call.path["name"],)))


def requester(call: Call) -> Page[Any]:
    """GET requesters/NAME."""
    return _requests(call, Filter(requesters=(call.path["name"],)))


def request(call: Call) -> Any:
    """GET requests/ID."""
    found = lookups.request(call.reader, call.path["id"])
    if found is None:
        raise Problem(404, "There is no request of this number or id.")
    return request_item(found)


def mails(call: Call) -> Page[Story]:
    """GET mails."""
    return _mails(call, _filter(call))


def attention(call: Call) -> Page[Story]:
    """GET attention."""
    return _mails(call, lookups.needing_attention(call.reader))


def failures(call: Call) -> Page[Story]:
    """GET failures."""
    return _mails(call, Filter(states=lookups.FAILURES))


def mail(call: Call) -> Story:
    """GET mails/MESSAGE-ID. Of several mails of a Message-ID the first with a request, or else the
    first; it names the others."""
    found = lookups.mail(call.reader, call.path["message_id"])
    if not found:
        raise Problem(
            404,
            "There is no such mail: it never came, or could not hold a request, or was dropped.",
        )
    return next((each for each in found if each.requests), found[0])


def raw(call: Call) -> Answer:
    """GET mails/MESSAGE-ID/raw."""
    found = mail(call)
    try:
        bytes_ = call.ledger.raw(found.id)
    except ValueError as error:
        raise Problem(410, f"mail-{found.id} cannot be shown: {error}") from error
    if bytes_ is None:
        raise Problem(410, f"The bytes of mail-{found.id} were dropped, see [state] keep_days.")
    name = f'attachment; filename="mail-{found.id}.eml"'
    return Answer(bytes_, fields={"Content-Disposition": name})


def retests(call: Call) -> dict[str, Any]:
    """GET retests."""
    asked: Since = call.query
    since = call.reader.now - DAY
    if asked.since:
        since = _moment("since", asked.since, call.reader.now)
    names = [each.strip() for each in asked.contexts.split(",") if each.strip()]
    found, second = call.ledger.sealed(since)
    return dict(reruns.merged(found, second, names or None, call.reader.settings))


def metadata(call: Call) -> Metadata:
    """GET metadata."""
    labels, projects = call.ledger.names()
    return Metadata(
        release=__version__,
        labels=list(labels),
        projects=list(projects),
        states=States([each.value for each in Outcome], [each.value for each in State]),
        filters=described(Wanted),
        fields={"request": REQUEST, "result": RESULT, "mail": MAIL},
    )


def _filter(call: Call) -> Filter:
    """What the filters of a query look for."""
    asked: Wanted = call.query
    now = call.reader.now
    found = Filter(
        states=tuple(Outcome(each) for each in asked.state if each in list(Outcome)),
        results=tuple(State(each) for each in asked.state if each in list(State)),
        series=tuple(asked.series),
        labels=tuple(asked.label),
        requesters=tuple(asked.requester),
        lists=tuple(asked.list_),
        projects=tuple(asked.project),
        texts=tuple(asked.search),
        since=_moment("since", asked.since, now) if asked.since else None,
        before=_moment("before", asked.before, now) if asked.before else None,
        active=asked.active_only,
    )
    if not asked.attention:
        return found
    return replace(found, attention=lookups.needing_attention(call.reader).attention)


def _requests(call: Call, wanted: Filter) -> Page[Any]:
    asked = call.query
    page = lookups.requests(call.reader, wanted, asked.page, asked.per_page)
    return Page(tuple(map(request_item, page.items)), page.number, page.per_page, page.total)


def _mails(call: Call, wanted: Filter) -> Page[Story]:
    return lookups.mails(call.reader, wanted, call.query.page, call.query.per_page)


def _moment(name: str, text: str, now: float) -> float:
    try:
        return moments.parse_or_before(text, now)
    except ValueError as error:
        raise Problem(400, f"{name}: {error}") from error
