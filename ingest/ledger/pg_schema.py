# SPDX-License-Identifier: BSD-3-Clause
"""How a PostgreSQL database is made a ledger, recognised, and brought to the newest schema."""

import os

from ingest.errors import NoLedger, StateUnavailable
from ingest.ledger.moved import refuse_moved
from ingest.ledger.pg_steps import MIGRATIONS
from ingest.ledger.session import Session
from ingest.ledger.values import Opening

# What is held while the schema is made or brought up to date.
_LOCK = 5_927_361_406

# The oldest schema whose releases can use the newest one.
_OLDEST = 1


def prepare(session: Session, opening: Opening) -> str:
    """Make sure that there is a ledger of a schema that we can use, and bring it to the newest as
    far as ``opening`` allows; its generation. Raises ``StateUnavailable`` and ``NoLedger``."""
    meta = _meta(session)
    if moved := meta.get("moved", ""):
        refuse_moved(moved, session.name, opening)
    version = int(meta.get("schema", 0))
    if not version and opening in (Opening.LOOK, Opening.USE, Opening.MOVE):
        raise NoLedger(f"there is no ledger in {session.name} yet")
    if int(meta.get("oldest", 0)) > len(MIGRATIONS):
        raise StateUnavailable(
            f"the ledger {session.name} has schema {version}, made by a newer release; "
            f"this one knows {len(MIGRATIONS)}: install the newer release"
        )
    if version < len(MIGRATIONS):
        if opening is Opening.LOOK:
            raise StateUnavailable(
                f"the ledger {session.name} was made by an older release: run "
                "recheck-ingest work --once, which brings it up to date"
            )
        _migrate(session)
        meta = _meta(session)
    place = _place(session)
    if meta.get("place") == place or opening is Opening.LOOK:
        return meta.get("generation", "")
    return _begin_generation(session, place)


def _meta(session: Session) -> dict[str, str]:
    if session.rows("SELECT to_regclass('meta') IS NULL AS missing")[0]["missing"]:
        return {}
    return {row["key"]: row["value"] for row in session.rows("SELECT key, value FROM meta")}


def _migrate(session: Session) -> None:
    with session.writing():
        session.run("SELECT pg_advisory_xact_lock(?)", _LOCK)
        version = int(_meta(session).get("schema", 0))  # another may have done it
        if version >= len(MIGRATIONS):
            return
        for step in MIGRATIONS[version:]:
            for statement in step:
                session.run(statement)
        for key, value in (("schema", str(len(MIGRATIONS))), ("oldest", str(_OLDEST))):
            session.insert("meta", {"key": key, "value": value}, or_replace=True)


def _place(session: Session) -> str:
    """What a copy that is put back does not share: the cluster and the database in it."""
    [row] = session.rows(
        "SELECT system_identifier::text || ':' || oid::text AS place"
        " FROM pg_control_system(), pg_database WHERE datname = current_database()"
    )
    return str(row["place"])


def _begin_generation(session: Session, place: str) -> str:
    with session.writing():
        session.run("SELECT pg_advisory_xact_lock(?)", _LOCK)
        meta = _meta(session)
        if meta.get("place") == place:
            return meta["generation"]
        generation = os.urandom(3).hex()
        for key, value in (("generation", generation), ("place", place)):
            session.insert("meta", {"key": key, "value": value}, or_replace=True)
    return generation
