# SPDX-License-Identifier: BSD-3-Clause
"""The listeners: who may connect, limits, time-outs, Unix sockets, stop and reload."""

import contextlib
import logging
import os
import resource
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import ConfigError
from ingest.sources import sockets
from tests.support.smtp_sink import LOCAL, TABLE, Client, Sink, connect, request, serving, settings


def greeting(sink: Sink) -> str:
    with sink.client(greeting=False) as client:
        return client.reply()


# Who may connect, and how many.


def test_a_session_too_many_is_asked_to_come_again_if_all_others_have_a_mail_under_way(
    quick_path: Path,
) -> None:
    with serving(quick_path, sessions=2) as sink:
        with sink.client() as one, sink.client() as other:
            one.data()
            other.data()
            assert greeting(sink).startswith("421 4.3.2 ")
        while not greeting(sink).startswith("220 "):  # until the others are gone
            pass


def test_when_all_places_are_taken_the_session_idle_for_longest_goes(quick_path: Path) -> None:
    with (
        serving(quick_path, sessions=3) as sink,
        sink.client() as busy,
        sink.client() as waiting,
        sink.client() as sender,
    ):
        busy.data()
        assert sender.deliver(request("a")).startswith("250 ")
        assert waiting.say("NOOP").startswith("250 "), "talk is no mail"
        with sink.client() as late:
            assert waiting.rest()[0].startswith("421 4.3.2 ")
            assert late.deliver(request("b")).startswith("250 ")
            assert sender.deliver(request("c")).startswith("250 ")
            busy.send(request("d") + b".\r\n")
            assert busy.reply().startswith("250 ")


def test_one_client_cannot_take_the_places_of_the_others(quick_path: Path) -> None:
    with serving(quick_path) as sink, contextlib.ExitStack() as opened:
        replies = []
        for _ in range(60):
            client = opened.enter_context(sink.client(greeting=False))
            replies.append(client.reply()[:9])
        assert replies == ["220 " + replies[0][4:]] * 50 + ["421 4.7.0"] * 10


def test_a_session_too_many_of_one_client_is_asked_to_come_again(quick_path: Path) -> None:
    table = {"listen": ["127.0.0.1:0"], "sessions_per_peer": 2}
    with Sink(quick_path, smtp=table) as sink, sink.client(), sink.client():
        assert greeting(sink).startswith("421 4.7.0 ")
        other = socket.socket()
        other.bind(("127.0.0.2", 0))
        other.connect(("127.0.0.1", sink.port))
        with Client(other) as client:
            assert client.reply().startswith("220 ")


@pytest.mark.parametrize(
    ("peers", "reply"),
    [(["127.0.0.0/8"], "220 "), (["127.0.0.1"], "220 "), (["192.0.2.0/24", "::1"], "421 4.7.1 ")],
)
def test_only_peers_may_connect(quick_path: Path, peers: list[str], reply: str) -> None:
    with serving(quick_path, peers=peers) as sink:
        assert greeting(sink).startswith(reply)


def test_large_mails_are_deferred_when_too_much_is_being_received(quick_path: Path) -> None:
    with (
        Sink(quick_path, smtp={**TABLE, "memory": 300_000}, intake={"max_size": 250_000}) as sink,
        sink.client() as one,
        sink.client() as other,
        sink.client() as small,
    ):
        one.data()
        one.send(b"x" * 200_000)
        other.data()
        other.send(b"x" * 200_000)
        assert small.deliver(request("small")).startswith("250 ")
        one.send(b"\r\n.\r\n")
        other.send(b"\r\n.\r\n")
        assert sorted(each.reply()[:9] for each in (one, other)) in (
            ["250 2.0.0", "452 4.3.1"],
            ["452 4.3.1", "452 4.3.1"],
        )
        assert one.deliver(request("a", b"x" * 200_000 + b"\r\n")).startswith("250 ")


# Time-outs.


def test_a_silent_session_is_ended(quick_path: Path) -> None:
    with (
        serving(quick_path, command_timeout=0.1) as sink,
        sink.client(greeting=False) as client,
    ):
        assert [reply[:4] for reply in client.rest()] == ["220 ", "421 "]


def test_a_mail_that_comes_too_slowly_is_cut(quick_path: Path) -> None:
    with serving(quick_path, data_timeout=0.2) as sink, sink.client() as client:
        client.data()
        with contextlib.suppress(ConnectionError):
            while client.socket.send(b"x") and "421" not in peeked(client.socket):
                threading.Event().wait(0.02)
        assert client.reply().startswith("421 4.4.2 ")
        assert sink.kept() == []


def peeked(connected: socket.socket) -> str:
    with contextlib.suppress(BlockingIOError):
        return connected.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT).decode()
    return ""


