# SPDX-License-Identifier: BSD-3-Clause
"""SMTP and LMTP as the service runs them: stopped, killed and reloaded in the middle of mail."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.ledger import open_ledger
from tests.support.loop_thread import PATIENCE
from tests.support.smtp_sink import Client, connect, request

NOWHERE = "http://127.0.0.1:9"  # no Patchwork: mails stay queued
LISTENING = r"listening for \w+ on (\S+)"
# A program that is handed sockets as systemd does it (sd_listen_fds(3)).
HANDED = """
import os, sys
first, second, *command = sys.argv[1:]
os.dup2(int(first), 3, inheritable=True)
os.dup2(int(second), 4, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "smtp:lmtp"}
os.execv(command[0], command)
"""


class Service:
    """A ``recheck-ingest serve`` process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, *flags: str, before: tuple[str, ...] = (), keep: tuple[int, ...] = ()) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
        own = ("--state", str(self.folder), "--patchwork", NOWHERE, "-v")
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "ingest", "serve", *own, *flags],
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
            pass_fds=keep,
        )

    def told(self, pattern: str) -> re.Match[str]:
        """The next line on standard error that matches."""
        assert self.process and self.process.stderr
        for line in self.process.stderr:
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"it ended without telling {pattern}")

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what else it told."""
        assert self.process
        _, told = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, told

    def times_kept(self, message_id: str) -> int:
        ledger = open_ledger(f"sqlite:{self.folder}/ledger.sqlite")
        found = ledger.find(message_id)
        ledger.close()
        return len(found)


@pytest.fixture
def service(quick_path: Path) -> Iterator[Service]:
    service = Service(quick_path)
    yield service
    if service.process:
        service.process.kill()
        service.process.communicate()


def greeted(address: str, hello: str = "EHLO") -> Client:
    client = Client(connect(address))
    assert client.reply().startswith("220 ")
    assert client.say(f"{hello} client.example.org").startswith("250")
    return client


async def load(port: int, name: str, acknowledged: list[str], enough: asyncio.Event) -> list[str]:
    """Send mails over one connection until it ends, and note those that got 250; what the last
    reply was instead, if there was one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say(line: bytes) -> str:
        writer.write(line)
        reply = ""
        while (reply := (await reader.readline()).decode())[3:4] == "-":
            pass
        return reply

    try:
        await say(b"")
        await say(b"EHLO client.example.org\r\n")
        for number in range(10_000):
            for command in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA"):
                if not (reply := await say(f"{command}\r\n".encode())).startswith(("250", "354")):
                    return [reply[:9]]
            reply = await say(request(f"{name}-{number}") + b".\r\n")
            if not reply.startswith("250 "):
                return [reply[:9]]
            acknowledged.append(f"{name}-{number}@example.org")
            if len(acknowledged) > 200:
                enough.set()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_under_load_is_kept_once(
    service: Service, number: signal.Signals
) -> None:
    service.start("--smtp", "127.0.0.1:0")
    port = int(service.told(LISTENING)[1].rpartition(":")[2])
    acknowledged: list[str] = []

    async def main() -> list[list[str]]:
        enough = asyncio.Event()
        senders = [
            asyncio.create_task(load(port, f"c{each}", acknowledged, enough)) for each in range(20)
        ]
        reading = asyncio.create_task(asyncio.to_thread(service.end))
        await enough.wait()
        service.signal(number)
        ends = await asyncio.gather(*senders)
        code, _ = await reading
        assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        return ends

    ends = asyncio.run(main())
    if number is signal.SIGTERM:
        assert {reply for end in ends for reply in end if reply} <= {"421 4.3.2"}
    assert len(acknowledged) > 200
    assert {service.times_kept(each) for each in acknowledged} == {1}


def test_a_mail_under_way_at_sigterm_is_finished(service: Service) -> None:
    service.start("--smtp", "127.0.0.1:0")
    with greeted(service.told(LISTENING)[1]) as client:
        client.data()
        client.send(request("a"))
        service.signal(signal.SIGTERM)
        client.send(b".\r\n")
        assert [reply[:9] for reply in client.rest()] == ["250 2.0.0", "421 4.3.2"]
    assert service.end()[0] == 0
    assert service.times_kept("a@example.org") == 1


