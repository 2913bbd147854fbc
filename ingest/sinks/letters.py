# SPDX-License-Identifier: BSD-3-Clause
"""Mails of ours that are kept before they are sent, each of them once: a crash in between has the
same mail sent again, by whose Message-ID mail servers and readers know a copy.
"""

from collections.abc import Callable
from dataclasses import replace

from ingest import background
from ingest.background import Trouble
from ingest.config.sink_tables import MailSettings
from ingest.errors import NotTaken, SinkUnavailable
from ingest.ledger import Ledger, Letter
from ingest.mail import requester
from ingest.sinks import Clock, Stop, mail, smtp

# However long a mail server asks us to wait, a day later it is asked again.
LONGEST_PAUSE = 86400.0

# What to do with a letter at its end: what the mail server said of one that was sent, and when.
Ended = Callable[[Ledger, Letter, str, float], None]


class Outbox:
    """The letters of one sink. ``name``: the sink's; ``table``: how they are sent; ``ended``: keeps
    what became of each."""

    def __init__(self, name: str, table: MailSettings, ended: Ended) -> None:
        self._name = name
        self._table = table
        self._ended = ended

    def send(self, ledger: Ledger, clock: Clock, until: float | None, stop: Stop) -> int:
        """Send what is due; how many that were. Raises ``SinkUnavailable``."""
        count = 0
        for letter in ledger.letters.due(self._name, clock(), LONGEST_PAUSE):
            if stop() or (until is not None and clock() >= until):
                break
            count += self._send(ledger, letter, clock, stop)
        return count

    def _send(self, ledger: Ledger, letter: Letter, clock: Clock, stop: Stop) -> bool:
        us = requester.read(self._table.sender).address
        try:
            server = mail.server(self._table)
            said = smtp.send(server, us, list(letter.recipients), letter.raw, stop)
        except NotTaken as error:
            self._ended(ledger, replace(letter, raw=b"", reason=str(error)), "", clock())
            return False
        except SinkUnavailable as error:
            self._put_off(ledger, letter, error, clock(), stop)
            raise
        self._ended(ledger, replace(letter, raw=b"", sent=clock(), reason=""), said, clock())
        background.leave_word(ledger, self._name, None, clock())
        return True

    def _put_off(
        self, ledger: Ledger, letter: Letter, error: SinkUnavailable, now: float, stop: Stop
    ) -> None:
        if stop():  # for that it was ended; the next start has it again at once
            return
        trouble = Trouble(self._name, now, str(error))
        background.leave_word(ledger, self._name, trouble, now + max(self._table.retry))
        tries, retry = letter.tries + 1, self._table.retry
        if now - letter.at >= self._table.give_up and tries >= len(retry):
            given_up = replace(letter, raw=b"", reason=f"gave up: {error}")
            self._ended(ledger, given_up, "", now)
            return
        pause = max(retry[min(tries, len(retry)) - 1], error.retry_after or 0.0)
        due = now + min(pause, LONGEST_PAUSE)
        ledger.letters.note(replace(letter, tries=tries, due=due, reason=str(error)))
