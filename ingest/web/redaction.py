# SPDX-License-Identifier: BSD-3-Clause
"""What a reader sees who may not read everything. Pure.

Of each address the first character and the domain stay (``words.shortened``, by which a filter with
``shown`` looks as well). Envelopes, the hosts that mail came from, paths, and what receivers said
are left out. Notices are not shown at all, see ``lookups`` and ``events``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from ingest.ledger import ARCHIVED
from ingest.story.overview import Step, Story, Transport
from ingest.story.results import Became
from ingest.story.sinks import Delivery
from ingest.words import shortened

T = TypeVar("T")

# Types of values that are as they are for everybody.
_PLAIN = frozenset((int, float, bool, datetime, type(None)))

# Names of a mail or a request, which are no addresses, links, and a reply ready to be sent to the
# list.
KEPT = frozenset(
    ("message_id", "mail", "name", "others", "id", "links", "archive", "url", "filing", "reply")
)
# Steps that tell which receiver had a request or a mail, and what it answered.
_OF_RECEIVERS = frozenset(
    ("handed over", "set aside", "skipped", "taken", "answered", "forwarded", "not forwarded",
     "sink fails", "sink works again", "paused", "resumed")
)  # fmt: skip
_RECEIVERS = {
    "json_file": "the retest JSON",
    "command": "a program of the lab",
    "webhook": "a webhook of the lab",
    "check": "a check on Patchwork",
    "test_result": "a test result on Patchwork",
    "newrevision": "a new revision on Patchwork",
    "mail": "an answer by mail",
}


def redacted(value: T) -> T:
    """A value of ``story``, or what is made of such values, as anybody may see it."""
    return _redacted(value)  # type: ignore[no-any-return]


def _redacted(value: Any) -> Any:
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, str):
        return shortened(value)
    if names := _names(kind):
        return _redacted_fields(value, names)
    if isinstance(value, (list, tuple)):
        return kind(map(_redacted, value))
    if isinstance(value, Mapping):
        return {key: each if key in KEPT else _redacted(each) for key, each in value.items()}
    return value


def _redacted_fields(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, Transport):
        return None
    if isinstance(value, Delivery):
        return _delivery(value)
    if isinstance(value, Step):
        value = _step(value)
    elif isinstance(value, Became):
        value = replace(value, by=value.by and _told_by(value.by))
    elif isinstance(value, Story):
        value = replace(value, source=_source(value.source))
    parts = {name: getattr(value, name) for name in names}
    return type(value)(
        **{name: each if name in KEPT else _redacted(each) for name, each in parts.items()}
    )


@cache
def _names(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass, none of another type."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


def _delivery(delivery: Delivery) -> Delivery:
    to = _receiver(delivery.to)
    trouble = None if delivery.trouble is None else "it needs a person"
    return Delivery(to, delivery.state, f"{delivery.state}: {to}", trouble)


def _step(step: Step) -> Step:
    """A step without what a receiver said, and without the path of an archive."""
    details = step.details
    if step.what in _OF_RECEIVERS:
        name = next((details[each] for each in ("to", "by", "sink") if each in details), "")
        return replace(step, text=_receiver(str(name)), details={})
    text = step.text
    for key, shorten in (("source", _source), ("author", _told_by)):
        if key in details:
            whole = str(details[key])
            details = {**details, key: shorten(whole)}
            text = text.replace(whole, shorten(whole))
    return replace(step, text=text, details=details)


def _source(source: str) -> str:
    """By which way a mail came. Of an archive the path is left out."""
    return ARCHIVED.strip() if source.startswith(ARCHIVED) else source


def _told_by(author: str) -> str:
    """Who says what became of a label: receivers without their names, others as they are."""
    is_receiver = author.startswith("consumer ") or author.partition(":")[0] in _RECEIVERS
    return _receiver(author) if is_receiver else author


def _receiver(name: str) -> str:
    """What a sink is, without its path or name; a consumer is a lab."""
    return _RECEIVERS.get(name.partition(":")[0], "a lab")
