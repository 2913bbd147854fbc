# SPDX-License-Identifier: BSD-3-Clause
"""What is logged, as text and as JSON, for a terminal and for systemd's journal."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest.commands import logs

EVIL = "\x1b[31m\nforged"


def written(formatter: logging.Formatter, level: int = logging.INFO, **extra: Any) -> str:
    record = logging.makeLogRecord(
        {
            "name": "ingest.worker",
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": "recorded <%s>",
            "args": (EVIL,),
            "created": 1_700_000_000.25,
            **extra,
        }
    )
    return formatter.format(record)


def caught() -> dict[str, Any]:
    """What a record has of an error."""
    try:
        raise ValueError(EVIL)
    except ValueError:
        return {"exc_info": sys.exc_info()}


def test_a_record_as_json_is_one_object_on_one_line() -> None:
    text = written(logs.JsonFormatter(), mail="<1@example.org>")
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "level": "info",
        "logger": "ingest.worker",
        "message": f"recorded <{EVIL}>",
        "mail": "<1@example.org>",
        "traceback": None,
    }


def test_a_traceback_is_part_of_the_object() -> None:
    text = written(logs.JsonFormatter(), **caught())
    assert "\n" not in text
    assert json.loads(text)["traceback"].startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
        (5, 7),
    ],
)
def test_the_journal_is_told_how_bad_it_is(level: int, number: int) -> None:
    for formatter in (
        logs.TextFormatter("%(message)s", for_journal=True),
        logs.JsonFormatter(for_journal=True),
    ):
        assert written(formatter, level).startswith(f"<{number}>")


def test_each_line_of_a_traceback_has_its_priority() -> None:
    text = written(logs.TextFormatter("%(message)s", for_journal=True), logging.ERROR, **caught())
    lines = text.split("\n")
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_it_is_the_journal_only_if_it_is_the_open_file(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as stream:
        found = os.fstat(stream.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert logs.is_journal(stream.fileno(), named)
        assert not logs.is_journal(stream.fileno(), {})
        assert not logs.is_journal(2, named)
    assert not logs.is_journal(9999, named)


@pytest.mark.parametrize(
    ("level", "verbosity", "least"),
    [
        ("warning", 0, logging.WARNING),
        ("error", 0, logging.ERROR),
        ("error", 1, logging.INFO),
        ("warning", 2, logging.DEBUG),
        ("warning", 5, logging.DEBUG),
        ("debug", 1, logging.DEBUG),
    ],
)
def test_the_level_is_the_lower_one_of_configuration_and_flags(
    level: str, verbosity: int, least: int
) -> None:
    log = logging.getLogger("ingest")
    before = log.level
    try:
        logs.Handler("recheck-ingest", verbosity).follow("text", level)
        assert log.level == least
    finally:
        log.setLevel(before)


def run(tmp_path: Path, configuration: str, *arguments: str, for_journal: bool = False) -> str:
    """What a process of the program logs."""
    (tmp_path / "c.toml").write_text(configuration)
    errors = tmp_path / "errors"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
    with errors.open("w") as stream:
        if for_journal:
            found = os.fstat(stream.fileno())
            environment["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
        flags = ["--config", str(tmp_path / "c.toml"), "--state", str(tmp_path / "state")]
        subprocess.run(
            [sys.executable, "-m", "ingest", *arguments, *flags],
            stderr=stream,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=False,
            env=environment,
        )
    return errors.read_text()


@pytest.mark.slow
def test_a_process_logs_as_the_configuration_says(tmp_path: Path) -> None:
    reruns = ["reruns", "-ts", "2023-01-01T00:00:00", "--contexts", "-o", "-"]
    run(tmp_path, "", "work", "--once")
    text = run(tmp_path, "", *reruns)
    assert text.startswith("recheck-ingest: no mail has come to the ledger")
    assert run(tmp_path, '[log]\nlevel = "error"', *reruns) == ""
    [line] = run(tmp_path, '[log]\nformat = "json"', *reruns).splitlines()
    assert json.loads(line)["level"] == "warning"
    [line] = run(tmp_path, "", *reruns, for_journal=True).splitlines()
    assert line.startswith("<4>no mail has come to the ledger")


def test_an_error_goes_to_the_journal_with_its_priority(tmp_path: Path) -> None:
    line = run(tmp_path, "[nothing]", "status", for_journal=True)
    assert line.startswith("<3>recheck-ingest: ")
