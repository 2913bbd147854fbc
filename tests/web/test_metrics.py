# SPDX-License-Identifier: BSD-3-Clause
"""/metrics: what Prometheus is told, who may read it, and that nothing else is asked for."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest import __version__, signs
from ingest.config import tables
from ingest.config.source_tables import InboxSettings
from ingest.ledger import Cursor, Feed, Outcome, State, Waiting, open_ledger
from ingest.ledger.values import BOUNDS, Timing
from ingest.story.feeds import FeedState, Seen
from ingest.story.status import (
    CatchingUp,
    Database,
    Hindrance,
    Sink,
    Standby,
    Status,
    Taker,
)
from ingest.web import metrics
from ingest.web.metrics import Measured
from tests.support.dashboard import dashboard, queries
from tests.support.http_service import LISTENING, NOWHERE, HttpService, exchange, told
from tests.support.http_site import LISTEN, Site, request
from tests.support.ledger_values import NOON, arrival, claimed, finish, put_back, record
from tests.support.places import ROOT
from tests.support.service import eventually

ASKING = [
    ROOT / "contrib/prometheus/recheck-ingest.rules.yml",
    ROOT / "contrib/grafana/recheck-ingest.json",
]
NAME = re.compile(rf"\b{metrics.PREFIX}\w+")

AT_NOON = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
LATER = AT_NOON + timedelta(minutes=5)
SINK = Sink(
    "webhook:lab", True, 5, 2, AT_NOON, 6, 3, LATER, "it is down", 4, 1, "at 5, 2 behind", None
)
EVERYTHING = Status(
    now=LATER,
    ledger="sqlite:/ledger",
    patchwork="https://patches.example.org",
    patchwork_answered=AT_NOON,
    mails={"queued": 7, "done": 3, "ignored": 2, "rejected": 0, "unresolved": 1, "failed": 0},
    waiting={"missing": 1, "down": 2, "failing": 0},
    oldest=AT_NOON,
    due=LATER,
    last_received=LATER,
    requests=6,
    overdue=2,
    last_request=7,
    sinks=(SINK, replace(SINK, name="webhook:old", configured=False)),
    consumers=(Taker("arm", 3, 4, AT_NOON, "at 3, 4 behind"),),
    held=(),
    catch_up=CatchingUp(AT_NOON, 2, "it sleeps"),
    feeds=(
        FeedState("inbox.dev", "1", LATER, 0, None),
        FeedState("inbox.new", None, None, 5, "there is no such repository"),
        FeedState("inbox.old", None, AT_NOON, 9, "it moved"),
    ),
    troubles=(Hindrance("worker", AT_NOON, "the disk is full"),),
    seen=(
        Seen("pipe", "dev.example.org", 812, AT_NOON, LATER, 60.0, False),
        Seen("pipe", "", 3, AT_NOON, AT_NOON, 60.0, True),
        Seen("hook.lists", None, 5, AT_NOON, LATER, 60.0, False),
    ),
    notices=(),
    ledger_size=4096,
    database=Database(
        "15.14",
        -0.25,
        wanted=2,
        streaming=1,
        standbys=(
            Standby("db2", synchronous=True, streaming=True, behind=16, lag=0.5),
            Standby("db3", synchronous=False, streaming=True, behind=4096, lag=2.0),
        ),
    ),
)


def timing(*numbers: int, seconds: float) -> Timing:
    """So many within each of the first bounds."""
    return Timing((*numbers, *[0] * (len(BOUNDS) + 1 - len(numbers))), seconds)


MEASURED = Measured(
    {
        "patchwork 200": timing(3, 2, 1, seconds=1.25),
        "patchwork none": timing(*[0] * 7, 2, seconds=60.5),
        "recorded": timing(0, 0, 1, 4, seconds=3.5),
    },
    {("iol-a", State.SUCCESS): 7, ("iol-a", State.OVERDUE): 1, ("", State.ASKED): 2},
)
SETTINGS = tables.Settings(
    catch_up=tables.CatchUpSettings(interval=60.0),
    inbox={"dev": InboxSettings(), "new": InboxSettings()},
)


def names(text: str) -> set[str]:
    """The metrics that an answer tells of."""
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def samples(text: str) -> dict[str, float]:
    """What an answer says, by name and labels."""
    return {
        each.name.removeprefix(metrics.PREFIX) + "".join(f" {v}" for v in each.labels.values()): (
            each.value
        )
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_all_that_there_is_to_tell() -> None:
    made = metrics.text(metrics.configured(EVERYTHING, SETTINGS), MEASURED).decode()
    golden = (ROOT / "tests/data/prometheus/metrics.txt").read_text()
    assert made == golden.replace("VERSION", __version__)


def test_what_is_configured_no_longer_is_not_told() -> None:
    made = metrics.configured(EVERYTHING, tables.Settings())
    assert [each.name for each in made.sinks] == ["webhook:lab"]
    assert (made.feeds, made.catch_up) == ((), None)


def test_what_never_was_is_0_and_an_empty_queue_has_no_times() -> None:
    nothing = replace(
        EVERYTHING,
        patchwork_answered=None,
        last_received=None,
        oldest=None,
        due=None,
        feeds=(FeedState("inbox.new", None, None, 0, None),),
        sinks=(replace(SINK, moved=None),),
    )
    found = samples(metrics.text(nothing).decode())
    assert found["patchwork_last_answer_timestamp_seconds"] == 0
    assert found["last_mail_timestamp_seconds"] == 0
    assert found["feed_last_success_timestamp_seconds inbox.new"] == 0
    assert found["sink_moved_timestamp_seconds webhook:lab"] == 0
    assert not [name for name in found if name.startswith(("queue_oldest", "queue_due"))]


HOSTILE = ['"} 1\nup 0', "a\0b", "\x1b[31m", "\\", "‮gpj", "\\x1b[31m", "other lists"]


def test_names_that_a_sender_made_up_are_harmless_and_there_once() -> None:
    seen = [Seen("smtp", name, 1, AT_NOON, AT_NOON, 0.0, False) for name in [*HOSTILE, None]]
    text = metrics.text(replace(EVERYTHING, seen=tuple(seen))).decode()
    found = re.findall(r'source_mails_total\{list="(.*)",source="smtp"\} 1.0\n', text)
    assert found == [
        *(r"\"} 1\\nup 0", r"a\\x00b", r"\\x1b[31m", r"\\", r"\\u202egpj"),
        "other lists",
    ]
    assert "\nup" not in text


def test_every_metric_is_in_the_guide_and_no_other() -> None:
    page = (ROOT / "contrib/doc/http.md").read_text()
    listed = re.findall(rf"^\| `({metrics.PREFIX}\S+)` \|", page, re.MULTILINE)
    assert listed == [
        f"{metrics.PREFIX}{each.name}{{{','.join(each.labels)}}}".removesuffix("{}")
        for each in (*metrics.FAMILIES, metrics.LABELS, *metrics.HISTOGRAMS)
    ]


@pytest.fixture
def service(quick_path: Path) -> Iterator[HttpService]:
    service = HttpService(quick_path)
    yield service
    service.end()


@pytest.mark.slow
def test_serve_tells_every_metric_that_alerts_and_dashboard_ask_for(service: HttpService) -> None:
    address = told(service.start("--http", "127.0.0.1:0"), LISTENING)
    there = names(service.read(address, "/metrics"))
    for file in ASKING:
        # Of a histogram the parts are asked for.
        asked = {re.sub("_(bucket|count)$", "", each) for each in NAME.findall(file.read_text())}
        assert len(asked) > 10
        assert asked <= there, file


@pytest.mark.slow
def test_serve_tells_that_patchwork_is_down_and_that_a_sink_does_not_take(
    service: HttpService,
) -> None:
    with contextlib.closing(open_ledger(f"sqlite:{service.folder}/ledger.sqlite")) as ledger:
        record(ledger, "a@example.org", at=time.time(), date=time.time())
        ledger.set_cursor(Cursor("webhook:lab"))
    config = service.folder / "settings.toml"
    config.write_text(f'[webhook.lab]\nurl = "{NOWHERE}/"\n')
    serving = service.start("--http", "127.0.0.1:0", "--config", str(config))
    address = told(serving, LISTENING)
    assert b"queued" in exchange(address, request("one"))
    wanted = {
        "queue_mails down": 1,
        "patchwork_down": 1,
        "sink_lag_requests webhook:lab": 1,
        "sink_tries webhook:lab": 1,
    }
    eventually(lambda: wanted.items() <= samples(service.read(address, "/metrics")).items())


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    cases = (ROOT / "tests/data/prometheus/rules.test.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", ASKING[0].read_text())
    assert set(alerts) == set(re.findall(r'alertname="(\w+)"}', cases))


def test_the_dashboard_names_its_lines_by_labels_that_the_metrics_have() -> None:
    labels = {
        metrics.PREFIX + each.name: set(each.labels) for each in (*metrics.FAMILIES, metrics.LABELS)
    }
    for each in metrics.HISTOGRAMS:
        labels[f"{metrics.PREFIX}{each.name}_bucket"] = set(each.labels)
        labels[f"{metrics.PREFIX}{each.name}_count"] = set(each.labels)
    for title, expr, legend in queries():
        (name,) = NAME.findall(expr)
        shown = set(re.findall(r"{{(\w+)}}", legend))
        assert shown <= labels[name] | {"instance"}, title
        # Of a metric with labels each line must be told from the others.
        assert shown >= labels[name] or expr.startswith(("sum(", "count(")), title


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    cells = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24  # Grafana's columns


def test_a_file_of_a_source_that_is_not_ours_is_told_by_503(quick_path: Path) -> None:
    with Site(quick_path) as site:
        assert site.get("/metrics")[0] == 200
        (quick_path / "pipe.seen").symlink_to("/etc/passwd")
        assert site.get("/metrics") == (503, "Try again later; the log says why.\n")


def test_a_scrape_tells_what_the_ledger_holds(quick_path: Path) -> None:
    with contextlib.closing(open_ledger(f"sqlite:{quick_path}/ledger.sqlite")) as ledger:
        record(ledger, "a@example.org")
        for name in ("b", "c", "d"):
            ledger.accept(arrival(name))
        put_back(ledger, claimed(ledger), NOON + 60, Waiting.DOWN)
        finish(ledger, claimed(ledger), Outcome.UNRESOLVED)
        ledger.set_cursor(Cursor(f"json_file:{quick_path}/retests.json", 0, NOON, tries=2))
        ledger.set_feed(Feed("inbox.dev", moved=NOON, tries=4, reason="no route"))
    signs.saw(str(quick_path), "smtp", {"dev.example.org": 3}, NOON)
    inbox = '[inbox.dev]\nurl = "https://inbox.example.org/dev"\n'
    with Site(quick_path, LISTEN + inbox) as site:
        status, text = site.get("/metrics")
    found = samples(text)
    assert status == 200
    assert {"mails queued": 2, "mails done": 1, "mails unresolved": 1}.items() <= found.items()
    assert (found["queue_mails worker"], found["queue_mails down"]) == (1, 1)
    assert (found["patchwork_down"], found["requests_total"]) == (1, 1)
    assert found["queue_oldest_timestamp_seconds"] == found["last_mail_timestamp_seconds"] == NOON
    assert found["feed_failures inbox.dev"] == 4
    assert found["feed_last_success_timestamp_seconds inbox.dev"] == NOON
    [sink] = [name for name in found if name.startswith("sink_tries")]
    assert (found[sink], found[sink.replace("tries", "lag_requests")]) == (2, 1)
    assert found["source_mails_total dev.example.org smtp"] == 3
    assert found["ledger_size_bytes"] >= (quick_path / "ledger.sqlite").stat().st_size


PASSED_ON = {"X-Forwarded-For": "192.0.2.1"}
RIGHT, WRONG = ({"Authorization": f"Bearer {token}"} for token in ("may-read", "may-mail"))
ACCESS = [
    ("local", {}, 200),
    ("local", PASSED_ON, 401),
    ("local", {"Host": "lab.example.org"}, 401),  # DNS that leads a browser to this machine
    ("local", {"Origin": "https://example.org"}, 401),
    ("local", PASSED_ON | RIGHT, 200),
    ("local", PASSED_ON | WRONG, 401),
    ("token", {}, 401),
    ("token", WRONG, 401),
    ("token", RIGHT, 200),
    ("open", PASSED_ON, 200),
]


@pytest.mark.parametrize(("read", "headers", "status"), ACCESS)
def test_who_may_read(quick_path: Path, read: str, headers: dict[str, str], status: int) -> None:
    toml = f'{LISTEN}read = "{read}"\n'
    for deed in ("read", "mail"):
        (quick_path / deed).write_text(f"may-{deed}\n")
        toml += f'[token.{deed}er]\nfile = "{quick_path}/{deed}"\nmay = ["{deed}"]\n'
    with Site(quick_path, toml) as site:
        assert site.post("/metrics", b"", headers, "GET")[0] == status


def test_a_ledger_that_cannot_be_read_is_told_by_503(quick_path: Path) -> None:
    (quick_path / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    with Site(quick_path) as site:
        assert site.get("/metrics") == (503, "Try again later; the log says why.\n")


def test_nothing_is_imported_for_it_before_the_first_scrape() -> None:
    look = "import sys, ingest.web.server; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look]).returncode == 0
