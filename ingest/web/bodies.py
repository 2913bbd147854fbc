# SPDX-License-Identifier: BSD-3-Clause
"""The body of a request, read within limits of size, time and number before anybody knows who
sends it. What is large is spooled to a file without a name.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import IO, Any

from ingest.config.web_tables import HttpSettings
from ingest.errors import Permanent, StateUnavailable, Temporary

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# Bytes. Bodies up to this size do not wait for others: there is room for one on each connection.
SMALL = 1 << 16
# Bytes. More of a body goes to a file.
_IN_MEMORY = 1 << 20
_PIECE = 1 << 20


class TooLarge(Permanent):
    """The body is larger than the limit."""


class TooSlow(Temporary):
    """The body took too long, or its sender went away."""


class Body:
    """A body that was read as a whole, to be closed. ``slots``: where it takes a place among the
    large ones, if it does."""

    def __init__(self) -> None:
        self.size = 0
        self.slots: asyncio.Semaphore | None = None
        self._held = bytearray()
        self._file: IO[bytes] | None = None

    def add(self, piece: bytes) -> None:
        """Append. Raises ``StateUnavailable`` if there is no space for it."""
        self.size += len(piece)
        try:
            if self._file is None and self.size > _IN_MEMORY:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
                self._file.write(self._held)
                self._held.clear()
            if self._file is None:
                self._held += piece
            else:
                self._file.write(piece)
        except OSError as error:
            raise StateUnavailable(f"a request cannot be spooled: {error.strerror}") from error

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning, piece by piece."""
        if self._file is None:
            yield bytes(self._held)
            return
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece

    def content(self, most: int = -1) -> bytes:
        """The body, or the first ``most`` bytes of it."""
        if self._file is None:
            return bytes(self._held if most < 0 else self._held[:most])
        self._file.seek(0)
        return self._file.read(most)

    def close(self) -> None:
        """Give back what is held."""
        self._held.clear()
        if self._file is not None:
            self._file.close()
        if self.slots is not None:
            self.slots.release()
            self.slots = None

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Incoming:
    """The body as it comes in."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.has_ended = False

    async def piece(self) -> bytes:
        """What came next. Raises ``TooSlow`` if the sender went away."""
        message = await self._receive()
        self.has_ended = not message.get("more_body", False)
        if message["type"] != "http.request":
            raise TooSlow
        piece: bytes = message.get("body", b"")
        return piece


class Room:
    """How many large bodies may be read at once, and how long each may take."""

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        # Who has proved nothing cannot keep out who has.
        self._slots = {known: asyncio.Semaphore(limits.bodies) for known in (True, False)}

    async def read(self, incoming: Incoming, length: int | None, *, known: bool, most: int) -> Body:
        """The body, which is to be closed. ``length``: bytes that the head announces, if it does;
        ``known``: the head has proved who sends it; ``most``: bytes that there may be.

        Raises ``TooLarge``, ``TooSlow``, and ``StateUnavailable`` if it cannot be spooled.
        """
        if length is not None and length > most:
            raise TooLarge
        body = Body()
        try:
            await self._fill(body, incoming, self._slots[known], most)
        except BaseException:
            body.close()
            raise
        return body

    async def _fill(
        self, body: Body, incoming: Incoming, slots: asyncio.Semaphore, most: int
    ) -> None:
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.body_timeout
        try:
            async with asyncio.timeout_at(self._next(clock(), end)) as deadline:
                while True:
                    body.add(await incoming.piece())
                    if body.size > most:
                        raise TooLarge
                    if body.size > SMALL and body.slots is None:
                        deadline.reschedule(end)  # who waits for us is not to blame
                        await slots.acquire()
                        body.slots = slots
                    if incoming.has_ended:
                        return
                    deadline.reschedule(self._next(clock(), end))
        except TimeoutError as error:
            raise TooSlow from error

    async def discard(self, incoming: Incoming, length: int | None) -> None:
        """Read on to the body's end, within the limits, and keep nothing: a sender that is still
        sending may not hear the answer."""
        if length is not None and length > self._limits.max_body:
            return
        clock = asyncio.get_running_loop().time
        end = clock() + self._limits.body_timeout
        size = 0
        with suppress(TooSlow, TimeoutError):
            async with asyncio.timeout_at(end) as deadline:
                while not incoming.has_ended and size <= self._limits.max_body:
                    deadline.reschedule(self._next(clock(), end))
                    size += len(await incoming.piece())

    def _next(self, now: float, end: float) -> float:
        """When the next piece must have come; all of them must by ``end``."""
        return min(end, now + self._limits.stall_timeout)
