# SPDX-License-Identifier: BSD-3-Clause
"""How a patch or cover letter is found on a server that cannot find a Message-ID (API 1.0, 1.1):
by the title of what replies to it, by the time in the id, by a bounded walk. Only a row with the
very Message-ID counts, so that no answer is a wrong series (PATCHWORK-FACTS.md).
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from ingest.patchwork.api import Api, stamp
from ingest.patchwork.dialect import NEVER, Clue

# The time in ids of git send-email, 20260302090000.1-1-…, and of git, cover.1772442000.git.…
_DATE_IN_ID = re.compile(r"^(\d{14})\.")
_EPOCH_IN_ID = re.compile(r"\.(\d{9,10})\.git\.")
_BEFORE, _AFTER = timedelta(minutes=10), timedelta(minutes=30)
_BY_TITLE, _BY_PAGE, _PAGES = 100, 250, 4


def rows(
    api: Api, path: str, message_id: str, projects: Sequence[str], clue: Clue
) -> Iterator[dict[str, Any]]:
    """Rows of a list (``patches`` or ``covers``), those that are most likely the wanted one first.
    Whoever has found it reads no further. Raises as ``Api.page``."""
    scope = _scope(projects)
    if clue.title:
        yield from titled(api, path, projects, clue.title)
    if at := sent_at(message_id):
        window = f"&since={stamp(at - _BEFORE)}&before={stamp(at + _AFTER)}"
        yield from api.rows(f"{path}/?order=-date&per_page={_BY_PAGE}{window}{scope}")
    if clue.walks:
        page = f"{path}/?order=-date&per_page={_BY_PAGE}{scope}"
        page += f"&before={stamp(clue.sent)}" if clue.sent < NEVER else ""
        for _ in range(_PAGES):
            found, page = api.page(page)
            yield from found
            if not page:
                return


def titled(api: Api, path: str, projects: Sequence[str], title: str) -> list[dict[str, Any]]:
    """The newest rows whose name holds every word of a title. Raises as ``Api.page``."""
    query = f"q={quote(title, safe='')}&order=-date&per_page={_BY_TITLE}"
    return api.rows(f"{path}/?{query}{_scope(projects)}")


def sent_at(message_id: str) -> datetime | None:
    """The time that an id names, in UTC; None if it names none."""
    if date := _DATE_IN_ID.search(message_id):
        try:
            return datetime.strptime(date[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
    epoch = _EPOCH_IN_ID.search(message_id)
    return datetime.fromtimestamp(int(epoch[1]), UTC) if epoch else None


def _scope(projects: Sequence[str]) -> str:
    # Of projects that share a list all rows are asked for: a filter by several is an "and".
    return f"&project={quote(projects[0], safe='')}" if len(projects) == 1 else ""
