# SPDX-License-Identifier: BSD-3-Clause
"""What an operation of the API is: the row of a table that routes, checks and describes it, and
the call that its function gets.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingest.ledger import Ledger
from ingest.web.api_values import Nothing
from ingest.web.lookups import Page, Reader

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Call:
    """One call. ``path``: the parameters in its path; ``query`` and ``body``: values of the
    operation's types; ``token``: the name of the token that allows it, "" if none was needed;
    ``key``: its Idempotency-Key, with the token's name, "" if there is none; ``prepared``: what
    the operation's ``prepare`` came to."""

    reader: Reader
    path: Mapping[str, str]
    query: Any
    body: Any = None
    token: str = ""
    key: str = ""
    prepared: Any = None

    @property
    def ledger(self) -> Ledger:
        """The ledger that is asked."""
        return self.reader.ledger


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, for JSON or as bytes. ``fields``: of the head."""

    value: Any
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation. ``path``: with {names}; ``run``: answers a call, in the thread of the ledger,
    a ``lookups.Page`` for a list; ``answers``: the type of that; ``deed``: what a token must allow,
    "read" where reading may be open; ``statuses``: what else is answered, and why; ``media``: the
    type of the answer; ``atomic``: it can be one transaction with the note that it was done;
    ``prepare``: learns before that, and holds up no other operation, what may take long."""

    method: str
    path: str
    name: str
    about: str
    run: Callable[[Call], Any]
    answers: Any
    query: Any = Nothing
    body: Any = None
    deed: str = "read"
    status: int = 200
    statuses: Mapping[int, str] = field(default_factory=dict)
    media: str = JSON
    atomic: bool = True
    prepare: Callable[[Call], Any] | None = None

    @property
    def is_list(self) -> bool:
        """Whether it is answered page by page."""
        return "page" in getattr(self.query, "__struct_fields__", ())


def answer_of(operation: Operation, call: Call) -> Answer:
    """Run an operation."""
    value = operation.run(call)
    return value if isinstance(value, Answer) else Answer(value, operation.status)


def encoded(value: Any) -> bytes:
    """What is answered, as the bytes of a body."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Page):
        value = list(value.items)
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # halves of surrogate pairs, which readers of JSON refuse
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
