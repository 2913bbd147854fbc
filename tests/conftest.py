# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of several test files."""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ingest.config import tables
from ingest.ledger import Ledger, open_ledger
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from tests.support import postgres
from tests.support.bad_server import MOST, Hell
from tests.support.clock import Clock
from tests.support.durations import Durations
from tests.support.examples import SHARE, number
from tests.support.lab import Lab, MakeLab
from tests.support.ledgers import KINDS, LEDGERS
from tests.support.leftovers import Leftovers, memory
from tests.support.questions import Connect

# The files, besides those of the ledger itself, whose tests run with each kind of ledger.
OVER_BOTH = frozenset(
    (
        *("test_worker.py", "test_worker_policy.py", "test_worker_schedule.py"),
        *("test_one_by_one.py", "test_delivery.py"),
        *("test_reruns.py", "test_reruns_consumers.py"),
        *("test_take.py", "test_take_loop.py", "test_peek.py", "test_withdrawal.py"),
        *("test_by_hand.py", "test_catch_up_command.py", "test_storm.py"),
        *("test_events_of_many.py", "test_api_doing.py", "test_pages.py"),
    )
)

# More processes than this wait for the slowest file only.
MOST_PROCESSES = 4


def pytest_configure(config: pytest.Config) -> None:
    """A run fails if it leaves anything behind. With RECHECK_TEST_DURATIONS=1 it also fails if it
    has slow tests without the mark. One without slow tests tries fewer examples."""
    if config.option.markexpr == "not slow":
        os.environ.setdefault(SHARE, "10")
    # Machines that run tests are slow at times; that is no failure.
    settings.register_profile(
        "unhurried",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=number(),
    )
    settings.load_profile("unhurried")
    if hasattr(config, "workerinput"):  # the process that started it hears of all tests
        return
    config.pluginmanager.register(Leftovers())
    if os.environ.get("RECHECK_TEST_DURATIONS") == "1":
        config.pluginmanager.register(Durations())
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        # The tree stays clean, but hundreds of processes need not compile the program anew.
        cached = str(config.cache.mkdir("bytecode"))
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = cached
        sys.dont_write_bytecode = False


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """In each process that ran tests."""
    postgres.end()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes run the tests: for the whole suite half as many again as there are cores,
    since many tests wait for a server, and this one alone for tests that the command line names."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    cores = len(os.sched_getaffinity(0))
    return min(cores * 3 // 2, MOST_PROCESSES) if cores > 1 else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true every part must be there: a test that is skipped for want of one has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{why}: a run with CI=true must have every part"
    return report


@pytest.fixture(autouse=True)
def verbosity() -> Iterator[None]:
    """A command line that a test runs sets how much is logged, for that test only."""
    log = logging.getLogger("ingest")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a key and the certificate that it made for itself, of loopback's address and of
    mail.example.org."""
    file = str(tmp_path_factory.mktemp("tls") / "both.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=sink.example.org", "-keyout", file, "-out", file,
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:mail.example.org"],
        check=True, capture_output=True,
    )  # fmt: skip
    return file


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hell() -> Iterator[Hell]:
    with Hell() as server:
        yield server


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory, where there is one: for the many tests that are not about disks."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        yield Path(folder)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What these files say of a ledger they say of each kind."""
    marks = metafunc.definition.iter_markers("parametrize")
    chosen = any("ledger_kind" in mark.args[0] for mark in marks)
    is_meant = "ledger_kind" in metafunc.fixturenames and not chosen
    if is_meant and metafunc.definition.path.name in OVER_BOTH:
        metafunc.parametrize("ledger_kind", KINDS)


@pytest.fixture
def ledger_kind() -> str:
    return "sqlite"


@pytest.fixture
def ledger_url(ledger_kind: str, quick_path: Path) -> str:
    """The URL of an empty ledger."""
    return LEDGERS[ledger_kind](quick_path)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = open_ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture
def connect(ledger: Ledger, clock: Clock) -> Iterator[Connect]:
    """Clients that remember in the ledger and end with the test."""
    made: list[Patchwork] = []

    def new(url: str, memory: Ledger = ledger, timeout: float = 10.0) -> Patchwork:
        table = tables.PatchworkSettings(url, timeout=timeout, max_answer=MOST)
        made.append(Patchwork(table, memory, clock=clock))
        return made[-1]

    yield new
    for each in made:
        each.close()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: datetime.fromtimestamp(clock(), UTC)) as sandbox:
        yield sandbox


@pytest.fixture
def lab_at(ledger: Ledger, clock: Clock, quick_path: Path) -> Iterator[MakeLab]:
    made: list[Lab] = []

    def make(
        url: str,
        timeout: float = 10.0,
        until: float | None = None,
        schedule: tables.WorkerSettings | None = None,
        questions: int = 40,
        **others: Any,
    ) -> Lab:
        worker = schedule or tables.WorkerSettings()
        lab = Lab(
            url, ledger, clock, quick_path, timeout, until, questions, worker=worker, **others
        )
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.patchwork.close()


@pytest.fixture
def lab(lab_at: MakeLab, hell: Hell) -> Lab:
    """A lab whose Patchwork is hell."""
    return lab_at(hell.url)
