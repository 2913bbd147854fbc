# SPDX-License-Identifier: BSD-3-Clause
"""The HTTP listener as the service runs it: reloaded, handed sockets, stopped, killed."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.errors import ConfigError
from ingest.intake import Receipt
from ingest.ledger import Envelope
from tests.support import posted
from tests.support.http_service import ASK, LISTENING, HttpService, exchange, hear, told
from tests.support.http_site import LISTEN, Site, request
from tests.support.loop_thread import PATIENCE

# A program that is handed a socket as systemd does it (sd_listen_fds(3)).
HANDED = """
import os, sys
first, *command = sys.argv[1:]
os.dup2(int(first), 3, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
os.execv(command[0], command)
"""
# A service that is killed between the commit and the answer.
DIES = """
import os, signal, sys
from ingest.sources import writer
def die(self, batch, outcomes):
    os.kill(os.getpid(), signal.SIGKILL)
writer.Writer._answer = die
from ingest.__main__ import main
main()
"""


@pytest.fixture
def service(quick_path: Path) -> Iterator[HttpService]:
    service = HttpService(quick_path)
    yield service
    service.end()


@pytest.mark.slow
def test_a_kill_between_commit_and_answer_loses_and_doubles_nothing(service: HttpService) -> None:
    dying = service.start("--http", "127.0.0.1:0", before=(sys.executable, "-c", DIES))
    assert exchange(told(dying, LISTENING), request("once")) == b""
    assert dying.wait(PATIENCE) == -signal.SIGKILL
    assert service.times_kept("once@example.org") == 1
    again = service.start("--http", "127.0.0.1:0")
    assert exchange(told(again, LISTENING), request("once")).endswith(b"known already\n")
    assert service.times_kept("once@example.org") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(service: HttpService, number: signal.Signals) -> None:
    serving = service.start("--http", "127.0.0.1:0")
    address = told(serving, LISTENING)
    assert b"queued" in exchange(address, request("one"))
    serving.send_signal(number)
    _, rest = serving.communicate(timeout=PATIENCE)
    assert (serving.returncode, "Traceback" in rest) == (0, False)


@pytest.mark.slow
def test_a_body_that_never_ends_does_not_keep_it_from_stopping(service: HttpService) -> None:
    stop = ("--config", str(service.folder / "settings.toml"))
    (service.folder / "settings.toml").write_text("[serve]\nstop_timeout = 0.3\n")
    serving = service.start("--http", "127.0.0.1:0", *stop)
    host, _, port = told(serving, LISTENING).rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /mail HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
        told(serving, r"(serving) the ledger")
        serving.send_signal(signal.SIGTERM)
        _, rest = serving.communicate(timeout=PATIENCE)
        assert connection.recv(1 << 16) == b""
    assert (serving.returncode, "Traceback" in rest) == (0, False)


@pytest.mark.slow
def test_a_unix_socket_and_one_of_systemd_are_listened_on(service: HttpService) -> None:
    path = f"unix:{service.folder}/http.sock"
    with socket.create_server(("127.0.0.1", 0)) as handed:
        before = (
            sys.executable,
            "-c",
            HANDED,
            str(handed.fileno()),
            sys.executable,
            "-m",
            "ingest",
        )
        serving = service.start("--http", path, before=before, keep=(handed.fileno(),))
        told(serving, r"(serving) the ledger")
        assert b"queued" in exchange(path, request("unix"))
        port = handed.getsockname()[1]
        assert b"queued" in exchange(f"127.0.0.1:{port}", request("systemd"))
    serving.send_signal(signal.SIGTERM)
    serving.communicate(timeout=PATIENCE)
    assert not (service.folder / "http.sock").exists()


@pytest.mark.slow
def test_the_service_reads_hooks_anew_and_refuses_bad_ones(service: HttpService) -> None:
    file = service.folder / "settings.toml"
    file.write_text('[http]\nlisten = ["127.0.0.1:0"]\n')
    serving = service.start("--config", str(file))
    address = told(serving, LISTENING)
    file.write_text('[http]\nlisten = ["127.0.0.1:0"]\n[hook.x]\nservice = "mailgun"\n')
    serving.send_signal(signal.SIGHUP)
    assert "mailgun needs secret_file" in told(serving, r"stays as it was: (.*)")
    assert b"queued" in exchange(address, request("one"))


def test_a_request_that_is_under_way_is_answered_when_the_service_stops(quick_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def slow(raw: bytes, source: str, envelope: Envelope) -> Receipt:
        begun.set()
        await asyncio.to_thread(go_on.wait)
        return Receipt.QUEUED

    with ThreadPoolExecutor() as threads, Site(quick_path, accept=slow) as site:
        answer = threads.submit(site.post, "/mail", request("one"))
        begun.wait(PATIENCE)
        stopping = threads.submit(site.stop)
        go_on.set()
        assert answer.result(PATIENCE) == (200, "queued\n")
        stopping.result(PATIENCE)
        with pytest.raises(ConnectionError):
            site.open()


def test_a_reload_changes_hooks_and_tokens_and_keeps_the_socket(quick_path: Path) -> None:
    given = posted.mailgun(request("one"))
    with Site(quick_path) as site:
        port = site.port
        with site.open() as kept:
            kept.sendall(ASK % (len(request("two")), request("two")))
            assert b"200 OK" in hear(kept)
            assert site.post("/mail/mailgun", given.body, given.headers)[0] == 404
            site.configure(LISTEN + posted.hooks(quick_path))
            assert (site.port, site.post("/mail/mailgun", given.body, given.headers)[0]) == (
                port,
                200,
            )
            (quick_path / "token").write_text("a-token")
            site.configure(f'{LISTEN}[token.a]\nfile = "{quick_path}/token"\nmay = ["mail"]\n')
            # On the connection that was open before, too.
            kept.sendall(ASK % (len(request("three")), request("three")))
            assert b"401" in hear(kept)


def test_a_reload_opens_and_closes_addresses(quick_path: Path) -> None:
    first, second = quick_path / "a.sock", quick_path / "b.sock"
    with Site(quick_path, f'[http]\nlisten = ["unix:{first}"]\n') as site:
        assert b"queued" in exchange(f"unix:{first}", request("one"))
        site.configure(f'[http]\nlisten = ["unix:{second}"]\n')
        assert b"queued" in exchange(f"unix:{second}", request("two"))
        assert not first.exists()
        with pytest.raises(ConfigError):
            site.configure(f'[http]\nlisten = ["unix:{first}", "/nonsense"]\n')
        assert (first.exists(), site.http.addresses()) == (False, [f"unix:{second}"])
    assert not second.exists()


def test_what_a_hook_remembers_outlives_a_reload(quick_path: Path) -> None:
    toml = LISTEN + posted.hooks(quick_path)
    with Site(quick_path, toml) as site:
        before = site.http._hooks
        site.configure(toml.replace("[hook.postal]", "[hook.renamed]"))
        assert site.http._hooks["ses"] is before["ses"]
        assert site.http._hooks["renamed"] is not before["postal"]


def test_health_is_told(quick_path: Path) -> None:
    with Site(quick_path) as site:
        assert site.get("/healthz") == (200, "ok\n")
        assert site.get("/readyz") == (200, "ready\n")
    with Site(quick_path) as site:
        site.is_well = False
        status, text = site.get("/readyz")
        assert (status, text) == (503, "the worker, a sink or a source does not go on\n")
        assert site.get("/healthz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/mail", 405),
        ("PUT", "/mail", 405),
        ("GET", "/mail/mailgun", 405),
        ("POST", "/mail/nobody", 404),
        ("POST", "/mail/../mail/nobody", 404),
        ("POST", "/healthz", 405),
        ("POST", "/", 405),
        ("GET", "/nothing", 404),
        ("POST", "/nothing", 404),
    ],
)
def test_everything_else_is_not_there(
    quick_path: Path, method: str, path: str, status: int
) -> None:
    with Site(quick_path, LISTEN + posted.hooks(quick_path)) as site:
        assert site.post(path, b"", method=method)[0] == status


def test_what_is_not_http_is_refused(quick_path: Path) -> None:
    with Site(quick_path) as site:
        assert site.say(b"EHLO mail.example.org\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert site.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")[:12] in (
            b"HTTP/1.1 400",
            b"",
        )


@pytest.mark.parametrize("length", [b"Content-Length: 1\r\n", b"Content-Length: 0x1\r\n"])
def test_two_lengths_of_one_body_are_refused(quick_path: Path, length: bytes) -> None:
    asked = ASK % (len(request("one")), request("one"))
    with Site(quick_path) as site:
        heard = site.say(asked.replace(b"Content-Length", length + b"Content-Length"))
        assert heard.startswith(b"HTTP/1.1 400")
        assert site.queued() == []
