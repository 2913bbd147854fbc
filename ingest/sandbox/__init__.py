# SPDX-License-Identifier: BSD-3-Clause
"""A small, honest Patchwork on loopback, loaded from mbox files: for ``demo``, tests and trials.

``Sandbox`` is the whole of it; how mails are filed is ``store``'s knowledge, how requests are
answered is ``api``'s. ``python -m ingest.sandbox MBOX… --port N`` runs it alone.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest.errors import Permanent, UsageError
from ingest.sandbox import fork_views, views
from ingest.sandbox import xmlrpc as old_interface
from ingest.sandbox.fork_store import ForkStore
from ingest.sandbox.models import CI, DPDK, FirstIds, Project
from ingest.sandbox.serializers import VERSIONS
from ingest.sandbox.server import HOST, Answering, Request, Server
from ingest.sandbox.store import Store, users_by_token
from ingest.sandbox.views import Answer
from ingest.sources import mbox

__all__ = ["CI", "DPDK", "PUBLIC_URL", "Account", "FirstIds", "Project", "Request", "Sandbox"]

# Deliberately not the address the sandbox listens on: links must not be followed.
PUBLIC_URL = "https://patches.dpdk.org"

KINDS = ("patchwork", "freedesktop")
_POLL_SECONDS = 0.02

# User name, link names of the projects it maintains, and the account's address if it matters.
Account = tuple[str, Iterable[str]] | tuple[str, Iterable[str], str]


class Sandbox:
    """A loopback Patchwork, used as a context manager."""

    def __init__(
        self,
        *mboxes: str,
        port: int = 0,
        first: FirstIds = FirstIds(),  # noqa: B008  frozen
        public_url: str = PUBLIC_URL,
        projects: Collection[Project] | None = None,
        tokens: Mapping[str, Account] | None = None,
        time_zone: str = "UTC",
        api: str = "1.4",
        kind: str = "patchwork",
        xmlrpc: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        verbose: bool = False,
    ) -> None:
        """Load the mboxes; listening begins with ``with``.

        ``port``: 0 for a free one. ``first``: the ids that the first of each kind gets.
        ``public_url``: what links begin with.
        ``projects``: the only ones there are; by default DPDK's ``dpdk`` and ``ci``, and one for
        each List-Id that a mail brings. ``tokens``: accounts that may write checks, by token.
        ``time_zone``: the server's, in which events and checks are dated. ``api``: the newest
        version of the API that it has. ``kind``: "patchwork", or "freedesktop" for its fork, which
        numbers all from 1, has only known projects, and whose accounts log in by their name, with
        their token as the password. ``xmlrpc``: whether its XML-RPC is turned on.
        ``clock``: the time at which mails are filed and checks written, naive times being UTC.
        ``verbose``: log each request on standard error. Raises ``UsageError`` for a time zone or
        a version that is not known, and what ``load`` raises.
        """
        self.requests: list[Request] = []
        zone, users = _zone(time_zone), users_by_token(tokens or {})
        self.fork = ForkStore(clock, tuple(projects or (DPDK, CI)), users, zone)
        self.store = Store(
            first=first,
            clock=clock,
            known=None if projects is None else tuple(projects),
            users=users,
            zone=zone,
        )
        if api not in VERSIONS:
            raise UsageError(f"{api} is not a version of the API: {', '.join(VERSIONS)}")
        if kind not in KINDS:
            raise UsageError(f"{kind} is not a kind of Patchwork: {', '.join(KINDS)}")
        self._is_fork = kind == "freedesktop"
        self._has_xmlrpc = xmlrpc
        self._newest = VERSIONS[api]
        self._port = port
        self._public_url = public_url.rstrip("/")
        self._verbose = verbose
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.load(*mboxes)

    def counts(self) -> str:
        """What it holds, in words."""
        return (self.fork if self._is_fork else self.store).counts()

    @property
    def url(self) -> str:
        """Where it listens, such as ``http://127.0.0.1:40123``."""
        return f"http://{HOST}:{self._port}"

    def load(self, *mboxes: str) -> None:
        """File every mail of these archives, in order. Raises as ``sources.mbox.Reader`` does."""
        for path in mboxes:
            for item in mbox.Reader(path):
                self.file(item.raw)

    def file(self, raw: bytes) -> None:
        """One more mail arrives at Patchwork; what Patchwork would not file is dropped."""
        try:
            (self.fork if self._is_fork else self.store).file(raw)
        except Permanent:
            return

    def start(self) -> None:
        """Listen and answer in a thread of its own. Raises ``OSError`` if the port is taken."""
        if self._is_fork:
            answer: Answering = partial(fork_views.answer, self.fork, self._public_url)
        else:
            answer = partial(views.answer, self.store, self._public_url, self._newest)
        server = Server(self._port, self._with_xmlrpc(answer), self.requests, self._verbose)
        self._port = server.server_port
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(_POLL_SECONDS,), name="sandbox", daemon=True
        )
        self._thread.start()

    def _with_xmlrpc(self, answer: Answering) -> Answering:
        if not self._has_xmlrpc:
            return answer
        store = self.fork if self._is_fork else self.store

        def answered(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            if (method, path) == ("POST", old_interface.PATH):
                return old_interface.answer(list(store.patches.values()), body)
            return answer(method, path, headers, body)

        return answered

    def stop(self) -> None:
        """Stop listening and end every connection. ``start`` again takes the same port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{name} is not a known time zone, such as America/Los_Angeles") from error
