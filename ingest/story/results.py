# SPDX-License-Identifier: BSD-3-Clause
"""What became of each label of a request: values, and their words.

Pure: results of the ledger in, values out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.ledger import Result
from ingest.words import utc

# The feed of Patchwork's checks that the ledger keeps, a part of it for each server.
FEED = "results"

# What stands for the label of a request of arguments alone.
_ARGUMENTS = "arguments"


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one ``label`` of a request, or of its arguments where that is None. ``by``:
    who says so, or whom it was handed over to."""

    label: str | None
    state: str
    at: datetime
    by: str | None
    url: str | None
    summary: str | None


def of_request(number: int, results: Iterable[Result]) -> tuple[Became, ...]:
    """The results of one request among those of several."""
    return tuple(
        Became(
            label=each.label or None,
            state=each.state.value,
            at=utc(each.at),
            by=each.author or None,
            url=each.url or None,
            summary=each.summary or None,
        )
        for each in results
        if each.request == number
    )


def line(became: Became) -> str:
    """A result behind its label and state: " by lab: 12 of 12 (https://…)"."""
    by = ""
    if became.by:
        by = f" to {became.by}" if became.state == "handed over" else f" by {became.by}"
    said = f": {became.summary}" if became.summary else ""
    return by + said + (f" ({became.url})" if became.url else "")


def name(label: str | None) -> str:
    """A label as it is shown."""
    return label or _ARGUMENTS


def step(details: Mapping[str, Any]) -> str:
    """The particulars of the story's step ``result`` for a person."""
    by = f", by {details['author']}" if "author" in details else ""
    said = f": {details['summary']}" if "summary" in details else ""
    url = f" ({details['url']})" if "url" in details else ""
    return f"{name(details.get('label'))} {details.get('state')}{by}{said}{url}"
