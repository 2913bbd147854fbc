# SPDX-License-Identifier: BSD-3-Clause
"""/api: who may call which operation, with what, and how it is answered. The operations themselves
run in a thread of their ledger.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.ledger import Ledger
from ingest.web import idempotency, openapi
from ingest.web.api_table import LISTENING, OPERATIONS
from ingest.web.bodies import Incoming, Room, TooLarge, TooSlow
from ingest.web.events import Events
from ingest.web.head import Head
from ingest.web.hosts import EXPLAINED, MISDIRECTED, Hosts, public_path
from ingest.web.ledger_thread import LedgerThread
from ingest.web.lookups import Page, Reader
from ingest.web.operations import JSON, Answer, Call, Operation, encoded
from ingest.web.problems import Problem
from ingest.web.reading import Reading
from ingest.web.tokens import CHALLENGE, Tokens

log = logging.getLogger(__name__)

# Bytes of a body. The largest there can be, 200 labels of 255 characters, has less.
_MOST_BODY = 1 << 18
_KEY = re.compile(rb"[!-~]{1,200}")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_NOT_NOW = "This cannot be answered now; the log of the service says why."


class Api:
    """Answers programs, with the settings that count now."""

    def __init__(
        self,
        settings: Settings,
        reading: LedgerThread,
        doing: LedgerThread,
        asking: LedgerThread,
        events: Events,
    ) -> None:
        """``reading``, ``doing``, ``asking``: the threads that look, that change, and that ask
        Patchwork before they change; who changes something may have to wait for others;
        ``events``: what happens."""
        self._settings = settings
        self._reading_thread, self._doing_thread, self._asking_thread = reading, doing, asking
        self._reading = Reading(settings)
        self._tokens = Tokens(settings.token)
        self._hosts = Hosts(settings)
        self._room = Room(settings.http)
        self._events = events
        table = (*OPERATIONS, LISTENING)
        self._document = encoded(openapi.document(table, settings.http.public_url))

    def routes(self) -> list[BaseRoute]:
        """Every path of the API, and what is answered to any other."""
        by_path: dict[str, dict[str, Operation]] = {}
        for each in OPERATIONS:
            by_path.setdefault(each.path, {})[each.method] = each
        of_operations = [
            _Route(_pattern(path), _Endpoint(partial(self._operate, table)))
            # A parameter may hold slashes, so that what is more is looked at first.
            for path, table in sorted(by_path.items(), key=lambda each: -each[0].count("/"))
        ]
        return [
            Route("/api/openapi.json", _Endpoint(self._describe)),
            Route(LISTENING.path, _Endpoint(self._listen)),
            *of_operations,
            _Route("/api/{rest:path}", _Endpoint(self._nothing)),
        ]

    async def _describe(self, head: Head, scope: Scope, receive: Receive) -> Response:
        self._admit(head)
        if head.method not in ("GET", "HEAD"):
            raise Problem(405, "This can only be read.", {"Allow": "GET, HEAD"})
        return Response(self._document, 200, _HEADERS, JSON)

    async def _listen(self, head: Head, scope: Scope, receive: Receive) -> Response:
        self._admit(head)
        if head.method != "GET":
            raise Problem(405, "This can only be read.", {"Allow": "GET"})
        self._token(LISTENING, head)
        last = head.one(b"last-event-id")
        return await self._events.stream(last, sees_all=self._reading.sees_all(head))

    async def _nothing(self, head: Head, scope: Scope, receive: Receive) -> Response:
        self._admit(head)
        raise Problem(404, "There is nothing here. /api/openapi.json says what there is.")

    async def _operate(
        self, table: Mapping[str, Operation], head: Head, scope: Scope, receive: Receive
    ) -> Response:
        self._admit(head)
        method = "GET" if head.method == "HEAD" else head.method
        if method not in table:
            allowed = [*table, *(["HEAD"] if "GET" in table else [])]
            raise Problem(
                405,
                f"Only {' and '.join(allowed)} can be used here.",
                {"Allow": ", ".join(allowed)},
            )
        operation = table[method]
        token = self._token(operation, head)
        sees_all = self._reading.sees_all(head)
        query = _checked(_parameters(head, operation), operation.query, strict=False)
        body = await self._body(operation, head, receive) if operation.body else b""
        given = _checked(_json(body), operation.body) if operation.body else None
        key = _key(head, token) if operation.body else ""
        path = {name: str(value) for name, value in scope["path_params"].items()}

        def run(ledger: Ledger) -> Answer:
            reader = Reader(ledger, self._settings, time.time(), sees_all)
            call = Call(reader, path, query, given, token, key)
            digest = hashlib.sha256(body).hexdigest()
            return idempotency.answered(operation, call, digest)

        answer = await self._thread(operation).ask(run)
        fields = {**_HEADERS, **answer.fields}
        if isinstance(answer.value, Page):
            fields["Link"] = _links(answer.value, self._base(head, scope), head)
        if "Location" in fields:
            fields["Location"] = public_path(self._settings) + fields["Location"]
        return Response(encoded(answer.value), answer.status, fields, operation.media)

    def _thread(self, operation: Operation) -> LedgerThread:
        if operation.prepare:
            return self._asking_thread
        return self._doing_thread if operation.body else self._reading_thread

    def _admit(self, head: Head) -> None:
        if not self._hosts.knows(head):
            raise Problem(MISDIRECTED, EXPLAINED.strip())

    def _token(self, operation: Operation, head: Head) -> str:
        """The name of the token that allows an operation, "" where none is needed. Raises
        ``Problem``."""
        holder = self._tokens.holder(head, operation.deed)
        if holder is not None:
            return holder
        if operation.deed == "read" and self._reading.allows(head):
            return ""
        if self._tokens.is_known(head):
            raise Problem(403, f'This token does not allow it: "{operation.deed}" is not in may.')
        raise Problem(401, f'A token that may "{operation.deed}" is needed.', CHALLENGE)

    async def _body(self, operation: Operation, head: Head, receive: Receive) -> bytes:
        if head.kind != JSON.encode():
            raise Problem(415, f"The body must be {JSON}, and say so in Content-Type.")
        try:
            with await self._room.read(
                Incoming(receive), head.length, known=True, most=_MOST_BODY
            ) as body:
                return body.content()
        except TooLarge as error:
            raise Problem(413, f"A body has {_MOST_BODY} bytes at most.") from error

    def _base(self, head: Head, scope: Scope) -> str:
        """The URL of what is asked, as others can reach it."""
        host = (head.one(b"host") or b"").decode("latin-1")
        before = self._settings.http.public_url or (f"http://{host}" if host else "")
        return before + quote(scope["path"])


class _Route(Route):
    """A route whose parameters may hold any character, line ends among them."""

    def __init__(self, path: str, endpoint: "_Endpoint") -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


class _Endpoint:
    """What answers at one path."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        incoming = _Watched(receive)
        response = await self._answered(Head(scope), scope, incoming)
        if not incoming.has_ended and Head(scope).length != 0 and scope["method"] == "POST":
            response.headers["Connection"] = "close"
        await response(scope, receive, send)

    async def _answered(self, head: Head, scope: Scope, receive: Receive) -> Response:
        try:
            answer: Response = await self._answer(head, scope, receive)
            return answer
        except Problem as problem:
            return _problem(problem)
        except TooSlow:
            return _problem(Problem(408, "The body took too long."))
        except (Temporary, OSError) as error:
            log.error("%s cannot be answered now: %s", scope["path"], error)
            return _problem(Problem(503, _NOT_NOW, {"Retry-After": "10"}))
        except Exception:  # a bug of ours is told to whoever runs this, not to who asks
            log.exception("%s could not be answered", scope["path"])
            return _problem(Problem(500, _NOT_NOW))


