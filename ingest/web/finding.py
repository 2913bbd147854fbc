# SPDX-License-Identifier: BSD-3-Clause
"""The one search box: what a person may have meant by a text, and where that is.

A text is a Message-ID, a link into an archive or Patchwork or to one of our pages, a series, a
request, a label, or a part of a name or subject.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, unquote, urlsplit

from ingest.ledger import Filter, Outcome
from ingest.web import lookups, rendering
from ingest.web.lookups import Reader
from ingest.web.views import PER_PAGE, Elsewhere, Look, Page

LONGEST = 1000
# The outcomes of mails that are not found by their requests.
_OTHERS = tuple(each for each in Outcome if each is not Outcome.DONE)

_NUMBER = re.compile(r"#?([0-9]{1,18})")
_MAIL = re.compile(r"mail-[0-9]{1,18}")
_SERIES = re.compile(r"/series/([0-9]{1,18})(?:/|\Z)")
_MESSAGE_ID = re.compile(r"<?([^<>\s]+@[^<>\s]+?)>?")


def search(at: Look) -> Page:
    """The one page that a text leads to, or what was found."""
    text = at.query.get("q", "").strip()[:LONGEST]
    if not text:
        raise Elsewhere("/")
    paths = list(dict.fromkeys(named(text, at.reader)))
    if len(paths) == 1:
        raise Elsewhere(paths[0])
    wanted = Filter(texts=(text,))
    requests = lookups.requests(at.reader, wanted, at.page, PER_PAGE, counted=False)
    others = replace(wanted, states=_OTHERS)
    mails = lookups.mails(at.reader, others, at.page, PER_PAGE, counted=False)
    values = {"text": text, "paths": paths, "requests": requests, "mails": mails}
    return Page("search.html", values)


def named(text: str, reader: Reader) -> Iterator[str]:
    """The paths of the pages about what a text names exactly."""
    if re.match(r"https?://", text, re.IGNORECASE):
        yield from _in_url(text, reader.settings.http.public_url)
    elif number := _NUMBER.fullmatch(text):
        value = int(number[1])
        if text[0] != "#" and reader.ledger.count_requests(Filter(series=(value,))):
            yield rendering.here("series", value)
        if reader.ledger.results.request(str(value)):
            yield rendering.here("requests", value)
    elif (found := _MESSAGE_ID.fullmatch(text)) and (
        text.startswith("<") or reader.ledger.find(found[1])
    ):
        yield rendering.here("mails", found[1])
    elif _MAIL.fullmatch(text) and reader.ledger.find(text):
        yield rendering.here("mails", text)
    elif reader.ledger.count_requests(Filter(labels=(text,))):
        yield rendering.here("labels", text)
    elif asked := reader.ledger.results.request(text):
        yield rendering.here("requests", asked.number)


def _in_url(url: str, base: str) -> Iterator[str]:
    """The path of the page about what a link names: a page of ours, a series, a Message-ID.
    ``base``: where our pages are, "" if nobody knows."""
    try:
        parts = urlsplit(url)
        series = parse_qs(parts.query, max_num_fields=100).get("series", [""])[0]
    except ValueError:
        return
    if base and url.startswith(f"{base}/"):
        path = url.removeprefix(base).partition("?")[0].partition("#")[0]
        yield rendering.here(*(unquote(each) for each in path.lstrip("/\\").split("/")))
    elif _NUMBER.fullmatch(series):
        yield rendering.here("series", int(series))
    elif found := _SERIES.search(parts.path):
        yield rendering.here("series", int(found[1]))
    else:
        segments = [unquote(each) for each in reversed(parts.path.split("/"))]
        yield from (rendering.here("mails", each) for each in segments if "@" in each)
