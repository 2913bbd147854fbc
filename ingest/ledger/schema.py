# SPDX-License-Identifier: BSD-3-Clause
"""The SQLite ledger's schema, as the list of steps that lead to it.

``MIGRATIONS[n]`` makes version n + 1 out of version n. A step is never changed once released;
a new one is appended.
"""

from ingest.ledger.schema_steps import RELEASED, Migration

MIGRATIONS: tuple[Migration, ...] = (*RELEASED,)
