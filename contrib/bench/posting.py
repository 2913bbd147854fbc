# SPDX-License-Identifier: BSD-3-Clause
"""The rows "http": how fast `recheck-ingest serve` takes mail by POST /mail, against a bare uvicorn
endpoint that reads the body and answers. As `smtp` otherwise.
"""

import asyncio
import time
from collections.abc import Iterator

import letters
import smtp
from measure import Plan, Row

BARE = """
import sys
import uvicorn

async def app(scope, receive, send):
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    headers = [(b"content-length", b"3"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"OK\\n"})

uvicorn.run(
    app, port=int(sys.argv[1]), http="h11", loop="asyncio", ws="none", lifespan="off",
    access_log=False, log_level="error",
)
"""


async def client(
    port: int,
    load: smtp.Load,
    numbers: Iterator[int],
    requests: int,
    run: smtp.Run,
    sent: dict[int, float],
) -> None:
    """One connection, which is kept open: the next mail, as long as there is one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        request = number % 100 < requests
        text = f"bench-{number}" if request else ""
        content = letters.reply(number, smtp.SERIES, smtp.SIZE, text)
        head = f"POST /mail HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
        began = time.perf_counter()
        if request:
            sent[number] = began
        writer.write(head.encode() + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{answer!r} instead of 200")
        await reader.readline()
        run.answered.append(time.perf_counter() - began)
    writer.close()


def measure(plan: Plan) -> Iterator[Row]:
    """The rows. Rates, so that more is better."""
    load = smtp.Load("http", plan.size(20_000, 100), plan.size(50, 5), BARE, client)
    yield from smtp.rows(plan, load, "bare uvicorn", (0.8, 0.6), "POST to 200")
