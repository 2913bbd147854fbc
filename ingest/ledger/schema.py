# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger's schema, as the list of steps that lead to it.

``MIGRATIONS[n]`` makes version n + 1 out of version n. A step is never changed once released;
a new one is appended.
"""

from ingest.ledger import upgrade
from ingest.ledger.schema_steps import RELEASED, Migration

MIGRATIONS: tuple[Migration, ...] = (
    *RELEASED,
    (
        # Whose series a request is for, and which revision of it; see ``Request``. Until now there
        # was one server.
        "ALTER TABLE request ADD COLUMN server TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE request ADD COLUMN revision INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX request_server ON request (server)",
        "ALTER TABLE mail ADD COLUMN filed_server TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE batch ADD COLUMN server TEXT DEFAULT ''",
        # The address of the API whose checks these are.
        "ALTER TABLE baseline ADD COLUMN server TEXT NOT NULL DEFAULT ''",
        # Which notices were forwarded, or never will be.
        """CREATE TABLE forwarding (
            mail INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            sent INTEGER NOT NULL
        ) STRICT""",
        # What is looked for, as anybody may see it; NULL where that is all of it.
        "ALTER TABLE request_search ADD COLUMN shown_requester TEXT",
        "ALTER TABLE request_search ADD COLUMN shown_text TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_author TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_text TEXT",
        "ALTER TABLE mail_search ADD COLUMN shown_reason TEXT",
        upgrade.shown,
        "CREATE INDEX result_state ON result (state, request)",
        # Who takes care of its patches, and whether it counts where rates are counted.
        "ALTER TABLE request ADD COLUMN delegates TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE request ADD COLUMN rated INTEGER NOT NULL DEFAULT 1",
    ),
)