def test_talking_without_sending_mail_does_not_hold_a_session(quick_path: Path) -> None:
    with (
        serving(quick_path, idle_timeout=0.3) as sink,
        sink.client(greeting=False) as client,
        contextlib.suppress(ConnectionError),
    ):
        client.reply()
        while (reply := client.say("NOOP")).startswith("250 "):
            threading.Event().wait(0.02)
        assert reply[:9] in ("421 4.4.2", "")


@pytest.mark.slow
def test_mails_keep_a_session_alive(quick_path: Path) -> None:
    with serving(quick_path, idle_timeout=1.0) as sink, sink.client() as client:
        for number in range(6):
            threading.Event().wait(0.2)
            assert client.deliver(request(str(number))).startswith("250 ")


@pytest.mark.slow
def test_a_client_that_never_reads_is_let_go(quick_path: Path) -> None:
    # The buffers of a Unix socket are small, and soon full.
    table = {"listen": [f"unix:{quick_path}/s"], "command_timeout": 1.0}
    with Sink(quick_path, smtp=table) as sink, sink.client() as client:
        client.socket.settimeout(0.2)
        with contextlib.suppress(OSError):
            while True:
                client.send(b"NOOP\r\n" * 10_000)
        client.socket.settimeout(60)
        assert client.rest()[-1][:4] in ("250 ", "421 ")


def test_one_who_floods_leaves_the_others_their_turn(quick_path: Path) -> None:
    with serving(quick_path) as sink, sink.client() as client:
        stop = threading.Event()

        def flood() -> None:
            while not stop.is_set():
                client.send(b"NOOP\r\n" * 1000)
                client.replies(1000)

        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            with sink.client() as other:
                for number in range(20):
                    assert other.deliver(request(str(number))).startswith("250 ")
        finally:
            stop.set()
            flooding.join()


@pytest.mark.slow
def test_slow_and_idle_clients_do_not_keep_an_honest_one_out(quick_path: Path) -> None:
    with serving(quick_path, sessions_per_peer=1000) as sink, contextlib.ExitStack() as opened:
        slow = [opened.enter_context(sink.client()) for _ in range(200)]
        for _ in range(500):
            opened.enter_context(sink.client(greeting=False))
        for each in slow:
            each.data()
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2):
                for each in slow:
                    each.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with sink.client() as honest:
                for number in range(20):
                    assert honest.deliver(request(str(number))).startswith("250 ")
        finally:
            stop.set()
            dripping.join()
        assert len(sink.kept()) == 20


@pytest.mark.slow
def test_running_out_of_descriptors_is_survived_quietly(
    quick_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(quick_path) as sink, socket.socket() as waiting:
        waiting.settimeout(60)
        with sink.client() as client:  # the writer has opened the ledger
            client.deliver(request("a"))
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(each) for each in os.listdir("/proc/self/fd"))
        spare = [os.open(os.devnull, os.O_RDONLY)]
        while spare[-1] < highest:
            spare.append(os.open(os.devnull, os.O_RDONLY))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1] + 1, before[1]))
            waiting.connect(("127.0.0.1", sink.port))
            while not caplog.records:
                threading.Event().wait(0.02)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for each in spare:
                os.close(each)
        with Client(waiting) as client:
            assert client.reply().startswith("220 ")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


# Unix sockets, and several listeners.


