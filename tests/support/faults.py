# SPDX-License-Identifier: BSD-3-Clause
"""Everything that can be wrong with an answer of Patchwork's, and what becomes of the mail."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

from tests.support.bad_server import (
    HOST,
    MEGABYTE,
    Answer,
    Line,
    drips,
    failing,
    floods,
    html,
    http,
    patch_row,
    redirect,
    refused_url,
    resets,
    rows,
    says,
    stalls,
    text,
    then_ends,
)

# What the mail replies to.
OURS = "patch-1@example.org"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault, what becomes of the mail, and how many requests the attempt costs.

    ``ends``: "done"; "useless" and "missing", queued for the next step. ``answers``: to all
    requests in turn. ``overload``: it says that the whole server is to be left alone.
    """

    name: str
    ends: str
    answers: tuple[Answer, ...]
    requests: int = 1
    waits: bool = False  # until the time-out
    overload: bool = False


_GOOD = json.dumps([patch_row(OURS)]).encode()
_BOMB = gzip.compress(b" " * (32 * MEGABYTE))
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_ELSEWHERE = "https://patches.example.org/api/patches/"


def _series(value: Any) -> Answer:
    return rows(patch_row(OURS, series=value))


def _own(line: Line) -> str:
    return f"http://{line.seen.headers['host']}{line.seen.target}"


