# SPDX-License-Identifier: BSD-3-Clause
"""The OpenAPI 3.1 document of the API, made from its table. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ingest import __version__
from ingest.web.api_fields import MAIL, REQUEST, RESULT
from ingest.web.api_values import ProblemDetails
from ingest.web.operations import JSON, Operation
from ingest.web.problems import KIND

_REF = "#/components/schemas/{name}"
_MEANINGS = {"Request": REQUEST, "Asked": REQUEST, "Became": RESULT, "Story": MAIL}

# What every operation may answer.
_ALWAYS = {
    400: "the query or the body is not as described",
    401: "a token is needed, or is wrong",
    405: "there is no such method here",
    421: "this service does not go by that name",
    503: "the ledger cannot be read or written now; try again later",
}
_OF_BODY = {
    403: "the token does not allow this",
    409: "the Idempotency-Key was used for something else",
    413: "the body is too large",
    415: "the body is not JSON",
}
# A flag of a query may stand there without a value: "?active_only".
_FLAG = {
    "anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["", "0", "1", "false", "true"]}],
    "default": False,
}
_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "of the event after which to go on",
    "schema": {"type": "string"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same key answers as before, and does nothing twice",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-~]+$"},
}


def document(operations: Iterable[Operation], url: str = "") -> dict[str, Any]:
    """The document. ``url``: where people reach this service, "" if that is not known."""
    table = list(operations)
    types: list[Any] = [ProblemDetails]
    types += [each for one in table for each in (one.answers, one.body, one.query) if each]
    types = [each for each in types if each is not bytes]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    for name, meanings in _MEANINGS.items():
        for field, about in meanings.items():
            if field in components.get(name, {}).get("properties", {}):
                _describe(components[name]["properties"], field, about)
    for each in components.values():
        if "description" in each:
            each["description"] = _plain(each["description"])
    queries = {repr(one.query): _query(one, components) for one in table}
    for one in table:
        components.pop(one.query.__name__, None)
    paths: dict[str, dict[str, Any]] = {}
    for one in table:
        made = _operation(one, by_type, queries[repr(one.query)])
        paths.setdefault(one.path, {})[one.method.lower()] = made
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "recheck-ingest",
            "version": __version__,
            "description": "Requests for retests, and what became of them.",
        },
        "servers": [{"url": url or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(
    one: Operation, by_type: Mapping[str, Any], query: list[dict[str, Any]]
) -> dict[str, Any]:
    content = (
        {one.media: {"schema": {"type": "string", "contentEncoding": "binary"}}}
        if one.answers is bytes
        else {one.media: {"schema": by_type[repr(one.answers)]}}
    )
    good: dict[str, Any] = {"description": one.about, "content": content}
    if one.is_list:
        good["headers"] = {
            "Link": {
                "description": "first, prev, next and last pages (RFC 8288)",
                "schema": {"type": "string"},
            }
        }
    bad = dict(sorted({**_ALWAYS, **(_OF_BODY if one.body else {}), **one.statuses}.items()))
    if one.deed == "raw":
        bad[403] = _OF_BODY[403]
    problem = {KIND: {"schema": {"$ref": _REF.format(name="ProblemDetails")}}}
    made: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.about,
        "description": f'A token needs "{one.deed}" in what it may.',
        "security": [{"token": []}, {"password": []}, *([{}] if one.deed == "read" else [])],
        "parameters": [
            *({**_IN_PATH, "name": name} for name in re.findall(r"\{(\w+)\}", one.path)),
            *query,
            *([_LAST_EVENT_ID] if one.media == "text/event-stream" else []),
            *([_KEY] if one.body else []),
        ],
        "responses": {
            str(one.status): good,
            **{str(code): {"description": why, "content": problem} for code, why in bad.items()},
        },
    }
    if one.body:
        made["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": by_type[repr(one.body)]}},
        }
    return made


_IN_PATH = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query(one: Operation, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameters of a query. A list is given as a parameter several times."""
    found = []
    for name, schema in components.get(one.query.__name__, {}).get("properties", {}).items():
        bare = {key: each for key, each in schema.items() if key != "description"}
        about = schema.get("description", "")
        if bare.get("type") == "boolean":
            bare = _FLAG
        found.append({"name": name, "in": "query", "description": about, "schema": bare})
    return found


def _describe(properties: dict[str, Any], field: str, about: str) -> None:
    schema = properties[field]
    # A reference stands alone, so that older readers do not lose what is beside it.
    properties[field] = (
        {"allOf": [schema], "description": about}
        if "$ref" in schema
        else {
            **schema,
            "description": about,
        }
    )


def _plain(text: str) -> str:
    """A docstring as prose."""
    return " ".join(text.replace("``", "").split())
