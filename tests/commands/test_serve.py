# SPDX-License-Identifier: BSD-3-Clause
"""The long-running process: ready, well, stopped, killed, and relieved."""

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.places import RECORDED
from tests.support.service import MAIL, Service, eventually
from tests.support.smtp_sink import Client, connect


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox")) as sandbox:
        yield sandbox


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.end()


def test_serve_works_off_what_pipes_store(service: Service, patchwork: Sandbox) -> None:
    service.start("serve", url=patchwork.url)
    service.pipe(b"one", patchwork.url)
    service.pipe(b"two", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one", "iol-two"])


@pytest.mark.slow
def test_sigterm_ends_it_with_exit_code_0(service: Service, patchwork: Sandbox) -> None:
    serving = service.start("serve", url=patchwork.url)
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    serving.send_signal(signal.SIGTERM)
    printed, said = serving.communicate(timeout=60)
    serves, stops, ends = said.decode().splitlines()
    assert printed == b""
    assert serves == (
        f"recheck-ingest: serving the ledger sqlite:{service.folder}/ledger.sqlite; it listens to "
        "nothing: mail comes by pipe and replay only (see recheck-ingest help mail-servers for "
        "other ways)"
    )
    assert stops.endswith(": stopping: no more mail is taken in; what is at work has 4 s to end")
    assert ends == "recheck-ingest: stopped"
    assert serving.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "work"])
def test_sigterm_in_the_middle_of_a_question_loses_nothing(
    service: Service, patchwork: Sandbox, command: str
) -> None:
    with socket.socket() as silent:  # accepts connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service.pipe(b"one", url)
        asking = service.start(command, url=url, RECHECK_INGEST_SERVE_STOP_TIMEOUT="0.2")
        connection, _ = silent.accept()
        with connection:
            asking.send_signal(signal.SIGTERM)
            asking.communicate(timeout=60)
        assert asking.returncode == 0
    service.start("serve", url=patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])


