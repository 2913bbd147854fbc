# SPDX-License-Identifier: BSD-3-Clause
"""Values to HTML: the templates, what they may call, and the header fields of every answer.

Whatever a template prints is made harmless and escaped, in this one place; a link that leads
elsewhere is a link only if it leads to the web.
"""

import hashlib
import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from ingest.story.folds import folded
from ingest.story.overview import Asked
from ingest.story.stats import Share, Times
from ingest.web import charts
from ingest.words import ago, counted, harmless, of_series, person

# No script ever, and no style but the one file: CSP level 3.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-cache",
}
# The beginning of a link to one of our own pages.
_OWN_LINK = re.compile(r'(<(?:a|form|link)\b[^<>]* (?:href|action)=")/')
# What is served as it is, and its media type.
STATIC = {"pages.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
# Seconds that a browser may keep such a file: its URL names its content.
_KEPT = 365 * 24 * 3600
# What each outcome of a mail means to whoever sent it.
OUTCOMES = {
    "queued": "It is being worked on, or waits until Patchwork knows what it replies to.",
    "done": "What it asks for is recorded.",
    "ignored": "Nothing was recorded.",
    "rejected": "Nothing was recorded: what it asks for is not allowed here.",
    "unresolved": "Patchwork never came to know what it replies to. It can be tried again.",
    "failed": "It could not be worked on. It can be tried again.",
    "notice": "It is for the operator.",
    "cancelled": "It was withdrawn before anything was recorded.",
}
# And what each result of a label means.
RESULTS = {
    "asked": "It is recorded. Nobody was seen to take it yet; a lab that only reads the retest "
    "JSON never is.",
    "handed over": "The lab has it.",
    "pending": "It runs.",
    "success": "It succeeded.",
    "warning": "It succeeded, with something to look at.",
    "fail": "It failed.",
    "cancelled": "It will not run.",
    "overdue": "It was asked for long ago, and has not been seen to run.",
}


def page(template: str, values: Mapping[str, Any], status: int = 200, base: str = "") -> Response:
    """An answer that shows values by a template. ``base``: what is before the path of each of our
    own pages."""
    text = _environment().get_template(template).render(values)
    if base:  # in a value no quotation mark is one, so that these are all our own
        text = _OWN_LINK.sub(lambda found: f"{found[1]}{escape(base)}/", text)
    return HTMLResponse(text, status, HEADERS)


def static(name: str) -> Response | None:
    """A file of the pages, None if there is none of this name."""
    if name not in STATIC:
        return None
    kept = {"Cache-Control": f"public, max-age={_KEPT}, immutable"}
    return Response(_content(name), headers=HEADERS | kept, media_type=STATIC[name])


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("ingest.web"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        by_mail=_by_mail,
        counted=counted,
        folded=folded,
        here=here,
        lying=charts.lying,
        length=_length,
        named_file=_named_file,
        of_series=of_series,
        outcomes=OUTCOMES,
        outside=outside,
        person=person,
        query_of=_query_of,
        quoted=shlex.quote,
        results=RESULTS,
        share=_share,
        time=_time,
        times=_times,
        upright=charts.upright,
    )
    return made


def here(*segments: object) -> str:
    """The path of one of our own pages, each segment quoted. What is not Unicode in them is
    written out."""
    return "/" + "/".join(
        quote(str(each), safe="@", errors="backslashreplace") for each in segments
    )


def outside(url: str | None, text: str) -> Markup:
    """A link that leads elsewhere, or its text alone if the URL is not one of the web's."""
    shown = harmless(text)
    if not url or not _is_of_the_web(url):
        return Markup("{}").format(shown)
    return Markup('<a rel="noopener noreferrer nofollow" href="{}">{}</a>').format(
        harmless(url), shown
    )


def _is_of_the_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _shown(value: object) -> object:
    """What stands on a page for a value: markup of ours as it is, any text harmless. Anything
    else is a fault of the template."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, (str, int, Undefined)):  # of which the last one raises
        return harmless(str(value), keep="\n")
    raise TypeError(f"{type(value).__name__} is not text")


def _time(at: datetime) -> Markup:
    """A time in UTC, to the minute; the pages say that it is UTC."""
    exact = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        f"{exact:%Y-%m-%dT%H:%M:%SZ}", f"{exact:%Y-%m-%d %H:%M}"
    )


def _by_mail(asked: Asked) -> bool:
    """Whether a mail asked for it, and not a person by hand: a Message-ID has an @."""
    return "@" in asked.message_id


def _length(seconds: float | None) -> str:
    """A length of time, if there is one."""
    return "-" if seconds is None else ago(seconds)


def _share(share: Share) -> str:
    """So many of so many, and the part that this is."""
    part = "" if share.share is None else f" ({share.share:.0%})"
    return f"{share.count} of {share.of}{part}"


def _times(times: Times) -> str:
    """How long something took."""
    if times.median is None:
        return "not yet"
    often = counted(times.count, "label")
    return f"half within {ago(times.median)}, 9 of 10 within {_length(times.most)}, of {often}"


def _query_of(text: str) -> Markup:
    """A search as it begins the query of a URL."""
    return Markup("{}").format(urlencode({"q": text}, errors="backslashreplace") + "&")


def _named_file(name: str) -> str:
    """The URL of a file of the pages, another one for another content."""
    return f"/static/{name}?{hashlib.sha256(_content(name)).hexdigest()[:12]}"


@cache
def _content(name: str) -> bytes:
    return (resources.files("ingest.web") / "static" / name).read_bytes()
