# SPDX-License-Identifier: BSD-3-Clause
"""The row "beside": how fast `recheck-ingest serve` takes mail by POST /mail while twenty readers
ask for the front page without a pause, against the same process without readers.
"""

import asyncio
import re
import sys
import time
from collections.abc import Iterator

import posting
import reading
import smtp
from measure import Plan, Row, Target, compared
from servers import free_port, served

_READERS, _SENDERS = 20, 20
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def measure(plan: Plan) -> Iterator[Row]:
    """The row. A rate, so that more is better."""
    mails = plan.size(4000, 100)
    with plan.folder() as folder:
        reading.fill(folder, plan.size(2000, 50), time.time())
        port = free_port()
        own = ("--state", str(folder), "--patchwork", reading.NOWHERE)
        http = ("--http", f"127.0.0.1:{port}")
        pairs, pages = [], 0
        with served(port, sys.executable, "-m", "ingest", "serve", *own, *http):
            for number in range(plan.several(7)):
                first = 1_000_000 + 2 * number * mails
                alone, _ = asyncio.run(_sent(port, range(first, first + mails), 0))
                second = range(first + mails, first + 2 * mails)
                beside, seen = asyncio.run(_sent(port, second, _READERS))
                pairs.append((beside, alone))
                pages += seen
        yield compared(
            "beside",
            f"POST /mail, {mails} mails, with {_READERS} readers of /",
            "the same without readers",
            "/s",
            pairs,
            Target(0.8, least=True),
            note=f"{pages} pages were read meanwhile",
        )


async def _sent(port: int, numbers: range, readers: int) -> tuple[float, int]:
    """Mails a second, and the pages that were read meanwhile."""
    ending, seen = asyncio.Event(), [0]
    looking = [asyncio.create_task(_read(port, ending, seen)) for _ in range(readers)]
    load, run = smtp.Load("http", len(numbers), _SENDERS), smtp.Run(len(numbers))
    mails, sent = iter(numbers), dict[int, float]()
    began = time.perf_counter()
    await asyncio.gather(
        *(posting.client(port, load, mails, 1, run, sent) for _ in range(_SENDERS))
    )
    seconds = time.perf_counter() - began
    ending.set()
    await asyncio.gather(*looking)
    return len(numbers) / seconds, seen[0]


async def _read(port: int, ending: asyncio.Event, seen: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not ending.is_set():
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if not head.startswith(b"HTTP/1.1 200") or not length:
            raise RuntimeError(f"{head!r} instead of 200")
        await reader.readexactly(int(length[1]))
        seen[0] += 1
    writer.close()