@pytest.mark.slow
def test_the_ways_in_are_told_at_the_start(service: Service, patchwork: Sandbox) -> None:
    (service.folder / "mail").mkdir()
    flags = ["--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    flags += ["--maildir", str(service.folder / "mail")]
    serving = service.start("serve", *flags, url=patchwork.url)
    assert serving.stderr
    said = serving.stderr.readline().decode()
    assert re.search(
        r"; mail comes by SMTP on 127\.0\.0\.1:\d+, HTTP on 127\.0\.0\.1:0, the Maildir /.*/mail, "
        r"and by pipe$",
        said.rstrip(),
    )


@pytest.mark.slow
def test_a_log_of_errors_alone_has_none_of_that(service: Service, patchwork: Sandbox) -> None:
    serving = service.start("serve", url=patchwork.url, RECHECK_INGEST_LOG_LEVEL="error")
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    serving.send_signal(signal.SIGTERM)
    assert serving.communicate(timeout=60) == (b"", b"")


@pytest.mark.slow
def test_a_killed_worker_is_relieved_by_the_one_that_waits(
    service: Service, patchwork: Sandbox
) -> None:
    first = service.start("serve", url=patchwork.url)
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    second = service.start("serve", url=patchwork.url)
    assert second.stderr
    assert b"serving the ledger" in second.stderr.readline()
    assert second.stderr.readline() == (
        b"recheck-ingest: another process works on this ledger; this one takes in mail, and takes "
        b"over when the other ends\n"
    )
    first.kill()
    service.pipe(b"two", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one", "iol-two"])
    assert second.stderr.readline() == (
        b"recheck-ingest: the other process has ended: this one works on the ledger\n"
    )
    assert second.poll() is None


@pytest.mark.slow
def test_a_second_worker_of_a_timer_steps_back(service: Service, patchwork: Sandbox) -> None:
    service.start("serve", url=patchwork.url)
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    other = service.start("work", "--once", url=patchwork.url)
    _, said = other.communicate(timeout=60)
    assert other.returncode == 75
    assert b"another worker is at work" in said


@pytest.mark.slow
def test_with_few_descriptors_mail_is_taken_in_all_the_same(
    service: Service, patchwork: Sandbox, tmp_path: Path
) -> None:
    path = f"unix:{tmp_path}/s"
    service.wrapper = ["sh", "-c", 'ulimit -n 48; exec "$@"', "sh"]
    serving = service.start("serve", "--smtp", path, url=patchwork.url)
    eventually((tmp_path / "s").exists)
    with contextlib.ExitStack() as opened:
        for _ in range(60):  # idle ones, which give way
            opened.enter_context(Client(connect(path)))
        for name in ("one", "two", "three"):

            def is_taken(name: bytes = name.encode()) -> bool:
                with Client(connect(path)) as client:
                    if not client.reply().startswith("220 "):
                        return False
                    client.say("EHLO client.example.org")
                    raw = (MAIL % (name, name)).replace(b"\n", b"\r\n")
                    return client.deliver(raw).startswith("250 ")

            eventually(is_taken)
    eventually(lambda: service.contexts() == ["iol-one", "iol-three", "iol-two"])
    serving.send_signal(signal.SIGTERM)
    _, said = serving.communicate(timeout=60)
    assert serving.returncode == 0
    assert b"raise LimitNOFILE" in said
    assert b"Traceback" not in said


def test_systemd_is_told_of_readiness_health_and_stopping(
    service: Service, patchwork: Sandbox, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = str(tmp_path / "notify")
        manager.bind(address)
        manager.settimeout(60)
        serving = service.start(
            "serve", url=patchwork.url, NOTIFY_SOCKET=address, WATCHDOG_USEC="60000"
        )
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        serving.send_signal(signal.SIGTERM)
        told = set()
        while b"STOPPING=1" not in told:
            told.add(manager.recv(100))
        assert told <= {b"WATCHDOG=1", b"STOPPING=1"}


def test_a_ledger_that_cannot_be_opened_is_told_at_the_start(
    service: Service, patchwork: Sandbox
) -> None:
    serving = service.start(
        "serve", url=patchwork.url, RECHECK_INGEST_STATE_LEDGER="sqlite:/dev/null/ledger"
    )
    _, said = serving.communicate(timeout=60)
    assert serving.returncode == 75
    assert b"/dev/null/ledger" in said
    assert b"Traceback" not in said


@pytest.mark.slow
def test_retry_has_waiting_and_unresolved_mail_tried_again(
    service: Service, patchwork: Sandbox
) -> None:
    soon = {
        "RECHECK_INGEST_WORKER_GIVE_UP_MISSING": "0",
        "RECHECK_INGEST_WORKER_RETRY": "1",  # one attempt
    }
    with Sandbox() as ignorant:  # knows no patch at all
        service.pipe(b"one", ignorant.url)
        service.start("work", "--once", url=ignorant.url, **soon).communicate(timeout=60)
    done = service.start("status", "--json", url=patchwork.url)
    assert json.loads(done.communicate(timeout=60)[0])["mails"]["unresolved"] == 1
    again = service.start("retry", "--all", url=patchwork.url)
    assert again.communicate(timeout=60)[0].startswith(b"1 queued")
    service.start("work", "--once", url=patchwork.url).communicate(timeout=60)
    assert service.contexts() == ["iol-one"]


@pytest.mark.slow
def test_retry_of_a_mail_that_is_done_says_so(service: Service, patchwork: Sandbox) -> None:
    service.pipe(b"one", patchwork.url)
    service.start("work", "--once", url=patchwork.url).communicate(timeout=60)
    again = service.start("retry", "one@example.org", url=patchwork.url)
    _, said = again.communicate(timeout=60)
    assert (again.returncode, b"show" in said) == (1, True)


def test_check_finds_a_sound_installation_well(service: Service, patchwork: Sandbox) -> None:
    service.pipe(b"one", patchwork.url)
    checking = service.start("check", "--json", "--as", "root", url=patchwork.url)
    out, _ = checking.communicate(timeout=60)
    findings = {each["what"]: each for each in json.loads(out)}
    assert checking.returncode == 0, out
    assert findings["API"]["text"] == "version 1.4, filters by Message-ID"
    assert "ci (ci.dpdk.org)" in findings["projects"]["text"]
    assert findings["clock"]["level"] == "ok"


@pytest.mark.parametrize(
    ("path", "what", "said"),
    [
        ("/api/1.1", "API", "ignores the msgid filter"),
        ("/api/9.9", "API", "no Patchwork API"),
    ],
)
def test_check_tells_what_is_wrong_with_the_server(
    service: Service, patchwork: Sandbox, path: str, what: str, said: str
) -> None:
    checking = service.start("check", "--json", url=patchwork.url + path)
    out, _ = checking.communicate(timeout=60)
    problems = {each["what"]: each["text"] for each in json.loads(out) if each["level"] != "ok"}
    assert checking.returncode == 78
    assert said in problems[what]


def test_check_says_what_an_older_server_cannot_do(service: Service) -> None:
    with Sandbox(str(RECORDED / "patch.mbox"), api="1.2") as older:
        checking = service.start("check", "--json", "--as", "root", url=older.url)
        out, _ = checking.communicate(timeout=60)
        findings = {each["what"]: each for each in json.loads(out)}
        assert findings["API"]["text"] == "version 1.2, filters by Message-ID"
        assert findings["comments"]["level"] == "warning"
        assert "catching up reads the comments on recent patches" in findings["comments"]["text"]


def test_check_says_what_freedesktops_fork_cannot_do(service: Service, tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text("lab:wrong")
    login.chmod(0o600)
    sink = {"RECHECK_INGEST_TEST_RESULT_LAB_LOGIN_FILE": str(login)}
    with Sandbox(kind="freedesktop", tokens={"secret": ("lab", {"dpdk"})}) as fork:
        checking = service.start("check", "--json", "--as", "root", url=fork.url, **sink)
        out, _ = checking.communicate(timeout=60)
    findings = {each["what"]: each for each in json.loads(out)}
    assert findings["API"]["text"] == "that of freedesktop's fork, with revisions of series"
    assert findings["comments"]["level"] == findings["results"]["level"] == "warning"
    assert "nothing can be caught up" in findings["comments"]["text"]
    assert findings["projects"]["text"] == "ci (ci.dpdk.org), dpdk (dev.dpdk.org)"
    told = f"Patchwork does not know the login in {login}: it is NAME:PASSWORD of an account there"
    assert findings["test_result:lab"]["text"] == told


def test_check_tells_the_version_that_the_url_names(service: Service, patchwork: Sandbox) -> None:
    checking = service.start("check", "--json", "--as", "root", url=f"{patchwork.url}/api/1.2")
    out, _ = checking.communicate(timeout=60)
    findings = {each["what"]: each for each in json.loads(out)}
    assert findings["API"]["text"] == "version 1.2, filters by Message-ID"


@pytest.mark.parametrize(("secret", "known"), [("good", True), ("nobody's", False)])
def test_check_tells_a_token_that_patchwork_does_not_know(
    secret: str, known: bool, service: Service, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(secret)
    token.chmod(0o600)
    lab = {"RECHECK_INGEST_CHECK_LAB_TOKEN_FILE": str(token)}
    with Sandbox(str(RECORDED / "patch.mbox"), tokens={"good": ("lab", {"ci"})}) as patchwork:
        checking = service.start("check", "--json", "--as", "root", url=patchwork.url, **lab)
        out, _ = checking.communicate(timeout=60)
    problems = [each["text"] for each in json.loads(out) if each["level"] == "problem"]
    told = (
        f"Patchwork does not know the token in {token}: make a new one on your profile page there"
    )
    assert problems == ([] if known else [told])


def test_check_of_a_server_that_is_down_ends_with_69(service: Service) -> None:
    checking = service.start("check", "--as", "root", url="http://127.0.0.1:9")
    out, _ = checking.communicate(timeout=60)
    assert (checking.returncode, b"cannot be reached" in out) == (69, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_check_tries_the_paths_as_the_mail_servers_user(
    service: Service, patchwork: Sandbox, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    checking = service.start("check", "--json", "--as", "nobody", url=patchwork.url)
    out, _ = checking.communicate(timeout=60)
    told = [each for each in json.loads(out) if each["what"] == "paths as nobody"]
    assert checking.returncode == 78
    assert any(str(tmp_path) in each["text"] for each in told)
