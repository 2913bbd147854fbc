# SPDX-License-Identifier: BSD-3-Clause
"""A watched Maildir: each mail is in the ledger before it leaves new/, and none is lost."""

import asyncio
import contextlib
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingest.errors import NoRoom, StateUnavailable
from ingest.ledger import Envelope, Outcome, open_ledger
from ingest.sources import maildir
from ingest.sources.writer import Writer
from tests.support.mails import RECHECK, letter

# Seconds: one that a test sees pass, and one that it does not.
SOON, NEVER = 0.05, 3600.0
MAX_SIZE = 10_000
PATIENCE = 20.0


def request(number: int = 1, body: str = RECHECK) -> bytes:
    return letter(f"{number}@example.org", "Re: [PATCH] a", body, in_reply_to="a@example.org")


class Spool:
    """A Maildir and a delivery agent for it, and the ledger that its mails go to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "spool"
        self.state = folder / "state"
        self.new, self.cur, self.tmp = (self.path / part for part in ("new", "cur", "tmp"))
        self.unreadable = self.path / maildir.UNREADABLE
        self.make()

    def make(self) -> None:
        for part in (self.new, self.cur, self.tmp):
            part.mkdir(parents=True)

    def deliver(self, name: str, raw: bytes) -> None:
        """As delivery agents do: written elsewhere, and moved when it is whole."""
        (self.tmp / name).write_bytes(raw)
        (self.tmp / name).rename(self.new / name)

    def outcomes(self, number: int = 1) -> list[Outcome]:
        """What the ledger holds of a mail."""
        with closing(open_ledger(f"sqlite:{self.state}/ledger.sqlite")) as ledger:
            return [record.outcome for record in ledger.find(f"{number}@example.org")]

    def taken(self) -> list[str]:
        return sorted(os.listdir(self.cur))

    def waiting(self) -> list[str]:
        return sorted(os.listdir(self.new))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


@contextlib.asynccontextmanager
async def watched(
    spool: Spool,
    scan_interval: float = NEVER,
    accept: Callable[[bytes, str, Envelope], Awaitable[object]] | None = None,
) -> AsyncIterator[None]:
    """The Maildir is watched, by default for the ledger."""
    writer = Writer(lambda: open_ledger(f"sqlite:{spool.state}/ledger.sqlite"), MAX_SIZE)
    watching = asyncio.create_task(
        maildir.watch(
            str(spool.path),
            accept or writer.accept,
            max_size=MAX_SIZE,
            scan_interval=scan_interval,
        )
    )
    try:
        yield
        assert not watching.done(), watching
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await writer.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


def test_a_mail_that_waits_is_taken_at_the_start(spool: Spool) -> None:
    spool.deliver("1.a", request())

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())
    assert spool.waiting() == []
    assert spool.outcomes() == [Outcome.QUEUED]


def test_a_mail_that_comes_is_taken_without_a_scan(spool: Spool) -> None:
    async def run() -> None:
        async with watched(spool):
            for number in range(1, 4):
                spool.deliver(f"{number}.a", request(number))
                await until(lambda: len(spool.taken()) == number)  # noqa: B023  at once

    asyncio.run(run())
    assert [spool.outcomes(number) for number in (1, 2, 3)] == [[Outcome.QUEUED]] * 3


def test_a_mail_linked_into_new_is_taken_without_a_scan(spool: Spool) -> None:
    # qmail's way of delivery: link(2) and unlink(2) instead of rename(2).
    async def run() -> None:
        async with watched(spool):
            await asyncio.sleep(SOON)
            (spool.tmp / "1.a").write_bytes(request())
            (spool.new / "1.a").hardlink_to(spool.tmp / "1.a")
            (spool.tmp / "1.a").unlink()
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("delivered", "taken"),
    [
        ("1.a", "1.a:2,S"),
        ("1.a,S=400", "1.a,S=400:2,S"),
        ("1.a:2,", "1.a:2,S"),
        ("1.a:2,F", "1.a:2,FS"),
        ("1.a:2,S", "1.a:2,S"),
        (os.fsdecode(b"1.\xff\xfe"), os.fsdecode(b"1.\xff\xfe:2,S")),
    ],
)
def test_a_taken_mail_is_marked_seen(spool: Spool, delivered: str, taken: str) -> None:
    spool.deliver(delivered, request())

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.taken() == [taken])

    asyncio.run(run())
    assert spool.outcomes() == [Outcome.QUEUED]


def test_a_mail_that_can_hold_no_request_leaves_new_too(spool: Spool) -> None:
    spool.deliver("1.a", request(body="Looks good to me.\n"))

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())
    assert spool.outcomes() == []


def test_a_mail_over_the_limit_is_kept_as_rejected(spool: Spool) -> None:
    spool.deliver("1.a", request(body=RECHECK + "x" * MAX_SIZE))

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())
    assert spool.outcomes() == [Outcome.REJECTED]


def test_another_mail_of_the_same_name_is_not_replaced(spool: Spool) -> None:
    (spool.cur / "1.a:2,S").write_bytes(b"another mail")
    spool.deliver("1.a", request())

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.waiting() == [])

    asyncio.run(run())
    assert spool.taken() == ["1.a:2,S", "1.a_1:2,S"]
    assert (spool.cur / "1.a:2,S").read_bytes() == b"another mail"


def a_folder(path: Path) -> None:
    path.mkdir()


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_link(path: Path) -> None:
    path.symlink_to(__file__)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize("make", [a_folder, a_fifo, a_link, a_dangling_link, a_socket])
def test_what_cannot_be_read_is_set_aside_and_holds_nothing_up(
    spool: Spool, make: Callable[[Path], None]
) -> None:
    make(spool.new / "0.bad")
    spool.deliver("1.good", request())

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.waiting() == [] and spool.taken() == ["1.good:2,S"])

    asyncio.run(run())
    assert os.listdir(spool.unreadable) == ["0.bad"]


def test_hidden_files_are_no_mail(spool: Spool) -> None:
    (spool.new / ".nfs0001").write_bytes(request(1))
    spool.deliver("2.a", request(2))

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.taken() == ["2.a:2,S"])

    asyncio.run(run())
    assert spool.waiting() == [".nfs0001"]
    assert spool.outcomes(1) == []


def test_mail_stays_in_new_while_the_ledger_is_not_to_be_had(spool: Spool) -> None:
    spool.state.write_text("a file where the folder should be")
    tries = 0

    async def run() -> None:
        writer = Writer(lambda: open_ledger(f"sqlite:{spool.state}/ledger.sqlite"), MAX_SIZE)

        async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
            nonlocal tries
            tries += 1
            return await writer.accept(raw, source, envelope)

        spool.deliver("1.a", request())
        async with watched(spool, SOON, accept):
            await until(lambda: tries >= 3)
            assert spool.waiting() == ["1.a"]
            assert spool.taken() == []
            spool.state.unlink()
            await until(lambda: spool.taken() == ["1.a:2,S"])
        await writer.close()

    asyncio.run(run())
    assert spool.outcomes() == [Outcome.QUEUED]


def test_what_was_made_durable_leaves_new_though_the_rest_must_wait(spool: Spool) -> None:
    async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
        if b"2@example.org" in raw:
            raise StateUnavailable
        return None

    async def run() -> None:
        for number in (1, 2, 3):
            spool.deliver(f"{number}.a", request(number))
        async with watched(spool, accept=accept):
            await until(lambda: spool.taken() == ["1.a:2,S", "3.a:2,S"])
        assert spool.waiting() == ["2.a"]

    asyncio.run(run())


@pytest.mark.parametrize("hindrance", [ZeroDivisionError, NoRoom])
def test_what_one_mail_meets_holds_no_other_up(
    spool: Spool, hindrance: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours, or a ledger that has room for smaller mail only."""
    monkeypatch.setattr(maildir, "_TOGETHER", 1)

    async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
        if b"1@example.org" in raw:
            raise hindrance
        return None

    async def run() -> None:
        for number in (1, 2):
            spool.deliver(f"{number}.a", request(number))
        async with watched(spool, SOON, accept):
            await until(lambda: spool.taken() == ["2.a:2,S"])
            spool.deliver("3.a", request(3))
            await until(lambda: spool.taken() == ["2.a:2,S", "3.a:2,S"])
        assert spool.waiting() == ["1.a"]

    asyncio.run(run())


