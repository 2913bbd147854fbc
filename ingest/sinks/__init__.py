# SPDX-License-Identifier: BSD-3-Clause
"""What writes requests outside the ledger: what a sink is, and what one needs to work.

Each kind of sink is a module here that is named as its table in the configuration.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from typing import Protocol

from ingest.errors import SinkUnavailable
from ingest.ledger import Ledger, Request, Result
from ingest.policy.manners import Manners
from ingest.value import Value

log = logging.getLogger(__name__)

# What forwards notices to the operator: its name among the sinks.
NOTICES = "notices"
# What sends the operator a mail a day.
DIGEST = "digest"

Clock = Callable[[], float]
Stop = Callable[[], bool]


class Sink(Protocol):
    """Brings what it writes to up to the end of the request log."""

    @property
    def name(self) -> str:
        """Its cursor's name, such as ``webhook:jenkins``."""

    def is_due(self, ledger: Ledger, now: float) -> bool:
        """Whether there is something to hand over now."""

    def deliver(self, ledger: Ledger, *, clock: Clock, until: float | None, stop: Stop) -> int:
        """Hand over what is due; how many requests that were.

        Nothing is done if another process is at it, or before the next attempt is due. ``until``:
        a Unix time after which nothing further is begun; ``stop``: asked whether to end. Raises
        ``SinkUnavailable`` after noting it in the cursor.
        """


class Given(Value):
    """What came of handing a request over, in a few words for the mail's story; and what the
    receiver said at once of its labels."""

    answer: str
    results: tuple[Result, ...] = ()


class Receiver(Protocol):
    """Takes one request at a time."""

    @property
    def name(self) -> str:
        """Its cursor's name, such as ``webhook:jenkins``."""

    def give(self, request: Request, *, again: bool, stop: Stop) -> str | Given:
        """Hand one request over; what came of it, in a few words, for the mail's story, or
        ``Given`` if it said more.

        ``again``: it may have had it before, for an attempt at it did not come to an end.
        ``stop``: asked now and then, by what takes long, whether to end it with
        ``SinkUnavailable``. Raises that if the receiver is not to be had, and all wait; it raises
        ``TurnedAway`` if it is, but takes this request for nothing that the request can help, and
        ``NotTaken`` if the request is at fault.
        """


class Configured(Receiver, Protocol):
    """A receiver that was made of a table of settings. ``once_per_mail``: of the requests of one
    mail, which are for several series if it went to several lists, it gets the first only."""

    once_per_mail: bool

    @property
    def manners(self) -> Manners:
        """How often it gets requests of one requester."""

    @property
    def purpose(self) -> str:
        """What it does, in a few words for ``check``: "posts to https://ci.example.org"."""

    def problems(self) -> list[str]:
        """What keeps it from its work, as far as it shows without sending anything, and which of
        its secrets others can get at. The answer may depend on who asks: another user may not
        read the same files."""

    def dangers(self) -> list[str]:
        """What works, but should not be so: a token that is sent in the clear."""


def follow_up_name(name: str) -> str:
    """The name of what sends the second answers of [mail.NAME]."""
    return f"mail:{name} results"


def refusals_name(name: str) -> str:
    """What tells people why they were refused, of the sink [mail.NAME]."""
    return f"mail:{name} refusals"


def lease_name(name: str) -> str:
    """The lease under which a sink is at work, fit for a file's name."""
    if re.fullmatch(r"[a-z_]+:[a-z0-9-]+", name):
        return name.replace(":", "-")
    kind = name.partition(":")[0]
    return f"{kind}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"


def is_paused(due: float, now: float, longest: float) -> bool:
    """Whether the next attempt is not due yet. Longer than ``longest`` seconds from now is no
    pause of ours: the clock was set back."""
    return now < due <= now + longest


def trouble_of(error: Exception, what: str) -> SinkUnavailable:
    """Whatever a sink met, as the trouble of this sink, which tries again: it ends no thread, and
    ``status`` tells of it. ``what``: the file or the request that it was at."""
    if isinstance(error, SinkUnavailable):
        return error
    if isinstance(error, OSError):
        return SinkUnavailable(f"{what} met {error.strerror or error}")
    log.error("a bug met %s", what, exc_info=error)
    return SinkUnavailable(f"a bug of ours met {what}: {type(error).__name__}: {error}")
