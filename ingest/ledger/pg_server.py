# SPDX-License-Identifier: BSD-3-Clause
"""What there is to tell of the PostgreSQL server that a ledger is in: its clock, its standbys, and
which of its settings keep the ledger from being what it promises.
"""

import time

from ingest.ledger.session import Session
from ingest.ledger.values import Server, Standby

_SELF = (
    "SELECT extract(epoch FROM clock_timestamp())::float AS time,"
    " current_setting('server_version') AS version"
)

# Without the right to see it (pg_read_all_stats), a standby's row holds nothing.
_STANDBYS = """SELECT coalesce(application_name, '') AS name,
        coalesce(sync_state IN ('sync', 'quorum'), false) AS synchronous,
        coalesce(state = 'streaming', false) AS streaming,
        greatest(coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn), 0), 0)::bigint
            AS behind,
        coalesce(extract(epoch FROM flush_lag), 0)::float AS lag
    FROM pg_stat_replication ORDER BY application_name, pid"""

# Milliseconds for which a standby that vanished may count as one that streams.
_VANISHED = 20_000

_FOUND = (
    "SELECT name, setting, inet_client_addr() IS NOT NULL AS by_network FROM pg_settings"
    " WHERE name IN ('fsync', 'full_page_writes', 'wal_sender_timeout', 'idle_session_timeout',"
    " 'tcp_user_timeout', 'synchronous_standby_names')"
)


def server(session: Session) -> Server:
    """The server as it is now. Raises ``StateUnavailable``."""
    before = time.time()
    [row] = session.rows(_SELF)
    ours = (before + time.time()) / 2
    standbys = tuple(Standby(**each) for each in session.rows(_STANDBYS))
    return Server(ours - row["time"], row["version"].split()[0], standbys, _wishes(session))


def _wishes(session: Session) -> tuple[str, ...]:
    """What should be set instead, with the reason, a line each. Raises ``StateUnavailable``."""
    rows = session.rows(_FOUND)
    found = {row["name"]: str(row["setting"]) for row in rows}
    by_network = any(row["by_network"] for row in rows)
    said = [
        f"{name} = on: it is off, and a loss of power loses what was acknowledged"
        for name in ("fsync", "full_page_writes")
        if found.get(name) == "off"
    ]
    after = int(found.get("wal_sender_timeout", 0))
    if found.get("synchronous_standby_names") and not 0 < after <= _VANISHED:
        lasts = f"for {after / 1000:g} seconds" if after else "for ever"
        said.append(
            "wal_sender_timeout = 10s: now a standby that vanished counts as streaming "
            f"{lasts}, and each acknowledgement waits for it"
        )
    if found.get("idle_session_timeout", "0") != "0":
        said.append("idle_session_timeout = 0: a lease ends with its connection")
    # Ours is set whenever a connection is made; 0 is what a system says that knows none.
    if by_network and found.get("tcp_user_timeout") == "0":
        said.append(
            "tcp_user_timeout where the server's system knows it: this one does not, and keeps the "
            "leases of a host that vanished for as long as it takes it to be gone"
        )
    return tuple(said)