# Temporary: no answer, or none that can be used.
USELESS = (
    Case("500", "useless", (failing(500),)),
    Case("500 with HTML", "useless", (html(500),)),
    Case("502 with HTML", "useless", (html(502),)),
    Case("503", "useless", (html(503),)),
    Case("504", "useless", (html(504),)),
    Case("429", "useless", (failing(429),), overload=True),
    Case(
        "429 with Retry-After in seconds",
        "useless",
        (failing(429, "Retry-After: 7"),),
        overload=True,
    ),
    Case(
        "429 with Retry-After as a date",
        "useless",
        (failing(429, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"),),
        overload=True,
    ),
    Case(
        "429 with a Retry-After of nonsense",
        "useless",
        (failing(429, "Retry-After: soon"),),
        overload=True,
    ),
    Case(
        "429 with a Retry-After that is no date",
        "useless",
        (failing(429, f"Retry-After: Mon, {'9' * 30} Nov 2026 00:00:00 GMT"),),
        overload=True,
    ),
    Case("401", "useless", (failing(401),)),
    Case("403", "useless", (failing(403),)),
    Case("403 of a bot wall", "useless", (html(403),)),
    Case("408", "useless", (failing(408),)),
    Case("404 as JSON", "useless", (failing(404),)),
    Case("404 as HTML", "useless", (html(404),)),
    *(
        Case(f"{status} as {kind}", "useless", (answer(status),))
        for status in (400, 405, 406, 410, 414, 422, 431, 451)
        for kind, answer in (("JSON", failing), ("HTML", html))
    ),
    Case("201", "useless", (failing(201),)),
    Case("204", "useless", (says(b"HTTP/1.1 204 No Content\r\n\r\n"),)),
    Case("206", "useless", (says(http(206, _GOOD)),)),
    Case("304", "useless", (says(b"HTTP/1.1 304 Not Modified\r\n\r\n"),)),
    Case("a status of 999", "useless", (failing(999),)),
    Case("a status that is no number", "useless", (says(b"HTTP/1.1 OK 200\r\n\r\n"),)),
    Case("no HTTP", "useless", (then_ends(b"220 mail.example.org ESMTP\r\n"),)),
    Case("escapes for a terminal", "useless", (then_ends(b"HTTP/1.1 \x1b[31m \x07\r\n\r\n"),)),
    Case("nothing", "useless", (lambda line: line.close(),)),
    Case("a reset at once", "useless", (resets(b""),)),
    Case("a reset in the head", "useless", (resets(b"HTTP/1.1 200 OK\r\nContent-"),)),
    Case("a reset in the body", "useless", (resets(http(200, b'[{"id"', length=500)),)),
    Case("an empty body", "useless", (text(""),)),
    Case("truncated JSON", "useless", (text(_GOOD[:-9]),)),
    Case("two documents", "useless", (text(_GOOD + _GOOD),)),
    Case("HTML with 200", "useless", (html(200),)),
    Case("null", "useless", (text("null"),)),
    Case("true", "useless", (text("true"),)),
    Case("a number", "useless", (text("29430"),)),
    Case("NaN", "useless", (text("NaN"),)),
    Case("a text", "useless", (text('"29430"'),)),
    Case("an object", "useless", (text(json.dumps(patch_row(OURS))),)),
    Case("a list of junk", "useless", (rows(1, None, "x", 2.5),)),
    Case("a list of lists", "useless", (rows([], [patch_row(OURS)]),)),
    Case("a good row beside junk", "useless", (rows(patch_row(OURS), None),)),
    Case("nesting without end", "useless", (text("[" * 500_000),)),
    Case("nesting with an end", "useless", (text("[" * 100_000 + "]" * 100_000),)),
    Case("a number of 10,000 digits", "useless", (text(f'[{{"id": {"9" * 10_000}}}]'),)),
    Case("invalid UTF-8", "useless", (text(b'[{"msgid": "\xff\xfe\xfd"}]'),)),
    Case("NULs", "useless", (text(b"\0" * 64),)),
    Case("a redirect to another host", "useless", (redirect(lambda line: _ELSEWHERE),)),
    Case("a redirect to a host beside the path", "useless", (redirect(lambda line: "//evil/api"),)),
    Case("a redirect to a file", "useless", (redirect(lambda line: "file:///etc/passwd"),)),
    Case("a redirect to no URL", "useless", (redirect(lambda line: "http://[::1"),)),
    Case("a redirect to no port", "useless", (redirect(lambda line: f"http://{HOST}:99999/"),)),
    Case("a redirect to a refused port", "useless", (redirect(lambda line: refused_url()),)),
    Case("a redirect to nowhere", "useless", (failing(302),)),
    Case("a redirect to a closed scheme", "useless", (redirect(lambda line: f"gopher://{HOST}/"),)),
    Case("redirects in a circle", "useless", (redirect(_own),), 4),
    Case("a redirect of 50 MB", "useless", (redirect(_own, body=b"x" * 50 * MEGABYTE),)),
    Case("a redirect into silence", "useless", (redirect(_own), stalls()), 2, waits=True),
    Case("50 MB", "useless", (floods(http(200, length=50 * MEGABYTE), b" " * MEGABYTE),)),
    Case("an endless answer", "useless", (floods(b"HTTP/1.0 200 OK\r\n\r\n", b" " * 65536),)),
    Case(
        "an endless chunked answer",
        "useless",
        (floods(_CHUNKED, b"1000\r\n" + b" " * 4096 + b"\r\n"),),
    ),
    Case("a gzip bomb", "useless", (says(http(200, _BOMB, "Content-Encoding: gzip")),)),
    Case(
        "a gzip bomb in gzip",
        "useless",
        (says(http(200, gzip.compress(_BOMB), "Content-Encoding: gzip, gzip")),),
    ),
    Case("no gzip", "useless", (says(http(200, _GOOD, "Content-Encoding: gzip")),)),
    Case(
        "half a gzip",
        "useless",
        (says(http(200, gzip.compress(_GOOD)[:60], "Content-Encoding: gzip")),),
    ),
    Case(
        "a compression not asked for",
        "useless",
        (says(http(200, b"\x8b\x03", "Content-Encoding: br")),),
    ),
    Case("a Content-Length too large", "useless", (then_ends(http(200, _GOOD, length=99_999)),)),
    Case("a Content-Length too small", "useless", (then_ends(http(200, _GOOD, length=20)),)),
    Case("two Content-Lengths", "useless", (then_ends(http(200, _GOOD, "Content-Length: 7")),)),
    Case(
        "a chunk of no length",
        "useless",
        (
            then_ends(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n[]\r\n0\r\n\r\n"
            ),
        ),
    ),
    Case(
        "a thousand headers",
        "useless",
        (then_ends(http(200, _GOOD, *(f"X-{number}: y" for number in range(1000)))),),
    ),
    Case(
        "a header of 100 KB", "useless", (then_ends(http(200, _GOOD, f"X-Long: {'y' * 100_000}")),)
    ),
    Case("silence", "useless", (stalls(),), waits=True),
    Case("silence in the head", "useless", (stalls(b"HTTP/1.1 200 OK\r\nX-"),), waits=True),
    Case("silence in the body", "useless", (stalls(http(200, b"[", length=99)),), waits=True),
    Case("a slow status line", "useless", (drips(b"HTTP/1.1 200 ", b"O"),), waits=True),
    Case("slow headers", "useless", (drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),), waits=True),
    Case("a slow header", "useless", (drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"),), waits=True),
    Case("a slow body", "useless", (drips(http(200, b"[", length=99_999), b" "),), waits=True),
    Case(
        "a slow body without length",
        "useless",
        (drips(b"HTTP/1.0 200 OK\r\n\r\n[", b" "),),
        waits=True,
    ),
    Case(
        "slow chunks",
        "useless",
        (drips(_CHUNKED, b"1\r\n \r\n"),),
        waits=True,
    ),
    Case(
        "100 Continue for ever",
        "useless",
        (drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),),
        waits=True,
    ),
)

# Temporary: a usable answer in which there is nothing that this mail replies to.
_NOTHING = rows()
MISSING = (
    Case("an empty list", "missing", (_NOTHING,), 7),
    # Rows of other mails are what a server gives that knows no such filter: it is asked for an id
    # that cannot be, too.
    Case("another msgid", "missing", (rows(patch_row("other@example.org")), _NOTHING), 8),
    Case("a msgid without brackets", "missing", (rows(patch_row(OURS, msgid=OURS)), _NOTHING), 8),
    Case("a msgid in other case", "missing", (rows(patch_row(OURS.upper())), _NOTHING), 8),
    Case("no msgid", "missing", (rows({"id": 1, "series": [{"id": 2}]}), _NOTHING), 8),
    Case("empty objects", "missing", (rows({}, {}), _NOTHING), 8),
    Case("empty series", "missing", (_series([]), _NOTHING), 1),
    Case("series null", "missing", (_series(None), _NOTHING), 1),
    Case("series as an object", "missing", (_series({"id": 29430}), _NOTHING), 1),
    Case("series as a number", "missing", (_series(29430), _NOTHING), 1),
    Case("series as a text", "missing", (_series("29430"), _NOTHING), 1),
    Case("series of numbers", "missing", (_series([29430]), _NOTHING), 1),
    Case("series of null", "missing", (_series([None]), _NOTHING), 1),
    Case("series without id", "missing", (_series([{"version": 1}]), _NOTHING), 1),
    *(
        Case(f"series id {value!r:.30}", "missing", (_series([{"id": value}]), _NOTHING), 1)
        for value in ("29430", True, False, 0, -29430, 2**70, 29430.0, None, [29430], {"id": 1})
    ),
    Case("series id NaN", "missing", (_series([{"id": float("nan")}]), _NOTHING), 1),
    Case("series id Infinity", "missing", (_series([{"id": float("inf")}]), _NOTHING), 1),
    *(
        Case(f"patch id {value!r:.30}", "missing", (rows(patch_row(OURS, id=value)), _NOTHING), 1)
        for value in ("131182", True, -1, 2**70, None)
    ),
)

# Odd, and good.
DONE = (
    Case("a plain answer", "done", (text(_GOOD),)),
    Case("HTTP/1.0", "done", (then_ends(http(200, _GOOD, version="1.0")),)),
    Case("HTTP/1.0 without a length", "done", (then_ends(b"HTTP/1.0 200 OK\r\n\r\n" + _GOOD),)),
    Case(
        "chunks",
        "done",
        (says(_CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in _GOOD) + b"0\r\n\r\n"),),
    ),
    Case("gzip", "done", (says(http(200, gzip.compress(_GOOD), "Content-Encoding: gzip")),)),
    Case("a byte order mark", "done", (text(b"\xef\xbb\xbf" + _GOOD),)),
    Case("another content type", "done", (says(http(200, _GOOD, kind="text/html")),)),
    Case("no content type", "done", (then_ends(b"HTTP/1.1 200\r\n\r\n" + _GOOD),)),
    Case("100 Continue first", "done", (says(b"HTTP/1.1 100 \r\n\r\n" + http(200, _GOOD)),)),
    Case("a redirect to a path", "done", (redirect(lambda line: "/other/"), text(_GOOD)), 2),
    Case("a redirect to itself", "done", (redirect(_own, 301), text(_GOOD)), 2),
    Case("a redirect with 308", "done", (redirect(_own, 308), text(_GOOD)), 2),
    Case(
        "ours among others",
        "done",
        (rows(patch_row("other@example.org", series=[{"id": 1}]), patch_row(OURS)),),
    ),
    Case(
        "ours without series beside ours",
        "done",
        (rows(patch_row(OURS, series=[]), patch_row(OURS)),),
    ),
    Case("two series", "done", (_series([{"id": 29430}, {"id": 29431}]),)),
    Case("unknown fields", "done", (rows(patch_row(OURS, new={"a": [1]})),)),
)

CASES = (*USELESS, *MISSING, *DONE)
