# SPDX-License-Identifier: BSD-3-Clause
"""What a reader sees who may not read everything. Pure.

Of each address the first character and the domain stay (``words.shortened``, by which a filter with
``shown`` looks as well); envelopes and the hosts that mail came from are left out. Notices are not
shown at all, see ``lookups``.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from ingest.story.overview import Transport
from ingest.words import shortened

T = TypeVar("T")

# Names of a mail or a request, which are no addresses, links, and a reply ready to be sent to the
# list.
KEPT = frozenset(
    ("message_id", "name", "others", "id", "links", "archive", "url", "filing", "reply")
)


def redacted(value: T) -> T:
    """A value of ``story``, or what is made of such values, as anybody may see it."""
    return _redacted(value)  # type: ignore[no-any-return]


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, Transport):
        return None
    if isinstance(value, (list, tuple)):
        return type(value)(map(_redacted, value))
    if isinstance(value, Mapping):
        return {key: each if key in KEPT else _redacted(each) for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(
            **{
                each.name: getattr(value, each.name)
                if each.name in KEPT
                else _redacted(getattr(value, each.name))
                for each in fields(value)
            }
        )
    return value
