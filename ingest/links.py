# SPDX-License-Identifier: BSD-3-Clause
"""Where a request can be seen on the web: in Patchwork, and in the list's archive. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from ingest.config.tables import Settings
from ingest.ledger import Request

_API = re.compile(r"/api(/\d+\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Links:
    """URLs. ``patch``: the page of the patch or cover letter that was replied to; ``series``: the
    list of the series' patches; ``mbox``: the series, for ``git am``; ``archive``: the mail in the
    list's archive. None where it is not known."""

    patch: str | None
    series: str | None
    mbox: str | None
    archive: str | None


def of_request(request: Request, settings: Settings) -> Links:
    """The links of a request."""
    base = _API.sub("", settings.patchwork.url.rstrip("/"))
    kind, number = request.submission.kind, request.submission.id
    project, series = _quoted(request.project), request.series
    return Links(
        patch=f"{base}/{kind}/{number}/" if kind and number else None,
        series=f"{base}/project/{project}/list/?series={series}&state=*" if project else None,
        mbox=f"{base}/series/{series}/mbox/",
        archive=in_archive(request.message_id, request.list_id, settings),
    )


def in_archive(message_id: str, list_id: str, settings: Settings) -> str | None:
    """Where the list's archive has a mail, by the template ``[requests] archive``; None without
    one, or if the template needs more than is known."""
    template = settings.requests.archive
    known = {
        "{message_id}": _quoted(message_id) if "@" in message_id else "",
        "{list}": _quoted(list_id.partition(".")[0]),
        "{list_id}": _quoted(list_id),
    }
    used = {name: value for name, value in known.items() if name in template}
    if not template or not all(used.values()):
        return None
    for name, value in used.items():
        template = template.replace(name, value)
    return template


def _quoted(text: str) -> str:
    """A text as one segment of a path; what is not Unicode in it is written out."""
    return quote(text, safe="@", errors="backslashreplace")
