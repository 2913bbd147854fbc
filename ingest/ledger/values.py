# SPDX-License-Identifier: BSD-3-Clause
"""What is kept of a mail, what is looked for, and the ledger at a glance, as frozen values."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ingest.ledger.progress import Batch, Consumer, Cursor, Feed, Pause
from ingest.ledger.request_values import Request, State
from ingest.value import Value

# Notices that are kept: anybody can send them.
MOST_NOTICES = 50
# Events of all mails that are kept for those who follow them; each is kept with its mail as well.
MOST_HAPPENINGS = 10_000
# A mail that was taken up this often and never came to an end is not tried any more: whatever
# kills the worker would do so for ever.
MOST_STARTS = 20


def rest_after(starts: int) -> float:
    """Seconds that a mail rests when its worker has died so many times while working on it."""
    # At once after one death: that was hardly this mail's fault.
    return 0.0 if starts < 3 else min(2.0**starts, 600.0)


# Of the mails of one Message-ID, which anybody can send, those that are found by it, that each of
# them names, and that a comment is compared with.
MOST_FOUND, MOST_OTHERS, MOST_ORIGINALS = 1000, 100, 100
# Characters of a mail's story beyond which nothing is added that could come again and again; and
# of the reason for its state.
LONGEST_STORY, LONGEST_REASON = 200_000, 2000

# Seconds by which durations are kept apart.
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)


class Outcome(StrEnum):
    """The state of a mail; all but ``QUEUED`` are ends."""

    QUEUED = "queued"  # waits for the worker, or for Patchwork
    DONE = "done"  # its requests are in the log
    IGNORED = "ignored"  # no request, or none that is wanted here
    REJECTED = "rejected"  # not taken in as it is
    UNRESOLVED = "unresolved"  # Patchwork never came to know what it replies to
    FAILED = "failed"  # could not be worked on
    CANCELLED = "cancelled"  # ended by an operator
    NOTICE = "notice"  # for the operator: a list's confirmation or other administrivia, a bounce


class Waiting(StrEnum):
    """What a queued mail that was tried waits for."""

    NOTHING = ""
    MISSING = "missing"  # Patchwork does not know what it replies to, yet
    DOWN = "down"  # Patchwork gives no usable answer
    FAILING = "failing"  # Patchwork is well, but a question about this mail fails, or we do


class Wait(Value):
    """What a queued mail waits for. ``since``: when it began to wait for that, a Unix time, as
    are ``begun`` and ``due``, between which it is left alone; ``tries``: the attempts that ended
    in it; ``waited``: the seconds that count of the time since, ``missing``: those for which
    Patchwork, while it was up, has not known what the mail replies to."""

    waiting: Waiting = Waiting.NOTHING
    since: float = 0.0
    tries: int = 0
    begun: float = 0.0
    due: float = 0.0
    waited: float = 0.0
    missing: float = 0.0


class Envelope(Value):
    """What the transport said of a mail; ``sender`` is None where there was no envelope and ""
    for the null sender of a bounce."""

    sender: str | None = None
    recipients: tuple[str, ...] = ()
    peer: str = ""


class Filing(Value):
    """Where Patchwork has filed a mail as a comment; false if that is not known. ``kind`` is
    "patch" or "cover"; ``submission`` and ``comment`` are Patchwork's ids; ``parent`` is the
    submission's Message-ID, "" if the server did not name it; ``server``: see ``Request``."""

    kind: str = ""
    submission: int = 0
    comment: int = 0
    parent: str = ""
    server: str = ""

    def __bool__(self) -> bool:
        return bool(self.kind)

    def __str__(self) -> str:
        return f"{self.kind} {self.submission}, comment {self.comment}" if self else ""


class Arrival(Value):
    """A mail to be kept. ``identity`` makes copies one; ``received`` is a Unix time; ``sender``
    is whose turn it is when the mail is worked on, "" for those who keep their order; ``author``
    and ``subject`` are what From and Subject say, for a person."""

    raw: bytes
    identity: str
    message_id: str
    list_id: str
    source: str
    received: float
    envelope: Envelope = Envelope()
    outcome: Outcome = Outcome.QUEUED
    reason: str = ""
    sender: str = ""
    filing: Filing = Filing()
    author: str = ""
    subject: str = ""
    passage: str = ""  # see ``Trust``


class Original(Value):
    """A mail as it came, if its raw bytes are still there."""

    id: int
    raw: bytes
    envelope: Envelope


class Event(Value):
    """One step in a mail's story: a Unix time, what happened, and its particulars."""

    at: float
    what: str
    details: Mapping[str, Any]


class Happening(Value):
    """An event among those of all mails, in the order in which the ledger came to know them.
    ``number`` is its place there, which several that were told together share; ``mail_id`` and
    ``message_id`` are those of its mail, 0 and "" if it is about none; ``is_notice``: that mail is
    one for the operator."""

    number: int
    event: Event
    mail_id: int = 0
    message_id: str = ""
    is_notice: bool = False


# What the sources of mails out of archives begin with; the place in the archive follows.
ARCHIVED = "replay "
# The same if no sink is to have their requests.
UNPUSHED = f"{ARCHIVED}--no-sinks "


