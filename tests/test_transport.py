# SPDX-License-Identifier: BSD-3-Clause
"""Where a question goes, and how much time and memory its answer may take."""

import gzip
import socket
import threading
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ingest.config.tables import PatchworkSettings
from ingest.errors import OutOfTime, Unanswered, Unavailable
from ingest.patchwork.lookup import Patchwork
from ingest.transport import Client, Reply, retry_after
from tests.support.bad_server import (
    MEGABYTE,
    MOST,
    TIMEOUT,
    Answer,
    Hell,
    Line,
    drips,
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
from tests.support.faults import OURS, USELESS, Case
from tests.support.mails import reply
from tests.support.questions import Connect, Forgetful, resolve

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


def test_a_redirect_on_the_server_is_followed(hell: Hell, connect: Connect) -> None:
    hell.will(redirect(lambda line: f"{hell.url}/moved/"), rows(patch_row(OURS)))
    assert resolve(connect(hell.url), reply(OURS)).series == 29430
    assert [seen.path for seen in hell.seen][1] == "/moved/"


def test_a_redirect_to_another_port_is_told_and_not_followed(hell: Hell, connect: Connect) -> None:
    with Hell() as other:
        hell.will(redirect(lambda line: f"{other.url}/moved/"))
        with pytest.raises(Unanswered, match=f"another server: {other.url}/moved/$"):
            resolve(connect(hell.url), reply(OURS))
        assert other.seen == []


def test_a_redirect_to_another_host_is_told_and_not_followed(hell: Hell, connect: Connect) -> None:
    hell.will(redirect(lambda line: "https://patches.example.org/\x1b[2J"))
    told = r"another server: https://patches\.example\.org/ \[2J$"
    with pytest.raises(Unanswered, match=told):
        resolve(connect(hell.url), reply(OURS))


def test_a_page_of_a_proxy_is_told_by_its_status(hell: Hell, connect: Connect) -> None:
    hell.will(html(502))
    with pytest.raises(Unanswered, match="Patchwork answers 502 Bad Gateway to http"):
        resolve(connect(hell.url), reply(OURS))


# A connection that the server closes while a question is under way.


def resets_at_once(line: Line) -> None:
    line.reset()


def test_a_question_is_asked_anew_where_the_connection_was_an_earlier_ones(
    hell: Hell, client: Client
) -> None:
    hell.will(text("first"), resets_at_once, text("second"))
    bodies = [client.get(f"{hell.url}/{number}", 10.0).body for number in (1, 2)]
    assert bodies == [b"first", b"second"]
    assert [(seen.path, seen.connection) for seen in hell.seen] == [("/1", 0), ("/2", 0), ("/2", 1)]


def test_a_question_on_a_connection_of_its_own_is_asked_once(hell: Hell, client: Client) -> None:
    hell.will(resets_at_once)
    with pytest.raises(Unavailable):
        client.get(hell.url, 10.0)
    assert len(hell.seen) == 1


def test_what_is_posted_is_posted_once(hell: Hell, client: Client) -> None:
    hell.will(text("first"), resets_at_once)
    client.get(hell.url, 10.0)
    with pytest.raises(Unavailable):
        client.post(hell.url, b"", 10.0)
    assert [seen.method for seen in hell.seen] == ["GET", "POST"]


# Time and memory.


@pytest.mark.parametrize(
    "case", [each for each in USELESS if each.name in GIVEN_UP], ids=lambda case: case.name
)
def test_a_question_that_is_given_up_leaves_nothing_behind(
    case: Case, hell: Hell, connect: Connect
) -> None:
    hell.will(*case.answers)

    before = set(threading.enumerate())
    patchwork = connect(hell.url, timeout=0.1)
    with pytest.raises(Unanswered):
        resolve(patchwork, reply(OURS))
    asking = [each for each in set(threading.enumerate()) - before if each.name == "question"]
    # And the client is as good as new, if only the machine answers in time at last.
    hell.route(lambda seen: rows(patch_row(OURS)))
    found = None
    for _ in range(100):
        with suppress(Unanswered):
            found = found or resolve(patchwork, reply(OURS))
    assert found is not None
    asking += [each for each in set(threading.enumerate()) - before if each.name == "question"]
    patchwork.close()
    for thread in asking:
        thread.join(10)
        assert not thread.is_alive()


def test_a_name_server_that_hangs_costs_two_time_outs_and_leaves_nothing_behind(
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
    assert [each.is_alive() for each in asking] == [False, False]


def test_a_client_whose_time_is_over_asks_nothing(hell: Hell) -> None:
    patchwork = Patchwork(PatchworkSettings(hell.url), Forgetful(), until=time.monotonic())
    with pytest.raises(OutOfTime):
        resolve(patchwork, reply(OURS))
    assert hell.seen == []


def test_silence_in_the_little_time_that_was_left_is_not_held_against_the_server(
    hell: Hell,
) -> None:
    hell.will(stalls())
    patchwork = Patchwork(
        PatchworkSettings(hell.url, timeout=60.0), Forgetful(), until=time.monotonic() + TIMEOUT
    )
    with pytest.raises(OutOfTime):
        resolve(patchwork, reply(OURS))
    assert hell.was_left(1)


def test_a_server_that_refuses_in_the_little_time_that_was_left_is_down(hell: Hell) -> None:
    hell.stop()
    patchwork = Patchwork(
        PatchworkSettings(hell.url, timeout=60.0), Forgetful(), until=time.monotonic() + 10
    )
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
    with pytest.raises(Unanswered):
        resolve(patchwork, reply(OURS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MOST


# POST, and clients of other servers than Patchwork.


@pytest.fixture
def client() -> Iterator[Client]:
    """A client whose URLs are not to be told."""
    client = Client(
        {"User-Agent": "tests", "Accept": "text/plain"},
        max_answer=MOST,
        server="the lab",
        shown=lambda url: "here",
    )
    yield client
    client.close()


def test_a_post_brings_its_content_and_the_headers_of_the_client_and_its_own(
    hell: Hell, client: Client
) -> None:
    hell.will(says(http(201, b"made", "X-Answer: yes")))
    content = bytes(range(256)) * 1000
    reply = client.post(hell.url + "/a?b=c", content, 10, {"Content-Type": "a/b", "Accept": "c/d"})
    assert (reply.status, reply.body, reply.headers["x-answer"]) == (201, b"made", "yes")
    [seen] = hell.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/a?b=c", content)
    headers = {"user-agent": "tests", "accept": "c/d", "content-type": "a/b"}
    assert headers.items() <= seen.headers.items()


def test_posts_and_gets_go_by_one_connection(hell: Hell, client: Client) -> None:
    hell.will(text("{}"))
    client.post(hell.url, b"1", 10)
    client.get(hell.url, 10)
    client.post(hell.url, b"", 10)
    assert [(each.method, each.body, each.connection) for each in hell.seen] == [
        ("POST", b"1", 0),
        ("GET", b"", 0),
        ("POST", b"", 0),
    ]


CREDENTIALS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "none": ("http://{}", {}, None),
    "of the URL": ("http://robin:s%40crt@{}", {}, "Basic " + b64encode(b"robin:s@crt").decode()),
    "a token": ("http://{}", {"Authorization": "Token abc"}, "Token abc"),
    "a token beside the URL's": (
        "http://robin:secret@{}", {"Authorization": "Token abc"}, "Token abc",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("url", "headers", "sent"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_no_netrc_is_read(
    url: str,
    headers: dict[str, str],
    sent: str | None,
    hell: Hell,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    hell.will(text("{}"))
    client.post(url.format(hell.url.removeprefix("http://")), b"1", 10, headers)
    assert hell.seen[0].headers.get("authorization") == sent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_is_not_sent_on_to_where_it_is_redirected(
    status: int, hell: Hell, client: Client
) -> None:
    hell.will(redirect(lambda line: "/elsewhere", status))
    reply = client.post(hell.url, b"content", 10)
    assert (reply.status, reply.headers["Location"]) == (status, "/elsewhere")
    assert len(hell.seen) == 1


NO_ANSWERS: dict[str, Answer] = {
    "silence": stalls(),
    "silence in the head": stalls(b"HTTP/1.1 200 OK\r\nX-"),
    "a slow body": drips(http(200, b"[", length=99_999), b" "),
    "a reset": resets(b""),
    "a reset in the body": resets(http(200, b"[", length=99)),
    "an end": lambda line: line.close(),
    "no HTTP": then_ends(b"220 mail.example.org ESMTP\r\n"),
    "an endless answer": floods(b"HTTP/1.0 200 OK\r\n\r\n", b" " * 65536),
    "no gzip": says(http(200, b"x", "Content-Encoding: gzip")),
    "half a gzip": says(http(200, gzip.compress(b"x")[:9], "Content-Encoding: gzip")),
    "a gzip bomb": says(http(200, gzip.compress(b" " * (4 * MEGABYTE)), "Content-Encoding: gzip")),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_post_that_gets_no_answer_is_sent_once_and_told_without_the_url(
    answer: Answer, hell: Hell, client: Client
) -> None:
    hell.will(answer)
    with pytest.raises(Unavailable, match="the lab") as raised:
        client.post(hell.url + "/path?token=secret", b"content", TIMEOUT)
    assert "secret" not in str(raised.value)
    assert "here" in str(raised.value)
    assert "Patchwork" not in str(raised.value)
    assert len(hell.seen) == 1


@pytest.mark.parametrize(
    "url", ["{}/?token=secret", "http://exa mple.org/?token=secret", "http://[::1/?token=secret"]
)
def test_a_url_that_leads_nowhere_is_not_told_either(url: str, client: Client) -> None:
    with pytest.raises(Unavailable, match="the lab at here cannot be reached: ") as raised:
        client.post(url.format(refused_url()), b"", 10)
    assert "secret" not in str(raised.value)


def test_a_time_limit_is_for_sending_the_content_too(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(Unavailable, match="timed out"):
            port = deaf.getsockname()[1]
            client.post(f"http://127.0.0.1:{port}/", b" " * (32 * MEGABYTE), TIMEOUT)


NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
PAUSES = {
    "7": 7.0,
    " 7 ": 7.0,
    "0": 0.0,
    "": None,
    "soon": None,
    "-1": None,
    "1.5": None,
    "9" * 5000: 86400.0,
    "Tue, 14 Nov 2023 22:13:30 GMT": 10.0,
    "Tue, 14 Nov 2023 22:13:30": 10.0,
    "Tue, 14 Nov 2023 22:13:30 -0000": 10.0,
    "Wed, 15 Nov 2033 22:13:20 GMT": 86400.0,
    "Fri, 31 Dec 1999 23:59:59 GMT": 0.0,
    f"Mon, {'9' * 30} Nov 2026 00:00:00 GMT": None,
    "\u0667": 7.0,
}


@pytest.mark.parametrize("value", PAUSES, ids=lambda each: each[:40])
def test_a_retry_after_is_read_in_seconds_and_as_a_date(value: str) -> None:
    assert retry_after(Reply(429, {"Retry-After": value}, b""), NOW) == PAUSES[value]


def test_without_a_retry_after_there_is_no_pause() -> None:
    assert retry_after(Reply(429, {}, b""), NOW) is None
