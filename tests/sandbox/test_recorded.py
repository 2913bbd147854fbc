# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox answers as a real Patchwork did, whose answers were recorded."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from ingest.sandbox import Sandbox
from tests.sandbox.conftest import ARCHIVES, TOKENS
from tests.support.places import RECORDED

CHECK_FILES = ("check-created", "checks")
# A page for people, of which the first 200 characters were kept: status, type, title count.
HTML_FILES = ("unknown-api-version",)
JSON_FILES = sorted(
    path.stem for path in RECORDED.glob("*.json") if path.stem not in CHECK_FILES + HTML_FILES
)
TOKEN_OF = {"check-bad-token": "wrong", "check-without-permission": "onlooker"}

# When a mail was filed is the one thing that differs from load to load.
EVENT_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")


def recording(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return loaded


def ask(sandbox: Sandbox, name: str) -> requests.Response:
    """Send the recorded request again."""
    request = recording(name)["request"]
    headers = {}
    if request["authorization"]:
        headers["Authorization"] = f"Token {TOKEN_OF.get(name, 'secret')}"
    answer = requests.request(
        request["method"],
        sandbox.url + request["path"],
        json=request["json"],
        headers=headers,
        timeout=10,
    )
    assert sandbox.requests[-1].path == request["path"]
    return answer


def without_event_dates(body: Any) -> Any:
    if isinstance(body, list):
        for row in body:
            if "payload" in row:
                assert EVENT_DATE.fullmatch(row["date"])
                row["date"] = "when it was filed"
    return body


def assert_as_recorded(answer: requests.Response, name: str) -> None:
    expected = recording(name)
    assert answer.status_code == expected["status"]
    assert {key: answer.headers.get(key) for key in expected["headers"]} == expected["headers"]
    # As text, so that the order of the fields counts too.
    assert json.dumps(without_event_dates(answer.json()), indent=1) == json.dumps(
        without_event_dates(expected["body"]), indent=1
    )


def test_no_recording_is_missing() -> None:
    assert len(JSON_FILES) + len(CHECK_FILES) + len(HTML_FILES) == 24


@pytest.mark.parametrize("name", JSON_FILES)
def test_an_answer_is_the_recorded_one(recorded: Sandbox, name: str) -> None:
    assert_as_recorded(ask(recorded, name), name)


def test_a_written_check_and_the_list_with_it_are_the_recorded_ones() -> None:
    written = datetime.fromisoformat(recording("check-created")["body"]["date"])
    with Sandbox(*ARCHIVES, tokens=TOKENS, clock=lambda: written.replace(tzinfo=UTC)) as sandbox:
        assert_as_recorded(ask(sandbox, "check-created"), "check-created")
        assert_as_recorded(ask(sandbox, "checks"), "checks")


def test_an_unknown_api_version_is_a_page_for_people(recorded: Sandbox) -> None:
    expected = recording("unknown-api-version")
    answer = ask(recorded, "unknown-api-version")
    assert answer.status_code == expected["status"]
    assert answer.headers["Content-Type"] == expected["headers"]["Content-Type"]
    title = expected["body"].index("</title>")
    assert answer.text[:title] == expected["body"][:title]