def test_a_mail_that_cannot_leave_new_is_taken_once(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    spool.cur.rmdir()
    spool.cur.write_text("a file where the folder should be")
    taken: list[str] = []

    async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
        taken.append(source)
        return None

    async def run() -> None:
        spool.deliver("1.a", request(1))
        async with watched(spool, SOON, accept):
            await until(lambda: len(taken) == 1)
            await asyncio.sleep(3 * SOON)
            spool.deliver("2.a", request(2))
            await until(lambda: len(taken) == 2)

    asyncio.run(run())
    assert taken == ["maildir 1.a", "maildir 2.a"]
    assert caplog.text.count("1.a cannot be moved to") == 1


def test_a_missing_cur_is_made(spool: Spool) -> None:
    spool.cur.rmdir()
    spool.deliver("1.a", request())

    async def run() -> None:
        async with watched(spool):
            await until(lambda: spool.waiting() == [])

    asyncio.run(run())
    assert spool.taken() == ["1.a:2,S"]


def test_a_maildir_that_vanishes_and_comes_back_is_watched_again(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with watched(spool, SOON):
            await asyncio.sleep(SOON)
            shutil.rmtree(spool.path)
            await until(lambda: "No such file" in caplog.text)
            await asyncio.sleep(3 * SOON)
            spool.make()
            spool.deliver("1.a", request())
            await until(lambda: spool.taken() == ["1.a:2,S"])
            await until(lambda: "are taken in again" in caplog.text)

    asyncio.run(run())
    # Told once, however often it was looked for.
    assert caplog.text.count("No such file") == 1


def test_a_maildir_that_is_made_later_is_found(spool: Spool) -> None:
    shutil.rmtree(spool.path)

    async def run() -> None:
        async with watched(spool, SOON):
            await asyncio.sleep(2 * SOON)
            spool.make()
            spool.deliver("1.a", request())
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())


def test_a_maildir_that_was_replaced_is_watched_in_the_place_of_the_old(spool: Spool) -> None:
    async def run() -> None:
        async with watched(spool):
            spool.deliver("1.a", request(1))
            await until(lambda: spool.taken() == ["1.a:2,S"])
            # As one that is put on another disk: new/ is another folder in one step.
            fresh = spool.path / "fresh"
            fresh.mkdir()
            (fresh / "2.a").write_bytes(request(2))
            spool.new.rename(spool.path / "old")
            fresh.rename(spool.new)
            await until(lambda: spool.taken() == ["1.a:2,S", "2.a:2,S"])
            spool.deliver("3.a", request(3))
            await until(lambda: len(spool.taken()) == 3)

    asyncio.run(run())


def test_mails_delivered_during_a_scan_are_taken_each_once(spool: Spool) -> None:
    count = 400
    taken: list[str] = []

    async def run() -> None:
        writer = Writer(lambda: open_ledger(f"sqlite:{spool.state}/ledger.sqlite"), MAX_SIZE)

        async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
            taken.append(source)
            return await writer.accept(raw, source, envelope)

        for number in range(count // 2):
            spool.deliver(f"{number}.a", request(number))

        def deliver() -> None:
            for number in range(count // 2, count):
                spool.deliver(f"{number}.a", request(number))

        delivering = threading.Thread(target=deliver)
        async with watched(spool, NEVER, accept):
            delivering.start()
            await until(lambda: len(spool.taken()) == count)
        delivering.join()
        await writer.close()

    asyncio.run(run())
    assert sorted(taken) == sorted(f"maildir {number}.a" for number in range(count))
    with closing(open_ledger(f"sqlite:{spool.state}/ledger.sqlite")) as ledger:
        assert ledger.totals().mails[Outcome.QUEUED] == count


@pytest.mark.slow
def test_a_maildir_of_many_mails_is_taken_in_order(spool: Spool) -> None:
    count = 3000
    order: list[str] = []
    together = most = 0

    async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0)
        together -= 1
        order.append(source)
        return None

    async def run() -> None:
        for number in range(count):
            (spool.new / f"{number:06}.a").write_bytes(b"x")
        async with watched(spool, NEVER, accept):
            await until(lambda: spool.waiting() == [])

    asyncio.run(run())
    assert order == [f"maildir {number:06}.a" for number in range(count)]
    assert most < count / 10  # memory does not grow with the number of mails


def test_of_a_large_mail_no_more_is_read_than_shows_that_it_is_too_large(spool: Spool) -> None:
    held: list[int] = []

    async def accept(raw: bytes, source: str, envelope: Envelope) -> object:
        held.append(len(raw))
        await asyncio.sleep(0)
        return None

    async def run() -> None:
        for number in range(12):
            with (spool.new / f"{number}.a").open("wb") as file:
                file.truncate(64 << 20)
        async with watched(spool, NEVER, accept):
            await until(lambda: spool.waiting() == [])

    asyncio.run(run())
    assert held == [MAX_SIZE + 1] * 12


def test_mails_of_a_crash_between_ledger_and_cur_are_known_again(spool: Spool) -> None:
    async def run() -> None:
        spool.deliver("1.a", request())
        async with watched(spool):
            await until(lambda: spool.taken() == ["1.a:2,S"])
        (spool.cur / "1.a:2,S").rename(spool.new / "1.a")
        async with watched(spool):
            await until(lambda: spool.taken() == ["1.a:2,S"])

    asyncio.run(run())
    assert spool.outcomes() == [Outcome.QUEUED]