def test_smtp_and_lmtp_listen_on_several_addresses_at_once(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/smtp.sock"
    smtp = {"listen": [LOCAL, path, "127.0.0.2:0"]}
    with Sink(tmp_path, smtp=smtp, lmtp={"listen": [LOCAL]}) as sink:
        opened = sink.listeners.addresses()
        assert [name for name, _ in opened] == ["smtp", "smtp", "smtp", "lmtp"]
        for _, address in opened:
            with Client(connect(address)) as client:
                assert client.reply().startswith("220 ")


def test_a_unix_socket_has_the_wanted_mode_and_goes_with_the_service(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Sink(tmp_path, smtp={"listen": [f"unix:{path}"], "socket_mode": 0o606}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with Sink(tmp_path, smtp={"listen": [f"unix:{path}"]}) as sink, sink.client() as client:
        assert client.say("NOOP").startswith("250 ")


def test_a_unix_socket_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    table = {"listen": [f"unix:{tmp_path}/s"]}
    with Sink(tmp_path, smtp=table) as sink:
        with (
            pytest.raises(ConfigError, match="another process listens"),
            Sink(tmp_path, smtp=table),
        ):
            pass
        with sink.client() as client:
            assert client.say("NOOP").startswith("250 ")


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with (
        pytest.raises(ConfigError, match="not a socket"),
        Sink(tmp_path, smtp={"listen": [f"unix:{path}"]}),
    ):
        pass
    assert path.read_text() == "precious"


# Stop.


def test_a_mail_under_way_is_finished_before_the_end(quick_path: Path) -> None:
    with serving(quick_path) as sink, sink.client() as idle, sink.client() as busy:
        busy.data()
        busy.send(request("a")[:20])
        stopping = threading.Thread(target=sink.stop, args=(60.0,))
        stopping.start()
        assert [reply[:9] for reply in idle.rest()] == ["421 4.3.2"]
        busy.send(request("a")[20:] + b".\r\n")
        assert [reply[:9] for reply in busy.rest()] == ["250 2.0.0", "421 4.3.2"]
        stopping.join()
        assert len(sink.kept()) == 1


def test_a_mail_that_does_not_end_in_time_is_not_acknowledged(quick_path: Path) -> None:
    with serving(quick_path) as sink, sink.client() as client:
        client.data()
        client.send(request("a"))
        sink.stop(0.1)
        assert client.rest() == []
        assert sink.kept() == []


def test_nobody_is_accepted_any_more(quick_path: Path) -> None:
    with serving(quick_path) as sink:
        port = sink.port
        sink.stop(1.0)
        with pytest.raises(ConnectionRefusedError):
            connect(f"127.0.0.1:{port}")


# Reload.


def test_a_reload_changes_the_rules_and_keeps_sockets_and_sessions(quick_path: Path) -> None:
    with serving(quick_path, recipients=["a@example.org"]) as sink, sink.client() as old:
        port = sink.port
        sink.configure(smtp={**TABLE, "recipients": ["b@example.org"]})
        assert sink.port == port
        with sink.client() as new:
            new.say("MAIL FROM:<>")
            assert new.say("RCPT TO:<a@example.org>").startswith("550 ")
            assert new.say("RCPT TO:<b@example.org>").startswith("250 ")
        assert old.deliver(request("a"), "a@example.org").startswith("250 ")


def test_a_reload_opens_and_closes_listeners(tmp_path: Path) -> None:
    one, two = f"unix:{tmp_path}/1", f"unix:{tmp_path}/2"
    with Sink(tmp_path, smtp={"listen": [one]}) as sink:
        sink.configure(smtp={"listen": [two]})
        with pytest.raises(FileNotFoundError):
            connect(one)
        with sink.client() as client:
            assert client.deliver(request("a")).startswith("250 ")


def test_a_reload_that_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    with taken, serving(tmp_path, recipients=["a@example.org"]) as sink:
        before = sink.listeners.addresses()
        bad = {"listen": [f"unix:{tmp_path}/new", f"127.0.0.1:{port}"], "recipients": ["b@*"]}
        with pytest.raises(ConfigError, match="in use"):
            sink.configure(smtp=bad)
        assert sink.listeners.addresses() == before
        assert not (tmp_path / "new").exists()
        with sink.client() as client:
            client.say("MAIL FROM:<>")
            assert client.say("RCPT TO:<a@example.org>").startswith("250 ")


# Configuration.

BAD: dict[str, dict[str, Any]] = {
    "recipients": {"listen": ["0.0.0.0:25"]},
    "recipients must be set": {"listen": ["*:25"]},
    "[smtp] recipients": {"listen": ["[::]:25"]},
    "listen on 192.0.2.1:25": {"listen": ["192.0.2.1:25"]},
    "is not an address": {"listen": ["25"]},
    "write an IPv6 host as": {"listen": ["::1:25"]},
    "absolute path": {"listen": ["unix:relative"]},
    "'localhost:99999'": {"listen": ["localhost:99999"]},
    "[smtp] peers": {"peers": ["example.org"]},
    "[smtp] proxies": {"proxies": ["192.0.2.0/33"]},
    "[smtp] sessions": {"sessions": 0},
    "idle_timeout": {"idle_timeout": -1.0},
    "memory must hold": {"listen": [LOCAL], "memory": 1000},
    'must be "offered" or "required"': {"starttls": "yes"},
    "no tls_certificate": {"starttls": "required"},
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_setting_is_told(tmp_path: Path, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        settings(tmp_path, smtp=BAD[told])
    assert told in str(raised.value)


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    with (
        pytest.raises(ConfigError, match="tls_certificate"),
        serving(tmp_path, tls_certificate=missing),
    ):
        pass


def test_a_public_address_is_fine_with_recipients(tmp_path: Path) -> None:
    table = {"listen": ["0.0.0.0:0"], "recipients": ["ci@example.org"]}
    with Sink(tmp_path, smtp=table) as sink:
        assert sink.address().startswith("0.0.0.0:")


def test_sockets_of_systemd_without_a_known_name_are_told(tmp_path: Path) -> None:
    from ingest.sources.listeners import Listeners

    with socket.create_server(("127.0.0.1", 0)) as handed, pytest.raises(ConfigError, match="smtp"):
        Listeners(_unused, [("web", sockets.Bound(handed, "x"))])


async def _unused(*_: Any) -> Any:
    raise AssertionError
