# SPDX-License-Identifier: BSD-3-Clause
"""What a person should know of a request whose series has a newer revision since, on servers that
have revisions of a series. Nothing follows from it: the request is for the revision that it names.
"""

import logging
from collections.abc import Sequence

from ingest.ledger import Event, Feed, Ledger, Request
from ingest.patchwork.dialect import Dialect
from ingest.story.results import FEED

log = logging.getLogger(__name__)


def note(dialect: Dialect, ledger: Ledger, requests: Sequence[Request], now: float) -> int:
    """Tell in the stories of these requests' mails of newer revisions, each once; how many that
    were. Raises as ``Dialect`` does."""
    told = 0
    with_revision = [each for each in requests if each.revision and each.project]
    for project in sorted({each.project for each in with_revision}):
        part = f"{dialect.base} revisions of {project}"
        feeds = (each for each in ledger.feeds() if (each.name, each.part) == (FEED, part))
        last = next((each.position for each in feeds), "")
        news = dialect.new_revisions(project)
        newest = max((each.at for each in news), default="")
        if newest <= last:
            continue
        newer = [
            (request, each)
            for each in news
            for request in with_revision
            if each.at > last
            and (request.project, request.series) == (project, each.series)
            and request.revision < each.revision
        ]
        with ledger.batch():  # so that each is told once
            for request, each in newer:
                details = {"series": each.series, "revision": each.revision}
                ledger.tell(request.mail_id, [Event(now, "newer revision", details)])
            ledger.set_feed(Feed(FEED, part, newest, moved=now))
        told += len(newer)
    return told
