# SPDX-License-Identifier: BSD-3-Clause
"""The description of the API: that it is true is shown by ``test_api_schema``, that it is whole
here."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.story.overview import Asked, Story
from ingest.story.results import Became
from ingest.web import api_fields, openapi
from ingest.web.api_table import OPERATIONS
from ingest.web.api_values import RequestItem
from ingest.web.operations import Operation
from tests.support.places import ROOT

DOCUMENT = openapi.document(OPERATIONS, "https://recheck.example.org")
GUIDE = (ROOT / "contrib/doc/api.md").read_text()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each.removeprefix("#/components/schemas/")
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_leads_somewhere_and_nothing_is_described_in_vain() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {*references(DOCUMENT)} == {*schemas}


def test_it_says_where_the_service_is() -> None:
    assert DOCUMENT["servers"] == [{"url": "https://recheck.example.org"}]
    assert openapi.document(OPERATIONS)["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_is_described_and_in_the_guide(operation: Operation) -> None:
    made = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert made["operationId"] == operation.name
    assert made["summary"].endswith(".")
    assert all(each["description"] for each in made["responses"].values())
    assert all(each.get("description", "path") for each in made["parameters"])
    assert f"`{operation.method} {operation.path}`" in GUIDE
    if operation.deed != "read":
        assert {} not in made["security"]
    if operation.body:
        row = next(line for line in GUIDE.splitlines() if f"POST {operation.path}`" in line)
        named = re.findall(r"`(\w+)`", row)
        assert {*named} >= {*operation.body.__struct_fields__}


def test_every_parameter_and_status_is_in_the_guide() -> None:
    for path in DOCUMENT["paths"].values():
        for made in path.values():
            for each in made["parameters"]:
                assert each["in"] == "path" or re.search(rf"\b{each['name']}\b", GUIDE)
            for status in made["responses"]:
                assert re.search(rf"\b{status}\b", GUIDE.partition("## Answers")[2]), status


MEANINGS = [(Asked, api_fields.REQUEST), (Story, api_fields.MAIL), (Became, api_fields.RESULT)]


@pytest.mark.parametrize(("kind", "meanings"), MEANINGS, ids=lambda each: str(each)[:30])
def test_every_field_has_a_meaning(kind: type, meanings: dict[str, str]) -> None:
    assert {each.name for each in dataclasses.fields(kind)} - {"deliveries"} == {*meanings}


def test_a_request_in_a_list_lacks_only_its_deliveries() -> None:
    whole = {each.name for each in dataclasses.fields(Asked)}
    assert whole - {*RequestItem.__struct_fields__} == {"deliveries"}
