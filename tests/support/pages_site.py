# SPDX-License-Identifier: BSD-3-Clause
"""A listener on a ledger that has something for every page, much of it hostile, and a client that
reads the header fields of answers."""

import contextlib
import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from ingest.config.tables import Settings
from ingest.handover import by_hand
from ingest.handover.by_hand import Wish
from ingest.ledger import Cursor, Envelope, Event, Ledger, Outcome, Result, State, open_ledger
from ingest.ledger.masking import sqlite_path
from ingest.mail.requester import Requester
from ingest.sinks import json_file
from tests.support import ledgers
from tests.support.http_site import LISTEN, Site
from tests.support.ledger_values import NOON, arrival, claimed, record
from tests.support.loop_thread import PATIENCE

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m‮gpj"
# A word that no line has room for.
LONG = "x" * 250
HOSTILE_URL = "javascript:alert(1)"
ARCHIVE = '[requests]\narchive = "https://inbox.example.org/{list}/{message_id}/"\n'
NEARLY = (
    "it has no Recheck-request line; this line is close, but not a request: "
    "'> Recheck-request: iol-a' (it is quoted)"
)
# Every page of ``site``, by what it shows.
PATHS = {
    "front": "/",
    "older": "/?page=2",
    "request": "/requests/1",
    "hostile request": "/requests/30",
    "request by hand": "/requests/31",
    "series": "/series/29430",
    "label": "/labels/iol-a",
    "mails": "/mails",
    "mail": "/mails/m1@example.org",
    "ignored mail": "/mails/ignored@example.org",
    "hostile mail": "/mails/mail-30",
    "attention": "/attention",
    "figures": "/stats",
    "search": "/search?q=robin",
    "hostile label": "/labels/" + quote(HOSTILE, safe=""),
    "hostile search": "/search?" + urlencode({"q": f"{HOSTILE}?"}),
    "nothing found": "/search?q=nothing-like-this",
    "try": "/try",
    "words": "/words",
}
# And those that say that something is not there.
MISSING = {
    "no request": "/requests/4711",
    "no series": "/series/4711",
    "no label": "/labels/none",
    "no mail": "/mails/none@example.org",
    "no page": "/nothing",
}


def fill(folder: Path, ledger_url: str, at: float = NOON) -> None:
    """Thirty requests of about ``at``, a Unix time, the last one hostile in all that it says, one
    that was made by hand, and mails of other ends."""
    with contextlib.closing(open_ledger(ledger_url)) as ledger:
        for number in range(1, 30):
            record(
                ledger,
                f"m{number}@example.org",
                at=at + number,
                received=at + number - 9,
                list_id="dev.example.org",
            )
        _hostile(ledger, at)
        for name, outcome, reason in (
            ("ignored", Outcome.IGNORED, NEARLY),
            ("rejected", Outcome.REJECTED, "policy lists: it came by no list"),
            ("failed", Outcome.FAILED, HOSTILE),
        ):
            ledger.accept(
                arrival(
                    f"{name}@example.org",
                    at=at,
                    author="Robin Reviewer <robin@example.org>",
                    subject=f"{name} of robin",
                    envelope=Envelope("bounce@example.org", ("lab@example.org",), "192.0.2.77"),
                )
            )
            events = [Event(at, outcome.value, {"reason": reason})]
            ledger.finish(claimed(ledger, at), outcome, reason, events)
        wish = Wish(29431, ("iol-h",), {}, "Robin Reviewer", "command", "the lab was down")
        by_hand.ask(ledger, Settings(), wish, at + 90)
        host = "" if sqlite_path(ledger_url) else ledgers.HOST
        file = json_file.name(f"{folder}/retests.json", host)
        ledger.set_cursor(Cursor(file, 30, at))
        ledger.results.tell(
            Result(1, "iol-a", State.WARNING, at + 99, "lab", "https://lab.example.org/1", "1 of 2")
        )


def _hostile(ledger: Ledger, at: float) -> None:
    hostile = record(
        ledger,
        f"{HOSTILE}@example.org",
        at=at + 100,
        contexts=(HOSTILE, LONG),
        leftovers=(HOSTILE,),
        arguments={HOSTILE: HOSTILE},
        subject=f"{HOSTILE} {LONG}",
        project=HOSTILE,
        requester=Requester(HOSTILE, f"{HOSTILE}@example.org"),
    )
    fail = Result(hostile.number, HOSTILE, State.FAIL, at + 200, HOSTILE, HOSTILE_URL, HOSTILE)
    ledger.results.tell(fail)


@contextlib.contextmanager
def site(
    folder: Path, toml: str = LISTEN + ARCHIVE, at: float = NOON, *, ledger_url: str = ""
) -> Iterator[Site]:
    """The listener. ``ledger_url``: of an empty ledger, "" for a file in the folder."""
    url = ledger_url or ledgers.sqlite(folder)
    fill(folder, url, at)
    if not sqlite_path(url):
        toml += f'[retests]\nfile = "{folder}/retests.json"\n[state]\nhost = "{ledgers.HOST}"\n'
    with Site(folder, toml, ledger_url=url) as site:
        yield site


def fetch(
    site: Site,
    path: str,
    fields: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], str]:
    """Status, header fields with small names, and text of an answer to a GET, or to a form that
    is posted."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        if form is None:
            connection.request("GET", path, headers=dict(fields or {}))
        else:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(form), kind | dict(fields or {}))
        answer = connection.getresponse()
        got = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, got, answer.read().decode()
