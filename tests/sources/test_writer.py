# SPDX-License-Identifier: BSD-3-Clause
"""One thread writes for many: each is told what became of its own mail."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest import signs
from ingest.errors import StateUnavailable
from ingest.intake import Receipt
from ingest.ledger import Arrival, Ledger, open_ledger
from ingest.ledger.sqlite import SqliteLedger
from ingest.mail import headers
from ingest.sources.writer import Writer
from tests.support.smtp_sink import request


class Buggy(SqliteLedger):
    """A ledger that trips over one mail."""

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[tuple[int, bool]]:
        if any(each.message_id == "poison@example.org" for each in arrivals):
            raise ZeroDivisionError
        return super().accept_all(arrivals)


def outcomes(opened: Callable[[], Ledger], mails: list[bytes]) -> list[Receipt | BaseException]:
    """What became of mails that came at once."""

    async def main() -> list[Receipt | BaseException]:
        writer = Writer(opened, 1 << 20)
        accepting = [writer.accept(mail, "test") for mail in mails]
        found = await asyncio.gather(*accepting, return_exceptions=True)
        await writer.close()
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("rest", [b"", b"and more\r\n" * 50_000], ids=["small", "large"])
def test_each_mail_has_its_receipt(quick_path: Path, rest: bytes) -> None:
    mails = [request("a", rest), b"no\r\n" + rest, request("b", rest), request("a", rest)]
    assert outcomes(lambda: open_ledger(f"sqlite:{quick_path}/l"), mails) == [
        Receipt.QUEUED, Receipt.DROPPED, Receipt.QUEUED, Receipt.DUPLICATE
    ]  # fmt: skip


def test_a_mail_that_is_too_large_is_kept_and_not_worked_on(quick_path: Path) -> None:
    mails = [b"no\r\n" * 300_000, request("a", b"more\r\n" * 300_000)]
    found = outcomes(lambda: open_ledger(f"sqlite:{quick_path}/l"), mails)
    assert found == [Receipt.REJECTED] * 2


def test_it_tells_of_mail_to_work_on_once_that_is_kept(quick_path: Path) -> None:
    found: list[int] = []

    def count() -> None:
        with closing(open_ledger(f"sqlite:{quick_path}/l")) as ledger:
            found.append(ledger.totals().mails["queued"])

    async def main() -> None:
        writer = Writer(lambda: open_ledger(f"sqlite:{quick_path}/l"), 1 << 20, kept=count)
        for mail in (request("a"), b"no", request("b")):
            await writer.accept(mail, "test")
        await writer.close()

    asyncio.run(main())
    assert found == [1, 2]


def test_it_tells_how_many_mails_come_a_second(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=itertools.count(1000.0, 0.5).__next__, time=time.time)
    monkeypatch.setattr("ingest.sources.writer.time", clock)

    async def main() -> list[float]:
        writer = Writer(lambda: open_ledger(f"sqlite:{quick_path}/l"), 1 << 20)
        rates = [writer.rate()]
        for _ in range(100):
            await writer.accept(b"no", "test")
        rates.append(writer.rate())
        await writer.close()
        return rates

    assert asyncio.run(main()) == [0.0, 2.0]


def test_it_is_behind_until_the_mail_that_came_is_kept(quick_path: Path) -> None:
    begun, end = threading.Event(), threading.Event()

    def opened() -> Ledger:
        begun.set()
        end.wait(30)
        return open_ledger(f"sqlite:{quick_path}/l")

    async def main() -> list[bool]:
        writer = Writer(opened, 1 << 20)
        found = [writer.is_behind()]
        accepting = asyncio.create_task(writer.accept(request("a"), "test"))
        await asyncio.to_thread(begun.wait, 30)
        found.append(writer.is_behind())
        end.set()
        await accepting
        found.append(writer.is_behind())
        await writer.close()
        return found

    assert asyncio.run(main()) == [False, True, False]


def test_a_writer_leaves_signs_of_life_of_every_mail_that_it_took(tmp_path: Path) -> None:
    async def main() -> None:
        writer = Writer(lambda: open_ledger(f"sqlite:{tmp_path}/l"), 1 << 20, str(tmp_path))
        for raw in (request("a"), request("a"), b"List-Id: <dev.example.org>\n\nThanks.\n"):
            await writer.accept(raw, "smtp")
        await writer.close()

    asyncio.run(main())
    assert [(each.source, each.name, each.count) for each in signs.read(str(tmp_path))] == [
        ("smtp", headers.list_id(headers.read(request("a"))), 2),
        ("smtp", "dev.example.org", 1),
    ]


def test_a_bug_over_one_mail_does_not_stop_the_others(
    quick_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mails = [request(name) for name in ("a", "poison", "b", "poison", "c")]
    found = outcomes(lambda: Buggy(str(quick_path / "l"), busy_timeout=20, mode=0o600), mails)
    assert [getattr(each, "value", type(each).__name__) for each in found] == [
        "queued", "ZeroDivisionError", "queued", "ZeroDivisionError", "queued"
    ]  # fmt: skip
    assert len(caplog.records) == 2


def test_a_ledger_that_cannot_be_opened_is_tried_again(quick_path: Path) -> None:
    tries: list[bool] = []

    def opened() -> Ledger:
        tries.append(True)
        if len(tries) < 3:
            raise StateUnavailable
        return open_ledger(f"sqlite:{quick_path}/l")

    async def main() -> None:
        writer = Writer(opened, 1 << 20)
        for _ in range(2):
            with pytest.raises(StateUnavailable):
                await writer.accept(request("a"), "test")
        assert await writer.accept(request("a"), "test") is Receipt.QUEUED
        await writer.close()

    asyncio.run(main())
