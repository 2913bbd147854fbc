# SPDX-License-Identifier: BSD-3-Clause
"""/api/events: what happens, as it happens, to whoever listens (server-sent events, WHATWG HTML,
section 9.2). One look at the ledger serves all listeners.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.config.tables import Settings
from ingest.errors import Temporary
from ingest.ledger import Happening, Ledger
from ingest.story.overview import Asked, Step, jsonable, step_of
from ingest.web import lookups
from ingest.web.api_values import request_item
from ingest.web.ledger_thread import LedgerThread
from ingest.web.lookups import Reader
from ingest.web.operations import encoded
from ingest.web.problems import Problem
from ingest.web.redaction import redacted
from ingest.words import counted

log = logging.getLogger(__name__)

KIND = "text/event-stream"
# Steps of a story that are of no interest while they happen: questions to Patchwork.
_QUIET = frozenset(("asked",))
# What happened that is read at once, and what may wait for one listener.
_AT_ONCE, _MOST_WAITING = 1000, 2000
# Seconds between signs of life to a listener to whom nothing else is said.
_ALIVE_EVERY = 15.0
_ID = re.compile(rb"([0-9a-z]*)-([0-9]{1,18})")
_FIELDS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent. ``number``: of what happened; ``full``, ``shown``: the same to those
    who may read everything, and to others."""

    number: int
    full: bytes
    shown: bytes


class _Listener:
    """Whoever listens."""

    def __init__(self, sees_all: bool) -> None:
        self.sees_all = sees_all
        self.waiting: asyncio.Queue[Message | None] = asyncio.Queue(_MOST_WAITING)

    def say(self, message: Message) -> bool:
        """Have a message sent; False if too many wait already."""
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    def end(self) -> None:
        """Have the connection ended. What waits is had by whoever comes back."""
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)


class Events:
    """What happens, and who listens, over reloads of the configuration."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._settings = Settings()
        self._listeners: set[_Listener] = set()
        self._following: asyncio.Task[None] | None = None
        self._at = -1
        self._is_told = False

    def configure(self, settings: Settings) -> None:
        """Have these settings from now on."""
        self._settings = settings
        if self._following is None:
            self._following = asyncio.create_task(self._follow())

    def close(self) -> None:
        """End every stream."""
        if self._following:
            self._following.cancel()
        for each in list(self._listeners):
            each.end()

    async def stream(self, last: bytes | None, *, sees_all: bool) -> Response:
        """What is answered to a listener. ``last``: the Last-Event-ID that it has, None if it has
        none. Raises ``Problem`` if there are too many."""
        if len(self._listeners) >= self._settings.http.listeners:
            told = f"There are {counted(len(self._listeners), 'listener')} already."
            raise Problem(503, told, {"Retry-After": "30"})
        listener = _Listener(sees_all)
        # From now on nothing is missed; what happened before is read behind that.
        self._listeners.add(listener)
        try:
            begun = await self._ledger.ask(lambda ledger: self._missed(ledger, last))
        except BaseException:
            self._listeners.discard(listener)
            raise
        return _Stream(listener, begun, self._listeners)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._settings.http.events_interval)
            try:
                messages = await self._ledger.ask(self._news)
            except Temporary as error:
                if not self._is_told:
                    log.error("what happens cannot be told now: %s", error)
                self._is_told = True
                continue
            except Exception:  # whoever listens must not listen in vain from now on
                log.exception("what happens could not be told")
                continue
            self._is_told = False
            for listener in list(self._listeners):
                if not all(map(listener.say, messages)):
                    self._listeners.discard(listener)
                    listener.end()

    def _news(self, ledger: Ledger) -> list[Message]:
        """What happened since the last look. The requests among that are put under a promise, so
        that whoever asks for them need not write."""
        ledger.seal()
        if not self._listeners or self._at < 0 or _newest(ledger) < self._at:
            # Nobody hears it, it is the first look, or it is another ledger.
            self._at = ledger.happenings.settled()
            return []
        happened = ledger.happenings.after(self._at, _AT_ONCE)
        messages = list(self._messages(ledger, happened))
        if happened:
            self._at = happened[-1].number
        return messages

    def _missed(self, ledger: Ledger, last: bytes | None) -> list[Message]:
        """What a listener is sent first: where it is, and what it has missed."""
        generation, now = ledger.generation(), ledger.happenings.settled()
        if self._at < 0:  # nobody has looked yet
            self._at = now
        here = _event("", f"{generation}-{now}", None)
        begin = Message(now, here, here)
        if last is None:
            return [begin]
        found = _ID.fullmatch(last)
        oldest = ledger.happenings.after(0, 1)
        number = int(found[2]) if found and found[1].decode() == generation else -1
        lost = bool(oldest) and number + 1 < oldest[0].number
        if number < 0 or number > _newest(ledger) or lost:
            again = _event("reset", f"{generation}-{now}", {})
            return [Message(now, again, again)]
        # What it has heard it is not told again, even if nothing came since.
        messages = [Message(number, b"", b"")]
        while happened := ledger.happenings.after(number, _AT_ONCE):
            messages += self._messages(ledger, happened)
            number = happened[-1].number
        return messages

    def _messages(self, ledger: Ledger, happened: Sequence[Happening]) -> Iterator[Message]:
        reader = Reader(ledger, self._settings, time.time(), sees_all=True)
        generation = ledger.generation()
        for place, each in enumerate(happened):
            # Of several things under one number only the last is one to go on behind.
            is_last = place + 1 == len(happened) or happened[place + 1].number != each.number
            id = f"{generation}-{each.number}" if is_last else ""
            nothing = _event("", id, None) if id else b""
            if each.event.what in _QUIET:
                yield Message(each.number, nothing, nothing)
                continue
            told = list(_told(reader, each))
            for left, (name, value) in zip(reversed(range(len(told))), told, strict=True):
                at = "" if left else id
                hidden = b"" if left else nothing
                shown = hidden if each.is_notice else _event(name, at, redacted(value))
                yield Message(each.number, _event(name, at, value), shown)


@dataclass(frozen=True, slots=True)
class _OfMail(Step):
    """A step of a mail's story, and which mail that is."""

    mail: str
    message_id: str | None


