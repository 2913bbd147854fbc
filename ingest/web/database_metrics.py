# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of the database's server that a ledger is in: its standbys and its clock. Pure."""

from ingest.story.status import Standby, Status
from ingest.web.families import Family, by_name, one


def _standbys(status: Status) -> list[Standby]:
    """Of several of one name, the worst last."""
    standbys = status.database.standbys if status.database else ()
    return sorted(standbys, key=lambda each: (each.behind, each.lag))


# Without samples for a ledger in a file.
DATABASE = (
    Family(
        "database_standbys_streaming",
        "Synchronous standbys of the database that stream; not there for a ledger in a file.",
        (),
        lambda status: one(status.database.streaming) if status.database else (),
    ),
    Family(
        "database_standbys_wanted",
        "Synchronous standbys that must stream before anything is written.",
        (),
        lambda status: one(status.database.wanted) if status.database else (),
    ),
    Family(
        "database_standby_behind_bytes",
        "Bytes of the database's log that a standby does not have on its disk.",
        ("standby",),
        lambda status: by_name({each.name: each.behind for each in _standbys(status)}),
    ),
    Family(
        "database_standby_lag_seconds",
        "For how long a standby did not have on its disk what it was sent last.",
        ("standby",),
        lambda status: by_name({each.name: each.lag for each in _standbys(status)}),
    ),
    Family(
        "database_clock_ahead_seconds",
        "By how much this machine's clock is ahead of the database server's.",
        (),
        lambda status: one(status.database.clock_ahead) if status.database else (),
    ),
)
