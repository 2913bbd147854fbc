# SPDX-License-Identifier: BSD-3-Clause
"""What is done over HTTP under an Idempotency-Key is done once, wherever the service is killed in
between and asked again."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from ingest.config import load as config
from ingest.ledger import Ledger, open_configured
from ingest.web import idempotency
from ingest.web.api_table import DOING
from ingest.web.lookups import Reader
from ingest.web.operations import Call, encoded
from tests.support.crashes import Place, forked
from tests.support.ledger_values import NOON, record

START = Place("web/idempotency.py", "if (before := _known(operation, call, digest)) is not None:")
DEATHS = 25

OPERATIONS = {each.name: each for each in DOING}
CALLS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "take": ({}, {"consumer": "arm"}),
    "ask": ({}, {"series": 29430, "labels": ["iol-x"]}),
    "tell_result": ({"id": "1"}, {"label": "iol-a", "state": "fail"}),
    "add_note": ({"id": "1"}, {"text": "once"}),
}


def left(ledger: Ledger) -> dict[str, object]:
    """What the ledger holds of what was done, with no time in it."""
    told = [
        (mail.id, step.what, step.details.get("text"), step.details.get("state"))
        for number in (1, 2, 3)
        for mail in ledger.find(f"mail-{number}")
        for step in mail.story
    ]
    requests = [(each.number, each.series, each.contexts) for each in ledger.requests()]
    batches = [(each.consumer, each.after, each.last) for each in ledger.batches()]
    results = [(each.request, each.label, each.state) for each in ledger.results.of([1, 2, 3])]
    return {"told": told, "requests": requests, "batches": batches, "results": results}


def calling(folder: Path, name: str) -> Callable[[], bytes]:
    """Call an operation with a key, as the service does; the answer's body."""
    path, body = CALLS[name]
    operation = OPERATIONS[name]
    settings = config.load({("state", "dir"): str(folder)}, environment={})

    def call() -> bytes:
        with closing(open_configured(settings.state)) as ledger:
            reader = Reader(ledger, settings, NOON + 60, sees_all=True)
            given = msgspec.convert(body, operation.body)
            made = Call(reader, path, operation.query(), given, "lab", "lab key")
            return encoded(idempotency.answered(operation, made, "digest").value)

    return call


def seen(folder: Path) -> dict[str, object]:
    settings = config.load({("state", "dir"): str(folder)}, environment={})
    with closing(open_configured(settings.state)) as ledger:
        return left(ledger)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_wherever_it_is_killed_asking_again_does_it_once(quick_path: Path, name: str) -> None:
    begun = quick_path / "begun"
    settings = config.load({("state", "dir"): str(begun)}, environment={})
    with closing(open_configured(settings.state)) as ledger:
        record(ledger, "a@example.org")
    whole = shutil.copytree(begun, quick_path / "whole")
    ended = forked(calling(whole, name), count_from=START)
    assert ended.code == 0, ended.output
    expected = seen(whole)
    assert expected != seen(begun)
    lines = Random(name).sample(range(1, ended.lines + 1), min(DEATHS, ended.lines))
    for die in sorted(lines):
        folder = shutil.copytree(begun, quick_path / f"{die}")
        assert forked(calling(folder, name), die=die, count_from=START).killed
        answer = calling(folder, name)()
        assert seen(folder) == expected, f"killed before line {die}"
        assert calling(folder, name)() == answer
        assert seen(folder) == expected
        shutil.rmtree(folder)
