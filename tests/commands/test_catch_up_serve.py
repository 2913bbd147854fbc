# SPDX-License-Identifier: BSD-3-Clause
"""Catching up now and then, as the safety net of a service: what it finds, and what it never
holds up."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.commands import catch_up
from ingest.ledger import open_ledger
from ingest.sandbox import Sandbox
from tests.support.bad_server import Answer, Hell, Seen, html, patch_row, rows, stalls, text
from tests.support.places import RECORDED
from tests.support.questions import paths, queries
from tests.support.service import Service, eventually

MBOXES = [str(RECORDED / f"{name}.mbox") for name in ("patch", "series", "replies")]
OFTEN = {"RECHECK_INGEST_CATCH_UP_INTERVAL": "0.1"}
# Far longer than a test may take: what ended in time did not wait for it.
PATIENT = {
    "RECHECK_INGEST_PATCHWORK_TIMEOUT": "900",
    "RECHECK_INGEST_SERVE_STOP_TIMEOUT": "900",
}


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    """Two requests came just now, and a mail that quotes one of them."""
    with Sandbox(*MBOXES) as sandbox:
        yield sandbox


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    for process in service.processes:
        process.kill()
        process.communicate()


def ended(serving: "subprocess.Popen[bytes]") -> list[str]:
    """The lines that a service told, but for those of its start and end; it ends when it is told
    to."""
    serving.send_signal(signal.SIGTERM)
    out, told = serving.communicate(timeout=60)
    assert (out, serving.returncode) == (b"", 0)
    usual = ("serving the ledger ", "stopping: ", "stopped")
    lines = told.decode().splitlines()
    return [each for each in lines if not each.partition(": ")[2].startswith(usual)]


def asks(patchwork: Sandbox) -> int:
    """How often it was asked for comments."""
    asked = queries(patchwork, "/api/events/")
    return sum("comment" in each["category"][0] for each in asked)


@pytest.mark.slow
def test_what_mail_missed_is_worked_off_and_told(service: Service, patchwork: Sandbox) -> None:
    serving = service.start("serve", url=patchwork.url, **OFTEN)
    eventually(lambda: bool(service.contexts()))
    seen = asks(patchwork)
    eventually(lambda: asks(patchwork) > seen + 3)
    (told,) = ended(serving)
    assert told.startswith("recheck-ingest: the mail feed missed 2 requests since 20")
    assert told.endswith(": <recheck-1@example.org>, <recheck-2@example.org>")


@pytest.mark.slow
def test_where_mail_missed_nothing_nothing_is_told(service: Service, patchwork: Sandbox) -> None:
    replay = service.start("replay", MBOXES[2], url=patchwork.url)
    assert replay.wait(60) == 0
    patchwork.requests.clear()
    serving = service.start("serve", url=patchwork.url, **OFTEN)
    eventually(lambda: asks(patchwork) > 4)
    assert ended(serving) == []
    comments = [path for path in paths(patchwork) if "comments" in path]
    assert len(comments) == len(set(comments)) == 3


@pytest.mark.slow
def test_by_default_no_events_are_asked_for(service: Service, patchwork: Sandbox) -> None:
    serving = service.start("serve", url=patchwork.url)
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    ended(serving)
    assert asks(patchwork) == 0


@pytest.mark.slow
def test_a_restart_is_no_reason_to_ask_before_it_is_time(
    service: Service, patchwork: Sandbox
) -> None:
    hourly = {"RECHECK_INGEST_CATCH_UP_INTERVAL": "3600"}
    for name in (b"one", b"two"):
        serving = service.start("serve", url=patchwork.url, **hourly)
        service.pipe(name, patchwork.url)
        eventually(lambda name=name: f"iol-{name.decode()}" in service.contexts())  # type: ignore[misc]
        if name == b"one":
            eventually(lambda: caught_up(service) > 0)
        ended(serving)
    assert asks(patchwork) == 2  # one list of each kind


def caught_up(service: Service) -> float:
    ledger = open_ledger(f"sqlite:{service.folder}/ledger.sqlite")
    moved = catch_up.state(ledger).moved
    ledger.close()
    return moved


def hanging(seen: Seen) -> Answer:
    """A Patchwork that knows every patch and the version, and says nothing of events."""
    if seen.path == "/api/events/":
        return stalls()
    if seen.path == "/api/patches/":
        return rows(patch_row(seen.query["msgid"][0]))
    return text("{}") if seen.path == "/api/1.3/" else rows()


@pytest.mark.slow
def test_the_worker_works_while_catching_up_hangs(service: Service, hell: Hell) -> None:
    hell.route(hanging)
    serving = service.start("serve", url=hell.url, **OFTEN, **PATIENT)
    eventually(lambda: any(seen.path == "/api/events/" for seen in hell.seen))
    service.pipe(b"one", hell.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    assert ended(serving) == []


@pytest.mark.slow
def test_a_service_ends_at_once_while_catching_up_hangs(service: Service, hell: Hell) -> None:
    hell.route(hanging)
    serving = service.start("serve", url=hell.url, **OFTEN, **PATIENT)
    eventually(lambda: any(seen.path == "/api/events/" for seen in hell.seen))
    assert ended(serving) == []
    assert caught_up(service) == 0


@pytest.mark.slow
def test_a_server_without_comments_is_told_once(service: Service, hell: Hell) -> None:
    hell.route(lambda seen: text("{}") if seen.path == "/api/" else html(404))
    serving = service.start("serve", url=hell.url, **OFTEN)
    eventually(lambda: bool(hell.seen))
    time.sleep(1)  # it would ask five times
    (told,) = ended(serving)
    assert [seen.path for seen in hell.seen] == ["/api/1.3/", "/api/", "/api/1.1/", "/api/"]
    assert told.startswith("recheck-ingest: catching up is not complete: Patchwork at http")
    assert "shows no comments" in told


@pytest.mark.slow
def test_a_new_interval_counts_from_the_next_reload_on(
    service: Service, patchwork: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "recheck-ingest.toml"
    file.write_text("")
    serving = service.start("serve", "--config", str(file), "-v", url=patchwork.url)
    assert serving.stderr is not None
    while b"serving the ledger" not in serving.stderr.readline():
        pass
    file.write_text("[catch_up]\ninterval = 0.1\n")
    serving.send_signal(signal.SIGHUP)
    eventually(lambda: bool(service.contexts()))
    file.write_text("")
    serving.send_signal(signal.SIGHUP)
    while b"the configuration was read again" not in serving.stderr.readline():
        pass
    ended(serving)
