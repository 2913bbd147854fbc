# SPDX-License-Identifier: BSD-3-Clause
"""What SMTP and LMTP sessions have in common: the rules of their table, and how many there are."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ingest.addresses import Network
from ingest.config import tables
from ingest.intake import Receipt
from ingest.ledger import Envelope

Accept = Callable[[bytes, str, Envelope], Awaitable[Receipt]]

# Bytes that are read from a session at a time.
_READ_AT_ONCE = 256 << 10

# 421 throughout: who is turned away for a setting of ours shall keep the mail and try again.
NOT_ALLOWED = "421 4.7.1 This client is not among the peers that may send here"
TOO_MANY_SESSIONS = "421 4.3.2 Too many sessions, try again later"
STOPPING = "421 4.3.2 The service is stopping, try again later"


@dataclass(frozen=True, slots=True)
class Service:
    """What all sessions of one table have in common; a reload makes a new one."""

    name: str  # "smtp" or "lmtp"
    limits: tables.SmtpSettings
    max_size: int  # bytes of a mail
    hostname: str
    recipients: tuple[str, ...]  # fnmatch patterns in small letters; empty: any
    peers: tuple[Network, ...]  # empty: any
    proxies: tuple[Network, ...]
    tls: ssl.SSLContext | None
    accept: Accept


class Open(Protocol):
    """An open session."""

    peer: str
    since: float  # time of asyncio's loop at which it began, or its last mail ended

    @property
    def is_idle(self) -> bool:
        """Whether no mail is under way."""

    def give_way(self) -> None:
        """End at once, for another session needs the place."""

    def end(self) -> None:
        """End as soon as no mail is under way."""

    def abort(self) -> None:
        """End at once."""


class Live:
    """The sessions of one table that are open, over reloads: what its limits count."""

    def __init__(self) -> None:
        self.sessions: set[Open] = set()
        self.by_peer: Counter[str] = Counter()
        self.count = 0
        self.receiving = 0  # bytes of the mails that are being received
        self.stopping = False
        # What a session has just been sent, until it is told so.
        self.buffer = memoryview(bytearray(_READ_AT_ONCE))
        self.empty = asyncio.Event()
        self.empty.set()

    def refusal(self, peer: str, limits: tables.SmtpSettings, *, is_crowded: bool = False) -> str:
        """Why another session of this peer cannot be had now, "" if it can. When all places are
        taken, or ``is_crowded``, the session that has been idle for longest gives way."""
        if self.stopping:
            return STOPPING
        if self.by_peer[peer] >= limits.sessions_per_peer:
            return "421 4.7.0 Too many sessions from this client, try again later"
        # Somebody is always let in, or a limit that is too low would close the door for ever.
        is_full = self.count >= limits.sessions or (is_crowded and self.count)
        return "" if not is_full or self.make_room() else TOO_MANY_SESSIONS

    def make_room(self) -> bool:
        """End the session that has been idle for longest; whether there was one."""
        idle = [each for each in self.sessions if each.is_idle]
        if idle:
            min(idle, key=lambda each: each.since).give_way()
        return bool(idle)

    def enter(self, peer: str) -> None:
        """Count one more session, of this peer."""
        self.count += 1
        self.by_peer[peer] += 1
        self.empty.clear()

    def leave(self, peer: str) -> None:
        """Count one less."""
        self.count -= 1
        self.by_peer[peer] -= 1
        if not self.by_peer[peer]:
            del self.by_peer[peer]
        if not self.count:
            self.empty.set()
