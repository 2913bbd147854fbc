# SPDX-License-Identifier: BSD-3-Clause
"""Where a question goes, and how much time and memory its answer may take."""

import gzip
import socket
import threading
import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from ingest.errors import OutOfTime, Unavailable
from ingest.patchwork import Patchwork
from tests.asking import Connect, Forgetful, resolve
from tests.faults import DOWN, OURS, Case
from tests.hell import (
    MEGABYTE,
    MOST,
    TIMEOUT,
    Hell,
    drips,
    html,
    http,
    patch_row,
    redirect,
    rows,
    says,
    stalls,
)
from tests.letters import reply

GIVEN_UP = ("silence", "silence in the body", "a slow header", "a slow body", "slow chunks")

# Other addresses than the configured one.


def test_the_next_page_is_asked_of_the_configured_server(hell: Hell, connect: Connect) -> None:
    with Hell() as elsewhere:
        elsewhere.will(rows())
        following = f'Link: <{elsewhere.url}/elsewhere/?page=2&x=%2B>; rel="next"'
        hell.will(rows(headers=(following,)), rows())
        assert connect(hell.url).projects() == []
        assert elsewhere.seen == []
    assert [seen.target for seen in hell.seen][1] == "/api/projects/?page=2&x=%2B"


@pytest.mark.parametrize(
    ("link", "pages"),
    [
        ('<?page=2>; rel="next"', 2),
        ("<?page=2>; rel=next", 2),
        ('<?page=1>; rel="first", <?page=2>; rel="next", <?page=9>; rel="last"', 2),
        ('<?page=1>; rel="prev", <?page=9>; rel="last"', 1),
        ('<http://[::1>; rel="next"', 2),
        ("next", 1),
        ("<" * 60_000, 1),
        ("<>;" * 20_000, 1),
        (';rel="next"', 2),
        ("", 1),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_link_header_of_any_kind_is_read(
    link: str, pages: int, hell: Hell, connect: Connect
) -> None:
    hell.will(rows(headers=(f"Link: {link}",)), rows())
    assert connect(hell.url).projects() == []
    assert len(hell.seen) == pages


def test_a_redirect_to_another_port_of_the_host_is_followed(hell: Hell, connect: Connect) -> None:
    with Hell() as other:
        other.will(rows(patch_row(OURS)))
        hell.will(redirect(lambda line: f"{other.url}/moved/"))
        assert resolve(connect(hell.url), reply(OURS)).series == 29430
        assert [seen.path for seen in other.seen] == ["/moved/"]


def test_a_redirect_to_another_scheme_of_the_host_is_followed(hell: Hell, connect: Connect) -> None:
    # It speaks no TLS, so that it cannot go well; that it was tried is what counts.
    hell.will(redirect(lambda line: hell.url.replace("http:", "https:") + "/"))
    with pytest.raises(Unavailable, match=r"https://127\S* cannot be reached"):
        resolve(connect(hell.url, timeout=TIMEOUT), reply(OURS))


def test_a_redirect_to_another_host_is_told_and_not_followed(hell: Hell, connect: Connect) -> None:
    hell.will(redirect(lambda line: "https://patches.example.org/\x1b[2J"))
    with pytest.raises(Unavailable, match=r"another host: https://patches\.example\.org/ \[2J$"):
        resolve(connect(hell.url), reply(OURS))


def test_a_page_of_a_proxy_is_told_by_its_status(hell: Hell, connect: Connect) -> None:
    hell.will(html(502))
    with pytest.raises(Unavailable, match="Patchwork answers 502 Bad Gateway to http"):
        resolve(connect(hell.url), reply(OURS))


# Time and memory.


@pytest.mark.parametrize(
    "case", [each for each in DOWN if each.name in GIVEN_UP], ids=lambda case: case.name
)
def test_a_question_that_is_given_up_leaves_nothing_behind(
    case: Case, hell: Hell, connect: Connect
) -> None:
    hell.will(*case.answers)
    hell.route(lambda seen: case.root if seen.path == "/api/" else None)
    before = set(threading.enumerate())
    patchwork = connect(hell.url, timeout=0.1)
    with pytest.raises(Unavailable):
        resolve(patchwork, reply(OURS))
    for thread in set(threading.enumerate()) - before:
        if thread.name == "question":
            thread.join(10)
            assert not thread.is_alive()
    # And the client is as good as new, if only the machine answers in time at last.
    hell.route(lambda seen: rows(patch_row(OURS)))
    found = None
    for _ in range(100):
        with suppress(Unavailable):
            found = found or resolve(patchwork, reply(OURS))
    assert found is not None


def test_a_name_server_that_hangs_costs_one_time_out_and_leaves_nothing_behind(
    hell: Hell, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    real = socket.getaddrinfo

    def hanging(*args: Any, **kwargs: Any) -> Any:
        assert released.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    hell.will(drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"))
    before = set(threading.enumerate())
    with pytest.raises(Unavailable, match="timed out"):
        resolve(connect(hell.url, timeout=0.1), reply(OURS))
    # The answer that nobody waits for any more is not read for ever either.
    asking = [each for each in set(threading.enumerate()) - before if each.name == "question"]
    released.set()
    for thread in asking:
        thread.join(10)
    assert [each.is_alive() for each in asking] == [False]


def test_a_client_whose_time_is_over_asks_nothing(hell: Hell) -> None:
    patchwork = Patchwork(hell.url, Forgetful(), until=time.monotonic())
    with pytest.raises(OutOfTime):
        resolve(patchwork, reply(OURS))
    assert hell.seen == []


def test_silence_in_the_little_time_that_was_left_is_not_held_against_the_server(
    hell: Hell,
) -> None:
    hell.will(stalls())
    patchwork = Patchwork(hell.url, Forgetful(), timeout=60.0, until=time.monotonic() + TIMEOUT)
    with pytest.raises(OutOfTime):
        resolve(patchwork, reply(OURS))
    assert hell.was_left(1)


def test_a_server_that_refuses_in_the_little_time_that_was_left_is_down(hell: Hell) -> None:
    hell.stop()
    patchwork = Patchwork(hell.url, Forgetful(), timeout=60.0, until=time.monotonic() + 10)
    with pytest.raises(Unavailable):
        resolve(patchwork, reply(OURS))


@pytest.mark.parametrize("times", [1, 2])
def test_a_gzip_bomb_takes_no_memory(times: int, hell: Hell, connect: Connect) -> None:
    bomb = b" " * (32 * MEGABYTE)
    for _ in range(times):
        bomb = gzip.compress(bomb)
    coding = ", ".join(["gzip"] * times)
    hell.will(says(http(200, bomb, f"Content-Encoding: {coding}")))
    patchwork = connect(hell.url)
    tracemalloc.start()
    with pytest.raises(Unavailable):
        resolve(patchwork, reply(OURS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MOST
