# SPDX-License-Identifier: BSD-3-Clause
"""The mail a day to the operator ([digest]): when it is due, what is new in it, and its sending.

It is made and kept before it is sent, once a day whatever restarts; on a day with nothing to say,
that is kept.
"""

import logging
import quopri
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from email.header import Header
from email.utils import formatdate

from ingest import background, look
from ingest.background import Background, Trouble
from ingest.config.tables import Settings
from ingest.config.values import DAY
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Filter, Ledger, Letter, Outcome, State
from ingest.mail import requester
from ingest.sinks import DIGEST, Stop, delivery, sendmail, smtp
from ingest.story import digest
from ingest.story.digest import Digest, News

# Seconds between two looks at the clock.
_LOOK = 60.0
# A mail is given up so long after it came at the latest, and searched for in pages of so many.
_LONGEST_WAIT, _MOST_MAILS = 9 * DAY, 500

log = logging.getLogger(__name__)


class Daily:
    """The thread of ``serve`` that sends it; none is started without [digest] to."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = Background(DIGEST, settings.state, self._work)

    def start(self) -> None:
        """Begin."""
        if self._settings.digest.to:
            self._thread.start()

    def stop(self) -> None:
        """Have it end; see ``wait``."""
        self._thread.stop()

    def wait(self, timeout: float) -> None:
        """Wait until it has ended, or for so many seconds."""
        self._thread.wait(timeout)

    def is_well(self) -> bool:
        """Whether it is alive, if it is to be."""
        return not self._settings.digest.to or self._thread.is_well()

    def troubles(self) -> list[Trouble]:
        """What keeps it from its work."""
        return [self._thread.trouble] if self._thread.trouble else []

    def _work(self, ledger: Ledger, thread: Background) -> None:
        while not thread.is_stopping():
            deliver(ledger, self._settings, stop=thread.is_stopping)
            thread.rest(_LOOK)


def deliver(
    ledger: Ledger,
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    stop: Stop = lambda: False,
) -> bool:
    """Make the mail of today, if it is time, and send what is to be sent; whether something was. A
    mail server that is not to be had is told in the log, and tried again later."""
    if not settings.digest.to:
        return False
    with ledger.lease(DIGEST) as held:
        if not held:
            return False
        _make(ledger, settings, clock())
        sent = False
        for letter in ledger.letters.due(DIGEST, clock(), DAY):
            if stop():
                break
            sent = _send(ledger, letter, settings, clock(), stop) or sent
    return sent


def _make(ledger: Ledger, settings: Settings, now: float) -> None:
    """Make the mail of today, unless it was made, or it is too early."""
    local = datetime.fromtimestamp(now)
    day = local.date().isoformat()
    newest = ledger.letters.newest(DIGEST)
    id = f"{DIGEST}-{day}.{ledger.generation()}@{_host(settings)}"
    if f"{local:%H:%M}" < settings.digest.at or (newest and newest.id == id):
        return
    since = newest.at if newest and newest.at <= now else now - DAY
    made = digest.of(
        look.status(ledger, settings, now),
        news(ledger, settings, since, now),
        settings.http.public_url or None,
    )
    letter = Letter(id, DIGEST, 0, now, (settings.digest.to,), reason="nothing to say")
    if made:
        letter = replace(letter, raw=mail(made, id, settings, now), reason="")
    ledger.letters.keep(letter)


def news(ledger: Ledger, settings: Settings, since: float, now: float) -> News:
    """What is new since a Unix time."""
    ended = (Outcome.UNRESOLVED, Outcome.FAILED)
    found = ledger.search_mails(
        Filter(states=ended, since=since - _LONGEST_WAIT, limit=_MOST_MAILS)
    )
    runs = ledger.results.history(now - settings.results.follow - DAY)
    names = delivery.wanted(settings)
    return News(
        mails=[each for each in found if each.story and each.story[-1].at >= since],
        late=[each for each in runs if each.state is State.OVERDUE and each.at >= since],
        asides=[e for each in names for e in ledger.asides.of(each) if e.since >= since],
    )


def mail(made: Digest, id: str, settings: Settings, now: float) -> bytes:
    """The mail as it is sent."""
    subject = f"[recheck-ingest] {made.subject}"
    fields = {
        "From": f"recheck-ingest <{_sender(settings)}>",
        "To": settings.digest.to,
        "Subject": Header(subject, "utf-8", header_name="Subject").encode(),
        "Date": formatdate(now),
        "Message-ID": f"<{id}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        # Should it ever get to a list, Patchwork does not file it.
        "X-Patchwork-Hint": "ignore",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "quoted-printable",
    }
    head = "".join(f"{field}: {value}\n" for field, value in fields.items())
    body = quopri.encodestring(made.text.encode("utf-8", "replace"))
    return head.encode("ascii", "replace") + b"\n" + body


def _send(ledger: Ledger, letter: Letter, settings: Settings, now: float, stop: Stop) -> bool:
    table, to = settings.digest, settings.digest.to
    try:
        if not table.mail:
            said = sendmail.send(to, letter.raw, table.timeout)
        else:
            from ingest.sinks.mail import server

            there = server(settings.mail[table.mail])
            said = smtp.send(there, _sender(settings), [to], letter.raw, stop)
    except (SinkUnavailable, NotTaken) as error:
        log.error("the digest is not sent to %s: %s; it is tried again by itself", to, error)
        due = now + table.retry
        over = now - letter.at >= DAY  # by then there is another one
        raw = b"" if over else letter.raw
        trouble = Trouble(DIGEST, now, f"the digest is not sent to {to}: {error}")
        background.leave_word(ledger, DIGEST, trouble, due + _LOOK)
        tried = replace(letter, tries=letter.tries + 1, due=due, raw=raw, reason=str(error))
        ledger.letters.note(tried)
        return False
    log.info("sent the digest to %s: %s", to, said)
    background.leave_word(ledger, DIGEST, None, now)
    ledger.letters.note(replace(letter, raw=b"", sent=now, reason=""))
    return True


def _sender(settings: Settings) -> str:
    if settings.digest.mail:
        return requester.read(settings.mail[settings.digest.mail].sender).address
    return f"recheck-ingest@{socket.gethostname() or 'localhost'}"


def _host(settings: Settings) -> str:
    return _sender(settings).partition("@")[2]
