# SPDX-License-Identifier: BSD-3-Clause
"""Prometheus itself and its promtool: they accept our metrics, alerts and example."""

import contextlib
import json
import math
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from ingest import signs
from ingest.ledger import Consumer, Cursor, Feed, open_ledger
from ingest.patchwork import outage
from tests.support.dashboard import queries
from tests.support.http_site import LISTEN, Site
from tests.support.ledger_values import NOON, arrival, record
from tests.support.loop_thread import PATIENCE
from tests.support.places import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not installed")

RULES = ROOT / "contrib/prometheus/recheck-ingest.rules.yml"
EXAMPLE = ROOT / "contrib/prometheus/scrape.example.yml"


def promtool(*arguments: str, given: str = "") -> str:
    """What it says; it must be content, and have nothing to advise."""
    ran = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def site(quick_path: Path) -> Iterator[Site]:
    """A listener on a ledger that has something of most that is told."""
    with contextlib.closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger:
        record(ledger, "a@example.org")
        ledger.accept(arrival("b@example.org"))
        ledger.set_cursor(Cursor(f"json_file:{quick_path}/retests.json"))
        ledger.set_consumer(Consumer("arm", 1, NOON))
        outage.note_answer(ledger, NOON)
        ledger.timings.add("patchwork 200", [0.2])
        ledger.remember("trouble of worker", json.dumps([NOON, "the disk is full"]), math.inf)
        ledger.set_feed(Feed("inbox.dev", moved=NOON, tries=4, reason="no route"))
    signs.saw(str(quick_path), "smtp", {"dev.example.org": 3, '"\\\n\x00{}': 1}, NOON)
    inbox = '[inbox.dev]\nurl = "https://inbox.example.org/dev"\n'
    with Site(quick_path, LISTEN + inbox) as site:
        yield site


def test_promtool_has_nothing_to_say_against_the_metrics(site: Site) -> None:
    status, text = site.get("/metrics")
    assert (status, promtool("check", "metrics", given=text)) == (200, "")


def test_promtool_accepts_the_alerts() -> None:
    said = promtool("check", "rules", str(RULES))
    assert f"SUCCESS: {RULES.read_text().count('alert: ')} rules found" in said


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    cases = ROOT / "tests/data/prometheus/rules.test.yml"
    assert "SUCCESS" in promtool("test", "rules", str(cases))


def test_promtool_accepts_the_example_of_a_scrape() -> None:
    promtool("check", "config", "--syntax-only", str(EXAMPLE))


@contextlib.contextmanager
def prometheus(config: str, folder: Path) -> Iterator[str]:
    """A running Prometheus; its address."""
    file = folder / "prometheus.yml"
    file.write_text(config)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={file}", f"--web.listen-address={address}"]
    with (folder / "prometheus.log").open("w") as log:
        running = subprocess.Popen(
            [*command, f"--storage.tsdb.path={folder}/tsdb"], stdout=log, stderr=log
        )
    try:
        yield address
    finally:
        running.kill()
        running.wait()


def ask(address: str, query: str) -> list[Any]:
    """The series that a query finds, once it finds any."""
    url = f"http://{address}/api/v1/query?query={urllib.parse.quote(query)}"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError, URLError):
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found: list[Any] = json.load(answer)["data"]["result"]
            if found:
                return found
        time.sleep(0.1)
    raise AssertionError(f"Prometheus finds nothing for {query}")


def scrapes(site: Site) -> str:
    """The example, for this listener and often."""
    text = EXAMPLE.read_text().replace("127.0.0.1:8025", f"127.0.0.1:{site.port}")
    text = text.replace("/etc/prometheus/recheck-ingest.rules.yml", str(RULES))
    return text + "    scrape_interval: 1s\n    scrape_timeout: 1s\n"


def test_prometheus_scrapes_with_a_token_by_the_example(site: Site, quick_path: Path) -> None:
    token = quick_path / "token"
    token.write_text("may-read\n")
    site.configure(
        f'{LISTEN}read = "token"\n[token.prometheus]\nfile = "{token}"\nmay = ["read"]\n'
    )
    text = scrapes(site).replace("/etc/prometheus/recheck-ingest.token", str(token))
    text = text.replace("    # authorization:\n    #   cred", "    authorization:\n      cred")
    with prometheus(text, quick_path) as address:
        (found,) = ask(address, "recheck_ingest_requests_total")
    assert (found["metric"]["job"], found["value"][1]) == ("recheck-ingest", "1")


def test_each_query_of_the_dashboard_finds_something(site: Site, quick_path: Path) -> None:
    instance = f"127.0.0.1:{site.port}"
    with prometheus(scrapes(site), quick_path) as address:
        for _, expr, _ in queries():
            assert ask(address, expr.replace("$instance", instance))