@pytest.mark.slow
def test_sigterm_does_not_wait_for_a_client_that_stops_in_the_middle(service: Service) -> None:
    table = service.folder / "toml"
    table.write_text("[serve]\nstop_timeout = 0.2\n")
    service.start("--smtp", "127.0.0.1:0", "--config", str(table))
    with greeted(service.told(LISTENING)[1]) as client:
        client.data()
        service.signal(signal.SIGTERM)
        assert service.end()[0] == 0
        assert client.rest() == []


@pytest.mark.slow
def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(service: Service) -> None:
    table = service.folder / "toml"
    table.write_text('[smtp]\nlisten = ["127.0.0.1:0"]\nrecipients = ["one@example.org"]\n')
    service.start("--config", str(table))
    address = service.told(LISTENING)[1]
    service.told("serving the ledger")

    def wanted(recipient: str) -> str:
        with greeted(address) as client:
            client.say("MAIL FROM:<>")
            return client.say(f"RCPT TO:<{recipient}@example.org>")[:9]

    with greeted(address) as old:
        table.write_text('[smtp]\nlisten = ["127.0.0.1:0"]\nrecipients = ["two@example.org"]\n')
        service.signal(signal.SIGHUP)
        service.told("the configuration was read again")
        assert [wanted("one"), wanted("two")] == ["550 5.1.1", "250 2.1.5"]
        for bad in ("[smtp]\nlisten = 25\n", '[smtp]\nlisten = ["0.0.0.0:0"]\n', "[[["):
            table.write_text(bad)
            service.signal(signal.SIGHUP)
            assert service.told("the configuration stays as it was: .*")
            assert [wanted("one"), wanted("two")] == ["550 5.1.1", "250 2.1.5"]
        assert old.deliver(request("a"), "one@example.org").startswith("250 ")
    service.signal(signal.SIGTERM)
    assert service.end()[0] == 0


@pytest.mark.slow
def test_sockets_handed_over_by_systemd_are_served(service: Service, quick_path: Path) -> None:
    path = f"{quick_path}/lmtp.sock"
    with socket.create_server(("127.0.0.1", 0)) as smtp, socket.socket(socket.AF_UNIX) as lmtp:
        lmtp.bind(path)
        lmtp.listen()
        handed = (smtp.fileno(), lmtp.fileno())
        before = (sys.executable, "-c", HANDED, *map(str, handed))
        service.start(before=before, keep=handed)
        with greeted(f"127.0.0.1:{smtp.getsockname()[1]}") as client:
            assert client.deliver(request("a")).startswith("250 ")
        with greeted(f"unix:{path}", "LHLO") as client:
            assert client.deliver(request("b"), "a@example.org", "b@example.org")[:3] == "250"
            assert client.reply().startswith("250 ")
        service.signal(signal.SIGTERM)
        assert service.end()[0] == 0
        assert Path(path).is_socket()  # it is systemd's


def test_an_address_that_cannot_be_had_is_told(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        service.start("--smtp", address)
        code, told = service.end()
    assert code == 78
    assert told == f"recheck-ingest: cannot listen on {address}: Address already in use\n"


def test_any_recipient_is_not_taken_from_anywhere(service: Service) -> None:
    service.start("--smtp", "0.0.0.0:0")
    code, told = service.end()
    assert code == 78
    assert "recipients must be set" in told


@pytest.mark.slow
def test_a_limit_of_open_files_is_kept(service: Service) -> None:
    limited = ("prlimit", "--nofile=128", "--")
    service.start("--smtp", "127.0.0.1:0", before=limited)
    address = service.told(LISTENING)[1]
    clients = [Client(connect(address)) for _ in range(200)]
    try:
        greetings = {client.reply()[:4] for client in clients}
    finally:
        for client in clients:
            client.close()
    assert greetings == {"220 ", "421 "}
    while (client := Client(connect(address))).reply().startswith("421 "):
        client.close()
    with client:
        client.say("EHLO client.example.org")
        assert client.deliver(request("a")).startswith("250 ")
    service.signal(signal.SIGTERM)
    assert service.end()[0] == 0
