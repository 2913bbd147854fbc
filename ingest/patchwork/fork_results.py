# SPDX-License-Identifier: BSD-3-Clause
"""The test results of freedesktop's fork as checks. Pure."""

from datetime import UTC, datetime
from typing import Any

from ingest.errors import Unanswered
from ingest.patchwork.dialect import Check

# What the fork calls otherwise.
_STATES = {"failure": "fail", "info": "success"}


def of(row: dict[str, Any], path: str) -> Check:
    """A row as a check, whose id is the microseconds of its date. Raises ``Unanswered``."""
    name, state, date = row.get("test_name"), row.get("state"), row.get("date")
    url, summary = row.get("url"), row.get("summary")
    try:
        moment = datetime.fromisoformat(date if isinstance(date, str) else "")
    except ValueError:
        raise Unanswered(f"Patchwork's answer to {path} holds something else") from None
    if not isinstance(name, str) or not name.isprintable() or not isinstance(state, str):
        raise Unanswered(f"Patchwork's answer to {path} holds something else")
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Check(
        context=name,
        state=_STATES.get(state, state),
        description=summary if isinstance(summary, str) else "",
        id=max(0, since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds),
        url=url if isinstance(url, str) else "",
    )
