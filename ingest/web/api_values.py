# SPDX-License-Identifier: BSD-3-Clause
"""What the API is given and answers, as types: they are checked, and they are described by the
OpenAPI document. Values of ``story`` are answered as they are.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ingest.ledger import Outcome, State
from ingest.mail.recheck import LONGEST_NAME, MOST_ARGUMENTS, MOST_LABELS
from ingest.story.overview import Asked
from ingest.web.lookups import LAST_PAGE, MOST_PER_PAGE, PER_PAGE

_MOST_VALUES, _LONGEST_VALUE = 50, 500
_BIGGEST = (1 << 63) - 1

Text = Annotated[str, Meta(max_length=_LONGEST_VALUE)]
Series = Annotated[int, Meta(ge=1, le=_BIGGEST)]
Name = Annotated[str, Meta(pattern=r"^(?!-)[\w-]+$", max_length=LONGEST_NAME)]
Remark = Annotated[str, Meta(min_length=1, max_length=2000)]
Labels = Annotated[list[Name], Meta(max_length=MOST_LABELS)]
Arguments = Annotated[dict[Name, Name], Meta(max_length=MOST_ARGUMENTS)]
StateName = Literal[tuple(each.value for each in (*Outcome, *State))]  # type: ignore[valid-type]
LabState = Literal["pending", "success", "warning", "fail", "cancelled"]


def said(about: str, **limits: Any) -> Any:
    """What is said of a parameter or a field."""
    return Meta(description=about, **limits)


def described(kind: type[Struct]) -> dict[str, str]:
    """What is said of each field of a type."""
    found = {}
    for each in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        schema = getattr(each.type, "extra_json_schema", None) or {}
        found[each.encode_name] = schema.get("description", "")
    return found


# What is asked


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters."""


class Paged(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which part of a list."""

    page: Annotated[int, said("the page, from 1", ge=1, le=LAST_PAGE)] = 1
    per_page: Annotated[int, said("items on a page", ge=1, le=MOST_PER_PAGE)] = PER_PAGE


class Wanted(Paged, forbid_unknown_fields=True, kw_only=True, rename={"list_": "list"}):
    """The filters of ``recheck-ingest list``. One that is given several times fits if any of its
    values does; all that are given must fit."""

    series: Annotated[
        list[Series], said("Patchwork's number of the series", max_length=_MOST_VALUES)
    ] = []
    label: Annotated[list[Text], said("a label that was asked for", max_length=_MOST_VALUES)] = []
    requester: Annotated[
        list[Text], said("a part of who asks, in any case", max_length=_MOST_VALUES)
    ] = []
    list_: Annotated[list[Text], said("the List-Id", max_length=_MOST_VALUES)] = []
    project: Annotated[
        list[Text], said("Patchwork's link name of the project", max_length=_MOST_VALUES)
    ] = []
    state: Annotated[
        list[StateName],  # type: ignore[valid-type]
        said("of the mail, or of one of the labels", max_length=_MOST_VALUES),
    ] = []
    since: Annotated[
        Text, said("recorded (mails: received) then or later: ISO 8601, or a time ago, as 30d")
    ] = ""
    before: Annotated[Text, said("recorded (mails: received) earlier than that")] = ""
    search: Annotated[
        list[Text],
        said("a part of author, subject, Message-ID or reason", max_length=_MOST_VALUES),
    ] = []
    active_only: Annotated[bool, said("only where something is still to come")] = False
    attention: Annotated[bool, said("only what a person must act on")] = False


class Since(Struct, forbid_unknown_fields=True):
    """What a poller of retests asks, as get_reruns.py does."""

    since: Annotated[
        Text, said("the last_comment_timestamp of the answer before; default: a day ago")
    ] = ""
    contexts: Annotated[
        Text, said("the wanted labels, with commas between; default: every label")
    ] = ""


# What is given


class TakeOrder(Struct, forbid_unknown_fields=True):
    """See ``recheck-ingest take``."""

    consumer: Annotated[str, Meta(pattern="^[A-Za-z0-9._-]{1,100}$")] = "default"
    contexts: Annotated[list[Text], said("patterns of the labels that a named consumer wants")] = []
    requests: Annotated[bool, said("requests one by one, not merged by series")] = False
    server: Annotated[Text | None, said("only for series of this [patchwork.NAME]")] = None


class BatchName(Struct, forbid_unknown_fields=True):
    """A batch that is confirmed."""

    batch: Annotated[str, Meta(max_length=_LONGEST_VALUE)]


class Wish(Struct, forbid_unknown_fields=True):
    """A request by hand."""

    series: Series
    server: Annotated[Text, said("whose series it is; default: that of [patchwork]")] = ""
    labels: Labels = []
    arguments: Arguments = {}
    author: Annotated[str, said("who asks; default: the token's name", max_length=200)] = ""
    reason: Annotated[str, Meta(max_length=2000)] = ""


class LabResult(Struct, forbid_unknown_fields=True):
    """What a lab says of one label. ``label`` is "" for a request of arguments alone."""

    label: Annotated[str, Meta(max_length=LONGEST_NAME)]
    state: LabState
    url: Annotated[str, Meta(max_length=500)] = ""
    summary: Annotated[str, Meta(max_length=2000)] = ""


class NoteText(Struct, forbid_unknown_fields=True):
    """A remark on a request, which stands in its mail's story."""

    text: Remark
    author: Annotated[str, said("who says so; default: the token's name", max_length=200)] = ""


# What is answered

_HINTS = get_type_hints(Asked)
# A request as ``request_json`` has it, with its results. What became of it in each sink is told by
# its mail.
RequestItem = msgspec.defstruct(
    "Request",
    [(each.name, _HINTS[each.name]) for each in fields(Asked) if each.name != "deliveries"],
)


def request_item(asked: Asked) -> Any:
    """A ``RequestItem``."""
    return RequestItem(*(getattr(asked, name) for name in RequestItem.__struct_fields__))


class Entry(Struct):
    """What was asked of a series."""

    contexts: list[str]
    arguments: dict[str, Any]


class Retests(Struct):
    """get_reruns.py's document. ``last_comment_timestamp`` is in UTC, without an offset."""

    retests: dict[str, Entry]
    last_comment_timestamp: str | None


class Taken(Struct):
    """What a consumer was given, by series or one by one. ``batch`` is to be acknowledged, or is
    null if there is nothing; ``given``: how often the consumer was given it."""

    batch: str | None
    given: int
    retests: dict[str, Entry] | UnsetType = UNSET
    last_comment_timestamp: str | UnsetType | None = UNSET
    requests: list[dict[str, Any]] | UnsetType = UNSET


class Acknowledged(Struct):
    """A batch that is confirmed, now or before."""

    batch: str
    is_new: bool


class Note(Struct):
    """A remark."""

    mail: str
    at: str
    author: str
    text: str


class States(Struct):
    """What can become of a mail, and of a label of a request."""

    mail: list[str]
    label: list[str]


class Metadata(Struct):
    """What there is to choose from. ``labels``: those asked for so far;
    ``filters`` and ``fields``: what each means."""

    release: str
    labels: list[str]
    projects: list[str]
    states: States
    filters: dict[str, str]
    fields: dict[str, dict[str, str]]


class ProblemDetails(Struct):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
