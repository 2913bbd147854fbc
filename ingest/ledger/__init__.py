# SPDX-License-Identifier: BSD-3-Clause
"""The ledger: queued mails and their outcomes, the request log, the cursors. All state is here.

``open_ledger`` gives a ``Ledger`` by URL; every process of the program opens its own and several
share one safely. ``sqlite`` is the default implementation and the contract's reference;
``postgres`` is the one for several machines.
"""

from collections.abc import Callable, Iterator

from ingest.config.tables import StateSettings
from ingest.errors import ConfigError
from ingest.ledger.masking import masked
from ingest.ledger.parts import Asides, Letters, Notices, Results
from ingest.ledger.progress import Aside, Batch, Consumer, Cursor, Feed, Letter, Pause
from ingest.ledger.protocol import Ledger
from ingest.ledger.request_values import Baseline, Request, Result, Run, Seen, State, Submission
from ingest.ledger.values import (
    ARCHIVED,
    UNPUSHED,
    Arrival,
    Attention,
    Envelope,
    Event,
    Filing,
    Filter,
    Happening,
    Keep,
    Notice,
    Opening,
    Original,
    Outcome,
    Queued,
    Record,
    Server,
    Totals,
    Wait,
    Waiting,
)

__all__ = [
    "ARCHIVED",
    "UNPUSHED",
    "WORKER_LEASE",
    "Arrival",
    "Aside",
    "Asides",
    "Attention",
    "Baseline",
    "Batch",
    "Consumer",
    "Cursor",
    "Envelope",
    "Event",
    "Feed",
    "Filing",
    "Filter",
    "Happening",
    "Keep",
    "Ledger",
    "Letter",
    "Letters",
    "Notice",
    "Notices",
    "Opening",
    "Original",
    "Outcome",
    "Pause",
    "Queued",
    "Record",
    "Request",
    "Result",
    "Results",
    "Run",
    "Seen",
    "Server",
    "State",
    "Submission",
    "Totals",
    "Wait",
    "Waiting",
]

# The lease of the first worker, which is the only one unless [worker] at_once says more.
WORKER_LEASE = "worker-1"


def worker_lease(number: int) -> str:
    """The lease of a worker, counted from 1."""
    return f"worker-{number}"


# Requests read at once.
_PAGE = 100


def open_ledger(
    url: str,
    *,
    busy_timeout: float = 20.0,
    mode: int = 0o660,
    opening: Opening = Opening.WRITE,
    timeout: float = 10.0,
    replicas: int = 0,
) -> Ledger:
    """The ledger at ``url``, ``sqlite:PATH`` or ``postgresql://HOST/DATABASE``.

    ``busy_timeout``: seconds to wait for another process's write to a file; ``mode``: permissions
    of a new file; ``timeout``: seconds for an answer of a server; ``replicas``: how many of its
    standbys must have what is written. Raises ``StateUnavailable`` if it cannot be opened,
    ``NoLedger`` if there is none and none is to be made, ``ConfigError`` for another kind of URL.
    """
    scheme, _, path = url.partition(":")
    openers: dict[str, Callable[[], Ledger]] = {
        "sqlite": lambda: _sqlite(path, busy_timeout, mode, opening),
        "postgresql": lambda: _postgres(url, timeout, replicas, opening),
    }
    if scheme not in openers or not path:
        raise ConfigError(
            f"[state] ledger is {masked(url)!r}, but must be like sqlite:/path/to/file or "
            "postgresql://host/database"
        )
    return openers[scheme]()


def open_configured(state: StateSettings, opening: Opening = Opening.WRITE) -> Ledger:
    """The ledger of the settings' table [state]. Raises as ``open_ledger``."""
    return open_ledger(
        state.ledger,
        busy_timeout=state.busy_timeout,
        mode=state.mode,
        opening=opening,
        timeout=state.timeout,
        replicas=state.replicas,
    )


def requests_after(ledger: Ledger, number: int) -> Iterator[Request]:
    """The request log behind a number, in order, read piece by piece."""
    while page := ledger.requests(after=number, limit=_PAGE):
        yield from page
        number = page[-1].number


def _sqlite(path: str, busy_timeout: float, mode: int, opening: Opening) -> Ledger:
    from ingest.ledger.sqlite import SqliteLedger

    return SqliteLedger(path, busy_timeout=busy_timeout, mode=mode, opening=opening)


def _postgres(url: str, timeout: float, replicas: int, opening: Opening) -> Ledger:
    try:
        from ingest.ledger.postgres import PostgresLedger
    except ImportError as error:
        raise ConfigError(
            f"[state] ledger is {masked(url)}, which needs psycopg: "
            f"pip install 'recheck-ingest[postgresql]' ({error})"
        ) from error
    return PostgresLedger(url, timeout=timeout, replicas=replicas, opening=opening)
