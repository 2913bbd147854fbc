# SPDX-License-Identifier: BSD-3-Clause
"""What is kept of a request, and of what became of it, as frozen values."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from ingest.value import Value


class Submission(Value):
    """What a request's mail replied to: a ``kind``, "patch" or "cover", and Patchwork's id;
    ``kind`` is "" where that is not known, of a request by hand."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" if self.kind else ""


class Request(Value):
    """One entry of the request log. ``number`` is its place there, 0 before it has one; ``id`` is
    what receivers know it by, "" before the ledger has given it one. ``date`` is the mail's own,
    ``received`` when it came, ``recorded`` when its request came into the log: Unix times.
    ``reason``: why its sender asks, in his own words, "" if he does not say; ``groups``: the labels
    that each group of [groups] stood for, by the group's name; ``parent``: the Message-ID of what
    its mail replied to, "" if that is not known;
    ``server``: the name of the table [patchwork.NAME] of the server whose ``series`` this is, ""
    for [patchwork]; ``revision``: which revision of the series, 0 where series have none.
    ``delegates``: of its patches, addresses in lower case, if a sink asks for them; ``rated``:
    whether it counts where rates are counted, which one out of an archive or by hand does not;
    ``pushed``:
    whether sinks have it, which those of ``replay --no-sinks`` do not."""

    number: int
    mail_id: int
    message_id: str
    series: int
    submission: Submission
    project: str  # the project's link name, "" if unknown
    contexts: tuple[str, ...]
    arguments: Mapping[str, str]
    leftovers: tuple[str, ...]
    requester: Requester
    subject: str
    date: float
    recorded: float
    received: float = 0.0
    id: str = ""
    trust: Trust = Trust()
    list_id: str = ""
    server: str = ""
    revision: int = 0
    delegates: tuple[str, ...] = ()
    rated: bool = True
    pushed: bool = True
    reason: str = ""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parent: str = ""
    cancelled: str = ""  # why nobody is handed it any more, "" if it was not cancelled

    @property
    def is_by_hand(self) -> bool:
        """Whether no mail asked for it: one that does replies to something."""
        return self.message_id == f"mail-{self.mail_id}" and not self.parent

    @property
    def sent(self) -> float:
        """The mail's date as far as it decides anything. A sender's clock may be ahead: no mail was
        sent after it was received."""
        return min(self.date, self.received or self.recorded)


class State(StrEnum):
    """What is known of one label of a request."""

    ASKED = "asked"
    HANDED_OVER = "handed over"  # to a sink or consumer
    PENDING = "pending"  # it runs
    SUCCESS = "success"
    WARNING = "warning"
    FAIL = "fail"
    CANCELLED = "cancelled"
    OVERDUE = "overdue"  # asked, and never seen to run


class Result(Value):
    """What became of one ``label`` of a request, or, where that is "", of a request of arguments
    alone. ``at``: when it was learnt, a Unix time; ``author``: who says so, or whom it was handed
    over to; ``url`` and ``summary``: what the author adds, "" for nothing; ``handed``: when it was
    first handed over, a Unix time, 0 for never; ``earlier``: the state of its checks before the
    request, "" if there were none or nobody looked."""

    request: int
    label: str
    state: State
    at: float
    author: str = ""
    url: str = ""
    summary: str = ""
    handed: float = 0.0
    earlier: str = ""


class Run(Value):
    """One label of one request as figures are made of: of which ``series`` (of a ``server``, and
    which ``revision`` of it), by whom, and the times of its ``Result``. ``requester``: a name, or
    an address where there is no name."""

    request: int
    server: str
    series: int
    revision: int
    requester: str
    label: str
    state: State
    earlier: str
    recorded: float
    handed: float
    at: float


class Baseline(Value):
    """Where the checks of a request begin: the address of the ``server``'s API, and the id of the
    ``newest`` check that it had when the request came."""

    server: str
    newest: int


class Seen(Value):
    """A check that counts as the result of one label of a request: the newest of its patch.
    ``id`` is Patchwork's, and grows."""

    request: int
    label: str
    patch: int
    id: int
    state: State
    author: str = ""
    url: str = ""
    summary: str = ""
