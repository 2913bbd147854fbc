# SPDX-License-Identifier: BSD-3-Clause
"""How far whoever reads the ledger, or is read into it, has come, as frozen values."""

from ingest.value import Value

# The consumer of the retest JSON.
DEFAULT_CONSUMER = "default"


def default_consumer(host: str) -> str:
    """The name of the consumer that the retest JSON stands for, on this machine if several share
    the ledger."""
    return f"{DEFAULT_CONSUMER}@{host}" if host else DEFAULT_CONSUMER


def is_default(consumer: str) -> bool:
    """Whether a retest JSON stands for this consumer, here or on another machine."""
    return consumer.partition("@")[0] == DEFAULT_CONSUMER


class Cursor(Value):
    """How far a sink has come: the number of the last request it has had. ``tries`` and ``due``
    are the retry schedule of a sink that could not write, ``reason`` says why; ``begun`` is the
    number up to which a write was begun that is not confirmed yet, and ``second`` the promised
    second that this write carries."""

    name: str
    position: int = 0
    moved: float = 0.0
    tries: int = 0
    due: float = 0.0
    reason: str = ""
    begun: int = 0
    second: float = 0.0


class Consumer(Value):
    """Who takes requests on demand: the number of the last request that it took, and the Unix
    time when it did. ``begun`` is the number up to which it was given requests and did not confirm
    them yet, because it was killed in between; ``second`` is the promised second of these.
    ``told``: of a request behind this number the mail's story tells whether it was taken or passed
    over; older releases did not note it."""

    name: str
    position: int = 0
    moved: float = 0.0
    begun: int = 0
    second: float = 0.0
    told: int = 0


class Batch(Value):
    """Requests that a consumer was given and has not confirmed: those behind number ``after`` up
    to ``last``, narrowed to ``contexts``, of the ledger's ``generation``. ``given``: how often the
    consumer got them; ``due``: the Unix time at which it gets them again; ``second``: the
    promised second that they carry each time. ``server``: only those for series of this server,
    see ``Request``; None for all servers."""

    consumer: str
    after: int
    last: int
    contexts: tuple[str, ...] = ()
    generation: str = ""
    given: int = 0
    due: float = 0.0
    second: float = 0.0
    server: str | None = ""

    @property
    def id(self) -> str:
        """What confirms the batch: its consumer, the numbers of its first and last request, and
        the generation, without which a restored ledger might confirm another batch."""
        numbers = f"{self.consumer}:{self.after + 1}-{self.last}"
        return f"{numbers}-{self.generation}" if self.generation else numbers

    @property
    def numbers(self) -> range:
        """Those of its requests."""
        return range(self.after + 1, self.last + 1)


class Aside(Value):
    """A request that a sink has behind it and did not hand over. ``since``: when it was set aside,
    a Unix time; ``due``: when it is tried again, None if that is left to an operator."""

    sink: str
    request: int
    since: float
    tries: int
    due: float | None
    reason: str


class Letter(Value):
    """A mail of ours that is sent once. ``id``: its Message-ID; ``sink``: what sends it;
    ``request``: the number of the request that it is about, 0 for none; ``at``: when it was made, a
    Unix time, as are ``due`` and ``sent``, which is 0 before it was sent; ``raw``: the mail, b""
    once it was sent, or if it never will be, for the ``reason``."""

    id: str
    sink: str
    request: int
    at: float
    recipients: tuple[str, ...] = ()
    raw: bytes = b""
    tries: int = 0
    due: float = 0.0
    reason: str = ""
    sent: float = 0.0


class Pause(Value):
    """A sink that is to hand nothing over until an operator resumes it. ``since``: a Unix time;
    ``reason``: what the operator said, "" for nothing."""

    sink: str
    since: float
    reason: str = ""


class Feed(Value):
    """How far a source has come that is read from somewhere else. ``name``: the source's, as
    "inbox.dev"; ``part``: which of the feeds that it is made of, "" for all of it; ``position``:
    what was taken in last, in the source's words; ``begun``: the Unix time from which on all is
    wanted; ``moved``: of the last look that went well; ``tries`` and ``reason``: the looks since
    then that failed, and why the last one did."""

    name: str
    part: str = ""
    position: str = ""
    begun: float = 0.0
    moved: float = 0.0
    tries: int = 0
    reason: str = ""