class _Watched:
    """A body as it comes in, of which it is known whether it has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_ended = False

    async def __call__(self) -> Any:
        message = await self._receive()
        self.has_ended = not message.get("more_body", False)
        return message


def _problem(problem: Problem) -> Response:
    answer = problem.answer()
    answer.headers.update({**_HEADERS, **problem.fields})
    return answer


def _parameters(head: Head, operation: Operation) -> dict[str, Any]:
    """The query as values of the operation's type: one, or a list where several may be given.
    Raises ``Problem``."""
    try:
        given = head.query()
    except ValueError as error:
        raise Problem(400, "There are too many parameters.") from error
    several = {
        each.encode_name
        for each in msgspec.structs.fields(operation.query)
        if "list" in str(each.type)
    }
    flags = {
        each.encode_name
        for each in msgspec.structs.fields(operation.query)
        if "bool" in str(each.type)
    }
    found: dict[str, Any] = {}
    for name, values in given.items():
        if name in several:
            found[name] = values
        elif len(values) > 1:
            raise Problem(400, f"There are {len(values)} parameters {name!r}.")
        else:
            found[name] = values[0] or "true" if name in flags else values[0]
    return found


def _checked(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """A value of a type. Raises ``Problem``."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Problem(400, f"{error}.") from error


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"The body is not JSON: {error}.") from error


def _key(head: Head, token: str) -> str:
    """The Idempotency-Key, which counts for its token. Raises ``Problem``."""
    given = head.all(b"idempotency-key")
    if not given:
        return ""
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise Problem(400, "An Idempotency-Key is 1 to 200 characters of ASCII, without blanks.")
    return f"{token} {given[0].decode()}"


def _links(page: Page[Any], base: str, head: Head) -> str:
    """The Link field (RFC 8288) of a page, as Patchwork has it."""
    others: Iterable[tuple[str, int]] = (
        ("first", 1),
        *([("prev", min(page.number - 1, page.last))] if page.number > 1 else []),
        *([("next", page.number + 1)] if page.number < page.last else []),
        ("last", page.last),
    )
    query = {name: values for name, values in head.query().items() if name != "page"}
    made = []
    for name, number in others:
        asked = urlencode({**query, "page": [str(number)]}, doseq=True)
        made.append(f'<{base}?{asked}>; rel="{name}"')
    return ", ".join(made)


def _pattern(path: str) -> str:
    """A path as Starlette has it: a parameter may hold slashes, which a Message-ID may hold."""
    return re.sub(r"\{(\w+)\}", r"{\1:path}", path)
