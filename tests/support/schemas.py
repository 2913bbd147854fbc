# SPDX-License-Identifier: BSD-3-Clause
"""The JSON schemas in contrib/doc/schemas: what they must be, made of the values that commands
print, and, as a program, writing them there: ``python -m tests.support.schemas``.
"""

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints
from typing import is_typeddict as _is_typed

from ingest.config.effective import Effective
from ingest.ledger import Outcome
from ingest.links import Links
from ingest.mail.recheck import Recheck
from ingest.story.attention import Part
from ingest.story.consumers import BatchState
from ingest.story.happenings import Line
from ingest.story.overview import Asked, Story
from ingest.story.results import Became
from ingest.story.stats import Stats
from ingest.story.status import Status
from ingest.web.api_fields import MAIL, REQUEST, RESULT
from tests.support.places import ROOT

FOLDER = ROOT / "contrib" / "doc" / "schemas"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_INSTANT = r"^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"
# Naive, for consumers that cut it at the dot.
_NAIVE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"


class Request(TypedDict):
    """A request, as programs and webhooks are handed it."""

    number: int
    id: str
    message_id: str
    series: int
    revision: int | None
    server: str | None
    submission: str
    project: str
    contexts: list[str]
    arguments: Mapping[str, str]
    leftovers: list[str]
    reason: str
    groups: Mapping[str, list[str]]
    requester: str
    passage: str
    proof: str
    subject: str
    date: datetime
    recorded: datetime
    links: Links


class Listed(Request):
    """A request, as programs and webhooks are handed it. ``cancelled``: why nobody is handed it
    any more, null if it was not cancelled."""

    cancelled: str | None


class Naive(str):
    """A time without Z, as get_reruns.py writes it."""


class Entry(TypedDict):
    """What is asked for one series."""

    contexts: list[str]
    arguments: Mapping[str, Any]


class Retests(TypedDict):
    """The retest JSON, as get_reruns.py writes it: entries by the numbers of their series."""

    retests: Mapping[str, Entry]
    last_comment_timestamp: Naive | None


class HeldRetests(Retests):
    """A batch as a retest JSON; its id is null if there is nothing."""

    batch: str | None
    given: int


class HeldRequests(TypedDict):
    """A batch of requests one by one; its id is null if there is nothing."""

    batch: str | None
    given: int
    requests: list[Request]


class Error(TypedDict):
    """Why a command did not do what it was asked, on the last line of standard error."""

    error: str
    exit_code: int
    what_to_do: str


class Finding(TypedDict):
    """One thing that was looked at."""

    level: Literal["ok", "warning", "problem"]
    what: str
    text: str


class Configuration(TypedDict):
    """The settings in force. ``file``: the one that was read; ``unknown``: variables that look like
    settings and are none."""

    file: str | None
    unknown: list[str]
    settings: list[Effective]


class Attention(TypedDict):
    """What a person must act on."""

    parts: list[Part]
    mails: list[Story]


class Consumer(TypedDict):
    """Who takes requests, and the batches that are not confirmed."""

    name: str
    position: int
    lag: int
    moved: datetime | None
    state: str
    held: list[BatchState]


class Judged(TypedDict):
    """A request as the policy would judge it now. ``left_out``: the labels that it would lose."""

    number: int
    id: str
    message_id: str
    series: int
    recorded: datetime
    outcome: Literal["accepted", "narrowed", "rejected", "depends"]
    reason: str | None
    left_out: list[str]


class Counted(TypedDict):
    """How many mails ended in the same way for the same reason."""

    outcome: str
    reason: str
    mails: int


class Target(TypedDict):
    """What a mail replies to. ``id``: Patchwork's, of the ``kind`` "patch" or "cover"."""

    series: int
    revision: int | None
    server: str | None
    kind: str
    id: int
    project: str | None


class Rehearsed(TypedDict):
    """What would become of one mail. ``where``: its place in the archive; ``wanted``: what of its
    request counts; ``target``: the series that it is for."""

    where: str
    message_id: str | None
    outcome: str
    reason: str | None
    wanted: Recheck | None
    target: Target | None


class Replayed(TypedDict):
    """What replaying archives came to. ``passed_over``: requests that are too old for a sink, by
    its name; ``found``: with --dry-run, the mails with a request."""

    mails: int
    possible: int
    older: int
    duplicates: int
    recorded: int
    reasons: list[Counted]
    passed_over: Mapping[str, int]
    warnings: list[str]
    worker_elsewhere: bool
    dry: bool
    down: bool
    found: NotRequired[list[Rehearsed]]


