# SPDX-License-Identifier: BSD-3-Clause
"""Values to HTML: the templates, what they may call, and the header fields of every answer.

Whatever a template prints is made harmless and escaped, in this one place; a link that leads
elsewhere is a link only if it leads to the web.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from ingest.words import ago, counted, harmless

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
    "Permissions-Policy": "interest-cohort=()",
    "Cache-Control": "private, no-cache",
}
# What is served as it is, and its media type.
STATIC = {"pages.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
# Seconds that a browser may keep such a file: its URL names its content.
_KEPT = 365 * 24 * 3600


def page(template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """An answer that shows values by a template."""
    text = _environment().get_template(template).render(values)
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
        ago=ago, counted=counted, here=here, named_file=_named_file, outside=outside, time=_time
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


def _named_file(name: str) -> str:
    """The URL of a file of the pages, another one for another content."""
    return f"/static/{name}?{hashlib.sha256(_content(name)).hexdigest()[:12]}"


@cache
def _content(name: str) -> bytes:
    return (resources.files("ingest.web") / "static" / name).read_bytes()