def _told(reader: Reader, happening: Happening) -> Iterator[tuple[str, Asked | Step]]:
    """What is told of something that happened: names of events, and their data."""
    event, step = happening.event, step_of(happening.event)
    if not happening.mail_id:
        yield "service", step
        return
    mail = f"mail-{happening.mail_id}"
    if event.what == "recorded":
        for record in reader.ledger.find(mail):
            for each in record.requests:
                if asked := lookups.request(reader, str(each.number)):
                    yield "request", asked
    about = _OfMail(step.at, step.what, step.text, step.details, mail, happening.message_id or None)
    yield "result" if event.what == "result" else "mail", about


def _event(name: str, id: str, value: Any) -> bytes:
    """An event. One without data is not seen by a listener, who notes its id."""
    lines = [f"event: {name}"] if name else []
    if id:
        lines.append(f"id: {id}")
    if value is not None:
        data = request_item(value) if isinstance(value, Asked) else jsonable(value)
        lines.append(f"data: {encoded(data).decode()}")
    return ("\n".join(lines) + "\n\n").encode()


def _newest(ledger: Ledger) -> int:
    found = ledger.happenings.newest(1)
    return found[-1].number if found else 0


class _Stream(Response):
    """The answer to a listener, for as long as it listens."""

    def __init__(
        self, listener: _Listener, begun: Sequence[Message], listeners: set[_Listener]
    ) -> None:
        super().__init__(None, 200, _FIELDS, KIND)
        del self.headers["content-length"]
        self._listener = listener
        self._begun = begun
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        saying = asyncio.create_task(self._say(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({saying, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.discard(self._listener)
            for each in (saying, leaving):
                each.cancel()
            with suppress(asyncio.CancelledError):
                await saying

    async def _say(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)

        async def say(text: bytes) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": True})

        had = max((each.number for each in self._begun), default=0)
        await say(b"".join(map(self._of, self._begun)))
        while True:
            try:
                async with asyncio.timeout(_ALIVE_EVERY):
                    message = await self._listener.waiting.get()
            except TimeoutError:
                await say(b":\n\n")
                continue
            if message is None:
                break
            if message.number > had:
                await say(self._of(message))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _of(self, message: Message) -> bytes:
        return message.full if self._listener.sees_all else message.shown


async def _left(receive: Receive) -> None:
    """Until the listener goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
