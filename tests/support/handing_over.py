# SPDX-License-Identifier: BSD-3-Clause
"""A receiver made a sink on a real ledger, in a time of its own, and what is told of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.config import sink_tables
from ingest.ledger import WORKER_LEASE, Arrival, Cursor, Ledger, Outcome, Request
from ingest.policy.manners import Manners
from ingest.sinks import Receiver, Stop, delivery
from ingest.sinks.one_by_one import OneByOne
from tests.support.clock import Clock


class Giving:
    """The log, the sink that hands it on, and a clock."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        receiver: Receiver,
        table: sink_tables.ReceiverSettings,
        *,
        once_per_mail: bool = False,
        manners: Manners = Manners(),  # noqa: B008  frozen
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.name = receiver.name
        self._sink = OneByOne(
            receiver, table, ("rebase",), once_per_mail=once_per_mail, manners=manners
        )

    def records(self, *requests: Request, age: float = 60.0) -> None:
        """Put requests into the log, as a worker does, now; ``age``: seconds of their mails."""
        for request in requests:
            id = request.message_id
            lists = len(self.ledger.find(id))
            self.ledger.accept(Arrival(b"", f"{id} {lists}", id, "", "test", self.clock()))
            mail = self.ledger.claim(self.clock(), WORKER_LEASE)
            assert mail is not None
            now = self.clock()
            mine = replace(request, number=0, mail_id=mail.id, recorded=now, date=now - age)
            self.ledger.finish(mail, Outcome.DONE, "recorded", [], [mine])

    def works(self, stop: Stop = lambda: False) -> None:
        """Hand over what is due."""
        delivery.deliver(self._sink, self.ledger, clock=self.clock, until=None, stop=stop)

    def works_when_due(self) -> None:
        """Time passes until the next attempt, and that is made."""
        self.clock.now = max(self.clock.now, self.cursor.due)
        self.works()

    def dies_before_it_is_confirmed(self) -> None:
        """The sink's last request is as if the process had been killed once the receiver had it."""
        kept = self.cursor
        self.ledger.set_cursor(Cursor(self.name, kept.position - 1, begun=kept.position))

    @property
    def cursor(self) -> Cursor:
        return self.ledger.cursor(self.name)

    def answer(self, message_id: str = "1@example.org") -> str:
        """What came of handing over a mail's request, "" if nothing did yet; told once."""
        return self._told_once(message_id, "handed over", "answer")

    def skipped(self, message_id: str = "1@example.org") -> str:
        """Why a mail's request was skipped, "" if it was not; told once."""
        return self._told_once(message_id, "skipped", "reason")

    def set_aside(self, message_id: str = "1@example.org") -> str:
        """Why a mail's request was set aside, "" if it was not; told once."""
        return self._told_once(message_id, "set aside", "reason")

    def _told_once(self, message_id: str, what: str, detail: str) -> str:
        stories = [record.story for record in self.ledger.find(message_id)]
        events = [event for story in stories for event in story if event.what == what]
        (told,) = [str(event.details[detail]) for event in events] or [""]
        return told


def told(folder: Path, capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What a command prints of the ledger in a folder."""
    capsys.readouterr()
    assert cli.main([*command, "--state", str(folder)]) == 0
    return capsys.readouterr().out