class CaughtUp(TypedDict):
    """What catching up came to, as its command tells it. ``problem``: why the run is not complete;
    ``problems``: why comments could not be had, which are asked for again; ``moved``: whether later
    runs begin where this one began; ``walked``: of how many ``recent`` submissions the comments
    were read, at a server without events of comments; ``missed``: the Message-IDs of new mails that
    ask for what is wanted here."""

    since: datetime
    problem: str | None
    moved: bool
    walked: int
    recent: int
    events: int
    known: int
    fetched: int
    deleted: int
    dropped: int
    queued: int
    rejected: int
    given_up: int
    problems: list[str]
    missed: list[str]
    recorded: int
    reasons: list[Counted]
    worker_elsewhere: bool


class OfMail(TypedDict):
    """A mail that was named, and where it stands now."""

    mail: str
    outcome: Outcome


class Queued(TypedDict):
    """How many mails are tried again, and these among them; of very many the first."""

    queued: int
    mails: list[OfMail]


class HandedOverAgain(TypedDict):
    """How many requests a sink is to hand over after all."""

    sink: str
    to_hand_over: int


class Cancelled(TypedDict):
    """The requests and mails that were cancelled, in words, and why."""

    cancelled: list[str]
    reason: str


class Paused(TypedDict):
    """A sink that is paused. ``new``: it was not before; ``at_work_on``: the number of the request
    that it has in hand just now."""

    paused: str
    new: bool
    at_work_on: int | None


class Removed(TypedDict):
    """A consumer that is forgotten."""

    removed: str


class Resumed(TypedDict):
    """A sink that hands over again, and how many requests it is behind."""

    resumed: str
    behind: int


# What each document is: its name, what prints it, and what it is made of.
DOCUMENTS: dict[str, tuple[str, Any]] = {
    "request": ("a request in take --requests, programs and webhooks", Request),
    "retests": ("the retest JSON: take, reruns, and the file itself", Retests),
    "take": ("take: with --requests, and with --hold", Retests | HeldRetests | HeldRequests
             | list[Request]),
    "mail": ("a mail in show --json, which prints an array of them", Story),
    "list": ("list --json: requests, mails, or what needs attention", list[Listed] | list[Story]
             | Attention),
    "status": ("status --json", Status),
    "check": ("check --json", list[Finding]),
    "config": ("config --json", Configuration),
    "log": ("a line of log --json", Line),
    "stats": ("stats --json", Stats),
    "consumers": ("consumers --json: all, or with --remove", list[Consumer] | Removed),
    "policy": ("policy --replay --json", list[Judged]),
    "replay": ("replay --json", Replayed),
    "catch-up": ("catch-up --json", CaughtUp),
    "retry": ("retry --json: of mails, or with --sink", Queued | HandedOverAgain),
    "cancel": ("cancel --json", Cancelled),
    "pause": ("pause --json", Paused),
    "resume": ("resume --json", Resumed),
    "error": ("an error of any command with --json, on standard error", Error),
}  # fmt: skip
_MEANINGS = {Request: REQUEST, Listed: REQUEST, Asked: REQUEST, Became: RESULT, Story: MAIL}


def document(name: str) -> dict[str, Any]:
    """A document's schema."""
    about, hint = DOCUMENTS[name]
    shared: dict[str, Any] = {}
    made = _schema(hint, shared)
    head = {"$schema": _DRAFT, "title": name, "description": about}
    return {**head, **made, "$defs": dict(sorted(shared.items()))} if shared else {**head, **made}


def text(name: str) -> str:
    """A document's schema as it is written."""
    return json.dumps(document(name), indent=2, ensure_ascii=False) + "\n"


_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time", "pattern": _INSTANT},
    Naive: {"type": "string", "pattern": _NAIVE},
    Any: {},
}


def _schema(hint: Any, shared: dict[str, Any]) -> dict[str, Any]:
    """What a value of a type looks like; ``shared``: the schemas of named types, filled on the
    way."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if is_dataclass(hint) or _is_typed(hint):
        if hint.__name__ not in shared:
            shared[hint.__name__] = {}
            shared[hint.__name__] = _object(hint, shared)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [each.value for each in hint]}
    return _generic(hint, shared)


def _generic(hint: Any, shared: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, shared) for each in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is NotRequired:
        return _schema(arguments[0], shared)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], shared)}
    assert isinstance(origin, type)
    assert issubclass(origin, Sequence), hint
    return {"type": "array", "items": _schema(arguments[0], shared)}


def _object(table: Any, shared: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(table, include_extras=True)
    names = [each.name for each in fields(table)] if is_dataclass(table) else list(hints)
    properties = {name: dict(_schema(hints[name], shared)) for name in names}
    for name, meaning in _MEANINGS.get(table, {}).items():
        if name in properties:
            properties[name]["description"] = meaning
    return {
        "type": "object",
        "description": " ".join((table.__doc__ or "").replace("``", "").split()),
        "properties": properties,
        "required": [name for name in names if get_origin(hints[name]) is not NotRequired],
        # What other programs put into the retest JSON stays there.
        "additionalProperties": table in (Retests, HeldRetests, Entry),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for document_name in DOCUMENTS:
        (FOLDER / f"{document_name}.json").write_text(text(document_name))
