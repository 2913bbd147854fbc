# SPDX-License-Identifier: BSD-3-Clause
"""How a connection to PostgreSQL is made, and what it must be like."""

import logging
import re
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from ingest.errors import ConfigError, StateUnavailable
from ingest.ledger import pooler
from ingest.ledger.deadline import Deadline
from ingest.ledger.masking import masked

Row = dict[str, Any]

_QUOTED = re.compile(r'".*"', re.DOTALL)

# The oldest server that the statements are tried with.
OLDEST_SERVER = 150000

# A host that vanished is known to be gone after these, so that its leases are free.
_GONE = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "9000",
}


def _is_news(record: logging.LogRecord) -> bool:
    """Whether what the driver logs is not said by the error that it raises as well."""
    return not str(record.msg).startswith("error ignored")


logging.getLogger("psycopg").addFilter(_is_news)


def connect(url: str, timeout: float, deadline: Deadline) -> psycopg.Connection[Row]:
    """A connection to the server at a URL that takes writes, of several the first; each statement
    is a transaction unless one is begun.

    ``timeout``: seconds for each host and for each answer; ``deadline``: ends what waits longer.
    Raises psycopg's errors, ``StateUnavailable`` for a server that we cannot use, ``ConfigError``
    for a URL that cannot be read or leads to a pooler that gives one lease to two.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error as error:
        # What it quotes may be the password, or hold it.
        said = _QUOTED.sub('"…"', str(error).strip())
        raise ConfigError(f"[state] ledger is {masked(url)}: {said}") from None
    ours = {
        "application_name": "recheck-ingest",
        "target_session_attrs": "read-write",
        "connect_timeout": str(max(2, round(timeout))),
        "client_encoding": "utf8",
        **{name.replace("tcp_keep", "keep"): value for name, value in _GONE.items()},
    }
    missing = {name: value for name, value in ours.items() if name not in given}
    whole = make_conninfo(url, **missing)
    database = psycopg.connect(whole, autocommit=True, row_factory=dict_row)
    try:
        with deadline.within(database.fileno()):
            found = _set_up(database, timeout)
            _refuse_unfit(found, masked(url))
            if found["process"] != database.info.backend_pid:  # a pooler made that one up
                pooler.refuse_sharing(database, lambda: psycopg.connect(whole, autocommit=True))
    except BaseException:
        database.close()
        raise
    return database


def _set_up(database: psycopg.Connection[Row], timeout: float) -> Row:
    """Settings of the connection, and what the server is."""
    settings = {
        "synchronous_commit": "on",  # whatever the role's default is
        "lock_timeout": f"{timeout * 0.9:.3f}s",
        # A process of ours that is stopped holds up the others no longer than this.
        "idle_in_transaction_session_timeout": f"{timeout * 6:.3f}s",
        "client_connection_check_interval": "2s",
        **_GONE,
    }
    calls = ", ".join(f"set_config('{name}', %s, false)" for name in settings)
    query = (
        "SELECT pg_backend_pid() AS process,"
        " current_setting('server_version_num')::int AS version,"
        f" current_setting('server_encoding') AS encoding, {calls}"
    )
    row = database.execute(query, list(settings.values())).fetchone()
    assert row is not None
    return row


def _refuse_unfit(server: Row, name: str) -> None:
    if server["version"] < OLDEST_SERVER:
        raise StateUnavailable(
            f"the ledger {name} is in PostgreSQL {server['version'] // 10000}; "
            f"{OLDEST_SERVER // 10000} or later is needed"
        )
    if server["encoding"] != "UTF8":
        raise StateUnavailable(
            f"the database of the ledger {name} has encoding {server['encoding']}; "
            "make it with encoding UTF8"
        )