class Timing(Value):
    """How long something took. ``numbers``: how often no longer than each of ``BOUNDS``, and longer
    than the one before it, and at last how often longer than all; ``seconds``: all together."""

    numbers: tuple[int, ...]
    seconds: float


class Queued(Value):
    """A mail that a worker has taken up. ``wait`` is the wait that has just ended; ``holder`` the
    name of the lease that the worker holds."""

    id: int
    raw: bytes
    identity: str
    message_id: str
    source: str
    envelope: Envelope
    received: float
    wait: Wait
    holder: str = ""
    sender: str = ""
    filing: Filing = Filing()
    passage: str = ""  # see ``Trust``
    proof: str | None = None  # how its author was proved, None before that was tried

    @property
    def is_archived(self) -> bool:
        """Whether it came out of an archive: what it asks for was asked long ago."""
        return self.source.startswith(ARCHIVED)

    @property
    def is_unpushed(self) -> bool:
        """Whether no sink is to have its requests."""
        return self.source.startswith(UNPUSHED)


class Record(Value):
    """A mail as ``show`` tells of it."""

    id: int
    message_id: str
    list_id: str
    source: str
    envelope: Envelope
    received: float
    size: int
    outcome: Outcome
    reason: str
    due: float | None
    tries: int
    story: tuple[Event, ...]
    requests: tuple[Request, ...]
    filing: Filing = Filing()
    others: tuple[int, ...] = ()  # the oldest other mails of the same Message-ID
    author: str = ""
    subject: str = ""


class Attention(Value):
    """What a person must act on, besides unresolved and failed mails: requests with a label that is
    overdue, those that one of these ``sinks`` has set aside or skipped, and those whose number is
    above ``after``, for which a sink that fails is still to come; None if no sink fails."""

    sinks: tuple[str, ...] = ()
    after: int | None = None


class Filter(Value):
    """What is looked for. A field that is empty lets all pass; of several values in one field any
    one is enough; all fields together must fit. ``states``, of the mail, and ``results``, of one of
    a request's labels, are one field in this. ``requesters`` and ``texts`` are parts, in upper or
    lower case; ``since`` and ``before`` are Unix times, the first one included, of a request's
    recording or a mail's reception. ``active``: only requests with a result that is still to come,
    and mails that have one or are queued. ``shown``: parts are looked for in what anybody may see,
    see ``words.shortened``, and notices, which are for the operator, are left out. ``limit`` and
    ``offset`` count from the newest, or ``from_oldest``; what is found has the newest first."""

    states: tuple[Outcome, ...] = ()
    results: tuple[State, ...] = ()
    series: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()  # see ``Request``
    texts: tuple[str, ...] = ()
    since: float | None = None
    before: float | None = None
    attention: Attention | None = None
    active: bool = False
    shown: bool = False
    limit: int = 100
    offset: int = 0
    from_oldest: bool = False


class Notice(Value):
    """A mail for the operator. ``reason``: what it says; ``received``: a Unix time."""

    mail_id: int
    message_id: str
    received: float
    reason: str


class Totals(Value):
    """The ledger at a glance. Times are Unix times, 0 for never."""

    mails: Mapping[str, int]  # by outcome
    waiting: Mapping[str, int]  # queued mails by what they wait for
    oldest: float  # reception of the oldest queued mail
    last_received: float
    due: float  # when the next queued mail is due
    requests: int
    last_request: int  # the newest one's number
    cursors: tuple[Cursor, ...]
    consumers: tuple[Consumer, ...] = ()
    batches: tuple[Batch, ...] = ()
    feeds: tuple[Feed, ...] = ()
    notices: tuple[Notice, ...] = ()  # the newest first
    size: int = 0  # bytes on the disk
    overdue: int = 0  # labels that were asked for and never seen to run
    pauses: tuple[Pause, ...] = ()  # of sinks, by name


class Standby(Value):
    """A copy of a server that follows it. ``behind``: bytes of the server's log that it does not
    have on its disk yet, and ``lag``: for how many seconds it last did not."""

    name: str
    synchronous: bool
    streaming: bool
    behind: int
    lag: float


class Server(Value):
    """The server that a ledger is in: by how many seconds our clock is ahead of its own, its
    release, its standbys, and what its settings should be instead, for an operator."""

    clock_ahead: float
    version: str
    standbys: tuple[Standby, ...] = ()
    wishes: tuple[str, ...] = ()

    @property
    def streaming(self) -> int:
        """How many synchronous standbys stream."""
        return sum(each.synchronous and each.streaming for each in self.standbys)


class Keep(Value):
    """What ``prune`` leaves. The times are Unix times: of mails that ended before them the raw
    bytes, the ignored ones, or all with their requests are dropped; ``raw_bytes`` is how many raw
    bytes, as they are stored, mails that ended keep in all."""

    raw: float
    ignored: float = 0.0
    requests: float = 0.0
    raw_bytes: int = 1 << 62


class Opening(StrEnum):
    """What a ledger is opened for. ``WRITE`` and ``USE`` bring an older one to the newest schema,
    whatever its size, after a backup."""

    WRITE = "write"  # made if it is not there
    PIPE = "pipe"  # as well, but an older one is brought up to date only if it is small
    USE = "use"  # not made if it is not there
    MOVE = "move"  # as ``USE``, also one whose move was broken off
    LOOK = "look"  # nothing is made or changed
