# SPDX-License-Identifier: BSD-3-Clause
"""What PostgreSQL's errors say to an operator."""

import psycopg

# What to do, by the error's class or code (PostgreSQL's manual, appendix A).
_ADVICE = {
    "28": "check user, password and pg_hba.conf",
    "3D": "make the database; contrib/postgresql/roles.sql shows how",
    "42501": (
        "give the role its rights as contrib/postgresql/roles.sql does; where a release makes or "
        "changes tables, run recheck-ingest work --once as the role that owns the tables"
    ),
    "53100": "the server's disk is full",
    "53300": "the server has too many connections: raise max_connections",
    "55000": "have [state] ledger say where it is now",
    "55P03": "another process has held what is needed for too long",
    "40P01": "two processes waited for each other: try again",
    "54000": "a name is longer than an index takes, 2,700 bytes: give it a shorter one",
    "57P": "the server is starting or stopping: try again",
    "25006": "the server only reads: name every host of the cluster in [state] ledger",
}


# What servers of every language of messages do not say, but English ones do.
_TEXTS = {
    'role "': "28",
    "authentication failed": "28",
    "does not exist": "3D",
    "too many clients": "53300",
    "session is read-only": "25006",
}


def said(error: Exception) -> str:
    """What an error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:4]) or type(error).__name__


def advice(error: Exception) -> str:
    """What to do about an error."""
    code = (error.sqlstate if isinstance(error, psycopg.Error) else None) or ""
    if not code:  # of a connection that could not be made, the driver gives the text alone
        code = next((code for text, code in _TEXTS.items() if text in str(error)), "")
    fallback = "check that the server runs, and [state] ledger"
    return (
        _ADVICE.get(code)
        or _ADVICE.get(code[:3])
        or _ADVICE.get(code[:2])
        or (f"code {code}" if code else fallback)
    )
