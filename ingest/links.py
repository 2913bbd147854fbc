# SPDX-License-Identifier: BSD-3-Clause
"""Where a request can be seen on the web: on our own page, in Patchwork, and in the list's archive.
Pure."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ingest.config.tables import Settings
from ingest.ledger import Request

_API = re.compile(r"/api(/\d+\.\d+)?$")


@dataclass(frozen=True, slots=True)
class Links:
    """URLs. ``patch``: the page of the patch or cover letter that was replied to; ``series``: the
    list of the series' patches; ``mbox``: the series, for ``git am``; ``archive``: the mail in the
    list's archive; ``page``: the request's own page. None where it is not known."""

    patch: str | None
    series: str | None
    mbox: str | None
    archive: str | None
    page: str | None = None


def of_request(request: Request, settings: Settings) -> Links:
    """The links of a request."""
    patch, series, mbox = _in_patchwork(request, settings)
    return Links(
        patch=patch,
        series=series,
        mbox=mbox,
        archive=in_archive(request.message_id, request.list_id, settings),
        page=page(request.number, settings),
    )


def _in_patchwork(
    request: Request, settings: Settings
) -> tuple[str | None, str | None, str | None]:
    """Where a patch or cover letter, its series and the series' mbox are. freedesktop's fork has
    other pages, and none of a cover letter."""
    server = settings.server(request.server)
    if server is None:
        return None, None, None
    base = _API.sub("", server.url.rstrip("/"))
    kind, number = request.submission.kind, request.submission.id
    patch = f"{base}/{kind}/{number}/" if kind and number else None
    series = f"{base}/series/{request.series}/"
    if request.revision:
        revision = f"{request.series}/revisions/{request.revision}"
        return patch, series, f"{base}/api/1.0/series/{revision}/mbox/"
    project = _quoted(request.project)
    listed = f"{base}/project/{project}/list/?series={request.series}&state=*"
    return patch, listed if project else None, f"{series}mbox/"


def page_path(number: int) -> str:
    """The path of the page of the request of this number."""
    return f"/requests/{number}"


def page(number: int, settings: Settings) -> str | None:
    """The page of the request of this number; None where nobody knows from outside where the
    pages are."""
    base = settings.http.public_url
    return f"{base}{page_path(number)}" if base else None


def fits_check(url: str) -> bool:
    """Whether Patchwork takes a URL as the ``target_url`` of a check: it has a host with a dot or
    is on localhost (Django's URLValidator), and 200 characters at most."""
    host = urlsplit(url).hostname or ""
    return len(url) <= 200 and ("." in host or ":" in host or host == "localhost")


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
